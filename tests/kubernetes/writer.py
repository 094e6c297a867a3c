"""A replica without an operator: it takes leases, and writes to its sites all the time, as far as the fence lets it.

    python -m tests.kubernetes.writer KUBECONFIG NAMESPACE IDENTITY FILE SITES LASTS

Every write, and the beginning and end of each permission, is a line of FILE: `SECONDS wrote|began|refused IDENTITY
SITE`. SIGTERM ends it as it ends an operator.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from reconciler.operator.connection.access import open_access
from reconciler.operator.connection.api import API
from reconciler.operator.replicas.fence import FencedHosts, LostLeaseError
from reconciler.operator.replicas.leases import Leases, Timing, boottime
from reconciler.ports import Hosts
from reconciler.wiring.clock_and_chance import SystemClock

_EVERY = 0.02  # seconds between two writes


def timing(lasts: float) -> Timing:
    """Return the usual proportions, for leases that last that many seconds."""
    return Timing(lasts, lasts * 2 / 3, lasts * 2 / 15, lasts / 5)


class _HostsOf:
    """Hosts of a site: a write is a line of a file."""

    at_once = None

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write

    def agent(self, _name: str, _address: str) -> Any:
        return self

    async def apply_host(self) -> None:
        self._write()

    async def close(self) -> None:
        pass


async def _work(leases: Leases, site: str, note: Callable[[str, str], None]) -> None:
    """Pass after pass, each of which writes until it is refused."""
    while True:
        permit = leases.permit(site)
        agent: Any = FencedHosts(cast(Hosts, _HostsOf(lambda: note("wrote", site))), permit).agent("esxi", "esxi")
        began = permit()
        try:
            if began:
                note("began", site)
            while True:
                await agent.apply_host()
                await asyncio.sleep(_EVERY)
        except LostLeaseError:
            if began:
                note("refused", site)
        await asyncio.sleep(_EVERY)


async def _main(kubeconfig: str, namespace: str, identity: str, file: str, sites: str, lasts: str) -> None:
    output = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(what: str, site: str) -> None:
        os.write(output, f"{boottime():.3f} {what} {identity} {site}\n".encode())

    api = API(open_access(Path(kubeconfig)))
    leases = Leases(api, namespace, identity, SystemClock(), timing=timing(float(lasts)))
    leases.want(sites.split(","))
    running = asyncio.create_task(leases.run())
    working = [asyncio.create_task(_work(leases, site, note)) for site in sites.split(",")]
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    await asyncio.wait([running])
    for task in working:
        task.cancel()
    await asyncio.wait(working)
    await api.close()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
