"""Desired + Inventory -> Resolved: names become UUIDs and URLs; what cannot be looked up fails its own object only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TypeVar

from reconciler.model.constants import DEFAULT_VMGROUP, DEFAULT_VMGROUP_UUID, SPECIAL_DATASTORES
from reconciler.model.desired import (
    DatastoreRef,
    Desired,
    DesiredConfigDB,
    DesiredHost,
    DesiredVMGroup,
    VMRef,
    VMSelector,
)
from reconciler.model.inventory import Datastore, Inventory, VirtualMachine
from reconciler.model.refs import ObjectRef
from reconciler.model.resolved import (
    Access,
    Member,
    Resolved,
    ResolvedConfigDB,
    ResolvedHost,
    ResolvedVMGroup,
    Unresolved,
)

_T = TypeVar("_T")


class _Unknown(Exception):
    """A name that cannot be looked up; the message is the reason for the user."""


class _Names:
    """Look-ups in one inventory. Each raises `_Unknown` for a name that is missing, ambiguous or unusable."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._datastores = _index((d.name, d) for d in inventory.datastores)
        self._vms = _index((vm.name, vm) for vm in inventory.vms)
        self._paths = {vm.path: vm for vm in inventory.vms}
        self._uuids = _index((vm.uuid, vm) for vm in inventory.vms)

    def datastore(self, wanted: DatastoreRef) -> Datastore:
        if wanted.name is not None:
            found = self._datastores.get(wanted.name, [])
        else:
            found = [
                d
                for d in self._inventory.datastores
                if wanted.url == d.url or (wanted.inventory_path and wanted.inventory_path == d.inventory_path)
            ]
        if not found:
            raise _Unknown(f'no datastore "{wanted}" in the inventory')
        if len({d.url for d in found}) > 1:
            urls = ", ".join(sorted(d.url for d in found))
            raise _Unknown(f'datastore "{wanted}" is ambiguous ({urls}); name it by its url')
        return found[0]

    def datastore_url(self, name: str) -> str:
        return SPECIAL_DATASTORES.get(name) or self.datastore(DatastoreRef(name=name)).url

    def member(self, wanted: VMRef) -> Member:
        if wanted.uuid is not None:
            known = self._uuids.get(wanted.uuid)
            # A pinned UUID stands for itself: a VM that the inventory does not show now keeps its place.
            return self._checked(known[0]) if known else Member(wanted.uuid, None)
        if wanted.inventory_path is not None:
            by_path = self._paths.get(wanted.inventory_path)
            if by_path is None:
                raise _Unknown(f'no VM at "{wanted.inventory_path}" in the inventory')
            return self._checked(by_path)
        found = self._vms.get(wanted.name or "", [])
        if not found:
            raise _Unknown(f'no VM "{wanted.name}" in the inventory')
        if len(found) > 1:
            paths = ", ".join(sorted(vm.path for vm in found))
            raise _Unknown(f'VM "{wanted.name}" is ambiguous ({paths}); name it by uuid or inventoryPath')
        return self._checked(found[0])

    def selected(self, selector: VMSelector) -> list[Member]:
        folder = selector.folder.rstrip("/") + "/"
        return [
            self._checked(vm)
            for vm in self._inventory.vms
            if vm.path.startswith(folder) and fnmatchcase(vm.name, selector.name_pattern)
        ]

    def _checked(self, vm: VirtualMachine) -> Member:
        twins = self._uuids[vm.uuid]
        if len(twins) > 1:
            other = next(twin.path for twin in twins if twin.path != vm.path)
            raise _Unknown(
                f'VM "{vm.name}" has the same BIOS UUID as {other} ({vm.uuid}), and vDVS cannot tell them apart; '
                "give one of them a new one"
            )
        return Member(vm.uuid, vm.name)


def resolve(desired: Desired, inventory: Inventory) -> Resolved:
    """Look up every name of `desired`. Pure; the order of the manifests does not matter."""
    names = _Names(inventory)
    unresolved: list[Unresolved] = []
    databases = {db.ref: db for db in _config_dbs(desired, names, unresolved)}
    hosts = _hosts(desired, databases, inventory, unresolved)
    groups = _vmgroups(desired, databases, names, unresolved)
    return Resolved(
        inventory,
        tuple(sorted(databases.values(), key=lambda db: db.ref.sort_key)),
        tuple(sorted(hosts, key=lambda host: host.ref.sort_key)),
        tuple(sorted(groups, key=lambda group: group.ref.sort_key)),
        tuple(sorted(unresolved, key=lambda failed: failed.ref.sort_key)),
    )


def _config_dbs(desired: Desired, names: _Names, unresolved: list[Unresolved]) -> list[ResolvedConfigDB]:
    found = []
    for db in desired.config_dbs:
        try:
            datastore = names.datastore(db.datastore)
        except _Unknown as unknown:
            unresolved.append(Unresolved(db.ref, str(unknown)))
            continue
        hosts = tuple(sorted(host.ref.name for host in desired.hosts if _selects(db, host)))
        found.append(ResolvedConfigDB(db.ref, datastore, hosts, db.default_vmgroup, db.unmanaged, db.backups_to_keep))
    return found


def _selects(db: DesiredConfigDB, host: DesiredHost) -> bool:
    if db.hosts is None:
        return True
    if db.hosts.names is not None:
        return host.ref.name in db.hosts.names
    return set(db.hosts.match_labels or ()) <= set(host.labels)


def _hosts(
    desired: Desired,
    databases: dict[ObjectRef, ResolvedConfigDB],
    inventory: Inventory,
    unresolved: list[Unresolved],
) -> list[ResolvedHost]:
    found = []
    for host in desired.hosts:
        selecting = next((db.ref for db in desired.config_dbs if _selects(db, host)), None)
        if not {host.ref.name, host.address} & set(inventory.hosts):
            unresolved.append(Unresolved(host.ref, f'no host "{host.address}" in the inventory'))
        elif selecting is not None and selecting not in databases:
            unresolved.append(Unresolved(host.ref, f"its {selecting} could not be looked up"))
        else:
            datastore = databases[selecting].datastore if selecting else None
            found.append(ResolvedHost(host.ref, host.address, selecting, datastore, host.driver, host.service_running))
    return found


def _vmgroups(
    desired: Desired,
    databases: dict[ObjectRef, ResolvedConfigDB],
    names: _Names,
    unresolved: list[Unresolved],
) -> list[ResolvedVMGroup]:
    refs = {db.ref.name: db.ref for db in desired.config_dbs}
    found = []
    for group in desired.vmgroups:
        db = refs[group.config_db]
        try:
            if db not in databases:
                raise _Unknown(f"its {db} could not be looked up")
            found.append(_vmgroup(group, db, names))
        except _Unknown as unknown:
            unresolved.append(Unresolved(group.ref, str(unknown)))
    return _without_shared_members(found, unresolved)


def _vmgroup(group: DesiredVMGroup, db: ObjectRef, names: _Names) -> ResolvedVMGroup:
    members, removes = _members(group, names)
    access = None
    if group.access is not None:
        rows = (Access(names.datastore_url(a.datastore), a.allow_create, a.max_mb, a.total_mb) for a in group.access)
        access = tuple(sorted(rows))
        if len({row.url for row in access}) < len(access):
            raise _Unknown("two entries of spec.access are one and the same datastore")
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
    )


def _members(group: DesiredVMGroup, names: _Names) -> tuple[tuple[Member, ...] | None, bool]:
    if group.vms is None and group.vm_selector is None:
        return None, False
    listed = [names.member(vm) for vm in group.vms or ()]
    selected = names.selected(group.vm_selector) if group.vm_selector else []
    unique = {member.uuid: member for member in listed + selected}
    return tuple(sorted(unique.values(), key=lambda m: m.uuid)), group.vm_selector is None or bool(selected)


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
        unresolved.append(Unresolved(group.ref, f"VM {clash.name or clash.uuid} is also claimed by {others}"))
    return kept


def _index(pairs: Iterable[tuple[str, _T]]) -> dict[str, list[_T]]:
    found: dict[str, list[_T]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
