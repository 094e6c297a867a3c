"""Renaming: at no moment of a plan does a vmgroup see volumes that it did not see before, and it keeps its own."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import assume, given, note
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.model.diff import Op
from reconciler.model.kinds.configdb import DBState
from reconciler.model.kinds.vmgroup import RenameVMGroup
from reconciler.model.plan import Plan
from reconciler.model.refs import Kind
from tests.planning.interpreter import Rows, Site
from tests.planning.shown import shown_diff, shown_plan
from tests.planning.test_properties import look
from tests.planning.worlds import World, worlds

Exposure = tuple[str, str, str]


@st.composite
def renaming_worlds(draw: st.DrawFn) -> World:
    """Worlds in which some vmgroup has another name than before, and where that could be done."""
    world = draw(worlds())
    assume(any(group.previous_names for group in world.desired.vmgroups))
    stores = {url: replace(store, error=None) for url, store in world.observed.datastores.items()}
    inventory = replace(world.inventory, gaps=())
    return replace(world, inventory=inventory, observed=replace(world.observed, datastores=stores))


def foreign(rows: Rows, site: Site) -> set[Exposure]:
    """Who is served from a folder that is not its own: (uuid, datastore, where its name leads)."""
    return {
        (tenant.id, url, entry.target or entry.kind)
        for tenant in rows.tenants.values()
        for url, store in site.datastores.items()
        if (entry := store.entries.get(tenant.name)) is not None and entry.target != f"{url}/dockvols/{tenant.id}"
    }


def moments(world: World, steps: Plan) -> Iterator[Site]:
    """The world after each step that others can see: a link, or a whole transaction."""
    site = Site(world.observed)
    for step in steps.config_dbs:
        for _, link in step.clear_links:
            site.apply_link(link)
            yield site
        site.apply_db(step)
        yield site
        for _, link in step.make_links:
            site.apply_link(link)
            yield site


@given(renaming_worlds())
def test_at_no_moment_does_anybody_see_foreign_volumes_that_did_not_before(world: World) -> None:
    resolved, found, steps = look(world)
    note(shown_diff(found) + shown_plan(steps))
    at_first = Site(world.observed)
    # Of a config DB that no manifest declares, nobody can know which vmgroups it has.
    declared = [db.location for db in resolved.config_dbs]
    there = [place for place in declared if world.observed.config_dbs[place].state is DBState.PRESENT]
    before = {path: foreign(at_first.dbs[path], at_first) for path in there}
    for site in moments(world, steps):
        for path in there:
            assert foreign(site.dbs[path], site) <= before[path]


@given(renaming_worlds())
def test_who_is_renamed_keeps_its_uuid_its_rows_and_its_links_and_leaves_no_old_name(world: World) -> None:
    _, found, steps = look(world)
    note(shown_diff(found) + shown_plan(steps))
    site = Site(world.observed)
    for moment in moments(world, steps):
        site = moment
    for step in steps.config_dbs:
        rows = site.dbs[step.location]
        for action in (action for group in step.groups for action in group if isinstance(action, RenameVMGroup)):
            assert rows.tenants[action.uuid].name == action.name
            for url, store in site.datastores.items():
                assert action.before not in store.entries
                link = store.entries.get(action.name)
                assert link is None or link.target == f"{url}/dockvols/{action.uuid}"


@given(renaming_worlds())
def test_a_plan_that_stops_anywhere_is_finished_by_the_next_one(world: World) -> None:
    _, found, steps = look(world)
    renamed = {
        action.ref for step in steps.config_dbs for group in step.groups for action in group if is_rename(action)
    }
    for moment in moments(world, steps):
        _, left, rest = look(replace(world, observed=moment.observed()))
        note(shown_diff(found) + shown_diff(left) + shown_plan(rest))
        after = {change.ref: change for change in left.changes}
        assert all(after[ref].op in (Op.KEEP, Op.UPDATE) or after[ref].reason for ref in renamed)
        assert all(after[ref].op is not Op.CREATE for ref in renamed)


def is_rename(action: object) -> bool:
    """Whether this renames a vmgroup."""
    return isinstance(action, RenameVMGroup)


@given(renaming_worlds())
def test_no_vmgroup_is_made_beside_the_one_that_is_meant(world: World) -> None:
    resolved, found, _ = look(world)
    by_ref = {change.ref: change for change in found.changes}
    paths = {db.ref: db.location for db in resolved.config_dbs}
    for group in resolved.vmgroups:
        seen = world.observed.config_dbs[paths[group.config_db]]
        names = {row.name for row in seen.tenants} if seen.state is DBState.PRESENT else set()
        if names & {group.name, *group.previous_names}:
            assert by_ref[group.ref].op is not Op.CREATE or group.uuid is not None
    assert all(change.ref.kind is Kind.VMGROUP for change in found.changes if change.op is Op.UNMANAGED)
