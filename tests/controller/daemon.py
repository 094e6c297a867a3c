"""A running `vdvs watch`, on a site of its own that is in sync."""

from __future__ import annotations

import json
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.render import schemas

ROOT = Path(__file__).parents[2]
SOON = 60.0
LINK = "manifests/.vdvs-lab/hosts/esxiz20/etc/vmware/vmdkops/auth-db"
HOST_FOLDER = "manifests/.vdvs-lab/hosts/esxiz20"
LOCAL_SH = "etc/rc.local.d/local.sh"
DB = "manifests/.vdvs-lab/datastores"


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
        if not said.startswith("vdvs: listening on http://127.0.0.1:"):
            self.process.kill()
            said += self.close()
            raise AssertionError(said)
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
