"""Desired + Inventory -> Resolved: names become UUIDs and URLs; what cannot be looked up fails its own object only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec.structs import replace

from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import DesiredConfigDB, ResolvedConfigDB
from reconciler.model.kinds.host import DesiredHost, Presence, ResolvedHost
from reconciler.model.kinds.vmgroup import DesiredVMGroup, Member, ResolvedVMGroup
from reconciler.model.refs import DEFAULT_VMGROUP, DEFAULT_VMGROUP_UUID, Location, ObjectRef
from reconciler.model.state import Desired, Resolved, Unresolved
from reconciler.planning.lookup import InventoryLookup, NotFoundError, each
from reconciler.planning.storagepolicy import resolve_storage_policies
from reconciler.planning.volume import resolve_volumes


def resolve(desired: Desired, inventory: Inventory) -> Resolved:
    """Look up every name of `desired`. Pure; the order of the manifests does not matter."""
    return resolve_vmgroups(desired, resolve_places(desired, inventory))


def resolve_places(desired: Desired, inventory: Inventory) -> Resolved:
    """All but the vmgroups: enough to begin to look."""
    names = InventoryLookup(inventory)
    unresolved: list[Unresolved] = []
    databases = {db.ref: db for db in _distinct(_config_dbs(desired, names, unresolved), unresolved)}
    hosts = _hosts(desired, databases, names, unresolved)
    policies = resolve_storage_policies(desired, names, unresolved)
    volumes = resolve_volumes(desired, databases, names, unresolved)
    return Resolved(
        inventory,
        tuple(sorted(databases.values(), key=lambda db: db.ref.sort_key)),
        tuple(sorted(hosts, key=lambda host: host.ref.sort_key)),
        (),
        tuple(sorted(unresolved, key=lambda failed: failed.ref.sort_key)),
        dict(desired.digests),
        policies,
        volumes,
    )


def resolve_vmgroups(desired: Desired, places: Resolved) -> Resolved:
    """All of it, given what `resolve_places` found."""
    unresolved = list(places.unresolved)
    databases = {db.ref: db for db in places.config_dbs}
    groups = _vmgroups(desired, databases, InventoryLookup(places.inventory), unresolved)
    return replace(
        places,
        vmgroups=tuple(sorted(groups, key=lambda group: group.ref.sort_key)),
        unresolved=tuple(sorted(unresolved, key=lambda failed: failed.ref.sort_key)),
    )


def _config_dbs(desired: Desired, names: InventoryLookup, unresolved: list[Unresolved]) -> list[ResolvedConfigDB]:
    found = []
    for db in desired.config_dbs:
        hosts = tuple(sorted(host.ref.name for host in desired.hosts if selects(db, host, _cluster(host, names))))
        try:
            if db.hosts is not None and db.hosts.cluster is not None:
                names.cluster(db.hosts.cluster)
            if db.datastore is None and len(hosts) != 1:
                raise NotFoundError(f"a SingleNode config DB is that of exactly one host, not of {len(hosts)}")
            datastore = None if db.datastore is None else names.datastore(db.datastore)
        except NotFoundError as problem:
            unresolved.append(Unresolved(db.ref, str(problem)))
            continue
        found.append(ResolvedConfigDB(db.ref, datastore, hosts, db.default_vmgroup, db.unmanaged, db.backups_to_keep))
    return found


def _distinct(databases: list[ResolvedConfigDB], unresolved: list[Unresolved]) -> list[ResolvedConfigDB]:
    """Without those that are one and the same file under two names: each would undo what the other does."""
    by_location: dict[Location, list[ResolvedConfigDB]] = {}
    for db in databases:
        by_location.setdefault(db.location, []).append(db)
    for twins in by_location.values():
        for db in twins if len(twins) > 1 else ():
            others = ", ".join(sorted(str(twin.ref) for twin in twins if twin is not db))
            where = f"host/{db.location.host}" if db.datastore is None else db.datastore.name
            unresolved.append(Unresolved(db.ref, f"it is the same file as {others}: both are on {where}"))
    return [twins[0] for twins in by_location.values() if len(twins) == 1]


def selects(db: DesiredConfigDB, host: DesiredHost, cluster: str | None) -> bool:
    """Whether this host, which is in that cluster (None: in none, or not known), shall use that config DB."""
    if db.hosts is None:
        return True
    if db.hosts.cluster is not None:
        return db.hosts.cluster == cluster
    if db.hosts.names is not None:
        return host.ref.name in db.hosts.names
    return set(db.hosts.match_labels or ()) <= set(host.labels)


def _hosts(
    desired: Desired,
    databases: dict[ObjectRef, ResolvedConfigDB],
    names: InventoryLookup,
    unresolved: list[Unresolved],
) -> list[ResolvedHost]:
    found = []
    by_cluster = [db for db in desired.config_dbs if db.hosts is not None and db.hosts.cluster is not None]
    lost = next((db.ref for db in by_cluster if db.ref not in databases), None)
    for host in desired.hosts:
        entry = names.host(host)
        cluster = _cluster(host, names)
        claims = sorted((db.ref for db in _databases_of(host, desired, cluster)), key=lambda ref: ref.sort_key)
        selecting = next(iter(claims), None)
        if entry is None:
            unresolved.append(Unresolved(host.ref, f'no host "{host.address}" in the inventory'))
        elif cluster is None and by_cluster and not names.complete:
            unresolved.append(Unresolved(host.ref, "which cluster it is in is not known now"))
        elif selecting is None and lost is not None:
            unresolved.append(Unresolved(host.ref, f"whether {lost} selects it is not known"))
        elif len(claims) > 1:
            unresolved.append(Unresolved(host.ref, f"{' and '.join(map(str, claims))} both select it"))
        elif selecting is not None and selecting not in databases:
            unresolved.append(Unresolved(host.ref, f"its {selecting} could not be looked up"))
        else:
            datastore = databases[selecting].datastore if selecting else None
            found.append(ResolvedHost(host.ref, host.address, selecting, datastore, host.spec, entry))
    return found


def _cluster(host: DesiredHost, names: InventoryLookup) -> str | None:
    entry = names.host(host)
    return None if entry is None else entry.cluster


def _databases_of(host: DesiredHost, desired: Desired, cluster: str | None) -> Iterator[DesiredConfigDB]:
    """The config DBs that select this host; none, once vDVS has to leave it."""
    if host.spec.driver is None or host.spec.driver.state is not Presence.ABSENT:
        yield from (db for db in desired.config_dbs if selects(db, host, cluster))


def _vmgroups(
    desired: Desired,
    databases: dict[ObjectRef, ResolvedConfigDB],
    names: InventoryLookup,
    unresolved: list[Unresolved],
) -> list[ResolvedVMGroup]:
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
    return _without_shared_members(_without_shared_uuids(found, unresolved), unresolved)


def _failed(group: DesiredVMGroup | ResolvedVMGroup, reason: str) -> Unresolved:
    return Unresolved(group.ref, reason, (*group.previous_names, *([group.uuid] if group.uuid else ())))


def _vmgroup(group: DesiredVMGroup, db: ObjectRef, names: InventoryLookup) -> ResolvedVMGroup:
    members, removes = _members(group, names)
    access = None
    if group.access is not None:
        access = tuple(sorted(each(names.access, group.access)))
        if len({row.url for row in access}) < len(access):
            raise NotFoundError("two entries of spec.access are one and the same datastore")
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
    """A UUID is one vmgroup. Those of one config DB that pin the same one all fail."""
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
    """A VM can be in one vmgroup only. Groups that claim the same one under different names all fail."""
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
