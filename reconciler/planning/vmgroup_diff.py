"""One vmgroup: how it differs from its manifest, and the actions that would make it so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from reconciler.model.actions import (
    Action,
    AddMember,
    CreateVMGroup,
    RemoveAccess,
    Risk,
    SetAccess,
    UpdateVMGroup,
    worst,
)
from reconciler.model.diff import Change, FieldChange, Op
from reconciler.model.observed import ObservedDatastore
from reconciler.model.refs import ObjectRef
from reconciler.model.resolved import ResolvedVMGroup
from reconciler.planning.membership import MemberChange, Membership, member_changes, with_stale_members
from reconciler.planning.name_links import LinkChange, link_changes, name_taken
from reconciler.planning.rights import compare
from reconciler.planning.show import Names, access_fields, scalar_fields
from reconciler.planning.state import VMGroupState


@dataclass(frozen=True, slots=True)
class Pair:
    """A declared vmgroup beside what is there: as it is (None: not there) and as it shall become."""

    group: ResolvedVMGroup
    before: VMGroupState | None
    after: VMGroupState
    problem: str | None


def pair(group: ResolvedVMGroup, states: Mapping[str, VMGroupState], by_name: Mapping[str, str], fresh: str) -> Pair:
    """Find the vmgroup that a manifest speaks of: by its pinned UUID, else by name. `fresh` is for a new one."""
    uuid = group.uuid or by_name.get(group.name)
    before = states.get(uuid) if uuid else None
    after = state_after(group, before, uuid or fresh)
    return Pair(group, before, after, _mismatch(group, before, by_name) or _unusable(group, before, after))


def state_after(group: ResolvedVMGroup, before: VMGroupState | None, uuid: str) -> VMGroupState:
    """What `group` shall become: its wishes, and where it says nothing, what is there."""
    after = before or VMGroupState(uuid, group.name, "", None, {}, {})
    if group.description is not None:
        after = replace(after, description=group.description)
    if group.default_url is not None:
        after = replace(after, default_url=group.default_url)
    if group.access is not None:
        after = replace(after, access={row.url: row for row in group.access})
    if group.members is not None:
        members = {member.uuid: member.name for member in group.members}
        after = replace(after, members=members if group.removes_members else {**after.members, **members})
    return after


def _mismatch(group: ResolvedVMGroup, before: VMGroupState | None, by_name: Mapping[str, str]) -> str | None:
    if before is not None and before.name != group.name:
        return f"its uuid belongs to vmgroup {before.name}; renaming is not supported yet, so give it that name"
    taken = by_name.get(group.name)
    if group.uuid and taken and taken != group.uuid:
        return f"a vmgroup of this name has the uuid {taken}, not {group.uuid}; correct spec.uuid"
    return None


def _unusable(group: ResolvedVMGroup, before: VMGroupState | None, after: VMGroupState) -> str | None:
    if before is None and (group.default_url is None or group.access is None):
        return "it does not exist yet, and a new vmgroup needs spec.defaultDatastore and spec.access"
    stated = group.default_url is not None or group.access is not None
    if stated and (not after.default_url or after.default_url not in after.access):
        return "its default datastore would have no entry in access, and vDVS would refuse its requests; add one"
    return None


def vmgroup_change(found: Pair, book: Membership, datastores: Mapping[str, ObservedDatastore], names: Names) -> Change:
    """How the vmgroup of `found` differs, why, and what would be done."""
    ref, before = found.group.ref, found.before
    if found.problem is not None:
        return Change(ref, Op.BLOCKED, found.problem)
    after = found.after if before is None else with_stale_members(before, found.after, book)
    links = list(link_changes(ref, before, datastores, names)) if before else []
    if before is not None and not links and _same(before, after):
        return Change(ref, Op.KEEP, "as declared", notes=_stale_notes(before, found.after, names))
    if before is None and (taken := name_taken(after, datastores, names)):
        return Change(ref, Op.BLOCKED, taken)
    members = list(member_changes(ref, before, after, book, names))
    if before is None:
        return _creation(ref, after, members, book, names)
    return _update(ref, before, after, members, links, names)


def _same(before: VMGroupState, after: VMGroupState) -> bool:
    """Equal but for the display names of VMs, which identify nobody."""
    return before.members.keys() == after.members.keys() and before == replace(after, members=before.members)


def _stale_notes(before: VMGroupState, wanted: VMGroupState, names: Names) -> tuple[str, ...]:
    stale = sorted(before.members.keys() - wanted.members.keys())
    return tuple(
        f"VM {names.vm(uuid, before.members[uuid])} is stale: the inventory does not show it" for uuid in stale
    )


def _creation(
    ref: ObjectRef, after: VMGroupState, members: list[MemberChange], book: Membership, names: Names
) -> Change:
    added = tuple(change.action.member for change in members if isinstance(change.action, AddMember))
    moves = [change.action for change in members if change.action and not isinstance(change.action, AddMember)]
    create = CreateVMGroup(
        ref=ref,
        risk=compare(book.fallback_before, after) if added else Risk.SAFE,
        uuid=after.uuid,
        name=after.name,
        description=after.description or "",
        default_url=after.default_url or "",
        access=tuple(sorted(row for row in after.access.values() if row is not None)),
        members=added,
    )
    return _change(ref, Op.CREATE, "not there yet", _fields(None, after, members, names), [create, *moves], members, [])


def _update(
    ref: ObjectRef,
    before: VMGroupState,
    after: VMGroupState,
    members: list[MemberChange],
    links: list[LinkChange],
    names: Names,
) -> Change:
    actions: list[Action] = [*_row_actions(ref, before, after)]
    actions += [change.action for change in members if change.action is not None]
    actions += [link.action for link in links if link.action is not None]
    fields = _fields(before, after, members, names) + tuple(link.field for link in links if link.held is None)
    return _change(ref, Op.UPDATE, "differs from its manifest", fields, actions, members, links)


def _fields(
    before: VMGroupState | None, after: VMGroupState, members: list[MemberChange], names: Names
) -> tuple[FieldChange, ...]:
    return (
        *scalar_fields(before, after, names),
        *access_fields(before, after, names),
        *(change.field for change in members if change.held is None),
    )


def _change(
    ref: ObjectRef,
    op: Op,
    reason: str,
    fields: tuple[FieldChange, ...],
    actions: list[Action],
    members: list[MemberChange],
    links: list[LinkChange],
) -> Change:
    parts: list[MemberChange | LinkChange] = [*members, *links]
    held = [part.held for part in parts if part.held is not None]
    tied = frozenset(change.tied for change in members if change.tied is not None and change.held is None)
    if not fields and held:
        return Change(ref, Op.BLOCKED, held[0], notes=tuple(held[1:]))
    exposures = [link.note for link in links if link.note is not None]
    risk = worst([action.risk for action in actions])
    return Change(ref, op, reason, fields, tuple(actions), risk, (*exposures, *held), tied)


def _row_actions(ref: ObjectRef, before: VMGroupState, after: VMGroupState) -> Iterator[Action]:
    """Access rows that come, then the vmgroup's own row, then access rows that go: the default always has its row.

    Each is judged by what it does to the rights of the members when it follows the ones before it.
    """
    state = before
    for url, row in sorted(after.access.items()):
        if row is not None and state.access.get(url) != row:
            following = replace(state, access={**state.access, url: row})
            yield SetAccess(ref, compare(state, following), after.uuid, row)
            state = following
    description = after.description if after.description != before.description else None
    default = after.default_url if after.default_url != before.default_url else None
    if description is not None or default is not None:
        following = replace(state, description=after.description, default_url=after.default_url)
        yield UpdateVMGroup(ref, compare(state, following), after.uuid, description, default)
        state = following
    for url in sorted(before.access.keys() - after.access.keys()):
        following = replace(state, access={kept: row for kept, row in state.access.items() if kept != url})
        yield RemoveAccess(ref, compare(state, following), after.uuid, url)
        state = following
