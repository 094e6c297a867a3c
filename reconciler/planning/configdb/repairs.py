"""Repairs of rows that break rules of vDVS and that no manifest covers, where only one repair is possible.

The others are reported with a remedy. Where a manifest states the value, applying the manifest repairs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from reconciler.model.base import Risk, worst
from reconciler.model.diff import Change, DBAction, FieldChange, Op
from reconciler.model.kinds.configdb import BOOKS, DeleteRow, ObservedConfigDB
from reconciler.model.kinds.vmgroup import DeleteVMGroup, Member, MoveMember, RemoveMember, UpdateVMGroup, VMRow
from reconciler.model.refs import DEFAULT_VMGROUP, ObjectRef
from reconciler.planning.rights.decision import compare
from reconciler.planning.spelling import DisplayNames
from reconciler.planning.vmgroup.default import unlisted
from reconciler.planning.vmgroup.membership import Membership
from reconciler.planning.vmgroup.pairing import Pair
from reconciler.planning.vmgroup.state import VMGroupState


class Repair(Struct, frozen=True):
    """The repair of one row: what would be done, or why it is held back."""

    field: FieldChange
    action: DBAction | None
    held: str | None = None


def repairs(
    presence: Change, seen: ObservedConfigDB, found: Iterable[Pair], membership: Membership, names: DisplayNames
) -> Change:
    """Return the repairs of the rows of a config DB, those held back among them. `presence`: how the DB itself differs;
    a `_DEFAULT` that goes with it goes with its rows.

    Source: docs/domain.md#rules-for-rows
    """
    ref, pairs = presence.ref, {pair.before.uuid: pair for pair in found if pair.before is not None}
    doomed = membership.doomed | {action.uuid for action in presence.actions if isinstance(action, DeleteVMGroup)}
    staying = [state for state in membership.states.values() if state.uuid not in doomed]
    staying.sort(key=lambda state: state.name)
    rows = list(_repairs(ref, seen, staying, pairs, membership, names))
    doing = [(row.field, row.action) for row in rows if row.action is not None]
    actions = tuple(action for _, action in doing)
    return Change(
        ref,
        Op.UPDATE if doing else Op.KEEP,
        "rows break rules of vDVS" if doing else "as declared",
        tuple(field for field, _ in doing),
        actions,
        worst([action.risk for action in actions]),
        notes=tuple(_unrepaired(staying, pairs)),
        held=tuple(row.held for row in rows if row.held is not None),
    )


def _repairs(
    ref: ObjectRef,
    seen: ObservedConfigDB,
    staying: list[VMGroupState],
    pairs: dict[str, Pair],
    membership: Membership,
    names: DisplayNames,
) -> Iterator[Repair]:
    for state in staying:
        pair = pairs.get(state.uuid)
        if state.description is None and (pair is None or pair.group.description is None):
            field = FieldChange(f"vmgroups[{state.name}].description", "NULL", "")
            yield Repair(field, UpdateVMGroup(ref, Risk.SAFE, state.uuid, "", None))
        if state.name == DEFAULT_VMGROUP:
            yield from _listed_in_default(ref, state, membership, names)
        elif pair is None or pair.group.members is None:
            yield from _upper_case(ref, state, membership, names)
    lost = [row for row in seen.vms if row.tenant_id not in membership.states]
    for row in sorted(lost, key=lambda row: row.vm_id):
        if (repair := _of_no_vmgroup(ref, row, membership, names)) is not None:
            yield repair
    for dead in sorted(seen.dead_rows, key=lambda dead: (dead.table, dead.key)):
        what = f"{dead.what} of vmgroup {dead.tenant_id}: {dead.why}"
        risk = Risk.RESTRICTS if dead.table == BOOKS else Risk.SAFE  # a quota counts less with it
        yield Repair(FieldChange(f"rows[{dead.table}]", what, None), DeleteRow(ref, risk, dead.table, dead.key))


def _listed_in_default(
    ref: ObjectRef, state: VMGroupState, membership: Membership, names: DisplayNames
) -> Iterator[Repair]:
    for vm in sorted(state.members):
        if vm.lower() not in membership.claims:  # else the vmgroup that wants it takes it over
            yield Repair(*unlisted(ref, state, vm, names))


def _upper_case(ref: ObjectRef, state: VMGroupState, membership: Membership, names: DisplayNames) -> Iterator[Repair]:
    """Write VM ids in lower case: vDVS never matches others, so it serves their VMs as if they were in no vmgroup.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """
    for vm in sorted(state.members):
        odd = membership.misspelt.get(vm.lower())
        if vm == vm.lower() or odd is None or odd.vm_id != vm or vm.lower() in membership.claims:
            continue
        shown = names.vm(vm.lower(), state.members[vm])
        field = FieldChange(f"vmgroups[{state.name}].vms", names.vm(vm, state.members[vm]), shown)
        disks = membership.disks.get(vm.lower(), ())
        if not disks and vm.lower() not in membership.disks and not membership.all_seen:
            held = f"VM {shown} may have volumes attached: the inventory is incomplete and does not show it"
            yield Repair(field, None, held)
        elif disks:
            yield Repair(field, None, names.attached(vm.lower(), state.members[vm], disks[0]))
        else:
            member = Member(vm.lower(), state.members[vm])
            yield Repair(field, MoveMember(ref, Risk.WIDENS, state.uuid, state.uuid, member))


def _of_no_vmgroup(ref: ObjectRef, row: VMRow, membership: Membership, names: DisplayNames) -> Repair | None:
    """Remove the row of a VM whose vmgroup is gone: vDVS refuses its requests; without the row, `_DEFAULT` serves it.

    Source: docs/domain.md#rules-for-rows
    """
    claim = membership.claims.get(row.vm_id.lower())
    if claim is not None and claim.uuid != row.tenant_id:
        return None  # the vmgroup that wants it takes it over
    shown = names.vm(row.vm_id, row.vm_name)
    field = FieldChange("rows[vms]", f"VM {shown}: its vmgroup {row.tenant_id} does not exist", None)
    if (why := membership.unseen(row.vm_id)) is not None:
        return Repair(field, None, f"VM {shown} stays in a vmgroup that is gone: {why} and does not show it")
    served = [compare(None, fallback) for fallback in (membership.fallback.before, membership.fallback.after)]
    risk = worst(served) if row.vm_id == row.vm_id.lower() else Risk.SAFE
    return Repair(field, RemoveMember(ref, risk, row.tenant_id, Member(row.vm_id, row.vm_name)))


def _unrepaired(staying: list[VMGroupState], pairs: dict[str, Pair]) -> Iterator[str]:
    """Yield a note on each broken rule of a vmgroup that has more than one possible repair, with a remedy.

    Source: docs/domain.md#rules-for-rows
    """
    for state in staying:
        pair = pairs.get(state.uuid)
        after = state if pair is None or pair.problem is not None else pair.after
        if (wrong := _wrong(after)) is None:
            continue
        what, field = wrong
        way_out = f"state {field}" if pair is not None else f"declare it with {field} (`vdvs export` writes the rest)"
        yield f"vmgroup {state.name} is not repaired: {what}; {way_out}"


def _wrong(state: VMGroupState) -> tuple[str, str] | None:
    if not state.default_url:
        return "its default datastore cannot be guessed", "spec.defaultDatastore"
    if state.default_url not in state.access:
        return "it has no access row for its default datastore", "spec.access"
    if None in state.access.values():
        return "what one of its access rows allows is unclear", "spec.access"
    return None
