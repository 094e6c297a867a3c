"""What 1, 2 and 3 replicas that share sites do: passes per second, and CPU time a pass, which must not grow with them.

    PYTHONPATH=.:benchmarks python benchmarks/kube/replicas.py [--sites N] [--groups N] [--hosts N] [--seconds SECONDS]

Each site is a lab of its own with a namespace of its own, on a real API server; one operator applies them all. Then so
many replicas are started anew for each measurement, which begins once the Leases have shared out the sites. Passes are
those that the replicas' metrics count; CPU time and memory are those of the replicas, without the agents of the labs.

First a site has a pass at each of its intervals, which few replicas manage as well as many; then one right after the
other, so that passes per second are as many as the replicas can make.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kube.apply import writes
from kube.large_site import EVERYTHING, PATIENCE, LargeSite
from kube.results import Found, apiserver, cpu, mib, parser, samples, told
from run import progress

from reconciler.controller.loop import Loop
from reconciler.operator.replicas.leases import SITE
from reconciler.operator.replicas.shards import owner
from tests.kubernetes.chaos import LEASES
from tests.kubernetes.cluster import User
from tests.kubernetes.operators import Operator

MOST = 3
_START = f"import sys; sys.path.append({str(Path(__file__).parents[1])!r}); from kube.replicas import main; main()"
GROWTH = 1.25
LEASE = 0.6  # writes a second of each site and each replica: one in 2 s, and few of the API server's own
SETTLED = 10  # seconds; what is still to be told of the first passes


def operate(arguments: list[str]) -> None:
    """Run `vdvs operator` in this process; the next pass over a site begins when the last one has ended."""
    from reconciler.cli.main import main as vdvs

    begin = Loop.__init__

    def without_pause(loop: Loop, *given: Any, **named: Any) -> None:
        begin(loop, *given, **(named | {"interval": 0.0}))

    Loop.__init__ = without_pause  # type: ignore[method-assign, assignment]
    sys.argv = ["vdvs", *arguments]
    vdvs()


class Busy(Operator):
    """An operator without pauses."""

    program = ("-c", _START, "--operate")


@dataclass(frozen=True)
class State:
    """What replicas have done so far. `passes`, `failed` and `cpu` have an entry for each of them."""

    at: float
    passes: list[int]
    failed: list[int]
    cpu: list[float]
    writes: Counter[str]
    holders: dict[str, str]


@dataclass(frozen=True)
class Measured:
    """What so many replicas did: an entry for each of them. `moved`: sites that changed their replica meanwhile."""

    seconds: float
    passes: list[int]
    failed: int
    sites: list[int]
    moved: int
    cpu: float
    peaks: list[float]
    writes: Counter[str]

    @property
    def per_second(self) -> float:
        return sum(self.passes) / self.seconds

    @property
    def cpu_each(self) -> float:
        """Milliseconds of CPU time for each pass."""
        return 1000 * self.cpu / max(1, sum(self.passes))


def passes(replica: Operator, result: str = "ok") -> Counter[str]:
    """How many passes a replica has made, by site."""
    found: Counter[str] = Counter()
    for labels, value in samples(replica.fetch("metrics"), "vdvs_passes_total"):
        if labels["result"] == result:
            found[labels["site"]] += int(value)
    return found


def holders(admin: User, sites: list[str]) -> dict[str, str]:
    """Who has the Lease of each site."""
    leases = {each["metadata"]["name"]: each["spec"] for each in admin.request("GET", LEASES)[1]["items"]}
    return {site: leases.get(SITE + site, {}).get("holderIdentity") or "" for site in sites}


@contextmanager
def running(kind: type[Operator], user: User, folder: Path, names: list[str]) -> Iterator[list[Operator]]:
    """Replicas, started anew."""
    replicas: list[Operator] = []
    try:
        replicas += (kind(user, folder / name, "--listen", "0") for name in names)
        yield replicas
    finally:
        for each in replicas:
            each.end()


def shared_out(admin: User, sites: list[str], replicas: list[Operator]) -> None:
    """Wait until each site is with whom it should be, and has been looked at there."""
    wanted = {site: owner(site, [each.folder.name for each in replicas]) for site in sites}
    until = time.monotonic() + PATIENCE
    while not wanted == holders(admin, sites) == looked_at(replicas):
        if time.monotonic() > until or any(each.process.poll() is not None for each in replicas):
            raise SystemExit("".join(each.said() for each in replicas))
        time.sleep(0.5)


def looked_at(replicas: list[Operator]) -> dict[str, str]:
    """Which replica has made a pass over which site."""
    return {site: each.folder.name for each in replicas for site in +passes(each)}


def state(admin: User, sites: list[str], replicas: list[Operator]) -> State:
    return State(
        time.monotonic(),
        [passes(each).total() for each in replicas],
        [passes(each, "failed").total() for each in replicas],
        [cpu(each.process.pid) for each in replicas],
        writes(admin),
        holders(admin, sites),
    )


def measured(kind: type[Operator], admin: User, user: User, sites: list[str], number: int, seconds: float) -> Measured:
    """Let so many replicas make their passes for so long."""
    names = [f"replica-{each + 1}" for each in range(number)]
    with tempfile.TemporaryDirectory() as folder, running(kind, user, Path(folder), names) as replicas:
        shared_out(admin, sites, replicas)
        progress(f"shared out to {number}")
        time.sleep(SETTLED)
        before = state(admin, sites, replicas)
        time.sleep(seconds)
        after = state(admin, sites, replicas)
        peaks = [mib(each.process.pid) for each in replicas]
    return Measured(
        after.at - before.at,
        [now - then for now, then in zip(after.passes, before.passes, strict=True)],
        sum(after.failed) - sum(before.failed),
        [sum(holder == name for holder in after.holders.values()) for name in names],
        sum(after.holders[site] != before.holders[site] for site in sites),
        sum(after.cpu) - sum(before.cpu),
        peaks,
        after.writes - before.writes,
    )


def figures(number: int, of: Measured, pause: str) -> list[Found]:
    what = f"{number} replica{'s' * (number > 1)}{pause}"
    return [
        Found(f"{what}: passes", of.per_second, "a second", by_clock=True, note=listed(of.passes, of.seconds)),
        Found(f"{what}: our CPU time for each pass", of.cpu_each, "ms"),
        Found(f"{what}: our CPU time in all", 100 * of.cpu / of.seconds, "% of a core"),
        Found(f"{what}: idle", of.passes.count(0), "", 0),
        Found(f"{what}: passes that failed", of.failed, "", 0),
        Found(f"{what}: peak memory of one", max(of.peaks), "MiB", note=listed(of.peaks)),
    ]


def listed(values: Sequence[float], parts: float = 1) -> str:
    return " + ".join(f"{value / parts:.3g}" for value in values)


def of_leases(number: int, of: Measured) -> list[Found]:
    what = f"{number} replica{'s' * (number > 1)}"
    others = {resource: times for resource, times in of.writes.items() if resource != "leases"}
    return [
        Found(f"{what}: sites of the one with the most", max(of.sites), "", note=listed(of.sites)),
        Found(f"{what}: sites that moved meanwhile", of.moved, "", 0, by_clock=True),
        Found(f"{what}: requests that write, but for Leases", sum(others.values()), "", 0, note=str(others or "")),
        Found(
            f"{what}: writes of Leases", of.writes["leases"] / of.seconds, "a second", LEASE * (sum(of.sites) + number)
        ),
    ]


def main() -> int:
    if "--operate" in sys.argv:
        operate(sys.argv[2:])
        return 0
    options = parser(__doc__)
    options.add_argument("--sites", type=int, default=12)
    options.add_argument("--groups", type=int, default=20, help="vmgroups of each site")
    options.add_argument("--hosts", type=int, default=2, help="hosts of each site")
    options.add_argument("--interval", default="1s", help="between two passes over a site")
    options.add_argument("--seconds", type=float, default=60, help="of each measurement")
    given = options.parse_args()
    names = [f"site-{number:02}" for number in range(1, given.sites + 1)]
    size = {"groups": given.groups, "hosts": given.hosts, "vms_each": 2}
    reconcile = EVERYTHING | {"interval": given.interval}
    with tempfile.TemporaryDirectory() as place, apiserver(Path(place)) as cluster:
        user = cluster.user("operator")
        sites = [LargeSite(cluster, Path(place), name, **size, reconcile=reconcile) for name in names]
        for site in sites:
            site.create()
        with running(Operator, user, Path(place), ["first"]) as (first,):
            for site in sites:
                site.begin(first)
        progress("all sites are Ready")
        paused, busy = (
            [measured(kind, cluster.admin, user, names, number, given.seconds) for number in range(1, MOST + 1)]
            for kind in (Operator, Busy)
        )
    found = [
        *(line for at, of in enumerate(paused, 1) for line in (*figures(at, of, ""), *of_leases(at, of))),
        *(line for at, of in enumerate(busy, 1) for line in figures(at, of, ", no pause")),
        Found(f"CPU time a pass of {MOST}, against 1", paused[-1].cpu_each / paused[0].cpu_each, "times", GROWTH),
        Found("the same, no pause", busy[-1].cpu_each / busy[0].cpu_each, "times"),
        Found(f"passes of 1, against {MOST}, no pause", busy[0].per_second / busy[-1].per_second, "times", 1, True),
    ]
    print(f"{given.sites} sites of {given.groups} vmgroups and {given.hosts} hosts, a pass every {given.interval}:")
    return told(found, given.save)


if __name__ == "__main__":
    sys.exit(main())
