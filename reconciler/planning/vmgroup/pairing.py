"""Pairing of manifests with vmgroups of a config DB: by pinned UUID, by name, or by one of the previous names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from msgspec import Struct

from reconciler.model.kinds.site import matches
from reconciler.model.kinds.vmgroup import ResolvedVMGroup, Unclear
from reconciler.model.refs import DEFAULT_VMGROUP, DEFAULT_VMGROUP_UUID, SPECIAL_DATASTORES, ObjectRef
from reconciler.planning.vmgroup.state import VMGroupState, normalised

_V = TypeVar("_V")
NOTHING_APPLIED: Final[Mapping[str, str | None]] = {}


class Pair(Struct, frozen=True):
    """A declared vmgroup: as it is in the config DB (None: not there) and as it will be. `held`: parts of its manifest
    that must wait, and why; they are not in `after`. `exchanged`: it has another UUID than when it was applied, and so
    the volumes of another folder, to which no link is made.
    """

    group: ResolvedVMGroup
    before: VMGroupState | None
    after: VMGroupState
    problem: str | None
    held: tuple[str, ...] = ()
    exchanged: bool = False


def pairs(
    groups: Iterable[ResolvedVMGroup],
    states: Mapping[str, VMGroupState],
    fresh: Mapping[ObjectRef, str],
    orphaned: frozenset[str],
    applied: Mapping[str, str | None] = NOTHING_APPLIED,
) -> list[Pair]:
    """Find the vmgroup of each manifest; no two get the same one. `fresh`: UUIDs for new ones. `applied`: the UUID that
    each vmgroup had, by its name, when this side applied it or saw it in sync.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """
    by_name = {state.name: state.uuid for state in states.values()}
    groups = list(groups)
    uuids = {group.ref: uuid_of(group, by_name) for group in groups}
    owners = {group.name: group.owner for group in groups}
    taken = {group.ref: name for group in groups if (name := _taken_from(group, states, owners)) is not None}
    wanted = Counter(uuid for ref, uuid in uuids.items() if uuid is not None and ref not in taken)
    found = []
    for group in groups:
        uuid = uuids[group.ref]
        if group.ref in taken:
            problem = f"its uuid {uuid} is that of the vmgroup {taken[group.ref]}, which somebody else declares"
            found.append(Pair(group, None, state_after(group, None, ""), problem))
        elif uuid is not None and group.uuid is None and wanted[uuid] > 1:
            found.append(_given_away(group, uuid))
        else:
            found.append(_pair(group, uuid, states, by_name, fresh.get(group.ref, ""), orphaned, applied))
    return found


def _taken_from(group: ResolvedVMGroup, states: Mapping[str, VMGroupState], owners: Mapping[str, str]) -> str | None:
    """Return the name of the vmgroup whose UUID `group` pins, if it is declared by another owner; else None."""
    there = states.get(group.uuid or "")
    if there is None or there.name == group.name or there.uuid == group.was:
        return None  # whoever has made it renames it, also if somebody else claims its name by now
    return there.name if owners.get(there.name, group.owner) != group.owner else None


def uuid_of(group: ResolvedVMGroup, by_name: Mapping[str, str]) -> str | None:
    """Return the UUID of the vmgroup of a manifest; None: it is to be created, and not pinned."""
    found = group.uuid or by_name.get(group.name)
    return found or next((by_name[name] for name in group.previous_names if name in by_name), None)


def _given_away(group: ResolvedVMGroup, uuid: str) -> Pair:
    problem = (
        f"the vmgroup that is called {group.name} now has the uuid {uuid}, which another manifest pins; "
        "apply again when that one is renamed"
    )
    return Pair(group, None, state_after(group, None, ""), problem)


def _pair(
    group: ResolvedVMGroup,
    uuid: str | None,
    states: Mapping[str, VMGroupState],
    by_name: Mapping[str, str],
    fresh: str,
    orphaned: frozenset[str],
    applied: Mapping[str, str | None],
) -> Pair:
    before = states.get(uuid) if uuid else None
    after = state_after(group, before, uuid or fresh)
    problem = _not_its_own(group, before, fresh) or _mismatch(group, before, by_name) or _unusable(group, before, after)
    if before is None and after.uuid in orphaned:
        problem = problem or f"rows of an earlier vmgroup with its uuid {after.uuid} are still in the config DB"
    held = (*group.unclear, *group.unknown_among(before.members if before else (), there=False))
    if before is not None and not group.removes_members and before.members.keys() - _named(group):
        held = (*held, f"{group.unselected}, so no VM is removed; `vdvs apply --prune` removes them")
    if before is None and held:
        return Pair(group, None, after, "; ".join(held))
    exchanged = before is not None and _exchanged(group, before, applied.get(before.name))
    return Pair(group, before, after, problem, (*held, *([exchanged] if exchanged else [])), bool(exchanged))


def _exchanged(group: ResolvedVMGroup, before: VMGroupState, last: str | None) -> str:
    """Return that a vmgroup is not the one that was applied, but has its name; empty: nothing says so.

    Its UUID names the folder of its volumes. Source: docs/domain.md#layout-of-dockvols
    """
    if before.uuid in (group.uuid, group.was):
        return ""
    if {"", ".", ".."} & set(before.uuid.split("/")):
        folder = f"the folder dockvols/{before.uuid}"
        return f'EXPOSED: its uuid in the config DB, "{before.uuid}", is none: its VMs get what is in {folder}'
    if last is None or last == before.uuid:
        return ""
    return (
        f"EXPOSED: it has the uuid {before.uuid}, and had {last} when it was applied: its VMs get the volumes of"
        " another folder; if that is meant, pin it by spec.uuid"
    )


def _named(group: ResolvedVMGroup) -> set[str]:
    """The UUIDs of the VMs that a manifest names."""
    return {member.uuid for member in group.members or ()}


def state_after(group: ResolvedVMGroup, before: VMGroupState | None, uuid: str) -> VMGroupState:
    """Return `group` as it will be: as declared, and where nothing is declared, as it is. `before` itself, if that
    is the same."""
    now = before or VMGroupState(uuid, group.name, "", None, {}, {})
    members = now.members
    if group.members is not None:
        wanted = {member.uuid: member.name for member in group.members}
        for unknown in group.unknown:
            if unknown not in members:
                wanted.pop(unknown, None)
        kept = members if not group.removes_members else _perhaps_meant(members, group.unclear_members)
        members = {**kept, **wanted} if kept else wanted
    access = now.access
    if group.access is not None:
        kept_rows = _perhaps_meant(access, group.unclear_access)
        special = SPECIAL_DATASTORES.values()  # their names are always clear
        access = {url: row for url, row in kept_rows.items() if url not in special}
        access = {**access, **{row.url: row for row in group.access}}
    description = now.description if group.description is None else group.description
    default = now.default_url if group.default_url is None else group.default_url
    same = (group.name, description, default) == (now.name, now.description, now.default_url)
    if before is not None and same and access == now.access and members == now.members:
        return before
    return normalised(now.uuid, group.name, description, default, access, members)


def _perhaps_meant(there: Mapping[str, _V], unclear: tuple[Unclear, ...]) -> Mapping[str, _V]:
    """The part of what is there that a name which could not be looked up may stand for."""
    if not unclear:
        return {}
    if any(each.meant is None for each in unclear):
        return there
    meant = frozenset[str]().union(*(each.meant or () for each in unclear))
    return {key: value for key, value in there.items() if key.lower() in meant or key in meant}


def _not_its_own(group: ResolvedVMGroup, before: VMGroupState | None, fresh: str) -> str | None:
    """Return that the vmgroup found was there before its manifest, whose owner may not have just any; or None. `fresh`:
    its UUID if it was made in this pass."""
    if before is None or before.uuid == fresh or may_be(group, before):
        return None
    return (
        f"the vmgroup {before.name} is in vDVS already, and was not made by this object; to hand it over, whoever runs "
        f"the site sets status.uuid to {before.uuid}"
    )


def may_be(group: ResolvedVMGroup, there: VMGroupState) -> bool:
    """Return whether a manifest may be about a vmgroup that is there already."""
    return group.was in (None, there.uuid) or any(matches(there.name, pattern) for pattern in group.adopts)


def _mismatch(group: ResolvedVMGroup, before: VMGroupState | None, by_name: Mapping[str, str]) -> str | None:
    """Return why it is unclear, or not credible, that the vmgroup found is the one of the manifest; or None.

    Source: docs/domain.md#layout-of-dockvols
    """
    taken = by_name.get(group.name)
    earlier = [name for name in group.previous_names if name in by_name]
    if group.uuid and taken and taken != group.uuid:
        if before is None:
            return f"a vmgroup of this name has the uuid {taken}, not {group.uuid}; correct spec.uuid"
        way_out = "if the two are to swap names, rename one of them to a third name first"
        return f"it is called {before.name} now, and {group.name} is the vmgroup with the uuid {taken}; {way_out}"
    if group.uuid and before is None and earlier:
        name, uuid = earlier[0], by_name[earlier[0]]
        return f"vmgroup {name}, one of its previous names, has the uuid {uuid}, not {group.uuid}; correct spec.uuid"
    candidates = [*([group.name] if taken else []), *earlier]
    if group.uuid is None and len(candidates) > 1:
        way_out = "remove those that were not this one from spec.previousNames, or pin the right one by spec.uuid"
        return f"{' and '.join(candidates)} are {len(candidates)} vmgroups in the config DB; {way_out}"
    if before is not None and before.name != group.name:
        if DEFAULT_VMGROUP in (before.name, group.name):
            return f"its uuid belongs to vmgroup {before.name}, and _DEFAULT is not renamed; correct spec.uuid"
        if before.uuid == DEFAULT_VMGROUP_UUID:
            return f"vmgroup {before.name} has the uuid of _DEFAULT, and _DEFAULT is not renamed; make a new vmgroup"
    return None


def _unusable(group: ResolvedVMGroup, before: VMGroupState | None, after: VMGroupState) -> str | None:
    if before is None and (group.default_url is None or group.access is None):
        return "it does not exist yet, and a new vmgroup needs spec.defaultDatastore and spec.access"
    if before is None and after.uuid == DEFAULT_VMGROUP_UUID and group.name != DEFAULT_VMGROUP:
        return f"the uuid {after.uuid} is that of _DEFAULT, and only it has that; correct spec.uuid"
    if group.name == DEFAULT_VMGROUP and group.members:
        return "_DEFAULT has no list of VMs: every VM in no vmgroup is in it; leave out spec.vms and spec.vmSelector"
    stated = group.default_url is not None or group.access is not None
    if stated and not after.default_url:
        return "it has no default datastore, and vDVS would refuse all its requests; state spec.defaultDatastore"
    if stated and after.default_url not in after.access:
        return "its default datastore would have no entry in access, and vDVS would refuse its requests; add one"
    return None
