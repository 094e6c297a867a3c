"""What pruning and `unmanaged: Delete` remove, and what they never do; what an apply writes down."""

from __future__ import annotations

from hypothesis import assume, given, note
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.model.diff import Op
from reconciler.model.kinds.configdb import Unmanaged
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.plan import APPLY_AND_DESTROY, HEAL
from reconciler.model.refs import DEFAULT_VMGROUP
from reconciler.planning.scope import incomplete, vmgroup_ref
from tests.planning.shown import shown_diff, shown_plan
from tests.planning.test_properties import RECORDING, carried_out, deleted, look
from tests.planning.worlds import World, worlds

PRUNING = Applying("s1", Stamp("ann@ws"), prune=True)


@given(worlds())
def test_pruning_removes_exactly_what_the_set_applied_last_and_does_not_declare(world: World) -> None:
    databases = tuple(replace(db, unmanaged=Unmanaged.REPORT) for db in world.desired.config_dbs)
    desired = replace(world.desired, config_dbs=databases)
    world = replace(world, desired=desired, applying=PRUNING, policy=APPLY_AND_DESTROY)
    resolved, found, steps = look(world)
    note(shown_diff(found) + shown_plan(steps))
    ops = {change.ref: change.op for change in found.changes}
    declared = {thing.ref for things in (resolved.vmgroups, resolved.unresolved) for thing in things}
    there = {(db.ref, row.id) for db in resolved.config_dbs for row in world.observed.config_dbs[db.location].tenants}
    spared = {  # of their own config DB only
        vmgroup_ref(group.config_db, name, resolved)
        for group in resolved.vmgroups
        if (group.config_db, group.uuid) not in there
        for name in group.previous_names
    }
    pinned = {group.uuid for group in resolved.vmgroups}
    owned = set()
    for db in resolved.config_dbs:
        seen = world.observed.config_dbs[db.location]
        applied = {(record.object, record.uid) for record in seen.records or () if record.set == "s1"}
        owned |= {
            (vmgroup_ref(db.ref, t.name, resolved), t.id)
            for t in seen.tenants
            if (f"vmgroup/{t.name}", t.id) in applied
        }
    gone = {(ref, uuid) for ref, uuid in owned if uuid in deleted(steps)}
    assert deleted(steps) <= {uuid for _, uuid in owned} | _defaults(world)
    for ref, uuid in owned:
        spoken_of = ref in declared | spared or uuid in pinned or ref.name.rpartition("/")[2] == DEFAULT_VMGROUP
        assert not (spoken_of and (ref, uuid) in gone) or uuid in _defaults(world)
        if not spoken_of and ops.get(ref) is Op.DELETE:
            partners = next(change.tied for change in found.changes if change.ref == ref)
            withheld = {held.ref for held in steps.withheld}
            assert (ref, uuid) in gone or ref in withheld or partners & withheld
    site = carried_out(world, steps)
    left = {row.id for rows in site.dbs.values() for row in rows.tenants.values()}
    assert not left & {uuid for _, uuid in gone} or len(site.dbs) > 1


def _defaults(world: World) -> set[str]:
    """`_DEFAULT` goes by `defaultVMGroup: Absent`, never by pruning."""
    tenants = (row for db in world.observed.config_dbs.values() for row in db.tenants)
    return {row.id for row in tenants if row.name == DEFAULT_VMGROUP}


@given(worlds(), st.sampled_from([PRUNING, replace(PRUNING, prune=False), None]))
def test_where_nobody_can_say_who_applied_what_nothing_is_pruned(world: World, applying: Applying | None) -> None:
    unknown = {path: replace(db, records=None) for path, db in world.observed.config_dbs.items()}
    world = replace(world, observed=replace(world.observed, config_dbs=unknown), applying=applying)
    _, _, steps = look(replace(world, policy=APPLY_AND_DESTROY))
    assert deleted(steps) <= _defaults(world)
    actions = [action for step in steps.config_dbs for group in step.groups for action in group]
    assert not [action for action in actions if isinstance(action, RECORDING)]


@given(worlds())
def test_an_incomplete_pass_prunes_nothing(world: World) -> None:
    resolved, _, steps = look(replace(world, applying=PRUNING, policy=APPLY_AND_DESTROY))
    assume(incomplete(resolved, world.observed) is not None)
    assert not deleted(steps)


@given(worlds())
def test_what_was_applied_and_recorded_needs_no_second_word(world: World) -> None:
    assume(world.applying is not None)
    _, found, steps = look(world)
    note(shown_diff(found) + shown_plan(steps))
    assume(not any(step.recover for step in steps.config_dbs))
    site = carried_out(world, steps)
    written = {a.ref for step in steps.config_dbs for group in step.groups for a in group if isinstance(a, RECORDING)}
    _, again, _ = look(replace(world, observed=site.observed()))
    note(shown_diff(again))
    for change in again.changes:
        if change.ref in written and change.op is Op.KEEP:
            assert not change.actions
            assert not change.claim


@given(worlds())
def test_only_what_was_applied_before_is_healed(world: World) -> None:
    resolved, _, steps = look(replace(world, policy=HEAL, applying=None))
    databases = {db.ref: world.observed.config_dbs[db.location] for db in resolved.config_dbs}
    for step in steps.config_dbs:
        records = {record.object: record.digest for record in databases[step.ref].records or ()}
        assert step.recover or records.get(f"configdb/{step.ref.name}") == resolved.digests[step.ref]
        for ref in {action.ref for group in step.groups for action in group} - {step.ref}:
            assert records[f"vmgroup/{ref.name.rpartition('/')[2]}"] == resolved.digests[ref]
    for host in steps.hosts:
        assert host.config_db is not None
        records = {record.object: record.digest for record in databases[host.config_db].records or ()}
        assert records[f"host/{host.host}"] == resolved.digests[host.ref]
