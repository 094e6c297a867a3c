"""Hosts that the inventory knows and no manifest declares: one with vDVS on it may be open to every VM."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.diff import Change, Op, Standing
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.host import DBMode, ObservedHost, Service
from reconciler.model.kinds.site import Lab
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Desired, Observed
from reconciler.planning.host.diff import OPEN_NOTE, is_open
from reconciler.planning.spelling import DisplayNames


def undeclared_hosts(desired: Desired, inventory: Inventory) -> tuple[str, ...]:
    """Return the undeclared hosts that may be asked: in a lab all; elsewhere only what the Site allows by name, because
    root may not log in to others."""
    site = desired.site
    if site is None:
        return ()
    declared = {name.lower() for host in desired.hosts for name in (host.ref.name, host.address)}
    if site.allowed_hosts is None and not isinstance(site.way, Lab):
        return ()
    found = (host.name for host in inventory.hosts if host.name.lower() not in declared)
    return tuple(sorted({name for name in found if site.allows(name)}))


def undeclared_host_changes(observed: Observed, names: DisplayNames) -> Iterator[Change]:
    """Report each that has vDVS, or had it, and whether it is open. Source: docs/domain.md#modes-of-a-host"""
    for name, seen in sorted(observed.undeclared_hosts.items()):
        if _has_vdvs(seen):
            notes, state = ((OPEN_NOTE,), Standing.OPEN) if is_open(seen) else ((), None)
            why = f"no manifest declares it; {_description(seen, names)}"
            yield Change(ObjectRef(Kind.HOST, name), Op.UNMANAGED, why, notes=notes, host_state=state)


def _has_vdvs(seen: ObservedHost) -> bool:
    return seen.driver is not None or seen.service is Service.RUNNING or seen.db_mode is not DBMode.NOT_CONFIGURED


def _description(seen: ObservedHost, names: DisplayNames) -> str:
    driver = f"driver {seen.driver}" if seen.driver is not None else "the driver is not installed"
    match seen.db_mode:
        case DBMode.NOT_CONFIGURED:
            return f"{driver}, no config DB"
        case DBMode.SINGLE_NODE:
            return f"{driver}, a config DB of its own (SingleNode)"
    return f"{driver}, linked to {names.path(seen.link_path or seen.link or '')}"
