"""The view of vCenter on a host, and its consequences."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.events import Condition, Truth
from reconciler.model.inventory import Connection, ESXiHost, Lockdown
from reconciler.model.refs import ObjectRef

_TOO_NEW = 8  # ESXi from this version on takes no VIB without SHA-256 checksums, and vDVS was never released with any


def why_unreachable(entry: ESXiHost | None) -> str:
    """Return why, by what vCenter shows, no agent answers from this host; empty if nothing explains it."""
    if entry is None:
        return ""
    parts = []
    if entry.connection not in (None, Connection.CONNECTED):
        parts.append(f"vCenter shows it as {entry.connection}")
    if entry.lockdown in (Lockdown.NORMAL, Lockdown.STRICT):
        parts.append(f"it is in lockdown mode ({entry.lockdown}), so only its Exception Users get in by SSH")
    if entry.ssh_runs is False:
        parts.append("its SSH service does not run: start it, or let vdvs do so (spec.ssh.service: Manage in the Site)")
    return "".join(f"; {part}" for part in parts)


def why_no_driver(entry: ESXiHost | None) -> str | None:
    """Why no vDVS driver can be installed on this host; None if no reason is known.

    Source: docs/domain.md#driver-and-service
    """
    if entry is None:
        return None
    major = (entry.version or "").partition(".")[0]
    if major.isdecimal() and int(major) >= _TOO_NEW:
        return f"ESXi {entry.version} refuses the driver: from ESXi {_TOO_NEW} on a VIB needs SHA-256 checksums"
    if entry.image_managed:
        return (
            f"the image of its cluster {entry.cluster} (vLCM) says which VIBs its hosts have, and would remove the "
            "driver again; put the driver into the image"
        )
    return None


def vcenter_conditions(ref: ObjectRef, entry: ESXiHost) -> Iterator[Condition]:
    """Whether vCenter is connected to the host, and its maintenance and lockdown modes, where vCenter shows them."""
    if entry.connection is not None:
        connected = Truth.TRUE if entry.connection is Connection.CONNECTED else Truth.FALSE
        reason = {Connection.NOT_RESPONDING: "NotResponding", Connection.DISCONNECTED: "Disconnected"}
        message = f"vCenter shows it as {entry.connection}"
        yield Condition(ref, "Connected", connected, reason.get(entry.connection, "Connected"), message)
    if entry.in_maintenance is not None:
        status, reason_word = (Truth.TRUE, "InMaintenance") if entry.in_maintenance else (Truth.FALSE, "InService")
        message = "it is in maintenance mode: no VM runs on it" if entry.in_maintenance else "it runs VMs"
        if entry.in_maintenance and entry.entered_by_vdvs:
            message = "vdvs has put it into maintenance mode to change its driver; the next apply goes on"
        yield Condition(ref, "Maintenance", status, reason_word, message)
    if entry.lockdown is Lockdown.OFF:
        yield Condition(ref, "Lockdown", Truth.FALSE, "Off", "it is not in lockdown mode")
    elif entry.lockdown is not None:
        message = (
            f"lockdown mode is {entry.lockdown}: only its Exception Users get in by SSH; let spec.ssh.user of the "
            "Site be one of them (vdvs never changes the mode)"
        )
        yield Condition(ref, "Lockdown", Truth.TRUE, entry.lockdown.value.capitalize(), message)
