"""Diff -> Plan: which actions, on which host, in which order, together with what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import get_args

from msgspec.structs import replace

from reconciler.model.diff import Action, Change, DBAction, Diff, Op
from reconciler.model.kinds.configdb import DBState, RecoverDB, ResolvedConfigDB, UpgradeDB
from reconciler.model.kinds.host import HostAction, LeaveOwnDB, LinkDB, MaintenanceAction, ObservedHost, WriteSection
from reconciler.model.kinds.vmgroup import (
    CreateVMGroup,
    DeleteVMGroup,
    LinkAction,
    MoveMember,
    RemoveMember,
    RemoveNameLink,
)
from reconciler.model.ownership import ForgetObject, RecordObject, Stamp
from reconciler.model.plan import DBPlan, HostPlan, Plan, Policy, Withheld
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.configdb.moves import move_of, plan_moves
from reconciler.planning.configdb.old_schema import is_old
from reconciler.planning.files.plans import file_plans
from reconciler.planning.guards import permit, upgrades_db
from reconciler.planning.host.maintenance import in_turns
from reconciler.planning.kinds import PLANNED, places
from reconciler.planning.records.history import not_applied
from reconciler.planning.records.treatment import as_applied, in_force
from reconciler.planning.scope import made_with_default, vmgroup_ref

_DB_ACTIONS = get_args(DBAction)
_LINK_ACTIONS = get_args(LinkAction)
_HOST_ACTIONS = (*get_args(HostAction), *get_args(MaintenanceAction))


def plan(diff: Diff, resolved: Resolved, observed: Observed, policy: Policy, stamp: Stamp | None = None) -> Plan:
    """The ordered actions for all that `policy` permits. Pure; deterministic; touches only what is declared, or what
    the diff deletes. `stamp`: what is recorded of who applies it."""
    owners = _databases(resolved, observed)
    if policy.annotations:
        asked = in_force(resolved, observed).items()
        alone = tuple((ref, f"its annotation vdvs.io/reconcile is {mode}") for ref, mode in asked)
        policy = replace(policy, held=(*alone, *policy.held))
    asks = policy.only_applied or policy.most is not None
    pending = not_applied(as_applied(resolved, observed), observed) if asks else {}
    permitted, withheld = permit(diff, policy, owners, pending)
    moves, apart = plan_moves(diff, permitted, resolved, observed)
    permitted = tuple(change for change in permitted if change.ref not in {held.ref for held in apart})
    withheld += apart
    moving = {change.ref for change in diff.changes if move_of(change) is not None}
    users = _recorders(permitted, owners, resolved, observed)
    databases: list[DBPlan] = []
    for db in sorted(resolved.config_dbs, key=lambda db: db.ref.sort_key):
        if db.ref in moving:  # a plan made after the move writes to it
            continue
        mine = [change for change in permitted if owners.get(change.ref, change.ref) == db.ref]
        if is_old(observed.config_dbs[db.location]) and not any(upgrades_db(change) for change in mine):
            continue  # nothing must be written to it before
        there = observed.config_dbs[db.location].state is DBState.PRESENT
        records = there or any(change.ref == db.ref and change.op is Op.CREATE for change in mine)
        theirs = [_recorded_only(change) for change in permitted if records and users.get(change.ref) == db.ref]
        changed = any(change.actions or change.op is Op.CREATE for change in mine)
        if not changed and not any(change.actions for change in theirs):
            continue
        writer = choose_writer(db, observed)
        if writer is None:
            reason = _why_no_writer(db)
            withheld += tuple(Withheld(change.ref, reason) for change in mine if change.op is not Op.KEEP)
        else:
            step = _db_plan(db, writer, [*mine, *theirs], resolved, observed)
            databases.append(replace(step, stamp=stamp))
    # A host must not be linked to a config DB that should have been created and is not.
    missing = {
        db.ref
        for db in resolved.config_dbs
        if observed.config_dbs[db.location].state in (DBState.ABSENT, DBState.EMPTY)
        and db.ref not in {planned.ref for planned in databases if planned.create} | moving
    }
    hosts, stranded = _host_plans(permitted, resolved, missing)
    held = sorted(withheld + stranded, key=lambda held: held.ref.sort_key)
    return Plan(tuple(databases), hosts, tuple(held), moves, file_plans(permitted, observed))


def _databases(resolved: Resolved, observed: Observed) -> dict[ObjectRef, ObjectRef]:
    """The config DB of each vmgroup, declared or not."""
    owners = {}
    for db in resolved.config_dbs:
        prefix = vmgroup_ref(db.ref, "", resolved).name
        for row in observed.config_dbs[db.location].tenants:
            owners[ObjectRef(Kind.VMGROUP, prefix + row.name)] = db.ref
    return owners | {group.ref: group.config_db for group in resolved.vmgroups}


def _recorders(
    permitted: Iterable[Change], owners: Mapping[ObjectRef, ObjectRef], resolved: Resolved, observed: Observed
) -> dict[ObjectRef, ObjectRef | None]:
    """The config DB that records each object that is not in a config DB itself."""
    found = {ref: place.db for ref, place in places(resolved, observed).items() if ref != place.db}
    for kind in PLANNED:
        found |= kind.recorders(permitted, resolved)
    return {ref: db for ref, db in found.items() if ref not in owners}


def _recorded_only(change: Change) -> Change:
    """Return the part of a change of a host or a file that is written into a config DB: that it was applied."""
    return replace(change, actions=tuple(action for action in change.actions if isinstance(action, _DB_ACTIONS)))


def choose_writer(db: ResolvedConfigDB, observed: Observed) -> str | None:
    """Return the host that writes a config DB: the last writer if it still can, else the first that can."""
    able = [
        name
        for name in sorted(db.hosts)
        if isinstance(host := observed.hosts.get(name), ObservedHost)
        and host.can_write
        and (db.datastore is None or db.datastore.id in host.volumes)
    ]
    recorded = observed.config_dbs[db.location].writer
    return recorded if recorded in able else next(iter(able), None)


def _why_no_writer(db: ResolvedConfigDB) -> str:
    if db.datastore is None:
        return f"the SQLite of host/{db.location.host} is too old to write a config DB"
    return f"no host of {db.ref} is up, mounts {db.datastore.name} and has an SQLite that may write it"


def _db_plan(
    db: ResolvedConfigDB, writer: str, changes: list[Change], resolved: Resolved, observed: Observed
) -> DBPlan:
    seen = observed.config_dbs[db.location]
    links = [a for change in changes for a in change.actions if isinstance(a, _LINK_ACTIONS)]
    routed = [(observed.datastores[link.url].read_from or writer, link) for link in links]
    return DBPlan(
        ref=db.ref,
        path=db.location.path,
        writer=writer,
        fingerprint=seen.fingerprint,
        create=any(change.ref == db.ref and change.op is Op.CREATE for change in changes),
        with_default=made_with_default(db, resolved),
        recover=any(isinstance(a, RecoverDB) for change in changes for a in change.actions),
        backups_to_keep=db.backups_to_keep,
        groups=tuple(_savepoints(changes)),
        clear_links=tuple((host, link) for host, link in routed if isinstance(link, RemoveNameLink)),
        make_links=tuple((host, link) for host, link in routed if not isinstance(link, RemoveNameLink)),
    )


def _savepoints(changes: list[Change]) -> Iterable[tuple[DBAction, ...]]:
    """Objects tied by a VM that moves share a savepoint; every other object has its own."""
    leader = {change.ref: change.ref for change in changes}

    def find(ref: ObjectRef) -> ObjectRef:
        while leader[ref] != ref:
            leader[ref] = ref = leader[leader[ref]]
        return ref

    for change in changes:
        for other in change.tied:
            if other in leader:
                first, second = sorted((find(change.ref), find(other)), key=lambda ref: ref.sort_key)
                leader[second] = first
    together: dict[ObjectRef, list[DBAction]] = {}
    for change in changes:
        together.setdefault(find(change.ref), []).extend(a for a in change.actions if isinstance(a, _DB_ACTIONS))
    groups = (tuple(sorted(actions, key=_rank)) for actions in together.values() if actions)
    return sorted(groups, key=lambda actions: not isinstance(actions[0], UpgradeDB))


def _rank(action: Action) -> int:
    """Rank an action: the schema is upgraded first, vmgroups exist before VMs join, rows are removed before others are
    inserted, and VMs have left before anything is deleted.
    """
    match action:
        case UpgradeDB():
            return -1
        case CreateVMGroup():
            return 0
        case RemoveMember():
            return 1
        case MoveMember():
            return 3
        case DeleteVMGroup():
            return 4
        case RecordObject() | ForgetObject():
            return 5
    return 2


def _joins(change: Change) -> bool:
    """Return whether a change points a host at its config DB. Without that, what serves waited for it in the diff."""
    actions = any(isinstance(action, LinkDB | LeaveOwnDB | WriteSection) for action in change.actions)
    return actions or any(field.path == "configDB" for field in change.fields)


def _host_plans(
    permitted: Iterable[Change], resolved: Resolved, missing: set[ObjectRef]
) -> tuple[tuple[HostPlan, ...], tuple[Withheld, ...]]:
    hosts = {host.ref: host for host in resolved.hosts}
    plans: list[HostPlan] = []
    stranded: list[Withheld] = []
    for change in permitted:
        host = hosts.get(change.ref)
        actions = tuple(a for a in change.actions if isinstance(a, _HOST_ACTIONS))
        if host is None:
            continue
        if host.config_db in missing and _joins(change):
            stranded.append(Withheld(host.ref, f"its {host.config_db} is not there and is not made in this pass"))
        elif actions:
            plans.append(HostPlan(host.ref, host.ref.name, host.config_db, actions))
    turns, waiting = in_turns(plans, resolved)
    return turns, (*stranded, *waiting)
