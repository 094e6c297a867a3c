"""An operator of kopf that does nothing but receive vmgroups; it ends when it has as many as it was told.

Runs in an environment with kopf alone: `python kopf_handler.py NUMBER`, by $KUBECONFIG.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import kopf  # type: ignore[import-not-found, unused-ignore]

seen: set[tuple[str, str]] = set()
everything: asyncio.Event


@kopf.on.event("vdvs.io", "v1", "vmgroups")  # type: ignore[misc, untyped-decorator, unused-ignore]
async def receive(namespace: str, name: str, **_: Any) -> None:
    seen.add((namespace, name))
    if len(seen) >= int(sys.argv[1]):
        everything.set()


@kopf.on.startup()  # type: ignore[misc, untyped-decorator, unused-ignore]
async def quiet(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.posting.enabled = False  # its own events would cost it more
    settings.scanning.disabled = True


async def main() -> None:
    global everything
    everything = asyncio.Event()
    before = perf_counter()
    running = asyncio.create_task(kopf.operator(clusterwide=True, standalone=True))
    waiting = asyncio.create_task(everything.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    status = Path("/proc/self/status").read_text()
    mib = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    took = {"objects": len(seen), "seconds": perf_counter() - before, "whole": process_time(), "mib": mib}
    print(json.dumps(took), flush=True)
    running.cancel()
    await asyncio.wait({running}, timeout=10)


if __name__ == "__main__":
    asyncio.run(main())
