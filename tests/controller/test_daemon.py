"""`vdvs watch` as a process on the embedded site, ended by signals."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.render import schemas

ROOT = Path(__file__).parents[2]
SOON = 20.0
LINK = "manifests/.vdvs-lab/hosts/esxiz20/etc/vmware/vmdkops/auth-db"


class Daemon:
    """A running watch; `next` gives its events as they come."""

    def __init__(self, *args: str) -> None:
        line = [sys.executable, "-m", "reconciler", "watch", "-f", "manifests", "-o", "json", *args]
        self.process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def next(self) -> Any:
        event = json.loads(self._lines.get(timeout=SOON))
        schemas.check("event", event)
        return event

    def named(self) -> tuple[str, str | None]:
        event = self.next()
        return event["event"], event["object"]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(SOON)
        self._reader.join()
        return code

    def close(self) -> str:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout
        assert self.process.stderr
        said = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return said

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line)


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Daemon]]:
    """Start a watch on a site in sync."""
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests", ignore=shutil.ignore_patterns(".*"))
    monkeypatch.chdir(tmp_path)
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(watch: Callable[..., Daemon], number: signal.Signals) -> None:
    daemon = watch("--interval", "1h")
    assert daemon.end(number) == 0
    assert daemon.named() == ("stopped", None)


def test_report_only(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--interval", "200ms")
    Path(LINK).unlink()
    event = daemon.next()
    assert (event["event"], event["object"]) == ("drifted", "host/esxiz20")
    assert [field["path"] for field in event["change"]["fields"]] == ["configDB"]
    assert daemon.end() == 0
    assert not os.path.lexists(LINK)


def test_heal(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--heal", "--interval", "200ms")
    Path(LINK).unlink()
    assert daemon.named() == ("drifted", "host/esxiz20")
    assert daemon.named() == ("healed", "host/esxiz20")
    assert os.path.lexists(LINK)
    assert daemon.end() == 0


def put(path: Path, text: str) -> None:
    """Replace a file as a whole, so that no pass sees it empty."""
    beside = path.with_suffix(".tmp")
    beside.write_text(text)
    beside.replace(path)


def test_a_new_commit_is_reported_and_invalid_manifests_end_nothing(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--heal", "--interval", "1h")
    manifest = Path("manifests/vmgroup.yaml")
    good = manifest.read_text()
    put(manifest, good.replace("5GB", "3GB"))
    event = daemon.next()
    assert (event["event"], event["object"]) == ("drifted", "vmgroup/MYVMGROUP")
    assert event["change"]["fields"][0]["after"] == "3GB"
    assert daemon.named() == ("blocked", "vmgroup/MYVMGROUP")
    put(manifest, good.replace("5GB", "3"))
    event = daemon.next()
    assert event["event"] == "invalid"
    assert "manifests/vmgroup.yaml:" in event["message"]
    put(manifest, good)
    assert daemon.named() == ("valid", None)
    assert daemon.named() == ("in sync", "vmgroup/MYVMGROUP")
    assert daemon.end() == 0
