"""Hosts with their own config DB (SingleNode) that are to use an existing shared one: whether they may leave theirs.

Source: docs/domain.md#moving-a-config-db
"""

from __future__ import annotations

from msgspec import Struct

from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.model.kinds.host import DBMode, ObservedHost, ResolvedHost, UnreachableHost
from reconciler.model.refs import DEFAULT_VMGROUP_UUID, own_location
from reconciler.model.state import Observed, Resolved
from reconciler.planning.spelling import DisplayNames


class OwnDB(Struct, frozen=True):
    """The config DB of one host alone. `hindrance`: why the host must not leave it; None: nothing would be lost.

    Source: docs/domain.md#moving-a-config-db
    """

    fingerprint: str
    hindrance: str | None


def own_db(
    host: ResolvedHost,
    seen: ObservedHost | UnreachableHost,
    resolved: Resolved,
    observed: Observed,
    names: DisplayNames,
) -> OwnDB | None:
    """Return the host's own config DB if the host is to use a shared one; None: it has none, or keeps it. Pure.

    Source: docs/domain.md#moving-a-config-db
    """
    if isinstance(seen, UnreachableHost) or seen.db_mode is not DBMode.SINGLE_NODE:
        return None
    if host.location is None or host.location.host:
        return None
    own, shared = observed.config_dbs.get(own_location(seen.name)), observed.config_dbs[host.location]
    if own is None or own.state is not DBState.PRESENT:
        reason = f": {own.message}" if own is not None and own.message else ""
        return OwnDB("", f"it has a config DB of its own (SingleNode) that cannot be read{reason}")
    if shared.state is not DBState.PRESENT:
        how = "cannot be read" if shared.state is DBState.UNKNOWN else "is not there"
        return OwnDB("", f"it has a config DB of its own (SingleNode), and {host.config_db} {how}")
    if not seen.can_write:
        return OwnDB("", "it has a config DB of its own (SingleNode), and its SQLite is too old to write another")
    lost = _first_loss(own, shared, resolved, host, names)
    if not lost:
        return OwnDB(own.fingerprint, None)
    way_out = (
        f"`vdvs export` writes manifests of it; declare that for {host.config_db}, with the uuids, or remove it there"
    )
    return OwnDB("", f"it has a config DB of its own (SingleNode), with {lost} that {host.config_db} lacks; {way_out}")


def _first_loss(
    own: ObservedConfigDB, shared: ObservedConfigDB, resolved: Resolved, host: ResolvedHost, names: DisplayNames
) -> str | None:
    """Return the first item that would be lost. What a manifest states about a vmgroup is not; nor is `_DEFAULT`,
    unless it has booked volumes, because every config DB may have one, with the rights in its manifest.

    Source: docs/domain.md#moving-a-config-db
    """
    if own.dead_rows:
        return f"a row that cannot be decoded ({own.dead_rows[0].why})"
    there = {row.id for row in shared.tenants}
    mine = [group for group in resolved.vmgroups if group.config_db == host.config_db]
    pairs = [
        (row.id, group)
        for row in shared.tenants
        for group in mine
        if row.id == group.uuid or (group.uuid is None and row.name == group.name)
    ]
    members_told = {uuid for uuid, group in pairs if group.members is not None}
    access_told = {uuid for uuid, group in pairs if group.access is not None} | {DEFAULT_VMGROUP_UUID}
    booked = {use.tenant_id for use in own.volume_use if use.count}
    known = there | (set() if DEFAULT_VMGROUP_UUID in booked else {DEFAULT_VMGROUP_UUID})
    for tenant in sorted(own.tenants, key=lambda row: row.name):
        if tenant.id not in known:
            return f"vmgroup {tenant.name} ({tenant.id})"
    vms = {(row.vm_id, row.tenant_id) for row in shared.vms}
    for vm in sorted(own.vms, key=lambda row: row.vm_id):
        if vm.tenant_id not in members_told and (vm.vm_id, vm.tenant_id) not in vms:
            return f"VM {names.vm(vm.vm_id, vm.vm_name)} in a vmgroup of which no manifest says who is in it,"
    access = set(shared.privileges)
    for row in sorted(own.privileges, key=lambda row: (row.tenant_id, row.url)):
        if row.tenant_id not in access_told and row not in access:
            return f"access to {names.datastore(row.url)} of a vmgroup ({row.tenant_id})"
    return None
