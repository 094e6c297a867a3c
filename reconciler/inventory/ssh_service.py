"""The SSH service of hosts, started and stopped by vCenters. A custom attribute records that vdvs started one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from reconciler.inventory.vcenter import (
    NOTES_OF_HOSTS,
    SSH_KEY,
    SSH_SERVICE,
    Host,
    VCenterReader,
    as_inventory_error,
)
from reconciler.model.errors import HostUnreachableError, InventoryError, VCenterRefusedError
from reconciler.model.kinds.site import Login, VCenter


class SSHServices:
    """Implements `hosts.ssh.Services`."""

    def __init__(self, vcenters: Sequence[tuple[VCenter, Callable[[], Login]]]) -> None:
        self._readers = [VCenterReader(vcenter, login, NOTES_OF_HOSTS) for vcenter, login in vcenters]

    async def start(self, name: str, address: str) -> bool:
        """See `hosts.ssh.Services`. Raises HostUnreachableError."""
        try:
            return await asyncio.to_thread(self._start, name, address)
        except Exception as error:  # whatever the library of a peer raises
            reason = as_inventory_error(error, "the vCenter")
            raise HostUnreachableError(f"its SSH service cannot be started: {reason}") from error

    def _start(self, name: str, address: str) -> bool:
        found = next((host for one in self._readers if (host := one.host(SSH_SERVICE, name, address))), None)
        if found is None:
            raise InventoryError(f"no vCenter shows one host {name}")
        if _runs(found):
            return False
        found.note("started by vdvs")
        found.system.configManager.serviceSystem.StartService(id=SSH_KEY)
        return True

    async def put_back(self) -> None:
        """See `hosts.ssh.Services`. Raises VCenterRefusedError."""
        complaints = [complaint for one in self._readers for complaint in await asyncio.to_thread(_put_back, one)]
        if complaints:
            raise VCenterRefusedError("VCenterRefused", "; ".join(complaints))


def _runs(host: Host) -> bool:
    config = host.system.config
    known = config.service.service if config is not None and config.service is not None else ()
    return any(service.running for service in known if service.key == SSH_KEY)


def _put_back(reader: VCenterReader) -> list[str]:
    """Stop every SSH service that has a note; return a message for each that could not be stopped."""
    complaints = []
    try:
        for host in reader.noted(SSH_SERVICE):
            name = host.seen.values.get("name", "?")
            try:
                if _runs(host):
                    host.system.configManager.serviceSystem.StopService(id=SSH_KEY)
                host.note("")
            except Exception as error:
                reason = as_inventory_error(error, "the vCenter")
                complaints.append(f"the SSH service of {name} still runs: {reason}")
    except Exception as error:
        reason = as_inventory_error(error, "the vCenter")
        complaints.append(f"cannot determine whether SSH services started by vdvs still run: {reason}")
    reader.close()
    return complaints
