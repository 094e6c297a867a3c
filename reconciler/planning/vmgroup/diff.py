"""Comparison of one vmgroup with its manifest, and the actions that would make it so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reconciler.model.base import Risk, worst
from reconciler.model.diff import Action, Change, FieldChange, Op
from reconciler.model.kinds.vmgroup import (
    AddMember,
    CreateVMGroup,
    ResolvedVMGroup,
)
from reconciler.model.refs import DEFAULT_VMGROUP, ObjectRef
from reconciler.model.state import ObservedDatastore
from reconciler.planning.rights.decision import compare
from reconciler.planning.spelling import DisplayNames, access_fields, scalar_fields
from reconciler.planning.vmgroup.link_conflicts import LinkConflicts
from reconciler.planning.vmgroup.membership import (
    MemberChange,
    Membership,
    all_free,
    member_changes,
    renamed_members,
)
from reconciler.planning.vmgroup.name_links import LinkChange, link_changes, name_taken, volumes_of
from reconciler.planning.vmgroup.pairing import Pair
from reconciler.planning.vmgroup.rename import disk_by_name, former_links, rename_links, why_not_rename
from reconciler.planning.vmgroup.rows import row_actions
from reconciler.planning.vmgroup.state import VMGroupState


def vmgroup_change(
    found: Pair,
    membership: Membership,
    datastores: Mapping[str, ObservedDatastore],
    others: LinkConflicts,
    names: DisplayNames,
) -> Change:
    """Return how the vmgroup of `found` differs, why, and the actions."""
    ref, before = found.group.ref, found.before
    if found.problem is not None:
        return Change(ref, Op.BLOCKED, found.problem)
    if before is None:
        return _creation(found, membership, datastores, others, names)
    after = found.after
    renamed = before.name != after.name
    if renamed and (why := _why_not_rename(before, after, membership, datastores, others, names)) is not None:
        return Change(ref, Op.BLOCKED, f"it is called {before.name} and cannot be renamed: {why}")
    if renamed:
        links = list(rename_links(ref, before, after, datastores, others, names))
    elif found.exchanged:
        links = []
    else:
        former = former_links(ref, after, found.group.previous_names, datastores, membership.disks, names)
        links = [*link_changes(ref, before, datastores, others, names), *former]
    members = list(member_changes(ref, before, after, False, membership, names))
    called = list(renamed_members(ref, before, after, names))
    notes = (*_rename_notes(found.group, before), *_remarks(found))
    if not links and not members and not found.held and _same_but_members(before, after):
        stored = (f"{change.field.path}: stored as {change.field.before or 'nothing'}" for change in called)
        return Change(ref, Op.KEEP, "as declared", (), tuple(_actions(called, [])), notes=(*notes, *stored))
    members += called
    actions = [*row_actions(ref, before, after), *_actions(members, links)]
    fields = _fields(before, after, members, links, names)
    reason = "differs from its manifest"
    return _change(ref, Op.UPDATE, reason, fields, actions, members, links, notes, found.held)


def _why_not_rename(
    before: VMGroupState,
    after: VMGroupState,
    membership: Membership,
    datastores: Mapping[str, ObservedDatastore],
    others: LinkConflicts,
    names: DisplayNames,
) -> str | None:
    if not membership.all_seen:
        return "the inventory is incomplete, so disks may be attached by its old name"
    in_use = disk_by_name(before.name, membership.disks, names)
    return in_use or why_not_rename(before, after, datastores, others, names)


def _rename_notes(group: ResolvedVMGroup, before: VMGroupState) -> Iterator[str]:
    if group.name == before.name:
        return
    known = "" if before.name in group.previous_names else f"found by its spec.uuid under the name {before.name}; "
    yield f"{known}it keeps the uuid {before.uuid}, and so its volumes"


def _same_but_members(before: VMGroupState, after: VMGroupState) -> bool:
    """Whether they are equal apart from the members, which are compared separately: display names identify no VM.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """
    return (before.name, before.description, before.default_url, before.access) == (
        after.name,
        after.description,
        after.default_url,
        after.access,
    )


def _remarks(found: Pair) -> tuple[str, ...]:
    why = found.group.unselected
    told = not why or any(held.startswith(why) for held in found.held)
    unknown = found.group.unknown_among(found.before.members if found.before else (), there=True)
    return unknown if told else (*unknown, why)


def _creation(
    found: Pair,
    membership: Membership,
    datastores: Mapping[str, ObservedDatastore],
    others: LinkConflicts,
    names: DisplayNames,
) -> Change:
    ref, after = found.group.ref, found.after
    if taken := name_taken(after, datastores, names):
        return Change(ref, Op.BLOCKED, taken)
    adopts = volumes_of(after.uuid, datastores, names) is not None
    free = all_free(after, membership, names)
    members = list(member_changes(ref, None, after, adopts, membership, names)) if free is None else []
    # Its folder is there already if its uuid was pinned.
    links = list(link_changes(ref, after, datastores, others, names))
    joining = (change.action.member for change in members if isinstance(change.action, AddMember))
    added = tuple(joining if free is None else free.values())
    if members and all(change.held is not None for change in members):
        # An empty vmgroup serves no VM, and would be a conflict if its VMs turned out to be in one that was renamed.
        held = [change.held for change in members if change.held is not None]
        return Change(ref, Op.BLOCKED, held[0], notes=tuple(held[1:]))
    risk = Risk.SAFE
    if added or after.name == DEFAULT_VMGROUP:  # the one gets those VMs, the other every VM that is in no vmgroup
        risk = Risk.WIDENS if added and adopts else compare(membership.fallback.before, after)
    create = CreateVMGroup(
        ref=ref,
        risk=risk,
        uuid=after.uuid,
        name=after.name,
        description=after.description or "",
        default_url=after.default_url or "",
        access=tuple(sorted(row for row in after.access.values() if row is not None)),
        members=added,
    )
    actions = [create, *(action for action in _actions(members, links) if not isinstance(action, AddMember))]
    fields = _fields(None, after, members, links, names)
    fields += tuple(FieldChange("vms", None, shown) for shown in free or ())
    notes = _remarks(found)
    return _change(ref, Op.CREATE, "not there yet", fields, actions, members, links, notes)


def _actions(members: list[MemberChange], links: list[LinkChange]) -> Iterator[Action]:
    parts: list[MemberChange | LinkChange] = [*members, *links]
    yield from (part.action for part in parts if part.action is not None)


def _fields(
    before: VMGroupState | None,
    after: VMGroupState,
    members: list[MemberChange],
    links: list[LinkChange],
    names: DisplayNames,
) -> tuple[FieldChange, ...]:
    parts: list[MemberChange | LinkChange] = [*members, *links]
    return (
        *scalar_fields(before, after, names),
        *access_fields(before, after, names),
        *(part.field for part in parts if part.held is None),
    )


def _change(
    ref: ObjectRef,
    op: Op,
    reason: str,
    fields: tuple[FieldChange, ...],
    actions: Sequence[Action],
    members: list[MemberChange],
    links: list[LinkChange],
    notes: tuple[str, ...],
    rows_held: tuple[str, ...] = (),
) -> Change:
    parts: list[MemberChange | LinkChange] = [*members, *links]
    held = [*rows_held, *(part.held for part in parts if part.held is not None)]
    tied = frozenset(change.tied for change in members if change.tied is not None and change.held is None)
    if held and not fields:
        return Change(ref, Op.BLOCKED, held[0], notes=(*held[1:], *notes))
    exposures = [link.note for link in links if link.note is not None]
    risk = worst([action.risk for action in actions])
    return Change(ref, op, reason, fields, tuple(actions), risk, (*exposures, *notes), tied, tuple(held))
