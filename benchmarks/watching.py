"""A `vdvs watch` that a benchmark runs, and what it says of itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from run import VDVS

from reconciler.history.store import HistoryReader


class Watched:
    """A running watch."""

    def __init__(self, process: subprocess.Popen[str], url: str, history: Path) -> None:
        self.process = process
        self.url = url
        self.history = history

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:  # noqa: S310 - of loopback
            return str(answer.read().decode())

    def status(self, path: str) -> int:
        """Status of the answer."""
        to = urlsplit(self.url)
        connection = HTTPConnection(to.hostname or "", to.port, timeout=60)
        try:
            connection.request("GET", f"/{path}")
            return connection.getresponse().status
        finally:
            connection.close()

    def passes(self) -> list[float]:
        """Seconds of each pass, the first one first."""
        reader = HistoryReader(self.history)
        found = reader.passes(100_000)
        reader.close()
        moments = [[datetime.fromisoformat(row[key]) for key in ("started", "ended")] for row in reversed(found)]
        return [(ended - started).total_seconds() for started, ended in moments]

    def events(self) -> Iterator[dict[str, object]]:
        """What is told from now on, as the page hears it."""
        to = urlsplit(self.url)
        connection = HTTPConnection(to.hostname or "", to.port, timeout=60)
        connection.request("GET", "/api/events")
        answer = connection.getresponse()
        try:
            while line := answer.readline():
                if line.startswith(b"event: event"):
                    yield json.loads(answer.readline().decode().removeprefix("data: "))
        finally:
            connection.close()

    def cpu(self) -> float:
        """Seconds of CPU that it, without its agents, has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def watch(folder: Path, *options: str | Path) -> Iterator[Watched]:
    """Until the context ends; its events are thrown away."""
    history = folder / "history.sqlite"
    line = [VDVS, "watch", *options, "--listen", "0", "--history", history]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = process.stderr.readline() if process.stderr else ""
            if "listening on" not in said:
                raise SystemExit(said)
            yield Watched(process, said.split()[-1], history)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
