"""The kinds in planning, in the order of look-up.

Generic code walks `PLANNED` and names no kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from reconciler.model.diff import Change
from reconciler.model.events import Condition
from reconciler.model.export import Manifest
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Desired, Observed, Resolved
from reconciler.planning.compare.context import DBContext, SiteContext
from reconciler.planning.compare.passes import config_dbs, hosts, vmgroups
from reconciler.planning.configdb.conditions import config_db_conditions
from reconciler.planning.configdb.resolve import config_db_records, resolve_config_dbs
from reconciler.planning.export.expressible import Adoptable
from reconciler.planning.files.storagepolicy import (
    adopt_storage_policies,
    forgotten_policies,
    policy_changes,
    policy_conditions,
    policy_records,
    pruned_policies,
    resolve_storage_policies,
)
from reconciler.planning.files.volume import (
    adopt_volumes,
    forgotten_volumes,
    resolve_volumes,
    volume_changes,
    volume_records,
)
from reconciler.planning.host.conditions import host_conditions
from reconciler.planning.host.resolve import forgotten_hosts, host_records, resolve_hosts
from reconciler.planning.lookup import InventoryLookup
from reconciler.planning.records.ownership import Places
from reconciler.planning.vmgroup.quotas import vmgroup_conditions
from reconciler.planning.vmgroup.resolve import resolve_vmgroups, vmgroup_records

if TYPE_CHECKING:
    from reconciler.planning.joined import Joined


Recorders = Mapping[ObjectRef, ObjectRef | None]


def _nothing(*_: object) -> tuple[()]:
    return ()


def _nobody(*_: object) -> Recorders:
    return {}


class PlannedKind(Struct, frozen=True):
    """A kind: the functions that planning needs for its objects. All are pure.

    `resolve` adds what it looks up, and what it cannot, to what was resolved before. `compare` yields the changes of
    declared and undeclared objects. `records`: where it is recorded who applied each declared object (given UUIDs for
    new vmgroups). `forgotten`: the names of the records in a config DB that are out of date. `conditions` of an object,
    besides `InSync` and `Resolved`. `recorders`: the config DB that drops the record of an undeclared object when it is
    removed. `adopt`: manifests of the objects that are there, where these are files on datastores. `is_place`: it has
    to be resolved before anything can be observed. `has_names`: it names things of the inventory, so that `Resolved` is
    a condition of it.
    """

    kind: Kind
    resolve: Callable[[Desired, Resolved, InventoryLookup], Resolved]
    compare: Callable[[SiteContext], Iterable[Change]]
    records: Callable[[Resolved, Observed, Mapping[ObjectRef, str]], Places]
    forgotten: Callable[[DBContext, SiteContext], Iterable[str]] = _nothing
    conditions: Callable[[Change, Joined], Iterable[Condition]] = _nothing
    recorders: Callable[[Iterable[Change], Resolved], Recorders] = _nobody
    adopt: Callable[[Adoptable], Iterable[Manifest]] = _nothing
    is_place: bool = True
    has_names: bool = True


PLANNED: Final = (
    PlannedKind(
        Kind.CONFIG_DB,
        resolve_config_dbs,
        config_dbs,
        config_db_records,
        conditions=config_db_conditions,
        has_names=False,
    ),
    PlannedKind(Kind.HOST, resolve_hosts, hosts, host_records, forgotten_hosts, host_conditions, has_names=False),
    PlannedKind(
        Kind.STORAGE_POLICY,
        resolve_storage_policies,
        policy_changes,
        policy_records,
        forgotten_policies,
        policy_conditions,
        pruned_policies,
        adopt_storage_policies,
    ),
    PlannedKind(Kind.VOLUME, resolve_volumes, volume_changes, volume_records, forgotten_volumes, adopt=adopt_volumes),
    PlannedKind(
        Kind.VMGROUP, resolve_vmgroups, vmgroups, vmgroup_records, conditions=vmgroup_conditions, is_place=False
    ),
)


def places(resolved: Resolved, observed: Observed, fresh: Mapping[ObjectRef, str] | None = None) -> Places:
    """Return where it is recorded who applied each declared object. `fresh`: UUIDs for new vmgroups."""
    return {ref: place for kind in PLANNED for ref, place in kind.records(resolved, observed, fresh or {}).items()}
