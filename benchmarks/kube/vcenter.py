"""A whole vCenter on one replica: what its passes cost, how much memory they take, and how long they hold the loop.

    PYTHONPATH=.:benchmarks python benchmarks/kube/vcenter.py [--hosts N] [--few N] [--groups N] [--vms N]

The operator is a whole one, on a real API server. Its hosts are in its process, behind the port `Hosts`: they answer
with what the two hosts of a lab told once its manifests were applied, decoded anew each time as an answer is. All is
measured with so many hosts, and with few, in CPU time of the operator, its mirrors, statuses and events included.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from in_process import VMS_EACH, look, many, put_in_place
from kube.holds import Holds
from kube.large_site import DATASTORES, LargeSite, host
from kube.results import Found, apiserver, cpu, mib, parser, told
from run import progress

from reconciler import snapshot
from reconciler.controller.watch import Watch
from reconciler.model.events import Trigger
from reconciler.snapshot import Snapshot
from tests.kubernetes.operators import Operator

FIRST, QUIET, PEAK, HOLD, GROWTH = 60.0, 1.0, 400.0, 100.0, 1.1
PASSES = 5
REPORT = {"mode": "report", "interval": "5s"}
_START = f"import sys; sys.path.append({str(Path(__file__).parents[1])!r}); from kube.vcenter import main; main()"


def operate(file: Path, report: Path, arguments: list[str]) -> None:
    """Run `vdvs operator` in this process with the hosts of a snapshot; write what its passes took, and its holds."""
    from reconciler.cli.main import main as vdvs

    taken = snapshot.from_bytes(file.read_bytes(), str(file))

    put_in_place(taken)
    passes: list[dict[str, float]] = []
    one_pass, holds = Watch.one_pass, Holds()

    async def measured(watch: Watch, trigger: Trigger) -> Any:
        began, used = time.perf_counter(), time.process_time()
        done = await one_pass(watch, trigger)
        if done.failure:
            raise SystemExit(done.failure)
        passes.append({"seconds": time.perf_counter() - began, "cpu": time.process_time() - used})
        report.with_suffix(".new").write_text(json.dumps({"passes": passes, **holds.report()}, indent=1))
        report.with_suffix(".new").rename(report)
        return done

    Watch.one_pass = measured  # type: ignore[method-assign, assignment]
    holds.begin()
    sys.argv = ["vdvs", *arguments]
    vdvs()


class OfSnapshot(Operator):
    """An operator with the hosts of a snapshot."""

    program = ("-c", _START, "--operate", "../taken.snapshot", "report.json")

    def report(self) -> Any:
        file = self.folder / "report.json"
        return json.loads(file.read_text()) if file.exists() else {"passes": [], "longest": []}


def measured(taken: Snapshot, hosts: int, groups: int) -> dict[str, float]:
    """Have an operator watch a site with so many hosts: what that took."""
    with tempfile.TemporaryDirectory() as place, apiserver(Path(place)) as cluster:
        folder = Path(place)
        snapshot.write(str(folder / "taken.snapshot"), many(taken, hosts))
        site = LargeSite(cluster, folder, "large", groups=groups, hosts=2, vms_each=VMS_EACH, reconcile=REPORT)
        site.objects = [*map(host, range(1, hosts + 1)), *(each for each in site.objects if each["kind"] != "Host")]
        progress(f"creating {len(site.objects):,} objects")
        site.create()
        operator = OfSnapshot(cluster.user("operator"), folder / "replica-1")
        try:
            pid = operator.process.pid
            while len(operator.report()["passes"]) < 1 or site.told_groups() < groups:
                if operator.process.poll() is not None:
                    raise SystemExit(operator.said())
                time.sleep(2)
            settled = len(operator.report()["passes"])
            progress(f"told after {settled} passes and {cpu(pid):.1f} s of CPU time; {mib(pid):.0f} MiB")
            while len(operator.report()["passes"]) < settled + 2:  # the rest of the statuses
                time.sleep(1)
            quiet, used, began = len(operator.report()["passes"]), cpu(pid), time.monotonic()
            while len(operator.report()["passes"]) < quiet + PASSES:
                time.sleep(0.5)
            share = (cpu(pid) - used) / (time.monotonic() - began)
            report = operator.report()
            progress(json.dumps(report["longest"][:6], indent=1))
            passes = report["passes"]
            return {
                "first seconds": passes[0]["seconds"],
                "first cpu": passes[0]["cpu"],
                "quiet cpu": statistics.median(each["cpu"] for each in passes[quiet:]),
                "share": 100 * share,
                "mib": mib(pid),
                "hold": 1000 * max((each[0] for each in report["longest"]), default=0.0),
            }
        finally:
            operator.end()


def main() -> int:
    if "--operate" in sys.argv:
        operate(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
        return 0
    options = parser(__doc__)
    options.add_argument("--hosts", type=int, default=2500)
    options.add_argument("--few", type=int, default=250)
    options.add_argument("--groups", type=int, default=2000)
    options.add_argument("--vms", type=int, default=45_000)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        progress(f"applying {given.groups:,} vmgroups to a lab with {given.vms:,} VMs")
        taken = look(Path(folder), given.groups, given.vms, DATASTORES)
    few = measured(taken, given.few, given.groups)
    large = measured(taken, given.hosts, given.groups)
    print(f"{given.hosts:,} hosts in process ({given.few:,}), {given.vms:,} VMs, {given.groups:,} vmgroups:")
    ratio = given.hosts / given.few
    found = []
    for each, hosts in ((few, given.few), (large, given.hosts)):
        found += [
            Found(f"{hosts:,} hosts: first pass", each["first seconds"], "s", FIRST, by_clock=True),
            Found(f"{hosts:,} hosts: first pass", each["first cpu"], "s of CPU time", FIRST),
            Found(f"{hosts:,} hosts: quiet pass", each["quiet cpu"], "s of CPU time", QUIET),
            Found(f"{hosts:,} hosts: a pass every 5 s, and all else", each["share"], "% of a core"),
            Found(f"{hosts:,} hosts: peak memory", each["mib"], "MiB", PEAK),
            Found(f"{hosts:,} hosts: longest step of the event loop", each["hold"], "ms of CPU time", HOLD),
        ]
    for what in ("first cpu", "quiet cpu"):
        found.append(Found(f"{what} of so many hosts against few", large[what] / few[what], "times", GROWTH * ratio))
    return told(found, given.save)


if __name__ == "__main__":
    sys.exit(main())
