"""Membership of VMs: who joins, moves and leaves which vmgroup, and what must wait.

Source: docs/domain.md#identity-of-vms-and-datastores
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

from msgspec import Struct

from reconciler.model.base import Risk, worst
from reconciler.model.diff import FieldChange
from reconciler.model.kinds.vmgroup import AddMember, Member, MoveMember, NameMember, RemoveMember
from reconciler.model.refs import DEFAULT_VMGROUP, ObjectRef
from reconciler.planning.rights.decision import compare
from reconciler.planning.spelling import DisplayNames
from reconciler.planning.vmgroup.default import Fallback
from reconciler.planning.vmgroup.state import VMGroupState


class Misspelt(Struct, frozen=True):
    """A row whose VM id is not in lower case: vDVS never matches it, so its VM is served as if it were not there.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """

    vm_id: str
    tenant_id: str


class Membership(Struct, frozen=True):
    """The VMs of one config DB: who owns each now, which declared vmgroup wants it, and what the inventory knows.

    `owners`: UUID of the vmgroup by VM (orphaned rows included); `misspelt`: by VM, for VMs that no proper row names.
    `claims`: by VM, the declared vmgroup that it is to be in, as it will be. `declared`: refs of the declared vmgroups
    by UUID; `unresolved`: names and UUIDs of those that could not be looked up. `disks`: vDVS disks attached now, by
    VM, for every VM that the inventory shows; `gap`: why there may be more (None: there are not). `homes`: the URLs of
    the datastores that VMs with disks lie on. `selecting`: UUIDs of the vmgroups that select their VMs.
    `doomed`: UUIDs of the undeclared vmgroups that are to be deleted.
    """

    owners: Mapping[str, str]
    misspelt: Mapping[str, Misspelt]
    claims: Mapping[str, VMGroupState]
    declared: Mapping[str, ObjectRef]
    unresolved: frozenset[str]
    states: Mapping[str, VMGroupState]
    disks: Mapping[str, tuple[str, ...]]
    homes: Mapping[str, frozenset[str]]
    selecting: frozenset[str]
    gap: str | None
    fallback: Fallback
    doomed: frozenset[str] = frozenset()

    def row_of(self, uuid: str) -> str | None:
        """UUID of the vmgroup that the row of this VM names, however the row spells it.

        Source: docs/domain.md#identity-of-vms-and-datastores
        """
        odd = self.misspelt.get(uuid)
        return self.owners.get(uuid) or (odd.tenant_id if odd else None)

    @property
    def all_seen(self) -> bool:
        """Return whether the inventory shows every VM."""
        return self.gap is None

    def unseen(self, uuid: str) -> str | None:
        """Why this VM may be there, with disks attached, though the inventory does not show it; None: it shows it, or
        there is no such VM."""
        return None if uuid.lower() in self.disks or self.gap is None else f"the inventory is incomplete ({self.gap})"

    def is_free(self, uuid: str) -> bool:
        """Whether this VM can join at once: no row names it, and it certainly has no vDVS disk attached."""
        return self.disks.get(uuid) == () and uuid not in self.owners and uuid not in self.misspelt


class MemberChange(Struct, frozen=True):
    """A VM that joins or leaves: the action (None: another vmgroup's action does it), or why it is held back."""

    field: FieldChange
    action: AddMember | MoveMember | NameMember | RemoveMember | None = None
    held: str | None = None
    tied: ObjectRef | None = None


def member_changes(
    ref: ObjectRef,
    before: VMGroupState | None,
    after: VMGroupState,
    adopts: bool,
    membership: Membership,
    names: DisplayNames,
) -> Iterator[MemberChange]:
    """Yield every VM by which `after` differs from `before`: first those that join, then those that leave, by name.

    `adopts`: `after` is new in the DB but there are volumes in its folder.
    """
    present = {} if before is None else before.members
    if present.keys() == after.members.keys():
        return

    @cache  # many VMs come from the same place, and comparing rights is expensive
    def risk_of_joining(owner: str | None) -> Risk:
        if before is not None or adopts:
            return Risk.WIDENS  # the vmgroup may have volumes, and who joins it gains them
        return compare(membership.fallback.before if owner is None else membership.states.get(owner), after)

    joining = ((names.vm(uuid, after.members[uuid]), uuid) for uuid in after.members.keys() - present.keys())
    for shown, uuid in sorted(joining):
        yield _join(ref, after, risk_of_joining, Member(uuid, after.members[uuid]), shown, membership, names)
    if before is not None:
        for uuid in sorted(present.keys() - after.members.keys(), key=lambda vm: names.vm(vm, present[vm])):
            if (change := _leave(ref, before, Member(uuid, present[uuid]), membership, names)) is not None:
                yield change


def all_free(after: VMGroupState, membership: Membership, names: DisplayNames) -> dict[str, Member] | None:
    """Return the VMs of a new vmgroup by their display names, sorted, if all are free; else None. A fast path: most
    are, and tens of thousands may join at once.
    """
    if not all(map(membership.is_free, after.members)):
        return None
    shown = {names.vm(uuid, name): Member(uuid, name) for uuid, name in after.members.items()}
    return {name: shown[name] for name in sorted(shown)}


def renamed_members(
    ref: ObjectRef, before: VMGroupState, after: VMGroupState, names: DisplayNames
) -> Iterator[MemberChange]:
    """Yield the VMs that stay and have another name now: vDVS stores a name when a VM is added, and keeps showing it.

    A stale name alone is no difference, as it identifies no VM; the next apply updates it.

    Source: docs/domain.md#the-config-db-schema-12
    """
    if before.members == after.members:
        return
    for uuid in sorted(before.members.keys() & after.members.keys()):
        stored, name = before.members[uuid], after.members[uuid]
        if name is not None and stored != name:
            field = FieldChange(f"vms[{names.vm(uuid, name)}].name", stored, name)
            yield MemberChange(field, NameMember(ref, Risk.SAFE, after.uuid, Member(uuid, name)))


def _join(
    ref: ObjectRef,
    after: VMGroupState,
    risk_of_joining: Callable[[str | None], Risk],
    member: Member,
    shown: str,
    membership: Membership,
    names: DisplayNames,
) -> MemberChange:
    if membership.is_free(member.uuid):
        return MemberChange(FieldChange("vms", None, shown), AddMember(ref, risk_of_joining(None), after.uuid, member))
    odd = membership.misspelt.get(member.uuid)
    own = odd is not None and odd.tenant_id == after.uuid
    before = names.vm(odd.vm_id, member.name) if odd is not None and own else None
    field = FieldChange("vms", before, shown)
    held = _why_not_join(after, member, membership, names)
    if held is not None:
        return MemberChange(field, held=held)
    risk = risk_of_joining(membership.owners.get(member.uuid))
    source = membership.row_of(member.uuid)
    if source is None:
        return MemberChange(field, AddMember(ref, risk, after.uuid, member))
    tied = None if own else membership.declared.get(source)
    return MemberChange(field, MoveMember(ref, risk, after.uuid, source, member), tied=tied)


def _why_not_join(after: VMGroupState, member: Member, membership: Membership, names: DisplayNames) -> str | None:
    shown = names.vm(member.uuid, member.name)
    owner = membership.states.get(membership.row_of(member.uuid) or "")
    if owner is not None and owner.uuid not in membership.declared and owner.name != DEFAULT_VMGROUP:
        if membership.unresolved & {owner.name, owner.uuid}:
            return f"VM {shown} is in vmgroup/{owner.name}, which could not be looked up in this pass"
        way_out = "declare that one, or take the VM out of it"
        return f"VM {shown} is in vmgroup/{owner.name}, which no manifest declares; {way_out}"
    if member.uuid not in membership.disks and not membership.all_seen:
        return f"VM {shown} may have volumes attached: the inventory is incomplete and does not show it"
    foreign = [disk for disk in membership.disks.get(member.uuid, ()) if not _is_below(disk, after)]
    if foreign:
        return names.attached(member.uuid, member.name, foreign[0])
    return None


def _is_below(disk: str, group: VMGroupState) -> bool:
    """Whether an attached disk (`[DATASTORE] dockvols/FOLDER/volume.vmdk`) lies in the folder of `group`.

    Source: docs/domain.md#layout-of-dockvols
    """
    parts = disk.partition("dockvols/")[2].split("/")
    return parts[0] in (group.uuid, group.name)


def _leave(
    ref: ObjectRef, before: VMGroupState, member: Member, membership: Membership, names: DisplayNames
) -> MemberChange | None:
    shown = names.vm(member.uuid, member.name)
    field = FieldChange("vms", shown, None)
    vm = member.uuid.lower()
    rowed = member.uuid == vm or membership.misspelt.get(vm) == Misspelt(member.uuid, before.uuid)
    claim = membership.claims.get(vm) if rowed else None
    if claim is not None and claim.uuid == before.uuid:
        return None  # its row is written anew; see `_join`
    if claim is not None:
        held = _why_not_join(claim, Member(vm, member.name), membership, names)
        return MemberChange(field, held=held, tied=membership.declared.get(claim.uuid))
    if member.uuid != vm:  # vDVS never matched it, so nothing changes for the VM
        return MemberChange(field, RemoveMember(ref, Risk.SAFE, before.uuid, member))
    if (why := membership.unseen(vm)) is not None:
        return MemberChange(field, held=f"VM {shown} stays for now: {why} and does not show it")
    if before.uuid in membership.selecting and vm not in membership.disks:
        why = "the inventory does not show it, so spec.vmSelector may match it; `vdvs apply --prune` removes it"
        return MemberChange(field, held=f"VM {shown} stays for now: {why}")
    if disks := membership.disks.get(vm):
        return MemberChange(field, held=names.attached(vm, member.name, disks[0]))
    risk = worst([compare(before, served) for served in (membership.fallback.before, membership.fallback.after)])
    return MemberChange(field, RemoveMember(ref, risk, before.uuid, member))
