"""Rows that break rules of vDVS and that no manifest decides: what can only be meant one way is put right.

The rest is named, with what to do. A vmgroup whose manifest states the value in question mends itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from reconciler.model.actions import DBAction
from reconciler.model.diff import Change, FieldChange, Op
from reconciler.model.kinds.configdb import DeleteRow, ObservedConfigDB
from reconciler.model.kinds.vmgroup import Member, MoveMember, RemoveMember, UpdateVMGroup, VMRow
from reconciler.model.refs import DEFAULT_VMGROUP, ObjectRef
from reconciler.model.risk import Risk, worst
from reconciler.planning.rights.decision import compare
from reconciler.planning.spelling import DisplayNames
from reconciler.planning.vmgroup.membership import Membership
from reconciler.planning.vmgroup.pairing import Pair
from reconciler.planning.vmgroup.state import VMGroupState


class Repair(Struct, frozen=True):
    """One row: what would be done, or why it is held back."""

    field: FieldChange
    action: DBAction | None
    held: str | None = None


def repairs(
    ref: ObjectRef, seen: ObservedConfigDB, found: Iterable[Pair], book: Membership, names: DisplayNames
) -> Change:
    """What puts the rows of the config DB `ref` right, and what of that is held back."""
    pairs = {pair.before.uuid: pair for pair in found if pair.before is not None}
    rows = list(_repairs(ref, seen, pairs, book, names))
    doing = [(row.field, row.action) for row in rows if row.action is not None]
    actions = tuple(action for _, action in doing)
    return Change(
        ref,
        Op.UPDATE if doing else Op.KEEP,
        "rows break rules of vDVS" if doing else "as declared",
        tuple(field for field, _ in doing),
        actions,
        worst([action.risk for action in actions]),
        notes=tuple(_left(book, pairs)),
        held=tuple(row.held for row in rows if row.held is not None),
    )


def _repairs(
    ref: ObjectRef, seen: ObservedConfigDB, pairs: dict[str, Pair], book: Membership, names: DisplayNames
) -> Iterator[Repair]:
    for state in _staying(book):
        pair = pairs.get(state.uuid)
        if state.description is None and (pair is None or pair.group.description is None):
            field = FieldChange(f"vmgroups[{state.name}].description", "NULL", "")
            yield Repair(field, UpdateVMGroup(ref, Risk.SAFE, state.uuid, "", None))
        if state.name == DEFAULT_VMGROUP:
            yield from _listed_in_default(ref, state, book, names)
        elif pair is None or pair.group.members is None:
            yield from _upper_case(ref, state, book, names)
    lost = [row for row in seen.vms if row.tenant_id not in book.states]
    for row in sorted(lost, key=lambda row: row.vm_id):
        if (repair := _of_no_vmgroup(ref, row, book, names)) is not None:
            yield repair
    for dead in sorted(seen.dead_rows, key=lambda dead: (dead.table, dead.key)):
        what = f"{dead.what} of vmgroup {dead.tenant_id}: {dead.why}"
        yield Repair(FieldChange(f"rows[{dead.table}]", what, None), DeleteRow(ref, Risk.SAFE, dead.table, dead.key))


def _staying(book: Membership) -> list[VMGroupState]:
    """By name. What is to be deleted needs no repair."""
    states = (state for uuid, state in book.states.items() if uuid not in book.doomed)
    return sorted(states, key=lambda state: state.name)


def _listed_in_default(ref: ObjectRef, state: VMGroupState, book: Membership, names: DisplayNames) -> Iterator[Repair]:
    """Rows of VMs in `_DEFAULT` say no more than no row would, and stand in the way of removing it."""
    for vm in sorted(state.members):
        if vm.lower() in book.claims:
            continue  # the vmgroup that wants it takes it over
        shown = names.vm(vm, state.members[vm])
        field = FieldChange("rows[vms]", f"VM {shown}: it is listed in _DEFAULT, which has no list", None)
        if book.incomplete is not None:
            yield Repair(field, None, f"VM {shown} stays listed in _DEFAULT: {book.incomplete}, so nothing is removed")
        else:
            yield Repair(field, RemoveMember(ref, Risk.SAFE, state.uuid, Member(vm, state.members[vm])))


def _upper_case(ref: ObjectRef, state: VMGroupState, book: Membership, names: DisplayNames) -> Iterator[Repair]:
    """A VM whose id is in upper case is served as if it were in no vmgroup; its row means this one."""
    for vm in sorted(state.members):
        odd = book.misspelt.get(vm.lower())
        if vm == vm.lower() or odd is None or odd.vm_id != vm or vm.lower() in book.claims:
            continue
        shown = names.vm(vm.lower(), state.members[vm])
        field = FieldChange(f"vmgroups[{state.name}].vms", names.vm(vm, state.members[vm]), shown)
        disks = book.disks.get(vm.lower(), ())
        if not disks and vm.lower() not in book.disks and not book.all_seen:
            held = f"VM {shown} may have volumes attached: the inventory is incomplete and does not show it"
            yield Repair(field, None, held)
        elif disks:
            yield Repair(field, None, names.attached(vm.lower(), state.members[vm], disks[0]))
        else:
            member = Member(vm.lower(), state.members[vm])
            yield Repair(field, MoveMember(ref, Risk.WIDENS, state.uuid, state.uuid, member))


def _of_no_vmgroup(ref: ObjectRef, row: VMRow, book: Membership, names: DisplayNames) -> Repair | None:
    """All requests of a VM fail whose vmgroup is gone; without its row, `_DEFAULT` serves it."""
    claim = book.claims.get(row.vm_id.lower())
    if claim is not None and claim.uuid != row.tenant_id:
        return None  # the vmgroup that wants it takes it over
    shown = names.vm(row.vm_id, row.vm_name)
    field = FieldChange("rows[vms]", f"VM {shown}: its vmgroup {row.tenant_id} does not exist", None)
    if book.incomplete is not None:
        return Repair(
            field, None, f"VM {shown} stays in a vmgroup that is gone: {book.incomplete}, so nothing is removed"
        )
    served = [compare(None, fallback) for fallback in (book.fallback.before, book.fallback.after)]
    risk = worst(served) if row.vm_id == row.vm_id.lower() else Risk.SAFE
    return Repair(field, RemoveMember(ref, risk, row.tenant_id, Member(row.vm_id, row.vm_name)))


def _left(book: Membership, pairs: dict[str, Pair]) -> Iterator[str]:
    """What is wrong with a vmgroup and can be meant in more than one way: what to do about it."""
    for state in _staying(book):
        pair = pairs.get(state.uuid)
        after = state if pair is None or pair.problem is not None else pair.after
        if (wrong := _wrong(after)) is None:
            continue
        what, field = wrong
        way_out = f"state {field}" if pair is not None else f"declare it with {field} (`vdvs export` writes the rest)"
        yield f"vmgroup {state.name} is not repaired: {what}; {way_out}"


def _wrong(state: VMGroupState) -> tuple[str, str] | None:
    if not state.default_url:
        return "nobody but you can say what its default datastore is", "spec.defaultDatastore"
    if state.default_url not in state.access:
        return "what it may do on its default datastore is not said", "spec.access"
    if None in state.access.values():
        return "what an access row of it allows cannot be told", "spec.access"
    return None
