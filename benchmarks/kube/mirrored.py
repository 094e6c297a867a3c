"""The process that is measured by mirror.py and receive.py: a mirror, and nothing that the operator does not import.

PYTHONPATH=. python benchmarks/kube/mirrored.py KUBECONFIG CHANGES
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from reconciler.operator.connection.access import open_access
from reconciler.operator.connection.api import API, path
from reconciler.operator.connection.mirror import Mirror


async def mirror(kubeconfig: Path, changes: int) -> dict[str, Any]:
    """Mirror what is there, then change one object after the other: what that took."""
    api = API(open_access(kubeconfig))
    changed = asyncio.Event()
    one = Mirror(api, path("vmgroups"), changed.set)
    at = path("vmgroups", "default", "group-00000")
    before, cpu = perf_counter(), process_time()
    running = asyncio.create_task(one.run())
    await one.synced.wait()
    whole = process_time()
    seconds, cpu = perf_counter() - before, whole - cpu
    waits = []
    for number in range(changes):
        changed.clear()
        wanted = [f"vm-{number}"]
        before = perf_counter()
        request = asyncio.create_task(api.patch(at, {"spec": {"vms": wanted}}))
        while one.objects["default", "group-00000"].spec["vms"] != wanted:
            await changed.wait()
            changed.clear()
        waits.append((perf_counter() - before) * 1000)
        await request
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await api.close()
    return {
        "objects": len(one.objects),
        "seconds": seconds,
        "cpu": cpu,
        "whole": whole,
        "mib": peak,
        "milliseconds": waits,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(mirror(Path(sys.argv[1]), int(sys.argv[2])))))
