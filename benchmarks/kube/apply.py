"""From a changed limit to its row in the config DB and to Ready, and what a quiet period costs.

    PYTHONPATH=.:benchmarks python benchmarks/kube/apply.py [--groups N] [--hosts N] [--changes N] [--quiet SECONDS]

A request changes the limit of a vmgroup on a real API server; one operator watches a lab, whose hosts are processes
that share the machine. The file of the config DB, and then the object, are read until both are as wanted.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from kube.large_site import ACCESS_EACH, LargeSite, MeasuredOperator, access, group_name
from kube.results import Found, apiserver, cpu, mib, of_many, parser, samples, told
from run import progress

from tests.kubernetes.cluster import User
from tests.kubernetes.operators import Operator

ROW = 0.01  # seconds between two looks at the file
OBJECT = 0.05  # seconds between two looks at the object
SOON = 120.0
SETTLED = 40.0  # seconds until the pass after the last change is over: it reads the rows through its usual host again
WRITING = ("POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION")
_LIMIT = "SELECT p.max_volume_size FROM privileges p JOIN tenants t ON t.id = p.tenant_id WHERE t.name = ?"


def until(is_so: Callable[[], bool], every: float, what: str, operator: Operator) -> None:
    late = time.monotonic() + SOON
    while not is_so():
        if time.monotonic() > late:
            raise SystemExit(f"{what}: {operator.said()}")
        time.sleep(every)


def changed(site: LargeSite, operator: Operator, number: int, limit: int) -> tuple[float, float]:
    """Change the limit of a vmgroup; return the seconds to its row, and to Ready."""
    name = group_name(number)
    began = time.perf_counter()
    site.patch("vmgroups", name, {"spec": {"access": access(number, limit)}})
    until(lambda: (limit,) in site.rows(_LIMIT, name), ROW, f"{name} is not applied", operator)
    row = time.perf_counter() - began
    ready = lambda: (site.condition("vmgroups", name) or {"status": ""})["status"] == "True"  # noqa: E731
    until(ready, OBJECT, f"{name} is not Ready", operator)
    return row, time.perf_counter() - began


def writes(user: User) -> Counter[str]:
    """How many requests to write the API server has answered, by resource."""
    found: Counter[str] = Counter()
    status, metrics = user.request("GET", "/metrics")
    for labels, value in samples(str(metrics), "apiserver_request_total"):
        if labels["verb"] in WRITING:
            found[labels["resource"]] += int(value)
    if not found["leases"]:  # there is an operator
        raise SystemExit(f"the API server does not say what was written (HTTP {status})")
    return found


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--groups", type=int, default=2000)
    options.add_argument("--hosts", type=int, default=100)
    options.add_argument("--changes", type=int, default=200)
    options.add_argument("--quiet", type=float, default=60, metavar="SECONDS")
    given = options.parse_args()
    chance = random.Random(1)  # noqa: S311 - the same changes each time
    with tempfile.TemporaryDirectory() as place, apiserver(Path(place)) as cluster:
        site = LargeSite(cluster, Path(place), "large", groups=given.groups, hosts=given.hosts, vms_each=10)
        progress(f"creating {len(site.objects):,} objects")
        site.create()
        operator = MeasuredOperator(cluster.user("operator"), Path(place) / "replica-1")
        try:
            pid = operator.process.pid
            site.begin(operator)
            progress(f"Ready; {cpu(pid):.1f} s of CPU time, {mib(pid):.0f} MiB")
            found = changes(site, operator, given.changes, chance)
            found += quiet(site, operator, given.quiet)
        finally:
            operator.end()
            progress((operator.folder / "holds.json").read_text())
        seconds, where = operator.longest_hold()
        found.append(Found("longest step of the event loop", 1000 * seconds, "ms of CPU time", 100, note=where))
    size = f"{given.groups:,} vmgroups, {given.hosts} hosts of a lab, {ACCESS_EACH} access rules each"
    print(f"{size}:")
    return told(found, given.save)


def changes(site: LargeSite, operator: Operator, number: int, chance: random.Random) -> list[Found]:
    """Change one vmgroup after the other."""
    rows, readies = [], []
    pid = operator.process.pid
    before = cpu(pid)
    for limit in range(300, 300 + number):
        row, ready = changed(site, operator, chance.randrange(site.groups), limit)
        rows.append(row)
        readies.append(ready)
        time.sleep(chance.uniform(0, 0.4))  # so that they do not fall into step with anything
    took = (cpu(pid) - before) / number
    return [
        *of_many("from a changed limit to its row", rows, "s", 1, 3),
        *of_many("from a changed limit to Ready=True", readies, "s", 2, None),
        Found("our CPU time for each change", took, "s", 1),
        Found("peak memory of the operator", mib(pid), "MiB", 400),
    ]


def quiet(site: LargeSite, operator: Operator, seconds: float) -> list[Found]:
    """Count what is written, and our CPU time, while nothing changes."""
    time.sleep(SETTLED)
    before, used = writes(site.admin), cpu(operator.process.pid)
    time.sleep(seconds)
    share = 100 * (cpu(operator.process.pid) - used) / seconds
    written = writes(site.admin) - before
    leases = written.pop("leases", 0)
    return [
        Found(
            f"requests that write, in {seconds:g} quiet seconds", written.total(), "", 0, note=str(dict(written) or "")
        ),
        Found("renewals of Leases meanwhile", leases, "", note="one of the site and one of the replica every 2 s"),
        Found("our CPU time meanwhile", share, "% of a core a site", 1),
    ]


if __name__ == "__main__":
    sys.exit(main())
