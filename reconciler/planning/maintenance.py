"""Maintenance mode around the change of a driver: entered before it, and left after it if vdvs entered it.

That vdvs did is a note which vCenter keeps, so whoever comes next goes on where an interrupted apply stopped.
"""

from __future__ import annotations

from reconciler.model.desired import Maintenance
from reconciler.model.host_actions import (
    EnterMaintenance,
    ExitMaintenance,
    InstallDriver,
    RemoveDriver,
    ReplaceDriver,
    RestartHostd,
)
from reconciler.model.resolved import ResolvedHost
from reconciler.model.risk import Risk
from reconciler.planning.host_findings import Findings

_NEED_IT = (InstallDriver, ReplaceDriver, RemoveDriver, RestartHostd)
_USUAL = Maintenance(1800, 1)  # to leave a mode that no manifest asks for any more


def why_no_maintenance(host: ResolvedHost) -> str | None:
    """Why the driver of a host that has to be in maintenance mode for that cannot be changed; None: it can."""
    if _wanted(host) is None or (host.entry is not None and host.entry.entered_by_vdvs is not None):
        return None
    if host.entry is None:
        return "spec.driver.maintenanceMode is Required, and no vCenter of the Site shows this host"
    return "spec.driver.maintenanceMode is Required, which takes a vCenter: give spec.vsphere in the Site"


def with_maintenance(host: ResolvedHost, found: Findings) -> None:
    """Add to what is found what vCenter has to do before and after it."""
    wanted, entry = _wanted(host), host.entry
    if entry is None:
        return
    first = next((place for place, action in enumerate(found.actions) if isinstance(action, _NEED_IT)), None)
    seconds = (wanted or _USUAL).seconds
    if entry.in_maintenance and entry.entered_by_vdvs:
        if first is None and found.held:
            found.notes.append("vdvs put it into maintenance mode; it stays in it until nothing is held back any more")
            return
        leave = ExitMaintenance(host.ref, Risk.SAFE, entry.name, seconds)
        found.change("maintenanceMode", "entered by vdvs", "left", leave)
    elif first is not None and wanted is not None and entry.in_maintenance:
        found.notes.append("it stays in maintenance mode, as it was not vdvs that put it into that")
    elif first is not None and wanted is not None:
        found.actions.insert(first, EnterMaintenance(host.ref, Risk.DISRUPTS, entry.name, seconds))
        found.actions.append(ExitMaintenance(host.ref, Risk.SAFE, entry.name, seconds))
        found.notes.append("it is in maintenance mode meanwhile, and runs no VM")


def _wanted(host: ResolvedHost) -> Maintenance | None:
    return None if host.driver is None else host.driver.maintenance
