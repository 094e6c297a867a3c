"""The upgrade of a config DB from schema 1.1 to 1.2, or the rest of one that vDVS left half-done, as a change.

Source: docs/domain.md#older-schemas
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.base import Risk, worst
from reconciler.model.diff import Change, DBAction, FieldChange, Op, RightsChange
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import ObservedConfigDB, ResolvedConfigDB, Schema, UpgradeDB
from reconciler.model.kinds.host import DBMode, ObservedHost
from reconciler.model.kinds.vmgroup import Member, RemoveAccess, SetAccess, UpdateVMGroup
from reconciler.model.refs import DEFAULT_VMGROUP, ObjectRef
from reconciler.model.state import Observed
from reconciler.planning.configdb.old_schema import as_granted, half_upgraded, is_old, lifted
from reconciler.planning.rights.change import UNGROUPED, by_release
from reconciler.planning.rights.decision import compare
from reconciler.planning.rights.releases import Feature, has
from reconciler.planning.spelling import DisplayNames, access_fields, scalar_fields
from reconciler.planning.vmgroup.state import VMGroupState, observed_states

_SHOWN = 3


_BY_ITSELF = (
    "vDVS 0.14 and later make this upgrade by themselves when they first open the config DB, but step by step, and what"
    " stops halfway they never finish; here all of it is one transaction"
)


def why_not_upgrade(db: ResolvedConfigDB, seen: ObservedConfigDB, observed: Observed) -> str | None:
    """Return which host keeps a config DB from being upgraded now: one whose driver does not understand schema 1.2, or,
    while the DB still says 1.1, may be one that does not. None: nothing does, or there is nothing to upgrade.

    Source: docs/domain.md#older-schemas
    """
    if not is_old(seen):
        return None
    half = half_upgraded(seen)
    for name in sorted({*db.hosts, *_users(db, observed)}):
        host = observed.hosts.get(name)
        if half and (not isinstance(host, ObservedHost) or host.driver_error is not None):
            continue
        if not isinstance(host, ObservedHost):
            return (
                f"{_description(seen)}, but host/{name} did not answer, and its driver may be one that needs schema 1.1"
            )
        if host.driver_error is not None:
            return f"{_description(seen)}, but the driver of host/{name} could not be read: {host.driver_error}"
        if host.driver is not None and (hindrance := _too_old(host.driver)) is not None:
            return f"{_description(seen)}, but host/{name} has driver {host.driver}, {hindrance}"
    return None


def _users(db: ResolvedConfigDB, observed: Observed) -> Iterator[str]:
    for name, host in observed.hosts.items():
        linked = isinstance(host, ObservedHost) and host.db_mode is not DBMode.SINGLE_NODE
        if linked and isinstance(host, ObservedHost) and host.link_path == db.location.path:
            yield name


def _too_old(driver: str) -> str | None:
    modern = has(driver, Feature.SCHEMA_1_2)
    if modern is None:
        return "which does not say its release; one before 0.14 needs schema 1.1"
    if not modern:
        return "which needs schema 1.1 and does not understand 1.2; replace it by vDVS 0.14 or later first"
    return None


def _description(seen: ObservedConfigDB) -> str:
    return "its upgrade is not finished" if half_upgraded(seen) else f"its schema {seen.schema} is to become 1.2"


def upgrade(ref: ObjectRef, seen: ObservedConfigDB, inventory: Inventory, names: DisplayNames) -> Change:
    """The upgrade of the config DB `ref`, which is old. Source: docs/domain.md#older-schemas"""
    actions = tuple(_actions(ref, seen, inventory))
    return Change(
        ref,
        Op.UPDATE,
        "vDVS left its upgrade half-done" if half_upgraded(seen) else f"its schema is {seen.schema}",
        tuple(_fields(seen, actions[0], names)),
        actions,
        worst([action.risk for action in actions]),
        notes=(_BY_ITSELF,) if seen.schema is Schema.V1_1 else (),
        rights=tuple(_rights(seen, names)),
    )


def _pairs(seen: ObservedConfigDB) -> Iterator[tuple[VMGroupState, VMGroupState]]:
    after = observed_states(lifted(seen))
    for state in sorted(observed_states(seen).values(), key=lambda state: (state.name, state.uuid)):
        yield state, after[state.uuid]


def _actions(ref: ObjectRef, seen: ObservedConfigDB, inventory: Inventory) -> Iterator[DBAction]:
    """Yield the upgrade of the tables, then changes of rows. Its risk is the worst of all: losing what the row of
    `_DEFAULT` allowed is the effect of no other action.

    Source: docs/domain.md#older-schemas
    """
    granted, after = as_granted(seen), observed_states(lifted(seen))
    risks = {uuid: compare(granted[uuid], state) for uuid, state in after.items()}
    known = inventory.vm_names()
    unnamed = sorted(row.vm_id for row in seen.vms if row.vm_name is None and row.vm_id in known)
    named = tuple(Member(vm, known[vm]) for vm in unnamed)
    yield UpgradeDB(ref, worst(list(risks.values())), named)
    for old, new in _pairs(seen):
        yield from _row_actions(ref, old, new, risks[old.uuid])


def _row_actions(ref: ObjectRef, old: VMGroupState, new: VMGroupState, risk: Risk) -> Iterator[DBAction]:
    for url, row in sorted(new.access.items()):
        if row is not None and old.access.get(url) != row:
            yield SetAccess(ref, risk, new.uuid, row)
    if old.default_url != new.default_url:
        yield UpdateVMGroup(ref, risk, new.uuid, None, new.default_url)
    for url in sorted(old.access.keys() - new.access.keys()):
        yield RemoveAccess(ref, risk, new.uuid, url)


def _fields(seen: ObservedConfigDB, first: DBAction, names: DisplayNames) -> Iterator[FieldChange]:
    if seen.schema is not Schema.V1_2:
        yield FieldChange("schema", seen.schema.value, Schema.V1_2.value)
    for old, new in _pairs(seen):
        for field in (*scalar_fields(old, new, names), *access_fields(old, new, names)):
            yield FieldChange(f"vmgroups[{old.name}].{field.path}", field.before or None, field.after)
    if isinstance(first, UpgradeDB) and first.names:
        shown = [names.short_vm(member.uuid, member.name) for member in first.names[:_SHOWN]]
        more = len(first.names) - len(shown)
        yield FieldChange("names of VMs", None, ", ".join(shown) + (f" and {more} more" if more else ""))


def _rights(seen: ObservedConfigDB, names: DisplayNames) -> Iterator[RightsChange]:
    """Rights changed by the upgrade, vmgroups with the same change together. Source: docs/domain.md#older-schemas"""
    granted, after = as_granted(seen), observed_states(lifted(seen))
    alike: dict[tuple[object, ...], list[VMGroupState]] = {}
    for state in sorted(after.values(), key=lambda state: (state.name, state.uuid)):
        before = granted[state.uuid]
        key = (before.default_url, frozenset(before.access.items()), state.default_url, frozenset(state.access.items()))
        alike.setdefault((*key, state.name == DEFAULT_VMGROUP), []).append(state)
    for groups in alike.values():
        shown = ", ".join(state.name for state in groups[:_SHOWN])
        more = f" and {len(groups) - _SHOWN} more" if groups[_SHOWN:] else ""
        who = UNGROUPED if groups[0].name == DEFAULT_VMGROUP else f"the VMs of {shown}{more}"
        for (where, then, now, gains, loses), releases in by_release(granted[groups[0].uuid], groups[0], names):
            yield RightsChange(who, where, then, now, gains, releases, loses)
