"""`vdvs watch` as a process on the embedded site, ended by signals."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
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
        line = [sys.executable, "-m", "reconciler", "watch", "-f", "manifests", "-o", "json", "--listen", "0", *args]
        self.process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self.process.stderr
        said = self.process.stderr.readline()
        assert said.startswith("vdvs: listening on http://127.0.0.1:"), said + self.process.stderr.read()
        self.url = said.split()[-1]

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=SOON) as answer:  # noqa: S310 - of loopback
            return str(answer.read().decode())

    def passes(self, count: int) -> None:
        """Wait for so many passes to end from now on, or, right after the start, in all."""
        wanted = getattr(self, "_passes", 0) + count
        until = time.monotonic() + SOON
        while (done := self._done()) < wanted:
            assert time.monotonic() < until, f"{done} passes and no more"
            time.sleep(0.02)
        self._passes = done

    def _done(self) -> int:
        lines = [line for line in self.get("metrics").splitlines() if line.startswith("vdvs_passes_total")]
        return int(sum(float(line.rpartition(" ")[2]) for line in lines))

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


HOST_FOLDER = "manifests/.vdvs-lab/hosts/esxiz20"
LOCAL_SH = "etc/rc.local.d/local.sh"
DB = "manifests/.vdvs-lab/datastores"


def agents_of(pid: int) -> list[int]:
    """The processes that a watch has started."""
    listings = [listing.read_text() for listing in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for listing in listings for child in listing.split()]


def execute(statement: str) -> None:
    (path,) = Path(DB).glob("*/dockvols/vmdkops_config.db")
    connection = sqlite3.connect(path, timeout=30)
    with connection:
        assert connection.execute(statement).rowcount
    connection.close()


BY_HAND: dict[str, tuple[str, Callable[[], object]]] = {
    "link": ("host/esxiz20", lambda: Path(LINK).unlink()),
    "local.sh": (
        "host/esxiz20",
        lambda: Path(HOST_FOLDER, "etc/rc.local.d/local.sh").write_text("#!/bin/sh\nexit 0\n"),
    ),
    "service": ("host/esxiz20", lambda: Path(HOST_FOLDER, "var/run/vmware/vmdkops-opsd.PID").unlink()),
    "row": ("vmgroup/MYVMGROUP", lambda: execute("UPDATE privileges SET usage_quota = 999999 WHERE usage_quota > 0")),
}


@pytest.mark.parametrize("what", BY_HAND)
def test_what_is_changed_by_hand_is_noticed_by_the_host_itself(watch: Callable[..., Daemon], what: str) -> None:
    daemon = watch("--interval", "1h", "--heal")
    seen, change = BY_HAND[what]
    daemon.passes(2)  # the hosts look out
    change()
    assert daemon.named() == ("drifted", seen)
    assert daemon.named()[0] == "healed"
    assert daemon.end() == 0


def test_an_agent_that_is_killed_is_replaced_and_the_host_goes_on_being_watched(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--interval", "1h")
    daemon.passes(2)
    for agent in agents_of(daemon.process.pid):
        os.kill(agent, signal.SIGKILL)
    daemon.passes(2)
    Path(LINK).unlink()
    assert daemon.named() == ("drifted", "host/esxiz20")
    assert daemon.end() == 0


def test_a_hang_up_makes_it_read_everything_again(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--interval", "1h")
    daemon.passes(2)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.passes(1)
    assert daemon.end() == 0


def test_the_inventory_is_followed(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--interval", "1h")
    daemon.passes(2)
    inventory = Path("manifests/.vdvs-lab/inventory.json")
    data = json.loads(inventory.read_text())
    data["vms"] = [vm for vm in data["vms"] if not vm["name"].startswith("photon")]
    put(inventory, json.dumps(data))
    assert daemon.next()["object"] == "vmgroup/MYVMGROUP"
    assert daemon.end() == 0


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        (["--auto-apply", "safe,destroys"], "destroys is never done by a watch"),
        (["--auto-apply", "all"], "all is no risk"),
        (["--max-changes", "0"], "neither a number"),
        (["--interval", "often"], "is not a duration"),
    ],
)
def test_options_that_make_no_sense(option: list[str], complaint: str) -> None:
    line = [sys.executable, "-m", "reconciler", "watch", "-f", "manifests", *option]
    done = subprocess.run(line, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == 2
    assert complaint in done.stderr


def test_too_many_changes_are_none(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--interval", "1h", "--heal", "--max-changes", "1")
    daemon.passes(2)
    Path(LINK).unlink()
    assert daemon.named() == ("drifted", "host/esxiz20")
    assert daemon.named() == ("healed", "host/esxiz20")
    Path(LINK).unlink()
    Path(LINK.replace("esxiz20", "esxiz10")).unlink()
    events = {daemon.named() for _ in range(2)}
    assert {name for name, _ in events} <= {"drifted", "blocked", "healed"}
    assert daemon.end() == 0
