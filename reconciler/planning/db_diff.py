"""One config DB: whether it is there, can be used, or may be made; and its `_DEFAULT` vmgroup."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.model.actions import Action, CreateVMGroup, DeleteVMGroup, RecoverDB, Risk
from reconciler.model.constants import (
    ALL_DS_URL,
    DEFAULT_VMGROUP,
    DEFAULT_VMGROUP_DESCRIPTION,
    DEFAULT_VMGROUP_UUID,
    VM_DS_URL,
)
from reconciler.model.desired import Presence
from reconciler.model.diff import Change, FieldChange, Op
from reconciler.model.inventory import Inventory
from reconciler.model.observed import DBState, Observed, ObservedConfigDB, ObservedHost
from reconciler.model.resolved import Access, ResolvedConfigDB
from reconciler.planning.name_links import volumes_of
from reconciler.planning.show import Names
from reconciler.planning.state import VMGroupState, default_vmgroup

OPEN = VMGroupState(
    uuid=DEFAULT_VMGROUP_UUID,
    name=DEFAULT_VMGROUP,
    description=DEFAULT_VMGROUP_DESCRIPTION,
    default_url=VM_DS_URL,
    access={url: Access(url, allow_create=True, max_mb=0, total_mb=0) for url in (ALL_DS_URL, VM_DS_URL)},
    members={},
)
"""`_DEFAULT` as vDVS makes it: everybody may do everything. A host without a config DB behaves the same."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """What serves a VM in no vmgroup, before and after the plan. None: nothing does, its requests are refused."""

    before: VMGroupState | None
    after: VMGroupState | None


def fallback(db: ResolvedConfigDB, seen: ObservedConfigDB, states: Iterable[VMGroupState]) -> Fallback:
    """The `_DEFAULT` of a config DB. A DB that is still to be made leaves its hosts open until it is there."""
    before = default_vmgroup(states) if seen.state is DBState.PRESENT else OPEN
    if db.default_vmgroup is Presence.ABSENT:
        return Fallback(before, None)
    return Fallback(before, before or (OPEN if db.default_vmgroup is Presence.PRESENT else None))


def config_db_change(db: ResolvedConfigDB, observed: Observed, inventory: Inventory, names: Names) -> Change:
    """How one config DB differs from its manifest. A DB that cannot be read is UNKNOWN and nothing is decided on it."""
    seen = observed.config_dbs[db.datastore.db_path]
    if seen.state is DBState.PRESENT:
        return _present(db, seen, observed, inventory, names)
    if seen.state is DBState.UNKNOWN:
        if seen.reason == "HotJournal":
            undo = FieldChange("database", "interrupted write", "rolled back")
            return Change(db.ref, Op.UPDATE, seen.message, (undo,), (RecoverDB(db.ref, Risk.SAFE),))
        return Change(db.ref, Op.UNKNOWN, seen.message)
    if (earlier := _earlier(db, seen, observed, names)) is not None:
        gone = "is empty" if seen.state is DBState.EMPTY else "is gone"
        way_out = "bring it back from a backup; a new one would orphan its vmgroups and their volumes"
        return Change(db.ref, Op.BLOCKED, f"{db.datastore.db_path} {gone}, but {earlier}: {way_out}")
    default = "Absent" if db.default_vmgroup is Presence.ABSENT else "Present"
    fields = (
        FieldChange("database", "missing", f"MultiNode ({db.datastore.name})"),
        FieldChange("defaultVMGroup", None, default),
    )
    return Change(db.ref, Op.CREATE, "there is no config DB on this datastore yet", fields)


def _present(
    db: ResolvedConfigDB, seen: ObservedConfigDB, observed: Observed, inventory: Inventory, names: Names
) -> Change:
    notes = tuple(f"breaks a rule of vDVS: {violation}" for violation in seen.violations)
    default = next((row for row in seen.tenants if row.name == DEFAULT_VMGROUP), None)
    if db.default_vmgroup is Presence.ABSENT and default is not None:
        field = FieldChange("defaultVMGroup", "Present", "Absent")
        held = _why_keep_default(default.id, seen, observed, inventory, names)
        if held is not None:
            return Change(db.ref, Op.BLOCKED, held, notes=notes)
        action: Action = DeleteVMGroup(db.ref, Risk.DESTROYS, default.id, DEFAULT_VMGROUP)
        return Change(db.ref, Op.UPDATE, "differs from its manifest", (field,), (action,), action.risk, notes)
    if db.default_vmgroup is Presence.PRESENT and default is None:
        field = FieldChange("defaultVMGroup", "Absent", "Present")
        action = _create_default(db)
        return Change(db.ref, Op.UPDATE, "differs from its manifest", (field,), (action,), action.risk, notes)
    return Change(db.ref, Op.KEEP, "as declared", notes=notes)


def _create_default(db: ResolvedConfigDB) -> CreateVMGroup:
    rows = tuple(row for row in OPEN.access.values() if row is not None)
    description, default_url = DEFAULT_VMGROUP_DESCRIPTION, VM_DS_URL
    return CreateVMGroup(
        db.ref, Risk.WIDENS, DEFAULT_VMGROUP_UUID, DEFAULT_VMGROUP, description, default_url, rows, members=()
    )


def _why_keep_default(
    uuid: str, seen: ObservedConfigDB, observed: Observed, inventory: Inventory, names: Names
) -> str | None:
    """Why `_DEFAULT` must not be removed now. Without it, a disk that is attached can no longer be detached."""
    if (volumes := volumes_of(uuid, observed.datastores, names)) is not None:
        return f"_DEFAULT cannot be removed: {volumes}; remove or migrate them first"
    if any(use.tenant_id == uuid and use.count for use in seen.volume_use):
        return "_DEFAULT cannot be removed: the books still count volumes for it"
    grouped = {row.vm_id for row in seen.vms}
    for vm in inventory.vms:
        if vm.volumes and vm.uuid not in grouped:
            return f"_DEFAULT cannot be removed: VM {vm.name} is in no vmgroup and has {vm.volumes[0]} attached"
    return None


def _earlier(db: ResolvedConfigDB, seen: ObservedConfigDB, observed: Observed, names: Names) -> str | None:
    """What speaks of an earlier DB in this place, if anything does. A new DB would cut it off for good."""
    if seen.backups:
        return f"its backup {seen.backups[-1]} lies beside it"
    silent = None
    for name, host in sorted(observed.hosts.items()):
        if not isinstance(host, ObservedHost):
            silent = name if name in db.hosts else silent
        elif host.link_path == db.datastore.db_path:
            return f"host/{name} links to it"
        elif host.section.datastore in (db.datastore.id, db.datastore.name):
            return f"local.sh of host/{name} names it"
    if silent is not None and (volumes := _any_volumes(observed, names)) is not None:
        return f"host/{silent}, which may have used it, cannot be asked and there are {volumes}"
    return None


def _any_volumes(observed: Observed, names: Names) -> str | None:
    folders = {name for datastore in observed.datastores.values() for name in datastore.entries}
    found = (volumes_of(name, observed.datastores, names) for name in sorted(folders))
    return next((volumes for volumes in found if volumes), None)


def usable(change: Change, seen: ObservedConfigDB) -> bool:
    """Whether hosts may be pointed at this DB: it is there, is being made in this plan, or is merely busy."""
    busy = seen.state is DBState.UNKNOWN and seen.reason in ("Locked", "HotJournal")
    return seen.state is DBState.PRESENT or change.op is Op.CREATE or busy
