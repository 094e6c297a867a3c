"""Vmgroups looked up: names of VMs become BIOS UUIDs, those of datastores URLs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from msgspec.structs import replace

from reconciler.model.kinds.vmgroup import DesiredVMGroup, Member, ResolvedVMGroup
from reconciler.model.refs import DEFAULT_VMGROUP, DEFAULT_VMGROUP_UUID, Kind, ObjectRef
from reconciler.model.state import Desired, Observed, Resolved, Unresolved
from reconciler.planning.lookup import InventoryLookup, NotFoundError, look_up_all
from reconciler.planning.ownership import Place, Places, object_name
from reconciler.planning.vmgroup.pairing import uuid_of


def resolve_vmgroups(desired: Desired, so_far: Resolved, names: InventoryLookup) -> Resolved:
    """Look up the datastores and the VMs of each vmgroup."""
    databases, unresolved = {db.ref for db in so_far.config_dbs}, list(so_far.unresolved)
    refs = {db.ref.name: db.ref for db in desired.config_dbs}
    found = []
    for group in desired.vmgroups:
        db = refs[group.config_db]
        try:
            if db not in databases:
                raise NotFoundError(f"its {db} could not be looked up")
            found.append(_vmgroup(group, db, names))
        except NotFoundError as problem:
            unresolved.append(_failed(group, str(problem)))
    kept = _without_shared_members(_without_shared_uuids(found, unresolved), unresolved)
    kept.sort(key=lambda group: group.ref.sort_key)
    return replace(so_far, vmgroups=tuple(kept), unresolved=tuple(unresolved))


def _failed(group: DesiredVMGroup | ResolvedVMGroup, reason: str) -> Unresolved:
    return Unresolved(group.ref, reason, (*group.previous_names, *([group.uuid] if group.uuid else ())))


def _vmgroup(group: DesiredVMGroup, db: ObjectRef, names: InventoryLookup) -> ResolvedVMGroup:
    members, removes = _members(group, names)
    access = None
    if group.access is not None:
        access = tuple(sorted(look_up_all(names.access, group.access)))
        if len({row.url for row in access}) < len(access):
            raise NotFoundError("two entries of spec.access name the same datastore")
    return ResolvedVMGroup(
        ref=group.ref,
        name=group.name,
        config_db=db,
        uuid=DEFAULT_VMGROUP_UUID if group.name == DEFAULT_VMGROUP else group.uuid,
        description=group.description,
        default_url=None if group.default_datastore is None else names.datastore_url(group.default_datastore),
        access=access,
        members=members,
        removes_members=removes,
        previous_names=group.previous_names,
    )


def _members(group: DesiredVMGroup, names: InventoryLookup) -> tuple[tuple[Member, ...] | None, bool]:
    if group.vms is None and group.vm_selector is None:
        return None, False
    listed = names.members(group.vms or ())
    selected = names.selected(group.vm_selector) if group.vm_selector else []
    unique = {member.uuid: member for member in listed + selected}
    return tuple(sorted(unique.values(), key=lambda member: member.uuid)), group.vm_selector is None or bool(selected)


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


def _without_shared_members(groups: list[ResolvedVMGroup], unresolved: list[Unresolved]) -> list[ResolvedVMGroup]:
    """A VM can be in one vmgroup only. Groups that claim the same one under different names all fail.

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
    kept = []
    for group in groups:
        clash = next((m for m in group.members or () if m.uuid in shared), None)
        if clash is None:
            kept.append(group)
            continue
        others = ", ".join(owner for owner in sorted(owners[clash.uuid]) if owner != str(group.ref))
        unresolved.append(_failed(group, f"VM {clash.name or clash.uuid} is also claimed by {others}"))
    return kept


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
