"""What `make bench-watch` runs: how little a quiet pass costs, and how long it takes from a change to the page.

    PYTHONPATH=. python benchmarks/watch.py [--groups N] [--lab-hosts N] [--hosts N] [--changes N]

A quiet pass is compared with the first pass of the same watch, which connects, reads and works out everything. The
times from a change to the event that the page hears are of a machine that servers, agents and the watch share.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from threading import Thread

from peers import fleet_of
from run import ACCESS_EACH, DATASTORES, VDVS, VMS_EACH, measure, progress, spread
from site_of_size import write_manifests
from watching import Watched, watch

from tests.peers import sshd

QUIET_PASSES = 20


def quiet_passes(folder: Path, groups: int, hosts: int) -> tuple[float, list[float], float]:
    """Seconds of the first pass and of quiet ones, and our CPU time for each quiet one, its waiting included."""
    manifests, lab = folder / "manifests.yaml", folder / "lab"
    write_manifests(
        manifests, groups=groups, datastores=DATASTORES, vms_each=VMS_EACH, access_each=ACCESS_EACH, hosts=hosts
    )
    line = [
        "lab",
        "up",
        "--directory",
        lab,
        f"--hosts={hosts}",
        f"--datastores={DATASTORES}",
        f"--vms={groups * VMS_EACH}",
    ]
    measure([VDVS, *map(str, line)])
    files: list[str | Path] = ["-f", lab / "site.yaml", "-f", manifests]
    measure([VDVS, "apply", *files])
    with watch(folder, *files, "--interval", "2s") as watched:
        while len(watched.passes()) < 5:  # the first ones begin to look out, and learn that nothing was touched
            time.sleep(0.2)
        before, cpu = len(watched.passes()), watched.cpu()
        while len(watched.passes()) < before + QUIET_PASSES:
            time.sleep(0.5)
        seconds = watched.passes()
        return seconds[0], seconds[before:], (watched.cpu() - cpu) / (len(seconds) - before)


def stalls(folder: Path, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Seconds to the data of the page; the longest wait for the event loop meanwhile, and for as long without that.

    A wait is a probe's, which the loop answers itself. The site is that of `quiet_passes`; each round is a new watch.
    """
    took, meanwhile, idle = [], [], []
    files = "-f", folder / "lab" / "site.yaml", "-f", folder / "manifests.yaml"
    for _ in range(rounds):
        with watch(folder, *files, "--interval", "10m") as watched:
            while watched.status("readyz") != HTTPStatus.OK:
                time.sleep(0.2)
            time.sleep(2)
            began = time.perf_counter()
            meanwhile.append(max(waits(watched, Thread(target=watched.get, args=["api/state"]))))
            took.append(time.perf_counter() - began)
            idle.append(max(waits(watched, Thread(target=time.sleep, args=[took[-1]]))))
    return took, meanwhile, idle


def waits(watched: Watched, meanwhile: Thread) -> Iterator[float]:
    """Seconds of each probe, one after the other, while the thread runs."""
    meanwhile.start()
    while meanwhile.is_alive():
        began = time.perf_counter()
        watched.status("healthz")
        yield time.perf_counter() - began


def to_the_page(folder: Path, hosts: int, changes: int) -> list[float]:
    """Seconds from a row changed by hand to the event that the page hears."""
    took = []
    with fleet_of(folder, hosts) as (manifests, _):
        site = manifests.with_name("site.yaml")
        measure([VDVS, "apply", "-f", manifests, "--site", site])
        (path,) = (folder / "lab" / "datastores").glob("*/dockvols/vmdkops_config.db")
        with watch(folder, "-f", manifests, "--site", site, "--interval", "10m") as watched:
            while len(watched.passes()) < 2:
                time.sleep(0.2)
            time.sleep(2)
            heard = watched.events()
            for number in range(changes):
                drifts = number % 2 == 0
                connection = sqlite3.connect(path, timeout=30)
                with connection:
                    connection.execute("UPDATE privileges SET allow_create = ?", (int(drifts),))
                connection.close()
                began = time.perf_counter()
                wanted = "drifted" if drifts else "in sync"
                while next(heard)["event"] != wanted:
                    pass
                took.append(time.perf_counter() - began)
                time.sleep(0.37)  # so that the changes do not fall into step with the agent's looks
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure vdvs watch.")
    parser.add_argument("--groups", type=int, default=2000, metavar="N", help="vmgroups (default: 2000)")
    parser.add_argument("--lab-hosts", type=int, default=100, metavar="N", help="hosts of the lab (default: 100)")
    parser.add_argument("--hosts", type=int, default=50, metavar="N", help="hosts by SSH (default: 50)")
    parser.add_argument("--changes", type=int, default=100, metavar="N", help="changes by hand (default: 100)")
    parser.add_argument(
        "--rounds", type=int, default=5, metavar="N", help="times that the page is asked for (default: 5)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vdvs-bench-") as place:
        folder = Path(place)
        progress("quiet passes")
        first, quiet, cpu = quiet_passes(folder, arguments.groups, arguments.lab_hosts)
        share = [100 * seconds / first for seconds in quiet]
        print(f"{arguments.groups} vmgroups, {arguments.lab_hosts} hosts of a lab: first pass {first:.2f} s; ", end="")
        print(f"quiet passes {spread(quiet, 3)} s, {statistics.median(share):.1f} % of it (at most 5 wanted), ", end="")
        print(f"{1000 * cpu:.0f} ms of our CPU time each, the waiting for the next included")
        progress("the data of the page")
        took, meanwhile, idle = stalls(folder, arguments.rounds)
        print(f"data of the page in {spread(took, 2)} s; the longest wait for the loop meanwhile ", end="")
        print(f"{spread([1000 * seconds for seconds in meanwhile], 0)} ms (at most 50 wanted), ", end="")
        print(f"as long without it {spread([1000 * seconds for seconds in idle], 0)} ms")
    if sshd.MISSING:
        parser.error(f"not installed: {', '.join(sshd.MISSING)} (`make peers` installs them)")
    with tempfile.TemporaryDirectory(prefix="vdvs-bench-") as place:
        progress("from a change to the page")
        took = sorted(to_the_page(Path(place), arguments.hosts, arguments.changes))
        late = took[min(len(took) - 1, int(len(took) * 0.99))]
        print(f"{len(took)} changes by hand, {arguments.hosts} hosts by SSH, until the page hears of it: ", end="")
        print(f"median {statistics.median(took):.2f} s (under 2 wanted), 99th percentile {late:.2f} s (under 5 wanted)")


if __name__ == "__main__":
    main()
