"""Rollback of a config DB: the desired state that makes it what it was in one of its backups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.export import LeftOut
from reconciler.model.kinds.configdb import DesiredConfigDB, ObservedConfigDB, Unmanaged
from reconciler.model.kinds.host import Presence
from reconciler.model.kinds.vmgroup import DesiredAccess, DesiredVMGroup, VMRef, access_values
from reconciler.model.refs import (
    ALL_DS_URL,
    DEFAULT_VMGROUP,
    DEFAULT_VMGROUP_UUID,
    SPECIAL_DATASTORES,
    VOLUMES,
    Kind,
    ObjectRef,
    Source,
)
from reconciler.model.state import Desired, Resolved
from reconciler.planning.configdb.old_schema import lifted
from reconciler.planning.export.expressible import pinnable
from reconciler.planning.records.ownership import Ledger, ledger, object_name
from reconciler.planning.scope import vmgroup_ref
from reconciler.planning.vmgroup.state import VMGroupState, observed_states

_NAMES = {url: name for name, url in SPECIAL_DATASTORES.items()}


class Rollback(Struct, frozen=True):
    """The desired site in place of the manifests, and `objects`, those to be written. `left_out`: what is in the backup
    and is not restored.
    """

    desired: Desired
    objects: frozenset[ObjectRef]
    left_out: tuple[LeftOut, ...]


def roll_back(
    declared: Desired,
    found: Resolved,
    ref: ObjectRef,
    now: ObservedConfigDB,
    backup: ObservedConfigDB,
    name: str,
    applied_by: str,
) -> Rollback:
    """Desire the vmgroups of `backup` (called `name`) with their UUIDs, and no others, in the config DB `ref`, now as
    `now`.

    Hosts and config DBs stay as `declared`, which is the set `applied_by`. A vmgroup that broke a rule of vDVS stays
    as it is now, and is named. Pure.
    """
    then, present = observed_states(lifted(backup)), observed_states(lifted(now))
    known = ledger(next(db for db in found.config_dbs if db.ref == ref), now, {})
    numbers = Counter(vm.uuid for vm in found.inventory.vms)
    twins = {uuid for uuid, number in numbers.items() if number > 1}
    holders = {state.name: state.uuid for state in present.values()}
    groups, digests, left_out = [], [], list(_rows_left_out(ref, backup, then))
    for was in sorted(then.values(), key=lambda state: (state.name, state.uuid)):
        gone = _gone(was, present.get(was.uuid), numbers) if found.inventory.complete else set()
        state = replace(was, members={vm: name for vm, name in was.members.items() if vm not in gone})
        group = vmgroup_ref(ref, state.name, found)
        problem = _problem(state, state.uuid in present, twins) or _taken(state, holders)
        left_out += [LeftOut(group, why) for why in ([problem] if problem else _members_left_out(was, gone))]
        if problem is None:
            groups.append(_desired(group, ref, state, name))
        elif (as_it_is := present.get(state.uuid)) is not None:
            groups.append(_left_alone(_desired(vmgroup_ref(ref, as_it_is.name, found), ref, as_it_is, name)))
        if problem is None and present.get(state.uuid) != state and _was_applied(state, known, applied_by):
            digests.append((group, f"rollback to {name}"))  # its manifest is no longer the one applied last
    default = any(state.name == DEFAULT_VMGROUP for state in then.values())
    databases = tuple(_database(db, db.ref == ref, default) for db in declared.config_dbs)
    desired = replace(declared, config_dbs=databases, vmgroups=tuple(groups), digests=tuple(digests))
    objects = {ref, *(group.ref for group in groups), *(vmgroup_ref(ref, row.name, found) for row in now.tenants)}
    return Rollback(desired, frozenset(objects), tuple(sorted(left_out, key=lambda left: left.ref.sort_key)))


def _database(db: DesiredConfigDB, this: bool, default: bool) -> DesiredConfigDB:
    """Leave the other config DBs alone; declare everything in this one."""
    if not this:
        return replace(db, unmanaged=Unmanaged.IGNORE)
    return replace(db, unmanaged=Unmanaged.REPORT, default_vmgroup=None if default else Presence.ABSENT)


def _was_applied(state: VMGroupState, known: Ledger | None, applied_by: str) -> bool:
    last = None if known is None else known.of(object_name(Kind.VMGROUP, state.name), state.uuid)
    return last is not None and last.set in ("", applied_by)


def _desired(ref: ObjectRef, db: ObjectRef, state: VMGroupState, backup: str) -> DesiredVMGroup:
    rows = [row for row in state.access.values() if row is not None]
    return DesiredVMGroup(
        ref=ref,
        source=Source(backup, 1, 1),
        name=state.name,
        config_db=db.name,
        uuid=state.uuid,
        description=state.description or "",
        default_datastore=_datastore_name(state.default_url or ""),
        access=tuple(DesiredAccess(_datastore_name(row.url), *access_values(row)) for row in rows),
        vms=None if state.name == DEFAULT_VMGROUP else tuple(VMRef(uuid=vm) for vm in state.members if pinnable(vm)),
        vm_selector=None,
    )


def _left_alone(group: DesiredVMGroup) -> DesiredVMGroup:
    return replace(group, description=None, default_datastore=None, access=None, vms=None)


def _datastore_name(url: str) -> str:
    return _NAMES.get(url, url)


def _problem(state: VMGroupState, there: bool, twins: set[str]) -> str | None:
    """Return why a vmgroup cannot be restored, or None. Source: docs/domain.md#rules-for-rows"""
    if (state.name == DEFAULT_VMGROUP) != (state.uuid == DEFAULT_VMGROUP_UUID):
        return f"its uuid was {state.uuid}; _DEFAULT, and only it, has the uuid {DEFAULT_VMGROUP_UUID}"
    if not there and not pinnable(state.uuid):
        return f'its uuid was "{state.uuid}", which is no UUID in lower case'
    if not state.default_url or state.default_url == ALL_DS_URL:
        return "it had no default datastore"
    if state.default_url not in state.access:
        return "it had no access row for its default datastore"
    if None in state.access.values():
        return "an access row of it had invalid values"
    odd = [url for url in state.access if url not in _NAMES and not url.startswith(VOLUMES)]
    if odd:
        return f'an access row of it named "{min(odd)}", which is no datastore'
    if shared := sorted(twins & state.members.keys()):
        return f"{shared[0]}, which was in it, is the BIOS UUID of several VMs of the inventory"
    return None


def _taken(state: VMGroupState, holders: dict[str, str]) -> str | None:
    """Return why the name is taken, or None. Its current holder may be deleted or renamed back in this very pass."""
    holder = holders.get(state.name, state.uuid)
    if holder == state.uuid:
        return None
    return f"another vmgroup (uuid {holder}) has this name now; roll back again when it is gone or renamed"


def _gone(then: VMGroupState, now: VMGroupState | None, known: Container[str]) -> set[str]:
    """The members of `then` that are no VMs any more: nothing is granted to such a UUID. A row that is there stays."""
    kept = now.members if now is not None else {}
    return {vm for vm in then.members if pinnable(vm) and vm not in known and vm not in kept}


def _members_left_out(state: VMGroupState, gone: set[str]) -> Iterator[str]:
    for vm in state.members:
        if state.name == DEFAULT_VMGROUP:
            yield f"VM {vm} was listed in it, and it has no list"
        elif not pinnable(vm):
            yield f'"{vm}" was listed in it, which is no BIOS UUID in lower case'
        elif vm in gone:
            yield f"VM {vm} was listed in it, and the inventory has no VM with this BIOS UUID now"


def _rows_left_out(ref: ObjectRef, backup: ObservedConfigDB, then: Mapping[str, VMGroupState]) -> Iterator[LeftOut]:
    for row in backup.vms:
        if row.tenant_id not in then:
            yield LeftOut(ref, f"VM {row.vm_id} was in a vmgroup that was gone (id {row.tenant_id})")
    for dead in backup.dead_rows:
        yield LeftOut(ref, f"a row of {dead.table} served nobody: {dead.what}: {dead.why}")
