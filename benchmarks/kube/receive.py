"""What it costs to receive all objects: our mirror, and kopf with a handler that does nothing.

    PYTHONPATH=.:benchmarks python benchmarks/kube/receive.py [--objects N] [--rounds N]

Both are whole processes, imports included, in turn; each ends when it has received every object. kopf is installed from
kopf.lock into an environment of its own, beside the binaries of `make peers` (`make bench-operator` does it).
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from kube.mirror import MIRRORED, create
from kube.results import Found, apiserver, parser, told
from run import Command, progress

from tests.kubernetes.cluster import BINARIES, Cluster

KOPF = BINARIES / "kopf" / "bin" / "python"
HANDLER = Path(__file__).with_name("kopf_handler.py")
THIRD = 1 / 3


def received(command: Command, kubeconfig: Path, objects: int) -> tuple[float, float, float]:
    """Seconds of CPU and by the clock, and MiB, of a process that prints them as JSON once it has every object."""
    environment = os.environ | {"KUBECONFIG": str(kubeconfig)}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    found = json.loads(done.stdout)
    if found["objects"] != objects:
        raise SystemExit(f"{found['objects']} of {objects} objects: {command}")
    return found["whole"], found["seconds"], found["mib"]


def compared(cluster: Cluster, objects: int, rounds: int) -> list[Found]:
    kubeconfig = cluster.admin.kubeconfig
    commands: dict[str, Command] = {
        "ours": [sys.executable, MIRRORED, kubeconfig, "0"],
        "kopf": [KOPF, HANDLER, str(objects)],
    }
    took: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            progress(f"round {number + 1} of {rounds}: {name}")
            took[name].append(received(command, kubeconfig, objects))
    found = []
    for at, (what, unit, wanted) in enumerate(
        (("CPU time", "s", THIRD), ("time", "s", THIRD), ("memory", "MiB", THIRD))
    ):
        ours, theirs = (statistics.median(each[at] for each in took[name]) for name in commands)
        note = f"{ours:.3g} {unit} and {theirs:.3g} {unit}"
        found.append(Found(f"our {what} against kopf's", ours / theirs, "", wanted, by_clock=what == "time", note=note))
    return found


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--objects", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    if not KOPF.exists():
        raise SystemExit("kopf is missing: `make bench-operator` installs it")
    with tempfile.TemporaryDirectory() as folder, apiserver(Path(folder)) as cluster:
        progress(f"creating {given.objects:,} vmgroups")
        asyncio.run(create(cluster, given.objects))
        found = compared(cluster, given.objects, given.rounds)
    print(f"{given.objects:,} vmgroups received, medians of {given.rounds} rounds:")
    return told(found, given.save)


if __name__ == "__main__":
    sys.exit(main())
