"""The comparable form of a vmgroup, made from observed rows and from resolved manifests alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from msgspec import Struct

from reconciler.model.kinds.configdb import ObservedConfigDB
from reconciler.model.kinds.vmgroup import ACCESS_FIELDS, Access, access_values
from reconciler.model.memo import kept_with
from reconciler.model.refs import DEFAULT_VMGROUP

_V = TypeVar("_V")


class VMGroupState(Struct, frozen=True):
    """A vmgroup as it is or will be. `access` by datastore URL (None: a row that vDVS itself could not read),
    `members` by BIOS UUID with the display name. Two equal states mean the same to vDVS, names of VMs aside.

    Source: docs/domain.md#the-config-db-schema-12
    """

    uuid: str
    name: str
    description: str | None
    default_url: str | None
    access: Mapping[str, Access | None]
    members: Mapping[str, str | None]


@kept_with
def observed_states(db: ObservedConfigDB) -> Mapping[str, VMGroupState]:
    """The vmgroups of a config DB by UUID. Rows of no vmgroup are left out; `db.violations` names them.

    Values are compared as they are: an upper-case UUID or an odd URL never matches in vDVS, so it must not match here.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """
    access: dict[str, dict[str, Access | None]] = {}
    for row in db.privileges:
        access.setdefault(row.tenant_id, {})[row.url] = _access(row.url, access_values(row))
    members: dict[str, dict[str, str | None]] = {}
    for vm in db.vms:
        members.setdefault(vm.tenant_id, {})[vm.vm_id] = vm.vm_name
    return {
        row.id: normalised(
            row.id, row.name, row.description, row.default_url, access.get(row.id, {}), members.get(row.id, {})
        )
        for row in db.tenants
    }


def orphaned(db: ObservedConfigDB) -> frozenset[str]:
    """The ids of vmgroups that are gone while rows of theirs are still there. Source: docs/domain.md#rules-for-rows"""
    owners = {row.tenant_id for rows in (db.vms, db.privileges, db.dead_rows) for row in rows}
    return frozenset(owners - {row.id for row in db.tenants})


def normalised(
    uuid: str,
    name: str,
    description: str | None,
    default_url: str | None,
    access: Mapping[str, Access | None],
    members: Mapping[str, str | None],
) -> VMGroupState:
    """The canonical form: mappings in the order of their keys, so that output does not depend on the order of rows."""
    return VMGroupState(uuid, name, description, default_url, _sorted(access), _sorted(members))


def default_vmgroup(states: Iterable[VMGroupState]) -> VMGroupState | None:
    """The vmgroup that serves VMs in no vmgroup: vDVS looks for it by name.

    Source: docs/domain.md#who-may-do-what
    """
    return next((state for state in states if state.name == DEFAULT_VMGROUP), None)


@lru_cache(maxsize=4096, typed=True)  # most vmgroups share a few
def _access(url: str, stored: tuple[object, ...]) -> Access | None:
    values: list[Any] = [field.stored(value) for field, value in zip(ACCESS_FIELDS, stored, strict=True)]
    return None if None in values else Access(url, *values)


def _sorted(mapping: Mapping[str, _V]) -> dict[str, _V]:
    return dict(sorted(mapping.items()))
