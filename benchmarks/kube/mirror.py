"""What a mirror of a real Kubernetes API costs: objects listed and kept, and how soon a change is in it.

    PYTHONPATH=.:benchmarks python benchmarks/kube/mirror.py [--objects N] [--changes N]

The mirror runs in a process of its own, so that its memory is its own. Exit code 1 if it takes more than it may (time
only where others use little of the machine); the limits are for 10,000 objects.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from kube.results import OTHERS, apiserver
from run import progress, spread

from reconciler.operator.connection.access import open_access
from reconciler.operator.connection.api import API, path
from tests.kubernetes.cluster import MISSING, Cluster

SECONDS, MIB = 3.0, 150.0
AT_ONCE, ROUNDS = 32, 5
ACCESS, VMS = 2, 5  # of each vmgroup
MIRRORED = Path(__file__).with_name("mirrored.py")


def vmgroup(number: int) -> dict[str, Any]:
    access = [{"datastore": f"DS{each}", "allowCreate": True, "volumeMaxSize": "10GB"} for each in range(ACCESS)]
    vms = [f"vm-{number}-{each}" for each in range(VMS)]
    spec = {"configDB": "shared", "defaultDatastore": "DS0", "access": access, "vms": vms}
    metadata = {"name": f"group-{number:05}", "namespace": "default"}
    return {"apiVersion": "vdvs.io/v1", "kind": "VMGroup", "metadata": metadata, "spec": spec}


async def create(cluster: Cluster, objects: int) -> None:
    api = API(open_access(cluster.admin.kubeconfig))
    numbers = iter(range(objects))

    async def some() -> None:
        for number in numbers:
            await api.create(path("vmgroups", "default"), vmgroup(number))

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    await api.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=200)
    options = parser.parse_args()
    if MISSING:
        raise SystemExit(f"{', '.join(MISSING)} missing: run `make peers`")
    with tempfile.TemporaryDirectory() as folder, apiserver(Path(folder)) as cluster:
        progress(f"creating {options.objects:,} vmgroups")
        asyncio.run(create(cluster, options.objects))
        progress("mirroring them")
        kubeconfig = str(cluster.admin.kubeconfig)
        line = [sys.executable, str(MIRRORED), kubeconfig, str(options.changes)]
        rounds = [json.loads(subprocess.run(line, stdout=subprocess.PIPE, check=True).stdout) for _ in range(ROUNDS)]
    seconds, cpu, mib = ([took[key] for took in rounds] for key in ("seconds", "cpu", "mib"))
    waits = [wait for took in rounds for wait in took["milliseconds"]]
    print(f"{options.objects:,} vmgroups mirrored, least - median - most of {ROUNDS} rounds:")
    print(f"seconds {spread(seconds, 2)}; of our CPU time {spread(cpu, 2)}; peak memory, MiB {spread(mib, 0)}")
    print(f"from the request that changes one to its event, ms: {spread(waits, 1)}; 99 % within {at_most(waits):.1f}")
    if any(took["objects"] != options.objects for took in rounds):
        raise SystemExit("objects are missing")
    if (statistics.median(seconds) > SECONDS and OTHERS.few()) or max(mib) > MIB:
        raise SystemExit(f"more than {SECONDS:g} s or {MIB:g} MiB")


def at_most(values: list[float]) -> float:
    """The 99th percentile."""
    return statistics.quantiles(values, n=100)[98]


if __name__ == "__main__":
    main()
