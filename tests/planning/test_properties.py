"""What holds in every world, however nasty: see `worlds` for what is generated, `interpreter` for what actions do."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from functools import partial

from hypothesis import assume, given, note
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.model import plan as plans
from reconciler.model.base import Risk
from reconciler.model.diff import Change, Diff, Effect, Op
from reconciler.model.kinds.configdb import DBState, ResolvedConfigDB, Schema, Unmanaged
from reconciler.model.kinds.host import HostSpec, LeaveOwnDB, ObservedHost, Presence, ReplaceDriver, ResolvedHost
from reconciler.model.kinds.vmgroup import (
    Access,
    DeleteVMGroup,
    Member,
    RemoveMember,
    ResolvedVMGroup,
    TenantRow,
    VMRow,
)
from reconciler.model.ownership import Declared, ForgetObject, Kept, Record, RecordObject
from reconciler.model.plan import REPORT_ONLY, Plan, Policy
from reconciler.model.refs import DEFAULT_VMGROUP, DEFAULT_VMGROUP_UUID, Kind, Location, ObjectRef, own_location
from reconciler.model.state import Desired, Observed, Resolved
from reconciler.planning.compare.context import site_context
from reconciler.planning.configdb.old_schema import is_old, lifted
from reconciler.planning.differ import diff, without_uuid
from reconciler.planning.planner import plan
from reconciler.planning.records.applied import measured
from reconciler.planning.resolve import resolve
from reconciler.planning.rights.decision import Lookup, Request, Right, decide
from reconciler.planning.scope import incomplete
from reconciler.planning.vmgroup.state import VMGroupState, default_vmgroup, normalised, observed_states
from tests.planning import compact
from tests.planning.golden import HEAL
from tests.planning.interpreter import Rows, Site
from tests.planning.shown import shown_diff, shown_plan
from tests.planning.worlds import HOSTS, STORES, URLS, VMS, World, databases, desires, inventories, shuffled, worlds

WRITABLE = (Op.CREATE, Op.UPDATE, Op.DELETE)
RECORDING = (RecordObject, ForgetObject)
WATCHING = (HEAL.risks, HEAL.risks | {Risk.WIDENS}, frozenset(Risk) - {Risk.DESTROYS}, frozenset({Risk.WIDENS}))


def look(world: World) -> tuple[Resolved, Diff, Plan]:
    """One pass without writing."""
    resolved = resolve(world.desired, world.inventory)
    fresh = {ref: f"fresh-{ref.name}" for ref in without_uuid(resolved, world.observed)}
    found = diff(resolved, world.observed, fresh, world.applying)
    return resolved, found, plan(found, resolved, world.observed, world.policy)


def carried_out(world: World, steps: Plan) -> Site:
    """The world after a plan. Every action must be possible, and no VM that moves may be in no vmgroup meanwhile."""
    site = Site(world.observed)
    for move in steps.moves:
        if move.move.copies:
            site.copy_db(move)
    for step in steps.config_dbs:
        for _, link in step.clear_links:
            site.apply_link(link)
        before = grouped(site.dbs[step.location])
        moments: list[set[str]] = []
        for result in site.apply_db(step, partial(remember, moments)):
            assert result.ok, f"{result.ref}: {result.message}"
        lasting = before & grouped(site.dbs[step.location])
        assert all(lasting <= moment for moment in moments)
        for _, link in step.make_links:
            site.apply_link(link)
    for host in steps.hosts:
        site.apply_host(host.host, host.actions)
    for move in steps.moves:
        site.retire_db(move)
    return site


def remember(moments: list[set[str]], rows: Rows) -> None:
    """Note who is in a vmgroup at this moment."""
    moments.append(grouped(rows))


def grouped(rows: Rows) -> set[str]:
    """The VMs that vDVS finds in a vmgroup."""
    return {row.vm_id for row in rows.vms.values() if row.tenant_id in rows.tenants}


def permitted(found: Diff, steps: Plan) -> list[Change]:
    """The changes that the plan lets through."""
    withheld = {held.ref for held in steps.withheld}
    return [change for change in found.changes if change.op in WRITABLE and change.ref not in withheld]


@given(worlds())
def test_diff_and_plan_are_total_and_every_change_has_a_reason(world: World) -> None:
    resolved, found, steps = look(world)
    refs = [change.ref for change in found.changes]
    assert refs == sorted(refs, key=lambda ref: ref.sort_key)
    assert len(set(refs)) == len(refs)
    for change in found.changes:
        assert change.reason
        assert change.op in WRITABLE or all(isinstance(action, RECORDING) for action in change.actions)
        assert change.op is Op.KEEP or change.op in WRITABLE or not change.actions
        assert change.op is not Op.UPDATE or change.fields
        assert change.tied <= set(refs) - {change.ref}
        assert all(action.ref == change.ref for action in change.actions)
    kinds = (resolved.hosts, resolved.config_dbs, resolved.vmgroups, resolved.unresolved)
    wanted = {thing.ref for things in kinds for thing in things}
    assert wanted <= set(refs)
    rest = (change for change in found.changes if change.ref not in wanted)
    assert all(change.op in (Op.UNMANAGED, Op.REMOVED, Op.DELETE, Op.BLOCKED) for change in rest)
    assert all(change.ref in wanted for change in found.changes if change.op in (Op.CREATE, Op.UPDATE))
    parts = {change.ref: part.actions for change in found.changes if (part := change.taking_back) is not None}
    withheld = {held.ref for held in steps.withheld}
    for step in steps.steps:  # of what is held back, only what takes back is planned
        for action in step.actions:
            assert action.ref not in withheld or action in parts.get(action.ref, ())
    assert shown_diff(found)
    assert shown_plan(steps)


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_inputs_does_not_matter(world: World, chance: random.Random) -> None:
    _, found, steps = look(world)
    _, again, steps_again = look(shuffled(world, chance))
    assert shown_diff(found) == shown_diff(again)
    assert found == again
    assert steps == steps_again


@given(worlds())
def test_a_plan_that_was_carried_out_leaves_nothing_of_what_it_did(world: World) -> None:
    _, found, steps = look(world)
    note(shown_diff(found) + shown_plan(steps))
    site = carried_out(world, steps)
    recovered = {step.ref for step in steps.config_dbs if step.recover}
    moved = {step.ref for step in steps.moves}
    replaced = {step.ref for step in steps.hosts if any(isinstance(a, ReplaceDriver) for a in step.actions)}
    resolved, left, _ = look(replace(world, observed=site.observed()))
    note(shown_diff(left))
    after = {change.ref: change for change in left.changes}
    # A driver that needed the old schema is in the way of nothing any more.
    recovered |= {host.config_db for host in resolved.hosts if host.ref in replaced and host.config_db is not None}
    users = {host.ref for host in resolved.hosts if host.config_db in recovered}
    for change in permitted(found, steps):
        if change.op is Op.DELETE:
            assert change.ref not in after
            continue
        now = after[change.ref]
        if change.ref in recovered | users | moved:  # now it can be read, there may be more to do
            continue
        if recovered and now.fields and all(field.path.startswith("links[") for field in now.fields):
            continue  # now that all are read, it is known that the link serves nobody else
        if change.held and now.op is Op.UPDATE:  # what was in the way of the rest (an old driver) may be gone now
            done = {field.path for field in change.fields}
            assert done.isdisjoint(field.path for field in now.fields), now
            continue
        assert now.op in (Op.KEEP, Op.BLOCKED), now
        if now.op is Op.BLOCKED:  # by something that was in the way before, maybe by the driver of another host
            assert any_driver(now.reason) in map(any_driver, change.held)
            assert not now.fields


def any_driver(reason: str) -> str:
    return re.sub(r"host/\S+ has driver \S+", "a host has another driver", reason)


@given(worlds())
def test_no_plan_breaks_a_rule_of_vdvs(world: World) -> None:
    _, _, steps = look(world)
    site = carried_out(world, steps)
    sources = {Location(step.move.path): Location(step.move.source, step.move.source_host) for step in steps.moves}
    for path, before in world.observed.config_dbs.items():
        known = Rows.of(before).violations()
        if path in sources:
            known |= Rows.of(world.observed.config_dbs[sources[path]]).violations()
        assert site.dbs[path].violations() <= known


@given(worlds())
def test_what_no_manifest_declares_is_not_touched(world: World) -> None:
    resolved, _, steps = look(world)
    site = carried_out(world, steps)
    assert {step.ref for step in steps.hosts} <= {host.ref for host in resolved.hosts}
    left_by = {
        own_location(step.host): Location(action.path)
        for step in steps.hosts
        for action in step.actions
        if isinstance(action, LeaveOwnDB)
    }
    moved = {Location(step.move.source, step.move.source_host): step.move for step in steps.moves}
    copied = {Location(move.path) for move in moved.values() if move.copies}
    for path, before in world.observed.config_dbs.items():
        db = next((db for db in resolved.config_dbs if db.location == path), None)
        after = site.dbs[path]
        if path in moved and before.state is DBState.PRESENT:  # not a row of it is lost
            new = Location(moved[path].path)
            kept = before if moved[path].copies else world.observed.config_dbs[new]  # only the copy was changed since
            assert (after.other.state, site.dbs[new].fingerprint()) == (DBState.ABSENT, Rows.of(kept).fingerprint())
        elif path in left_by:  # the host uses another one now, that has all vmgroups of its own
            there_then = {row.id for row in world.observed.config_dbs[left_by[path]].tenants} | {DEFAULT_VMGROUP_UUID}
            assert {row.id for row in before.tenants} <= there_then
        elif db is None:
            assert after.observed() == before
        if db is None or path in copied:
            continue
        groups = [group for group in resolved.vmgroups if group.config_db == db.ref]
        names, pins = {group.name for group in groups} | {DEFAULT_VMGROUP}, {group.uuid for group in groups}
        names |= {name for group in groups for name in group.previous_names}
        for tenant in before.tenants:
            if tenant.name not in names and tenant.id not in pins and tenant.id not in deleted(steps):
                then = lifted(before) if after.other.schema is Schema.V1_2 and touched(steps, db.ref) else before
                assert mended(rows_of(Rows.of(then), tenant.id)) == mended(rows_of(after, tenant.id))


def touched(steps: Plan, db: ObjectRef) -> bool:
    """Whether a plan changes rows of a config DB for its own sake."""
    return any(action.ref == db for step in steps.config_dbs for action in step.actions)


def deleted(steps: Plan) -> set[str]:
    """The UUIDs of the vmgroups that a plan deletes."""
    actions = (action for step in steps.config_dbs for group in step.groups for action in group)
    return {action.uuid for action in actions if isinstance(action, DeleteVMGroup)}


def rows_of(rows: Rows, tenant: str) -> list[object]:
    """All that the config DB says about one vmgroup."""
    access = sorted((row for row in rows.privileges.values() if row.tenant_id == tenant), key=lambda row: row.url)
    return [rows.tenants[tenant], *(row for row in rows.vms.values() if row.tenant_id == tenant), *access]


def mended(rows: list[object]) -> set[object]:
    """The rows with what a config DB mends of itself: no description is an empty one, ids are in lower case, and
    VMs get names."""
    return {
        replace(row, description=row.description or "")
        if isinstance(row, TenantRow)
        else row._replace(vm_id=row.vm_id.lower(), vm_name=None)
        if isinstance(row, VMRow)
        else row
        for row in rows
    }


@given(worlds())
def test_a_gap_keeps_what_it_may_hide(world: World) -> None:
    resolved, _, steps = look(world)
    assume(incomplete(resolved, world.observed) is not None)
    actions = [action for step in steps.config_dbs for group in step.groups for action in group]
    assert not [action for action in actions if isinstance(action, DeleteVMGroup)]
    seen = {vm.uuid for vm in world.inventory.vms}
    hidden = set() if world.inventory.complete else {*(f"uuid-{name}" for name in VMS), "uuid-gone"} - seen
    removals = [action for action in actions if isinstance(action, RemoveMember) and action.ref.kind is Kind.VMGROUP]
    assert not [action for action in removals if action.member.uuid in hidden]


@given(worlds())
def test_reporting_plans_nothing(world: World) -> None:
    _, found, steps = look(replace(world, policy=REPORT_ONLY))
    assert steps.empty
    assert {held.ref for held in steps.withheld} == {change.ref for change in found.changes if change.op in WRITABLE}


@given(worlds())
def test_healing_gives_no_vm_any_right_that_it_did_not_have(world: World) -> None:
    _, _, steps = look(replace(world, policy=HEAL))
    site = carried_out(world, steps)
    for path, before in world.observed.config_dbs.items():
        if before.state is DBState.PRESENT and not any(step.recover for step in steps.config_dbs):
            then, now = observed_states(before), observed_states(site.dbs[path].observed())
            owners_then = {row.vm_id: row.tenant_id for row in before.vms}
            owners_now = {row.vm_id: row.tenant_id for row in site.dbs[path].vms.values()}
            for vm in (f"uuid-{name}" for name in [*VMS, "gone", "never-seen"]):
                had, has = serving(vm, owners_then, then), serving(vm, owners_now, now)
                gained = allowed(has) - allowed(had)
                assert not gained or gained <= allowed(declared(world, path, has)), (vm, gained)


def declared(world: World, path: Location, group: VMGroupState | None) -> VMGroupState | None:
    """What the manifest of a vmgroup says about its access, if it says all of it."""
    resolved = resolve(world.desired, world.inventory)
    refs = {db.ref for db in resolved.config_dbs if db.location == path}
    for wanted in resolved.vmgroups:
        names = (wanted.name, *wanted.previous_names)  # of which it may still have an older one
        known = group is not None and (wanted.uuid == group.uuid or (not wanted.uuid and group.name in names))
        if group is not None and known and wanted.config_db in refs and wanted.access is not None:
            access = {row.url: row for row in wanted.access}
            return replace(group, access=access, default_url=wanted.default_url or group.default_url)
    return None


@given(worlds())
def test_healing_leaves_nothing_that_was_added(world: World) -> None:
    """What could be taken back is gone, even where the rest of the change waits."""
    _, found, steps = look(replace(world, policy=HEAL))
    assume(not steps.moves and not any(step.recover for step in steps.config_dbs))
    site = carried_out(world, steps)
    _, again, _ = look(replace(world, policy=HEAL, observed=site.observed()))
    written = {action.ref for step in steps.config_dbs for action in step.actions}
    for change in found.changes:
        now = next((later for later in again.changes if later.ref == change.ref), None)
        if change.adds is not None and change.ref in written and now is not None:
            assert now.adds is None or now.adds.actions != change.adds.actions, shown_diff(again)


def passes(world: World, policy: Policy) -> dict[ObjectRef, Change]:
    """What is left to change after passes with this policy, of which each makes do with what the last one left."""
    world = replace(world, policy=policy, applying=None)
    for _ in range(6):
        _, found, steps = look(world)
        note(shown_diff(found) + shown_plan(steps))
        if steps.empty:
            break
        world = replace(world, observed=carried_out(world, steps).observed())
    return {change.ref: change for change in found.changes}


@given(worlds(), st.sampled_from(WATCHING), st.data())
def test_the_brake_keeps_nothing_that_is_taken_back_without_it(
    world: World, risks: frozenset[Risk], data: st.DataObject
) -> None:
    declared = [ref for ref, _ in world.desired.digests]
    braked = data.draw(st.sets(st.sampled_from(declared)) if declared else st.just(set[ObjectRef]()))
    policy = Policy(risks, config_db_lifecycle=False)
    free = passes(world, policy)
    gave = (Effect.GAVE, Effect.BOTH)
    for ref, change in passes(world, replace(policy, braked=tuple((ref, "it fights") for ref in braked))).items():
        if ref in free and change.effect in gave:
            assert free[ref].effect in gave, ref


@given(worlds(), desires())
def test_what_is_pushed_neither_grants_anything_nor_keeps_what_was_added(world: World, pushed: Desired) -> None:
    """Manifests were applied, others are there now, and whoever heals takes back what exceeds those that were."""
    assume(not any(is_old(db) for db in world.observed.config_dbs.values()))  # nothing is written there
    world = replace(world, policy=plans.HEAL, applying=None, observed=replace(world.observed, kept=kept(world)))
    resolved = resolve(pushed, world.inventory)
    fresh = {ref: f"fresh-{ref.name}" for ref in without_uuid(resolved, world.observed)}

    def healing(observed: Observed) -> tuple[Diff, Plan]:
        found = measured(diff(resolved, observed, fresh), resolved, observed, fresh)
        return found, plan(found, resolved, observed, plans.HEAL)

    found, steps = healing(world.observed)
    databases = site_context(resolved, world.observed, fresh, None).databases.values()
    assume(not any(db.moves for db in databases))  # until a move is over, nothing else is written
    assume(not any(step.recover for step in steps.config_dbs))
    note(shown_diff(found) + shown_plan(steps))
    parts = {change.ref: part for change in found.changes if (part := change.taking_back) and part.applied}
    site = carried_out(world, steps)
    again, _ = healing(replace(site.observed(), kept=world.observed.kept))
    withheld = {held.ref for held in steps.withheld}
    written = {action.ref for step in steps.config_dbs for action in step.actions}
    assert all(ref in written or ref in withheld for ref in parts)
    for change in again.changes:
        part = change.taking_back
        assert (
            part is None or not part.applied or change.ref not in written or part.actions != parts[change.ref].actions
        )
    for path, before in world.observed.config_dbs.items():
        then, now = observed_states(before), observed_states(site.dbs[path].observed())
        for uuid, state in now.items():
            pending = any(ref.name.rpartition("/")[2] == state.name for ref in parts)
            for lookup in Lookup if pending and uuid in then else ():  # what is held may exceed both, as it did before
                gained = allowed(state, lookup) - allowed(then[uuid], lookup)
                assert not gained or gained <= allowed(declared(world, path, state), lookup)


def kept(world: World) -> dict[str, Kept]:
    """What this side keeps where the manifests of the world were applied, and had another digest than any now."""
    found = {}
    resolved = resolve(world.desired, world.inventory)
    for db in resolved.config_dbs:
        rows = {row.name: row.id for row in world.observed.config_dbs[db.location].tenants}
        mine = (group for group in resolved.vmgroups if group.config_db == db.ref)
        # One that is pinned to another UUID was never applied to the row of its name.
        groups = {group.name: group for group in mine if group.uuid in (None, rows.get(group.name))}
        declared = {f"vmgroup/{name}": Declared("m0", vmgroup=groups[name]) for name in groups.keys() & rows.keys()}
        declared[f"configdb/{db.ref.name}"] = Declared("m0", default_vmgroup=db.default_vmgroup)
        uids = {f"vmgroup/{name}": uid for name, uid in rows.items()}
        records = {
            n: Record(n, uids.get(n), "", "m0", None, False, "ann@ws", None, "", claimed=False) for n in declared
        }
        found[db.ref.name] = Kept(str(db.location), records, declared)
    return found


@given(worlds())
def test_more_than_a_manifest_says_is_never_in_sync(world: World) -> None:
    resolved, found, _ = look(world)
    for db in resolved.config_dbs:
        seen = world.observed.config_dbs[db.location]
        if seen.state is not DBState.PRESENT:
            continue
        states = observed_states(seen)
        for group in resolved.vmgroups:
            state = next((each for each in states.values() if each.name == group.name), None)
            if state is None or group.config_db != db.ref:
                continue
            told = declared(world, db.location, state)
            more = told is not None and allowed(state) - allowed(told)
            wanted = {member.uuid for member in group.members or ()}
            strangers = group.members is not None and {vm for vm in state.members if vm == vm.lower()} - wanted
            assert not ((more or strangers) and found.in_sync), shown_diff(found)
        known = {record.object for record in seen.records or ()}
        names = {name for group in resolved.vmgroups for name in (group.name, *group.previous_names)}
        pins = {group.uuid for group in resolved.vmgroups}
        for state in states.values():
            rogue = state.name not in names | {DEFAULT_VMGROUP} and f"vmgroup/{state.name}" not in known
            if rogue and state.uuid not in pins and allowed(state) and db.unmanaged is not Unmanaged.IGNORE:
                assert not found.in_sync, shown_diff(found)


def serving(vm: str, owners: dict[str, str], states: Mapping[str, VMGroupState]) -> VMGroupState | None:
    """The vmgroup that serves a VM: its own, even if that is gone; else `_DEFAULT`."""
    return states.get(owners[vm]) if vm in owners else default_vmgroup(states.values())


SIZES = [50, 100, 150, 200, 250]


def allowed(group: VMGroupState | None, lookup: Lookup = Lookup.SINCE_0_17) -> set[tuple[object, ...]]:
    """All that a VM of `group` may do, whatever way of naming the datastore lets it."""
    found: set[tuple[object, ...]] = set()
    for url in (*URLS, "/vmfs/volumes/another"):
        for own in (url, "/vmfs/volumes/elsewhere"):
            named: list[str | None] = [url]
            if group is not None and (group.default_url == url or (own == url and group.default_url == "_VM_DS://")):
                named.append(None)
            for name in named:
                for right in (Right.MOUNT, Right.DELETE):
                    if decide(group, own, Request(right, name), lookup=lookup).allowed:
                        found.add((url, own == url, right))
                for size in SIZES:
                    for used in (0, 50, 100, 150):
                        if decide(group, own, Request(Right.CREATE, name, size), used, lookup).allowed:
                            found.add((url, own == url, Right.CREATE, size, used))
    return found


@given(st.data(), inventories())
def test_a_config_db_compared_with_itself_differs_in_nothing(data: st.DataObject, inventory: object) -> None:
    known = compact.inventory({"hosts": HOSTS, "datastores": [{"name": name} for name in STORES], "vms": []})
    db = data.draw(databases("d1", DBState.PRESENT))
    ref, store = ObjectRef(Kind.CONFIG_DB, "a"), known.datastores[0]
    wanted = tuple(as_declared(state, ref) for state in observed_states(lifted(db)).values())
    default = Presence.PRESENT if any(row.name == DEFAULT_VMGROUP for row in db.tenants) else Presence.ABSENT
    resolved = Resolved(
        known,
        (ResolvedConfigDB(ref, store, tuple(HOSTS), default, Unmanaged.REPORT, 10),),
        tuple(
            ResolvedHost(ObjectRef(Kind.HOST, name), name, ref, store, HostSpec(service_running=True)) for name in HOSTS
        ),
        wanted,
        (),
    )
    hosts = {name: compact.observed_host(name, "joined d1", known) for name in HOSTS}
    assert all(isinstance(host, ObservedHost) for host in hosts.values())
    observed = replace(compact.observed({}, known), hosts=hosts, config_dbs={Location(db.path): db})
    found = diff(resolved, observed, {})
    mending = [change for change in found.changes if change.op is not Op.KEEP]
    assert all(change.ref == ref and (db.violations or is_old(db)) for change in mending), shown_diff(found)
    assert mending or plan(found, resolved, observed, HEAL).empty


def as_declared(state: VMGroupState, db: ObjectRef) -> ResolvedVMGroup:
    """What a manifest would say of this vmgroup: everything that a manifest can say."""
    readable = [row for row in state.access.values() if row is not None]
    stateable = len(readable) == len(state.access) and state.default_url in state.access
    access: tuple[Access, ...] | None = tuple(sorted(readable)) if stateable else None
    members = tuple(sorted(Member(uuid, name) for uuid, name in state.members.items() if uuid == uuid.lower()))
    listed = state.name != DEFAULT_VMGROUP and len(members) == len(state.members)
    return ResolvedVMGroup(
        ref=ObjectRef(Kind.VMGROUP, state.name),
        name=state.name,
        config_db=db,
        uuid=state.uuid,
        description=state.description,
        default_url=state.default_url if stateable else None,
        access=access,
        members=members if listed else None,
    )


def renormalised(state: VMGroupState) -> VMGroupState:
    return normalised(state.uuid, state.name, state.description, state.default_url, state.access, state.members)


@given(databases("d1", DBState.PRESENT), st.randoms(use_true_random=False))
def test_normalise_is_idempotent_and_forgets_the_order_of_rows(db: object, chance: random.Random) -> None:
    for state in observed_states(db).values():  # type: ignore[arg-type]
        access, members = list(state.access.items()), list(state.members.items())
        chance.shuffle(access)
        chance.shuffle(members)
        mixed = replace(state, access=dict(access), members=dict(members))
        for once in (renormalised(state), renormalised(mixed)):
            assert renormalised(once) == once == state
            assert list(once.access) == list(state.access) == sorted(state.access)
            assert list(once.members) == list(state.members) == sorted(state.members)
