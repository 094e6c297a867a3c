"""Config DBs of schema 1.1 (vDVS 0.11.1 to 0.13), and those whose upgrade vDVS left half-done: their rows in 1.2.

Up to 0.13 a vmgroup without a default datastore had the VM's own, and the `_DEFAULT_URL` row of `_DEFAULT` decided
wherever no other row did, for every vmgroup. From 0.14 on both are refused; rows have to state it.

Source: docs/domain.md#older-schemas
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB, Schema
from reconciler.model.kinds.vmgroup import ACCESS_FIELDS, FULL_ACCESS, Access, PrivilegeRow
from reconciler.model.refs import ALL_DS_URL, DEFAULT_VMGROUP_UUID, OLD_DEFAULT_URL, VM_DS_URL
from reconciler.model.state import Observed
from reconciler.planning.vmgroup.state import VMGroupState, normalised, observed_states

_FULL = PrivilegeRow("", "", **FULL_ACCESS)


def half_upgraded(db: ObservedConfigDB) -> bool:
    """Whether vDVS began to upgrade this DB and did not finish: it raises the version first, and never tries again.
    The row that it removes last is still there.

    Source: docs/domain.md#older-schemas
    """
    return db.schema is not Schema.V1_1 and _former_default(db) is not None


def is_old(db: ObservedConfigDB) -> bool:
    """Whether a config DB that could be read has to be upgraded, or its upgrade finished.

    Source: docs/domain.md#older-schemas
    """
    return db.state is DBState.PRESENT and (db.schema is not Schema.V1_2 or half_upgraded(db))


def lifted(db: ObservedConfigDB) -> ObservedConfigDB:
    """Return the config DB as our upgrade leaves it; unchanged if it needs none.

    What is added allows what the `_DEFAULT_URL` row allowed where it applied; everything, if there is none.

    Source: docs/domain.md#older-schemas
    """
    if not is_old(db):
        return db
    former = _former_default(db)
    return _lifted(db, former if former is not None and _readable(former) else _FULL)


def lifted_all(observed: Observed, inventory: Inventory) -> Observed:
    """Apply `lifted` to every config DB; VM rows without a name get the current name of the VM."""
    if not any(is_old(db) for db in observed.config_dbs.values()):
        return observed
    known = inventory.vm_names()
    databases = {location: _named(db, known) for location, db in observed.config_dbs.items()}
    return replace(observed, config_dbs=databases)


def _named(db: ObservedConfigDB, known: Mapping[str, str]) -> ObservedConfigDB:
    if not is_old(db):
        return db
    rows = (row._replace(vm_name=known.get(row.vm_id)) if row.vm_name is None else row for row in db.vms)
    return replace(lifted(db), vms=tuple(rows))


def as_vdvs_upgrades(db: ObservedConfigDB) -> ObservedConfigDB:
    """Return the rows that vDVS 0.14 or later uses: it upgrades schema 1.1 before it answers.

    It mends a default datastore that is empty text, not one that is NULL or `_DEFAULT_URL`. What it adds allows
    everything, and a row that is there already makes it stop halfway.

    Source: docs/domain.md#older-schemas
    """
    if db.schema is not Schema.V1_1:
        return db
    rows = {(row.tenant_id, row.url): row for row in db.privileges}
    tenants = tuple(replace(row, default_url=VM_DS_URL) if row.default_url == "" else row for row in db.tenants)
    for row in tenants:
        if row.default_url is not None:
            full = replace(_FULL, tenant_id=row.id, url=row.default_url)
            rows.setdefault((row.id, row.default_url), full)
    if any(row.id == DEFAULT_VMGROUP_UUID for row in tenants):
        anywhere = (DEFAULT_VMGROUP_UUID, ALL_DS_URL)
        if anywhere in rows:
            return db
        rows[anywhere] = replace(_FULL, tenant_id=DEFAULT_VMGROUP_UUID, url=ALL_DS_URL)
        rows.pop((DEFAULT_VMGROUP_UUID, OLD_DEFAULT_URL), None)
    return replace(db, schema=Schema.V1_2, tenants=tenants, privileges=tuple(rows.values()))


def _lifted(db: ObservedConfigDB, granted: PrivilegeRow) -> ObservedConfigDB:
    tenants = []
    rows = {(row.tenant_id, row.url): row for row in db.privileges}
    for tenant in db.tenants:
        default = VM_DS_URL if _unset(tenant.default_url) else tenant.default_url or ""
        tenants.append(replace(tenant, default_url=default))
        needed = [default, *([ALL_DS_URL] if tenant.id == DEFAULT_VMGROUP_UUID else [])]
        for url in needed:
            rows.setdefault((tenant.id, url), replace(granted, tenant_id=tenant.id, url=url))
        rows.pop((tenant.id, OLD_DEFAULT_URL), None)
    return replace(db, schema=Schema.V1_2, tenants=tuple(tenants), privileges=tuple(rows.values()))


def as_granted(db: ObservedConfigDB) -> Mapping[str, VMGroupState]:
    """The vmgroups of a config DB that is old, by UUID, with rows of 1.2 that allow what its own allow now.

    Source: docs/domain.md#older-schemas
    """
    states = observed_states(db)
    if db.schema is not Schema.V1_1:
        return states
    default = states.get(DEFAULT_VMGROUP_UUID)
    everywhere = {} if default is None else {ALL_DS_URL: default.access.get(OLD_DEFAULT_URL)}
    if default is None or OLD_DEFAULT_URL not in default.access:
        everywhere = {}
    return {uuid: _granted(state, everywhere) for uuid, state in states.items()}


def _granted(state: VMGroupState, everywhere: dict[str, Access | None]) -> VMGroupState:
    own = {url: row for url, row in state.access.items() if url != OLD_DEFAULT_URL}
    elsewhere = {url: row and replace(row, url=url) for url, row in everywhere.items()}
    default = VM_DS_URL if _unset(state.default_url) else state.default_url
    return normalised(state.uuid, state.name, state.description, default, {**elsewhere, **own}, state.members)


def _unset(default_url: str | None) -> bool:
    return not default_url or default_url == OLD_DEFAULT_URL


def _former_default(db: ObservedConfigDB) -> PrivilegeRow | None:
    """Return the row of `_DEFAULT` that applied to every vmgroup. Source: docs/domain.md#older-schemas"""
    rows = (row for row in db.privileges if row.url == OLD_DEFAULT_URL and row.tenant_id == DEFAULT_VMGROUP_UUID)
    found = next(rows, None)
    there = found is not None and any(tenant.id == DEFAULT_VMGROUP_UUID for tenant in db.tenants)
    return found if there else None


def _readable(row: PrivilegeRow) -> bool:
    return all(field.stored(getattr(row, field.attribute)) is not None for field in ACCESS_FIELDS)
