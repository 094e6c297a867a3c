"""Maintenance mode of hosts, changed by a vCenter. A custom attribute of the host records changes by vdvs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from pyVmomi import vim

from reconciler.inventory.vcenter import Host, as_inventory_error
from reconciler.model.errors import VCenterRefusedError
from reconciler.ports import BEFORE_SENDING

_POLL = 0.2  # seconds between looks at a task
_VISIBLE_WITHIN = 10.0  # seconds
_GRACE = 30.0  # seconds beyond the time-out in which vCenter may end the task itself


class VCenterMaintenance:
    """Implements `ports.MaintenanceMode`.

    `find` returns a host by name from a live session. It blocks on vCenter, and raises InventoryError or pyVmomi's
    errors.
    """

    def __init__(self, find: Callable[[str], Host]) -> None:
        self._find = find

    async def enter(self, host: str, seconds: int) -> None:
        """See `ports.MaintenanceMode`. Raises VCenterRefusedError."""
        found = await _call(host, lambda: self._find(host))
        if await _call(host, lambda: found.system.runtime.inMaintenanceMode):
            raise VCenterRefusedError("Moved", f"another client put {host} into maintenance mode in the meantime")
        BEFORE_SENDING.get()()
        await _call(host, lambda: found.note("entered by vdvs"))
        try:
            task = await _call(host, lambda: found.system.EnterMaintenanceMode_Task(timeout=seconds))
            await _finish(host, task, "enter", seconds)
        except BaseException:
            with contextlib.suppress(VCenterRefusedError):
                if not await _call(host, lambda: found.system.runtime.inMaintenanceMode):
                    await _call(host, lambda: found.note(""))
            raise
        await self._wait_until_visible(host, in_maintenance=True)

    async def exit(self, host: str, seconds: int) -> None:
        """See `ports.MaintenanceMode`. Raises VCenterRefusedError."""
        found = await _call(host, lambda: self._find(host))
        entered = await _call(host, lambda: found.system.runtime.inMaintenanceMode)
        BEFORE_SENDING.get()()
        if entered:
            task = await _call(host, lambda: found.system.ExitMaintenanceMode_Task(timeout=seconds))
            await _finish(host, task, "leave", seconds)
        await _call(host, lambda: found.note(""))
        await self._wait_until_visible(host, in_maintenance=False)

    async def _wait_until_visible(self, host: str, *, in_maintenance: bool) -> None:
        """Wait until readers see the change too: vCenter reports changes a moment after they were made."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_VISIBLE_WITHIN):
                while (await _call(host, lambda: _is_in(self._find(host)))) is not in_maintenance:
                    await asyncio.sleep(_POLL)


def _is_in(host: Host) -> bool:
    return bool(host.seen.values.get("runtime.inMaintenanceMode"))


async def _finish(host: str, task: Any, what: str, seconds: int) -> None:
    """Wait for a vCenter task. Raises VCenterRefusedError.

    A task that takes too long, or whose waiter is cancelled, is cancelled and still waited for, because its result
    matters.
    """
    try:
        info = await _wait_for_task(host, task, seconds + _GRACE)
    except BaseException as error:
        with contextlib.suppress(TimeoutError, VCenterRefusedError):
            await _call(host, task.CancelTask)
            await _wait_for_task(host, task, _GRACE)
        if isinstance(error, TimeoutError):
            raise _too_slow(host, what, seconds) from None
        raise
    if info.state == "error":
        if isinstance(info.error, vim.fault.Timedout):
            raise _too_slow(host, what, seconds)
        reason = getattr(info.error, "msg", None) or type(info.error).__name__
        raise VCenterRefusedError("VCenterRefused", f"{host} cannot {what} maintenance mode: {reason}")


async def _wait_for_task(host: str, task: Any, seconds: float) -> Any:
    """Return vCenter's info on the finished task. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while (info := await _call(host, lambda: task.info)).state not in ("success", "error"):
            await asyncio.sleep(_POLL)
    return info


def _too_slow(host: str, what: str, seconds: int) -> VCenterRefusedError:
    way_out = "move its VMs away or shut them down, or raise spec.driver.maintenanceTimeout"
    message = f"{host} did not {what} maintenance mode within {seconds} s, so the task was cancelled: {way_out}"
    return VCenterRefusedError("Timeout", message)


async def _call(host: str, ask: Callable[[], Any]) -> Any:
    """Run a blocking pyVmomi call in a thread. Raises VCenterRefusedError."""
    try:
        return await asyncio.to_thread(ask)
    except Exception as error:  # whatever the library of a peer raises
        reason = as_inventory_error(error, f"the vCenter of {host}")
        raise VCenterRefusedError("VCenterRefused", str(reason)) from error
