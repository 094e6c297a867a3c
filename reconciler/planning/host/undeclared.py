"""Hosts that the inventory knows and no manifest declares: one with vDVS on it may be open to every VM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from reconciler.model.diff import Cause, Change, Op, Standing
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.host import DBMode, ObservedHost, Service
from reconciler.model.kinds.site import Lab
from reconciler.model.ownership import Record
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Desired
from reconciler.planning.host.diff import OPEN_NOTE, is_open
from reconciler.planning.records.ownership import gone_from_set, spell
from reconciler.planning.spelling import DisplayNames

if TYPE_CHECKING:
    from reconciler.planning.compare.context import SiteContext


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


def undeclared_host_changes(site: SiteContext) -> Iterator[Change]:
    """Report each that has vDVS, or had it, and whether it is open; and each whose manifest was removed, unless it is
    known to be without vDVS. Source: docs/domain.md#modes-of-a-host"""
    found = {name: seen for name, seen in site.found.undeclared_hosts.items() if _has_vdvs(seen)}
    without = site.found.undeclared_hosts.keys() - found.keys()
    removed = {name: record for name, record in removed_hosts(site).items() if name not in without}
    for name in sorted(found.keys() | removed.keys()):
        seen, record = found.get(name), removed.get(name)
        shown = "vdvs does not look at it" if seen is None else _description(seen, site.names)
        is_served = seen is not None and is_open(seen)
        notes, state = ((OPEN_NOTE,), Standing.OPEN) if is_served else ((), None)
        if record is None:
            yield Change(
                ObjectRef(Kind.HOST, name),
                Op.UNMANAGED,
                f"no manifest declares it; {shown}",
                notes=notes,
                host_state=state,
            )
            continue
        why = f"set {record.set} applied it last ({spell(record)}) and no longer declares it; {shown}; {_WAY_OUT}"
        yield Change(ObjectRef(Kind.HOST, name), Op.REMOVED, why, notes=notes, host_state=state, cause=Cause.MANIFEST)


def removed_hosts(site: SiteContext) -> dict[str, Record]:
    """The hosts of the inventory that the set of the manifests here applied last and no longer declares, each with its
    record; none while this set prunes, which forgets them.

    Source: docs/domain.md#who-applied-what
    """
    if site.applying is None or site.applying.prune:
        return {}
    gone = records_of_removed(site)
    return {host.name: gone[host.name.lower()] for host in site.resolved.inventory.hosts if host.name.lower() in gone}


def records_of_removed(site: SiteContext) -> dict[str, Record]:
    """The records of hosts that no manifest declares any more, of whatever became of them, by name in small letters."""
    declared = {name.lower() for host in site.resolved.hosts for name in (host.ref.name, host.address)}
    declared |= {failed.ref.name.lower() for failed in site.resolved.unresolved if failed.ref.kind is Kind.HOST}
    records = (
        record for db in site.databases.values() if db.ledger is not None for record in db.ledger.by_object.values()
    )
    found = ((record, record.object.removeprefix(_RECORDS).lower()) for record in records)
    return {
        name: record
        for record, name in found
        if record.object.startswith(_RECORDS) and name not in declared and gone_from_set(record, site.applying)
    }


_RECORDS: Final = f"{Kind.HOST.lower()}/"
_WAY_OUT: Final = "`vdvs apply --prune` forgets it and leaves vDVS there; spec.driver.state: Absent removes that first"


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
