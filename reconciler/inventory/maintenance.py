"""Maintenance mode of hosts, as a vCenter changes it. What it has changed, a custom attribute of the host notes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from pyVmomi import vim, vmodl

from reconciler.inventory.vcenter import BROKEN, Host, told
from reconciler.model.errors import InventoryError, VCenterRefusedError

_POLL = 0.2  # seconds between looks at a task
_SHOWN = 10.0  # seconds
_GRACE = 30.0  # seconds that vCenter gets to give up by itself what has taken too long


class VCenterMaintenance:
    """Implements `ports.MaintenanceMode`. `find` gives a host by its name, from a session that is alive; it waits for
    vCenter, and raises InventoryError, and what vCenter does."""

    def __init__(self, find: Callable[[str], Host]) -> None:
        self._find = find

    async def enter(self, host: str, seconds: int) -> None:
        """See `ports.MaintenanceMode`."""
        found = await _asked(host, lambda: self._find(host))
        if await _asked(host, lambda: found.system.runtime.inMaintenanceMode):
            raise VCenterRefusedError("Moved", f"somebody has put {host} into maintenance mode meanwhile")
        await _asked(host, lambda: found.note("entered by vdvs"))
        try:
            task = await _asked(host, lambda: found.system.EnterMaintenanceMode_Task(timeout=seconds))
            await _ended(host, task, "enter", seconds)
        except BaseException:
            with contextlib.suppress(VCenterRefusedError):
                if not await _asked(host, lambda: found.system.runtime.inMaintenanceMode):
                    await _asked(host, lambda: found.note(""))
            raise
        await self._shown(host, in_maintenance=True)

    async def exit(self, host: str, seconds: int) -> None:
        """See `ports.MaintenanceMode`."""
        found = await _asked(host, lambda: self._find(host))
        if await _asked(host, lambda: found.system.runtime.inMaintenanceMode):
            task = await _asked(host, lambda: found.system.ExitMaintenanceMode_Task(timeout=seconds))
            await _ended(host, task, "leave", seconds)
        await _asked(host, lambda: found.note(""))
        await self._shown(host, in_maintenance=False)

    async def _shown(self, host: str, *, in_maintenance: bool) -> None:
        """Wait until whoever looks sees it too: vCenter tells of changes a moment after they were made."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SHOWN):
                while (await _asked(host, lambda: _is_in(self._find(host)))) is not in_maintenance:
                    await asyncio.sleep(_POLL)


def _is_in(host: Host) -> bool:
    return bool(host.seen.values.get("runtime.inMaintenanceMode"))


async def _ended(host: str, task: Any, what: str, seconds: int) -> None:
    """Wait for a task of vCenter; one that takes too long, or that nobody waits for any more, is cancelled, and waited
    for all the same: what it came to must be known."""
    try:
        info = await _outcome(host, task, seconds + _GRACE)
    except BaseException as error:
        with contextlib.suppress(TimeoutError, VCenterRefusedError):
            await _asked(host, task.CancelTask)
            await _outcome(host, task, _GRACE)
        if isinstance(error, TimeoutError):
            raise _too_slow(host, what, seconds) from None
        raise
    if info.state == "error":
        if isinstance(info.error, vim.fault.Timedout):
            raise _too_slow(host, what, seconds)
        said = getattr(info.error, "msg", None) or type(info.error).__name__
        raise VCenterRefusedError("VCenterRefused", f"{host} cannot {what} maintenance mode: {said}")


async def _outcome(host: str, task: Any, seconds: float) -> Any:
    """What vCenter says of a task that has ended. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while (info := await _asked(host, lambda: task.info)).state not in ("success", "error"):
            await asyncio.sleep(_POLL)
    return info


def _too_slow(host: str, what: str, seconds: int) -> VCenterRefusedError:
    way_out = "move its VMs away or shut them down, or raise spec.driver.maintenanceTimeout"
    message = f"{host} did not {what} maintenance mode within {seconds} s, so that was cancelled; {way_out}"
    return VCenterRefusedError("Timeout", message)


async def _asked(host: str, ask: Callable[[], Any]) -> Any:
    """What pyVmomi answers, which waits, in a thread."""
    try:
        return await asyncio.to_thread(ask)
    except (vmodl.MethodFault, InventoryError, *BROKEN) as error:
        said = told(error, f"the vCenter of {host}") or error
        raise VCenterRefusedError("VCenterRefused", str(said)) from error
