"""`_DEFAULT` of an existing config DB: it serves every VM in no vmgroup; without it they are refused.

Source: docs/domain.md#who-may-do-what
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Change, FieldChange, Op, Part
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB, ResolvedConfigDB
from reconciler.model.kinds.host import Presence
from reconciler.model.kinds.vmgroup import FULL_ACCESS, Access, CreateVMGroup, DeleteVMGroup, Member, RemoveMember
from reconciler.model.refs import (
    ALL_DS_URL,
    DEFAULT_VMGROUP,
    DEFAULT_VMGROUP_DESCRIPTION,
    DEFAULT_VMGROUP_UUID,
    VM_DS_URL,
    ObjectRef,
)
from reconciler.model.state import Observed, Resolved
from reconciler.planning.scope import declares_default, incomplete, perhaps_anywhere
from reconciler.planning.spelling import DisplayNames, access_fields
from reconciler.planning.vmgroup.name_links import exposing_names, name_taken, volumes_of
from reconciler.planning.vmgroup.rows import row_actions
from reconciler.planning.vmgroup.state import VMGroupState, default_vmgroup, observed_states, orphaned

OPEN = VMGroupState(
    uuid=DEFAULT_VMGROUP_UUID,
    name=DEFAULT_VMGROUP,
    description=DEFAULT_VMGROUP_DESCRIPTION,
    default_url=VM_DS_URL,
    access={url: Access(url, **FULL_ACCESS) for url in (ALL_DS_URL, VM_DS_URL)},
    members={},
)
"""`_DEFAULT` as vDVS makes it: every VM may do everything. A host without a config DB behaves the same."""
_DIFFERS = "differs from its manifest"
_THERE = "it has a _DEFAULT"


class Fallback(Struct, frozen=True):
    """The vmgroup that serves VMs in no vmgroup, before and after the plan. None: their requests are refused.

    `after` may not be reached (it is held back, or fails), so VMs that fall back are judged by both.

    Source: docs/domain.md#who-may-do-what
    """

    before: VMGroupState | None
    after: VMGroupState | None


def fallback(
    db: ResolvedConfigDB, seen: ObservedConfigDB, states: Iterable[VMGroupState], declared: VMGroupState | None
) -> Fallback:
    """The `_DEFAULT` of a config DB; `declared`: its own manifest, resolved, if it has one.

    A DB that is still to be made leaves its hosts open until it is there.

    Source: docs/domain.md#who-may-do-what
    """
    before = default_vmgroup(states) if seen.state is DBState.PRESENT else OPEN
    if declared is not None:
        return Fallback(before, declared)
    if db.default_vmgroup is Presence.ABSENT:
        return Fallback(before, None)
    return Fallback(before, before or (OPEN if db.default_vmgroup is Presence.PRESENT else None))


def default_change(db: ResolvedConfigDB, resolved: Resolved, observed: Observed, names: DisplayNames) -> Change:
    """How `_DEFAULT` differs from `spec.defaultVMGroup`. A manifest of its own takes precedence."""
    seen = observed.config_dbs[db.location]
    notes = tuple(f"breaks a rule of vDVS: {violation}" for violation in seen.violations)
    notes += tuple(exposing_names(seen.tenants))
    if seen.leftovers:
        files = ", ".join(seen.leftovers)
        notes += (f"an interrupted apply left {files}; one that writes removes it an hour later",)
    if seen.records is None:
        way_out = "drop that table, and `vdvs apply` makes it anew"
        notes += (f"its table vdvs_objects is damaged, so who applied what is unknown, and none is pruned; {way_out}",)
    default = next((row for row in seen.tenants if row.name == DEFAULT_VMGROUP), None)
    wanted = None if declares_default(db.ref, resolved) else db.default_vmgroup
    if wanted is Presence.ABSENT and default is not None:
        state = observed_states(seen)[default.id]
        if (held := _why_keep(db, default.id, seen, resolved, observed, names)) is not None:
            reason = f"_DEFAULT cannot be removed: {held}"
            return Change(db.ref, Op.BLOCKED, reason, notes=notes, taking_back=_narrowed(db, state, names))
        return replace(_removed(db, state, names), notes=notes)
    if wanted is Presence.PRESENT and default is None:
        field = FieldChange("defaultVMGroup", "Absent", "Present")
        held = _why_not_make(seen) or name_taken(OPEN, observed.datastores, names)
        if held is not None:
            return Change(db.ref, Op.BLOCKED, f"_DEFAULT cannot be made: {held}", notes=notes)
        return Change(db.ref, Op.UPDATE, _DIFFERS, (field,), (_create(db),), Risk.WIDENS, notes)
    return Change(db.ref, Op.KEEP, "as declared", notes=notes)


def _removed(db: ResolvedConfigDB, state: VMGroupState, names: DisplayNames) -> Change:
    listed = [unlisted(db.ref, state, vm, names) for vm in sorted(state.members)]  # with any, it cannot be removed
    fields = (FieldChange("defaultVMGroup", "Present", "Absent"), *(field for field, _ in listed))
    rows = tuple(action for _, action in listed)
    delete = DeleteVMGroup(db.ref, Risk.DESTROYS, state.uuid, DEFAULT_VMGROUP)
    # As a part nothing is lost with it: vDVS's own `_DEFAULT` can be made again, and is always the same.
    part = Part(_THERE, fields, (*rows, replace(delete, risk=Risk.RESTRICTS)))
    return Change(db.ref, Op.UPDATE, _DIFFERS, fields, (*rows, delete), delete.risk, taking_back=part)


def unlisted(ref: ObjectRef, state: VMGroupState, vm: str, names: DisplayNames) -> tuple[FieldChange, RemoveMember]:
    """Return the repair that removes the row of a VM in `_DEFAULT`: it has no effect, and keeps `_DEFAULT` from being
    removed.

    Source: docs/domain.md#rules-for-rows
    """
    shown = names.vm(vm, state.members[vm])
    field = FieldChange("rows[vms]", f"VM {shown}: it is listed in _DEFAULT, which has no list", None)
    return field, RemoveMember(ref, Risk.SAFE, state.uuid, Member(vm, state.members[vm]))


def _narrowed(db: ResolvedConfigDB, state: VMGroupState, names: DisplayNames) -> Part | None:
    """What takes back the rights of a `_DEFAULT` that has to stay for now: it lets detach only."""
    rows = {url: row and replace(row, allow_create=False) for url, row in state.access.items()}
    narrow = replace(state, access=rows)
    fields = tuple(
        replace(changed, path=f"vmgroups[{DEFAULT_VMGROUP}].{changed.path}")
        for changed in access_fields(state, narrow, names)
    )
    actions = tuple(row_actions(db.ref, state, narrow))
    return Part(_THERE, fields, actions) if actions else None


def _create(db: ResolvedConfigDB) -> CreateVMGroup:
    rows = tuple(sorted(row for row in OPEN.access.values() if row is not None))
    description, default_url = DEFAULT_VMGROUP_DESCRIPTION, VM_DS_URL
    return CreateVMGroup(
        db.ref, Risk.WIDENS, DEFAULT_VMGROUP_UUID, DEFAULT_VMGROUP, description, default_url, rows, members=()
    )


def _why_not_make(seen: ObservedConfigDB) -> str | None:
    taken = next((row for row in seen.tenants if row.id == DEFAULT_VMGROUP_UUID), None)
    if taken is not None:
        return f"vmgroup {taken.name} has its uuid"
    if DEFAULT_VMGROUP_UUID in orphaned(seen):
        return "rows of an earlier one are still in the config DB"
    return None


def _why_keep(
    db: ResolvedConfigDB,
    uuid: str,
    seen: ObservedConfigDB,
    resolved: Resolved,
    observed: Observed,
    names: DisplayNames,
) -> str | None:
    """Why `_DEFAULT` must not be removed now. Without it, a disk that is attached can no longer be detached.

    Source: docs/domain.md#who-may-do-what
    """
    if (volumes := volumes_of(uuid, observed.datastores, names)) is not None:
        return f"{volumes}; remove or migrate them first"
    if any(use.tenant_id == uuid and use.count for use in seen.volume_use):
        return "the books still count volumes for it"
    if (user := _user(seen, resolved.inventory)) is not None:
        return user
    perhaps = perhaps_anywhere(resolved)
    if unseen := incomplete(resolved, observed) or perhaps.get(DEFAULT_VMGROUP) or perhaps.get(uuid):
        return f"{unseen}, so nothing is removed"
    groups = (group for group in resolved.vmgroups if group.config_db == db.ref)
    wanted = {member.uuid for group in groups for member in group.members or ()}
    moving = (row.vm_id for row in seen.vms if row.tenant_id == uuid and row.vm_id.lower() in wanted)
    # Last, as this pass may end it. Rows that nobody wants go with it.
    if (listed := min(moving, default=None)) is not None:
        return f"VM {names.vm(listed, None)} is listed in it"
    return None


def _user(seen: ObservedConfigDB, inventory: Inventory) -> str | None:
    others = {row.id for row in seen.tenants if row.name != DEFAULT_VMGROUP}  # rows of no other vmgroup serve no VM
    grouped = {row.vm_id for row in seen.vms if row.tenant_id in others}
    for vm in sorted(inventory.vms, key=lambda vm: (vm.name, vm.path)):
        if vm.volumes and vm.uuid not in grouped:
            return f"VM {vm.name} is in no vmgroup and has {min(vm.volumes)} attached"
    return None
