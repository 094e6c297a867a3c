"""Fixtures: a watch on a site in sync."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.controller.daemon import Daemon


@pytest.fixture
def watch(in_sync: Path) -> Iterator[Callable[..., Daemon]]:
    """Start a watch on a site in sync, which is the current folder."""
    started: list[Daemon] = []

    def start(*args: str) -> Daemon:
        started.append(Daemon(*args))
        assert started[-1].named() == ("started", None)
        return started[-1]

    yield start
    for daemon in started:
        assert daemon.close() == ""
