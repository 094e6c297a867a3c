"""Fixtures: a watch on a site in sync."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.controller.daemon import ROOT, Daemon


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Daemon]]:
    """Start a watch on a site in sync."""
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests", ignore=shutil.ignore_patterns(".*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    line = [sys.executable, "-m", "reconciler", "apply", "-f", "manifests"]
    subprocess.run(line, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    started: list[Daemon] = []

    def start(*args: str) -> Daemon:
        started.append(Daemon(*args))
        assert started[-1].named() == ("started", None)
        return started[-1]

    yield start
    for daemon in started:
        assert daemon.close() == ""
