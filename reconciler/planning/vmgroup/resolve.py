"""Vmgroups looked up: names of VMs become BIOS UUIDs, those of datastores URLs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from reconciler.model.kinds.vmgroup import Access, DesiredVMGroup, Joining, Member, ResolvedVMGroup, Unclear
from reconciler.model.refs import DEFAULT_VMGROUP, DEFAULT_VMGROUP_UUID, Kind, ObjectRef
from reconciler.model.state import Desired, Observed, Resolved, Unresolved
from reconciler.planning.lookup import InventoryLookup, look_up_all
from reconciler.planning.records.ownership import Place, Places, object_name
from reconciler.planning.vmgroup.pairing import uuid_of


def resolve_vmgroups(desired: Desired, so_far: Resolved, names: InventoryLookup) -> Resolved:
    """Look up the datastores and the VMs of each vmgroup."""
    databases, unresolved = {db.ref for db in so_far.config_dbs}, list(so_far.unresolved)
    found = []
    for group in desired.vmgroups:
        db = ObjectRef(Kind.CONFIG_DB, group.config_db)
        if db not in databases:
            unresolved.append(_failed(group, f"its {db} could not be looked up"))
            continue
        resolved = _vmgroup(group, db, names)
        if (outside := _may_not_have(group, resolved, names)) is None:
            found.append(resolved)
        else:
            unresolved.append(replace(_failed(group, outside), why="NotAllowed", certain=True))
    kept = _without_shared_members(_without_shared_uuids(found, unresolved))
    kept.sort(key=lambda group: group.ref.sort_key)
    return replace(so_far, vmgroups=tuple(kept), unresolved=tuple(unresolved))


def _failed(group: DesiredVMGroup | ResolvedVMGroup, reason: str) -> Unresolved:
    return Unresolved(group.ref, reason, (*group.previous_names, *([group.uuid] if group.uuid else ())))


def _vmgroup(group: DesiredVMGroup, db: ObjectRef, names: InventoryLookup) -> ResolvedVMGroup:
    """Look up each part by itself: one that cannot be looked up stays as it is, and hides no drift in the others."""
    default, unclear_default = look_up_all(names.datastore_url, filter(None, [group.default_datastore]))
    access, unclear_access = _access(group, names)
    found = ResolvedVMGroup(
        ref=group.ref,
        name=group.name,
        config_db=db,
        uuid=DEFAULT_VMGROUP_UUID if group.name == DEFAULT_VMGROUP else group.uuid,
        description=group.description,
        default_url=next(iter(default), None),
        access=access,
        members=None,
        previous_names=group.previous_names,
        unclear_default=unclear_default,
        unclear_access=unclear_access,
        owner=group.owner,
        was=group.was,
        adopts=group.adopts,
    )
    return found if group.vms is None and group.vm_selector is None else _with_members(found, group, names)


def _access(group: DesiredVMGroup, names: InventoryLookup) -> tuple[tuple[Access, ...] | None, tuple[Unclear, ...]]:
    if group.access is None:
        return None, ()
    rows, unclear = look_up_all(names.access, group.access)
    twice = {url for url, count in Counter(row.url for row in rows).items() if count > 1}
    if twice:
        unclear = (*unclear, Unclear("two entries of spec.access name the same datastore", frozenset(twice)))
    return tuple(sorted(row for row in rows if row.url not in twice)), unclear


def _with_members(found: ResolvedVMGroup, group: DesiredVMGroup, names: InventoryLookup) -> ResolvedVMGroup:
    listed, unclear = names.members(group.vms or ())
    listed, nowhere = _placed(listed, group.folders, names)
    joining, doubtful = _joining(group.joining, names)
    listed, unclear = [*listed, *joining], (*unclear, *nowhere, *doubtful)
    selected: list[Member] = []
    unselected = ""
    if group.vm_selector is not None:
        selected, doubtful = names.selected(group.vm_selector)
        unclear += doubtful
        unselected = "" if selected or doubtful else names.why_none_selected(group.vm_selector)
    unique = {member.uuid: member for member in listed + selected}
    return replace(
        found,
        members=tuple(sorted(unique.values(), key=lambda member: member.uuid)),
        removes_members=not unselected,
        selects=group.vm_selector is not None,
        unselected=unselected,
        unclear_members=tuple(dict.fromkeys(unclear)),
        unknown=frozenset(member.uuid for member in listed if names.unknown(member)),
    )


def _joining(given: Sequence[Joining], names: InventoryLookup) -> tuple[list[Member], tuple[Unclear, ...]]:
    """Look up the VMs of Memberships. One that is outside of its folders is not added, and stays where it is."""
    unclear = [Unclear(each.why) for each in given if each.vm is None]
    found: list[Member] = []
    for each in given:
        if each.vm is None:
            continue
        members, doubtful = names.members([each.vm])
        members, nowhere = _placed(members, each.folders, names)
        unclear += (*doubtful, *nowhere)
        for member in members:
            outside = _outside(member, each.folders, names)  # of which the Membership is told, not the vmgroup
            if outside is None:
                found.append(member)
            else:
                unclear.append(Unclear("", frozenset({member.uuid})))
    return found, tuple(unclear)


def outside_of(joining: Joining, names: InventoryLookup) -> str | None:
    """Return that the VM of a Membership is in none of its folders; None: it is, or cannot be looked up."""
    members = names.members([joining.vm])[0] if joining.vm is not None else ()
    return next(filter(None, (_outside(member, joining.folders, names) for member in members)), None)


def _placed(
    members: list[Member], folders: tuple[str, ...] | None, names: InventoryLookup
) -> tuple[list[Member], tuple[Unclear, ...]]:
    """Return the VMs of which is known whether they are in these folders, and why the others wait: behind a gap of the
    inventory may be a VM of any folder."""
    if folders is None or names.complete:
        return members, ()
    nowhere = [member.uuid for member in members if not names.paths_of(member.uuid)]
    found = [member for member in members if member.uuid not in nowhere]
    return found, tuple(
        Unclear(f"in which folder VM {uuid} is cannot be known now", frozenset({uuid})) for uuid in nowhere
    )


def _may_not_have(group: DesiredVMGroup, resolved: ResolvedVMGroup, names: InventoryLookup) -> str | None:
    """Return why a vmgroup may not have one of its VMs; None: it may have all of them. Those of Memberships have
    folders of their own."""
    if group.folders is None:
        return None
    joining = {member.uuid for member in _joining(group.joining, names)[0]}
    members = (member for member in resolved.members or () if member.uuid not in joining)
    return next(filter(None, (_outside(member, group.folders, names) for member in members)), None)


def _outside(member: Member, folders: tuple[str, ...] | None, names: InventoryLookup) -> str | None:
    """Return that a VM is in none of these folders; None: it is, or is not there at all."""
    for path in names.paths_of(member.uuid) if folders is not None else ():
        if not any(path.startswith(f"{folder}/") for folder in folders or ()):
            allowed = ", ".join(folders or ()) or "none"
            return f"VM {path} is in no folder whose VMs it may have (spec.allow.namespaces of the Site: {allowed})"
    return None


def _without_shared_uuids(groups: list[ResolvedVMGroup], unresolved: list[Unresolved]) -> list[ResolvedVMGroup]:
    """A UUID is one vmgroup. Those of one config DB that pin the same one all fail.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """
    pinned: dict[tuple[ObjectRef, str], list[ObjectRef]] = {}
    for group in groups:
        if group.uuid is not None:
            pinned.setdefault((group.config_db, group.uuid), []).append(group.ref)
    kept = []
    for group in groups:
        same = pinned[group.config_db, group.uuid] if group.uuid is not None else []
        twins = [str(ref) for ref in same if ref != group.ref]
        if not twins:
            kept.append(group)
        else:
            unresolved.append(_failed(group, f"its uuid {group.uuid} is also that of {', '.join(sorted(twins))}"))
    return kept


def _without_shared_members(groups: list[ResolvedVMGroup]) -> list[ResolvedVMGroup]:
    """A VM can be in one vmgroup only. One that several claim under different names stays where it is.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """
    claims = Counter(member.uuid for group in groups for member in group.members or ())
    shared = {uuid for uuid, count in claims.items() if count > 1}
    if not shared:
        return groups
    owners: dict[str, list[str]] = {}
    for group in groups:
        for member in group.members or ():
            if member.uuid in shared:
                owners.setdefault(member.uuid, []).append(str(group.ref))
    return [_without_members(group, owners) for group in groups]


def _without_members(group: ResolvedVMGroup, owners: Mapping[str, list[str]]) -> ResolvedVMGroup:
    clashes = [member for member in group.members or () if member.uuid in owners]
    if not clashes:
        return group
    unclear = []
    for member in clashes:
        others = ", ".join(owner for owner in sorted(owners[member.uuid]) if owner != str(group.ref))
        reason = f"VM {member.name or member.uuid} is also claimed by {others}"
        unclear.append(Unclear(reason, frozenset({member.uuid})))
    kept = tuple(member for member in group.members or () if member.uuid not in owners)
    return replace(group, members=kept, unclear_members=(*group.unclear_members, *unclear))


def vmgroup_records(resolved: Resolved, observed: Observed, fresh: Mapping[ObjectRef, str]) -> Places:
    """A vmgroup is recorded in its config DB, by name and UUID. Source: docs/domain.md#who-applied-what"""
    by_name = {
        db.ref: {row.name: row.id for row in observed.config_dbs[db.location].tenants} for db in resolved.config_dbs
    }
    return {
        group.ref: Place(
            group.config_db,
            object_name(Kind.VMGROUP, group.name),
            uuid_of(group, by_name[group.config_db]) or fresh.get(group.ref),
        )
        for group in resolved.vmgroups
    }
