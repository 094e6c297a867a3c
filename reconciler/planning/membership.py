"""Who joins, moves and leaves which vmgroup, and what must not happen yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from reconciler.model.actions import AddMember, MoveMember, RemoveMember, Risk
from reconciler.model.diff import FieldChange
from reconciler.model.inventory import VirtualMachine
from reconciler.model.refs import ObjectRef
from reconciler.model.resolved import Member
from reconciler.planning.rights import compare
from reconciler.planning.show import Names
from reconciler.planning.state import VMGroupState


@dataclass(frozen=True, slots=True)
class Membership:
    """The VMs of one config DB: who owns each now, which declared vmgroup wants it, and what the inventory knows.

    `owners`: UUID of the vmgroup by VM (orphaned rows included). `claims`: by VM, the declared vmgroup that wants it,
    as it shall become. `declared`: refs of the declared vmgroups by UUID. `incomplete`: why nobody may be removed in
    this pass (or None). `fallback_before`, `fallback_after`: what serves a VM in no vmgroup, before and after the plan.
    """

    owners: Mapping[str, str]
    claims: Mapping[str, VMGroupState]
    declared: Mapping[str, ObjectRef]
    states: Mapping[str, VMGroupState]
    vms: Mapping[str, VirtualMachine]
    incomplete: str | None
    fallback_before: VMGroupState | None
    fallback_after: VMGroupState | None


@dataclass(frozen=True, slots=True)
class MemberChange:
    """One VM: the action that does it (None: another vmgroup's action does), or why it is held back."""

    field: FieldChange
    action: AddMember | MoveMember | RemoveMember | None = None
    held: str | None = None
    tied: ObjectRef | None = None


def member_changes(
    ref: ObjectRef, before: VMGroupState | None, after: VMGroupState, book: Membership, names: Names
) -> Iterator[MemberChange]:
    """Every VM by which `after` differs from `before`, in the order of their UUIDs."""
    present = {} if before is None else before.members
    for uuid in sorted(after.members.keys() - present.keys()):
        yield _join(ref, before, after, Member(uuid, after.members[uuid]), book, names)
    if before is not None:
        for uuid in sorted(present.keys() - after.members.keys()):
            yield _leave(ref, before, after, Member(uuid, present[uuid]), book, names)


def _join(
    ref: ObjectRef, before: VMGroupState | None, after: VMGroupState, member: Member, book: Membership, names: Names
) -> MemberChange:
    field = FieldChange("vms", None, names.vm(member.uuid, member.name))
    held = _why_not_join(after, member, book, names)
    owner = book.owners.get(member.uuid)
    if held is not None:
        return MemberChange(field, held=held)
    if owner is None:
        risk = _joining(book.fallback_before, before, after)
        return MemberChange(field, AddMember(ref, risk, after.uuid, member))
    risk = _joining(book.states.get(owner), before, after)
    return MemberChange(field, MoveMember(ref, risk, after.uuid, owner, member), tied=book.declared.get(owner))


def _joining(source: VMGroupState | None, before: VMGroupState | None, after: VMGroupState) -> Risk:
    # A vmgroup that is there already may have volumes, and who joins it gains them.
    return compare(source, after) if before is None else Risk.WIDENS


def _why_not_join(after: VMGroupState, member: Member, book: Membership, names: Names) -> str | None:
    owner = book.states.get(book.owners.get(member.uuid, ""))
    shown = names.vm(member.uuid, member.name)
    if owner is not None and owner.uuid not in book.declared:
        way_out = "declare that one, or take the VM out of it"
        return f"VM {shown} is in vmgroup/{owner.name}, which no manifest declares; {way_out}"
    vm = book.vms.get(member.uuid)
    foreign = [] if vm is None else [disk for disk in vm.volumes if not _is_below(disk, after)]
    if foreign:
        return f"VM {shown} has {foreign[0]} attached; stop its containers first"
    return None


def _is_below(disk: str, group: VMGroupState) -> bool:
    """Whether an attached disk (`[DATASTORE] dockvols/FOLDER/volume.vmdk`) lies in the folder of `group`."""
    parts = disk.partition("dockvols/")[2].split("/")
    return parts[0] in (group.uuid, group.name)


def _leave(
    ref: ObjectRef, before: VMGroupState, after: VMGroupState, member: Member, book: Membership, names: Names
) -> MemberChange:
    field = FieldChange("vms", names.vm(member.uuid, member.name), None)
    if _misspelt(member.uuid, after):
        return MemberChange(field, RemoveMember(ref, Risk.SAFE, before.uuid, member))
    vm = book.vms.get(member.uuid)
    claim = book.claims.get(member.uuid)
    shown = names.vm(member.uuid, member.name)
    if claim is not None:
        held = _why_not_join(claim, member, book, names)
        return MemberChange(field, held=held, tied=book.declared.get(claim.uuid))
    if book.incomplete is not None:
        return MemberChange(field, held=f"VM {shown} stays for now: {book.incomplete}, so nothing is removed")
    if vm is not None and vm.volumes:
        return MemberChange(field, held=f"VM {shown} has {vm.volumes[0]} attached; stop its containers first")
    return MemberChange(field, RemoveMember(ref, compare(before, book.fallback_after), before.uuid, member))


def _misspelt(uuid: str, group: VMGroupState) -> bool:
    """Whether this row means a member of `group` but is not in lower case, so that vDVS never finds it."""
    return uuid not in group.members and uuid.lower() in group.members


def with_stale_members(before: VMGroupState, after: VMGroupState, book: Membership) -> VMGroupState:
    """`after`, with the members that nobody wants any more but that the inventory does not show either.

    That a VM is not seen is no order to remove it: its row stays until somebody says so.
    """
    leaving = before.members.keys() - after.members.keys()
    stale = {
        uuid: before.members[uuid]
        for uuid in leaving
        if uuid not in book.vms and uuid not in book.claims and not _misspelt(uuid, after)
    }
    return replace(after, members={**after.members, **stale}) if stale else after
