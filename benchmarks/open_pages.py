"""What open pages cost a watch of a whole vCenter, and whether they ever hold its event loop.

    PYTHONPATH=.:benchmarks python benchmarks/open_pages.py [--hosts N] [--groups N] [--datastores N] [--pages N]

The hosts are in the process of the watch (see `in_process`), so that its own work is what is measured: in CPU time, as
other things run on the machine. A page listens, and asks for the state and the map again when there is something new.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from in_process import VMS_EACH, look, many, put_in_place
from kube.holds import Holds
from run import progress
from site_of_size import write_manifests

from reconciler import snapshot
from reconciler.history.store import HistoryReader

PAGES, SHARE, HOLD = 20, 5.0, 50.0
QUIET = 2  # passes
ACCESS_EACH = 4
PATIENCE = 120.0
_START = f"import sys; sys.path[:0] = {[str(Path(__file__).parent)]!r}; from open_pages import run_watch; run_watch()"


def run_watch() -> None:
    """Run `vdvs watch` with the hosts of a snapshot. At SIGUSR1, write the long steps of its loop since."""
    from reconciler.cli.main import main as vdvs

    file, report = Path(sys.argv[1]), Path(sys.argv[2])
    put_in_place(snapshot.from_bytes(file.read_bytes(), str(file)))
    holds = Holds()

    def tell(*_: object) -> None:
        report.with_suffix(".new").write_text(json.dumps(holds.report()))
        report.with_suffix(".new").rename(report)
        holds.longest = []

    signal.signal(signal.SIGUSR1, tell)
    holds.begin()
    sys.argv = ["vdvs", *sys.argv[3:]]
    vdvs()


class Watched:
    """A running watch of the site in a folder."""

    def __init__(self, folder: Path) -> None:
        self._report, self._history = folder / "holds.json", folder / "history.sqlite"
        files = ["-f", "large.yaml", "--site", "lab/site.yaml", "--history", "history.sqlite"]
        line = [sys.executable, "-c", _START, "large.snapshot", "holds.json", "watch", *files]
        self.process = subprocess.Popen(
            [*line, "--listen", "0", "--interval", "30s"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        )
        said = self.process.stderr.readline() if self.process.stderr else ""
        if "listening on" not in said:
            raise SystemExit(said)
        self.url = urlsplit(said.split()[-1])

    def get(self, path: str) -> bytes:
        connection = HTTPConnection(self.url.hostname or "", self.url.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            found = answer.read()
            return gzip.decompress(found) if answer.headers["Content-Encoding"] == "gzip" else found
        finally:
            connection.close()

    def wait(self) -> None:
        """Until the first passes are over, and what they began."""
        until = time.monotonic() + PATIENCE
        while self.get("/readyz") != b"ok\n":
            if time.monotonic() > until:
                raise SystemExit("no pass has ended")
            time.sleep(1)
        time.sleep(5)

    def passes(self) -> int:
        reader = HistoryReader(self._history)
        try:
            return len(reader.passes(100_000))
        finally:
            reader.close()

    def cpu(self) -> float:
        """Seconds of CPU time."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def holds(self) -> list[Any]:
        """The steps of its loop of more than 50 ms since this was asked last."""
        self._report.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        while not self._report.exists():
            time.sleep(0.05)
        found: list[Any] = json.loads(self._report.read_text())["longest"]
        return found

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(60)


async def page(watched: Watched) -> None:
    """One page, until it is cancelled."""
    reader, writer = await asyncio.open_connection(watched.url.hostname, watched.url.port)
    writer.write(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    version = None
    try:
        while line := await reader.readline():
            told = json.loads(line.removeprefix(b"data: ")) if line.startswith(b"data: ") else {}
            if told.get("version", version) != version:
                version = told["version"]
                await asyncio.to_thread(watched.get, "/api/state")
                await asyncio.to_thread(watched.get, "/api/access")
    finally:
        writer.close()


async def quiet(watched: Watched, number: int) -> float:
    """Per cent of a core from the end of a pass to that of another, with so many pages open."""
    opened = [asyncio.create_task(page(watched)) for _ in range(number)]
    await passed(watched, 1)
    before, began = watched.cpu(), time.monotonic()
    await passed(watched, QUIET)
    share = 100 * (watched.cpu() - before) / (time.monotonic() - began)
    for each in opened:
        each.cancel()
    await asyncio.wait(opened or [asyncio.create_task(asyncio.sleep(0))])
    return share


async def passed(watched: Watched, number: int) -> None:
    wanted = watched.passes() + number
    while watched.passes() < wanted:
        await asyncio.sleep(0.2)


def measured(folder: Path, number: int, groups: int) -> list[tuple[str, float, str, float | None]]:
    """What was found: of what, how much, in which unit, and the most that is wanted."""
    watched = Watched(folder)
    found: list[tuple[str, float, str, float | None]] = []
    try:
        watched.wait()
        watched.holds()
        asked = {
            "state": "/api/state",
            "access map": "/api/access",
            "an object": f"/api/object?{urlencode({'kind': 'vmgroup', 'name': f'team-{groups // 2:04}'})}",
            "a cell": f"/api/cell?{urlencode({'vmgroup': f'team-{groups // 2:04}', 'datastore': 'shared-01'})}",
            "30 days": "/api/history?hours=720",
        }
        for name, path in asked.items():
            before = watched.cpu()
            size = len(watched.get(path))
            found.append((f"{name}: {size / 1000:.0f} kB, made in", watched.cpu() - before, "s of CPU time", None))
        held = watched.holds()
        found.append(("longest step of the loop meanwhile", 1000 * longest(held), "ms of CPU time", HOLD))
        progress("quiet passes without a page, and with some")
        without, with_pages = (asyncio.run(quiet(watched, each)) for each in (0, number))
        held = watched.holds()
        of_pages = [each for each in held if "/dashboard/" in each[1] + each[2]]
        found.append(("no page open, a pass every 30 s", without, "% of a core", None))
        found.append((f"{number} pages open, more than that", with_pages - without, "% of a core", SHARE))
        found.append(("longest step of the loop for these", 1000 * longest(of_pages), "ms of CPU time", HOLD))
        found.append(("longest step of the loop in a pass", 1000 * longest(held), "ms of CPU time", None))
        progress(json.dumps([each[2].splitlines()[-2:] for each in held[:5]], indent=1))
    finally:
        watched.end()
    return found


def longest(held: list[Any]) -> float:
    """Seconds; 0: none was long enough to be told."""
    return max((float(each[0]) for each in held), default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what open pages cost.")
    parser.add_argument("--hosts", type=int, default=2500, metavar="N", help="hosts in process (default: 2500)")
    parser.add_argument("--groups", type=int, default=2000, metavar="N", help="vmgroups (default: 2000)")
    parser.add_argument("--datastores", type=int, default=40, metavar="N", help="datastores (default: 40)")
    parser.add_argument("--pages", type=int, default=PAGES, metavar="N", help=f"open pages (default: {PAGES})")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vdvs-bench-") as place:
        folder = Path(place)
        progress(f"applying {given.groups:,} vmgroups to a lab")
        taken = look(folder, given.groups, given.groups * VMS_EACH, given.datastores, ACCESS_EACH)
        snapshot.write(str(folder / "large.snapshot"), many(taken, given.hosts))
        write_manifests(
            folder / "large.yaml", groups=given.groups, datastores=given.datastores, vms_each=VMS_EACH,
            access_each=ACCESS_EACH, hosts=given.hosts,
        )  # fmt: skip
        print(f"{given.hosts:,} hosts in process, {given.groups:,} vmgroups, {given.datastores} datastores:")
        for what, much, unit, most in measured(folder, given.pages, given.groups):
            wanted = "" if most is None else f" (at most {most:g} wanted)"
            print(f"  {what}: {much:.2f} {unit}{wanted}")


if __name__ == "__main__":
    main()
