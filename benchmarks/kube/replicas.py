"""What 1, 2 and 3 replicas that share sites do: passes per second, and CPU time a pass, which must not grow with them.

    PYTHONPATH=.:benchmarks python benchmarks/kube/replicas.py [--sites N] [--groups N] [--hosts N] [--seconds SECONDS]

Each site is a lab of its own with a namespace of its own, on a real API server; one operator applies them all. Then so
many replicas are started anew for each measurement, which begins once the Leases have shared out the sites. Passes are
those that the replicas' metrics count; CPU time and memory are those of the replicas, without the agents of the labs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kube.apply import writes
from kube.large_site import EVERYTHING, PATIENCE, LargeSite
from kube.results import Found, apiserver, cpu, mib, parser, samples, told
from run import progress

from reconciler.operator.replicas.leases import SITE
from reconciler.operator.replicas.shards import owner
from tests.kubernetes.chaos import LEASES
from tests.kubernetes.cluster import Cluster, User
from tests.kubernetes.operators import Operator

MOST = 3
GROWTH = 1.25
SETTLED = 10  # seconds; what is still to be told of the first passes


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
def running(user: User, folder: Path, names: list[str]) -> Iterator[list[Operator]]:
    """Replicas, started anew."""
    folder.mkdir()
    replicas: list[Operator] = []
    try:
        replicas += (Operator(user, folder / name, "--listen", "0") for name in names)
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


def measured(cluster: Cluster, user: User, folder: Path, sites: list[str], number: int, seconds: float) -> Measured:
    """Let so many replicas make their passes for so long."""
    names = [f"replica-{each + 1}" for each in range(number)]
    with running(user, folder / f"of-{number}", names) as replicas:
        shared_out(cluster.admin, sites, replicas)
        progress(f"{number}: shared out")
        time.sleep(SETTLED)
        before = state(cluster.admin, sites, replicas)
        time.sleep(seconds)
        after = state(cluster.admin, sites, replicas)
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


def figures(number: int, of: Measured) -> list[Found]:
    what = f"{number} replica{'s' * (number > 1)}"
    written = Counter({resource: times for resource, times in of.writes.items() if resource != "leases"})
    each = " + ".join(f"{made / of.seconds:.1f}" for made in of.passes)
    return [
        Found(f"{what}: passes", of.per_second, "a second", by_clock=True, note=each),
        Found(f"{what}: our CPU time for each pass", of.cpu_each, "ms"),
        Found(f"{what}: our CPU time in all", 100 * of.cpu / of.seconds, "% of a core"),
        Found(f"{what}: sites of the one with the most", max(of.sites), "", note=listed(of.sites)),
        Found(f"{what}: idle", of.passes.count(0), "", 0),
        Found(f"{what}: peak memory of one", max(of.peaks), "MiB", note=listed(of.peaks)),
        Found(f"{what}: passes that failed", of.failed, "", 0),
        Found(f"{what}: sites that moved meanwhile", of.moved, "", 0, by_clock=True),
        Found(f"{what}: requests that write, but for Leases", written.total(), "", 0, note=str(dict(written) or "")),
        Found(f"{what}: writes of Leases", of.writes["leases"] / of.seconds, "a second", by_clock=True),
    ]


def listed(values: list[int] | list[float]) -> str:
    return " + ".join(f"{each:.0f}" for each in values)


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--sites", type=int, default=12)
    options.add_argument("--groups", type=int, default=20, help="vmgroups of each site")
    options.add_argument("--hosts", type=int, default=2, help="hosts of each site")
    options.add_argument("--interval", default="1s", help="between two passes over a site")
    options.add_argument("--seconds", type=float, default=60, help="of each measurement")
    given = options.parse_args()
    names = [f"site-{number:02}" for number in range(1, given.sites + 1)]
    reconcile = EVERYTHING | {"interval": given.interval}
    with tempfile.TemporaryDirectory() as place, apiserver(Path(place)) as cluster:
        folder, user = Path(place), cluster.user("operator")
        sites = [
            LargeSite(cluster, folder, name, groups=given.groups, hosts=given.hosts, vms_each=2, reconcile=reconcile)
            for name in names
        ]
        for each in sites:
            each.create()
        with running(user, folder / "applying", ["first"]) as (first,):
            for each in sites:
                each.begin(first)
        progress("all sites are Ready")
        by_number = {
            number: measured(cluster, user, folder, names, number, given.seconds) for number in range(1, MOST + 1)
        }
    found = [each for number, of in by_number.items() for each in figures(number, of)]
    one, most = by_number[1], by_number[MOST]
    found += [
        Found(f"CPU time a pass of {MOST} replicas, against 1", most.cpu_each / one.cpu_each, "times", GROWTH),
        Found(f"passes a second of 1 replica, against {MOST}", one.per_second / most.per_second, "times", 1, True),
    ]
    size = f"{given.sites} sites of {given.groups} vmgroups and {given.hosts} hosts of a lab"
    print(f"{size}, a pass every {given.interval} each, {given.seconds:g} s:")
    return told(found, given.save)


if __name__ == "__main__":
    sys.exit(main())
