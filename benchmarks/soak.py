"""What `make soak` runs: a watch under ten drifts a second; memory, descriptors, threads and history must level off.

    PYTHONPATH=. python benchmarks/soak.py [--minutes N]

The history is full from the start, so that what is told pushes out what was told before. Exit code 1 if one of them
still grows: in the last third of the time it is more than a tenth above the middle third.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from run import ACCESS_EACH, DATASTORES, VDVS, VMS_EACH, measure, progress
from site_of_size import write_manifests
from watching import Watched, watch

from reconciler.history.store import MOST_DRIFTS, MOST_EVENTS, MOST_PASSES, HistoryWriter
from reconciler.model.diff import Change, FieldChange, Op
from reconciler.model.events import Event, EventKind, Pass, ReportedEvent, Revision, Trigger
from reconciler.model.refs import Kind, ObjectRef

GROUPS, HOSTS, A_SECOND = 200, 5, 10
GROWTH = 1.1
CHANGE = "UPDATE privileges SET usage_quota = CASE usage_quota WHEN 5120 THEN 99999 ELSE 5120 END WHERE rowid = ?"


@dataclass(frozen=True)
class Sample:
    """Of the process of the watch, its agents not among it."""

    memory_mib: float
    descriptors: float
    threads: float
    history_mib: float
    events: float


def sample(watched: Watched) -> Sample:
    status = Path(f"/proc/{watched.process.pid}/status").read_text()
    numbers = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if len(line.split()) > 1}
    told = [line for line in watched.get("metrics").splitlines() if line.startswith("vdvs_events_total")]
    files = watched.history.parent.glob(watched.history.name + "*")
    return Sample(
        int(numbers["VmRSS"]) / 1024,
        len(list(Path(f"/proc/{watched.process.pid}/fd").iterdir())),
        int(numbers["Threads"]),
        sum(file.stat().st_size for file in files) / 2**20,
        sum(float(line.rpartition(" ")[2]) for line in told),
    )


def fill_history(path: Path) -> None:
    """With as much as is ever kept."""
    history = HistoryWriter(path)
    change = Change(
        ObjectRef(Kind.VMGROUP, "earlier"),
        Op.UPDATE,
        "differs from its manifest",
        (FieldChange("access", "5GB", "7GB"),),
    )
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(max(MOST_EVENTS // 2, MOST_DRIFTS, MOST_PASSES) + 200):
        at += timedelta(seconds=1)
        for event in (
            Event(EventKind.DRIFTED, change.ref, change.reason, change),
            Event(EventKind.IN_SYNC, change.ref, "it matches its manifest again"),
        ):
            history.on_event(ReportedEvent(at, event, f"pass-{number}"))
        history.on_pass(Pass(f"pass-{number}", Trigger.RESYNC, at, at, Revision(), None, "none", ()))
    history.close()


def change_rows(database: Path, until: float) -> None:
    """Ten a second: a limit is changed, or put back."""
    chance = random.Random(1)  # noqa: S311 - which row is no secret
    while time.monotonic() < until:
        connection = sqlite3.connect(database, timeout=60)
        with connection:
            ids = [row[0] for row in connection.execute("SELECT rowid FROM privileges")]
            connection.execute(CHANGE, (chance.choice(ids),))
        connection.close()
        time.sleep(1 / A_SECOND)


def soak(folder: Path, minutes: float) -> list[Sample]:
    manifests, lab = folder / "manifests.yaml", folder / "lab"
    write_manifests(
        manifests, groups=GROUPS, datastores=DATASTORES, vms_each=VMS_EACH, access_each=ACCESS_EACH, hosts=HOSTS
    )
    size = [f"--hosts={HOSTS}", f"--datastores={DATASTORES}", f"--vms={GROUPS * VMS_EACH}"]
    measure([VDVS, "lab", "up", "--directory", lab, *size])
    files: list[str | Path] = ["-f", lab / "site.yaml", "-f", manifests]
    measure([VDVS, "apply", *files])
    (database,) = (lab / "datastores").glob("*/dockvols/vmdkops_config.db")
    fill_history(folder / "history.sqlite")
    samples = []
    with watch(folder, *files, "--interval", "5s") as watched:
        until = time.monotonic() + 60 * minutes
        changing = threading.Thread(target=change_rows, args=(database, until))
        changing.start()
        while time.monotonic() < until:
            time.sleep(min(10.0, 60 * minutes / 12))
            samples.append(sample(watched))
            progress(", ".join(f"{name} {value:.1f}" for name, value in asdict(samples[-1]).items()))
        changing.join()
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description="Soak vdvs watch.")
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N", help="for how long (default: 10)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vdvs-soak-") as folder:
        samples = soak(Path(folder), arguments.minutes)
    third = len(samples) // 3
    grows = []
    for name in ("memory_mib", "descriptors", "threads", "history_mib"):
        parts = samples[third : 2 * third], samples[2 * third :]
        middle, last = (sum(getattr(one, name) for one in part) / len(part) for part in parts)
        print(f"{name}: {middle:.1f} in the middle third, {last:.1f} in the last")
        grows += [name] if last > middle * GROWTH else []
    print(f"{samples[-1].events:.0f} events told in {arguments.minutes:g} minutes")
    if grows:
        print(f"still grows: {', '.join(grows)}")
        sys.exit(1)


if __name__ == "__main__":
    main()
