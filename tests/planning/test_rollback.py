"""Rolling back: whatever was applied since, the plan brings back the rows of the backup, or says what it does not."""

from __future__ import annotations

from hypothesis import given, note
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.model.diff import Op
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB, Schema
from reconciler.model.kinds.host import ObservedHost
from reconciler.model.kinds.vmgroup import TenantRow, VMRow
from reconciler.model.ownership import Applying, Record, RecordObject, Stamp
from reconciler.model.plan import APPLY, APPLY_AND_DESTROY
from reconciler.model.refs import DEFAULT_VMGROUP, Kind, Location, ObjectRef
from reconciler.model.state import Observed
from reconciler.planning.configdb.rollback import Rollback, roll_back
from reconciler.planning.differ import diff
from reconciler.planning.planner import plan
from reconciler.planning.resolve import resolve
from reconciler.planning.vmgroup.state import VMGroupState, observed_states
from tests.planning import adoptable, compact
from tests.planning.interpreter import Rows
from tests.planning.shown import shown_diff, shown_plan
from tests.planning.test_properties import carried_out
from tests.planning.worlds import World

URL, REF = adoptable.URLS[0], ObjectRef(Kind.CONFIG_DB, "shared")
PATH = f"{URL}/dockvols/vmdkops_config.db"
DECLARED = compact.desired({"hosts": {"esx1": {}}, "configdbs": {"shared": {"datastore": {"url": URL}}}})
BY = Applying("", Stamp("ann@ws", "rollback"), whole=True, prune=True, backup="bak")
present = [DBState.PRESENT]


@st.composite
def two_states(draw: st.DrawFn, *, broken: bool) -> tuple[Inventory, ObservedConfigDB, ObservedConfigDB]:
    """A config DB as it was and as it is, and the inventory now."""
    known = adoptable._inventory(draw)
    then, now = (adoptable._database(draw, PATH, broken and draw(st.booleans()), present) for _ in range(2))
    return known, Rows.of(then).observed(), Rows.of(now).observed()


def world_of(known: Inventory, then: ObservedConfigDB, now: ObservedConfigDB) -> tuple[World, Rollback]:
    host = compact.observed_host("esx1", {"is": "joined", "link": PATH, "link_path": PATH}, known)
    assert isinstance(host, ObservedHost)
    host = replace(host, volumes={volume: volume for volume in adoptable.IDS})
    datastores = {url: compact.observed_datastore("x", {}) for url in adoptable.URLS}
    datastores = {url: replace(store, url=url) for url, store in datastores.items()}
    seen = Observed({"esx1": host}, {Location(PATH): now}, datastores)
    back = roll_back(DECLARED, resolve(DECLARED, known), REF, now, then, "bak", "")
    return World(back.desired, known, seen, replace(APPLY_AND_DESTROY, objects=back.objects), BY), back


def essence(state: VMGroupState) -> object:
    """Display names of VMs identify nobody; no description is an empty one."""
    return state.name, state.description or "", state.default_url, dict(state.access), set(state.members)


@given(two_states(broken=False))
def test_the_rows_of_the_backup_come_back(case: tuple[Inventory, ObservedConfigDB, ObservedConfigDB]) -> None:
    known, then, now = case
    world, back = world_of(known, then, now)
    resolved = resolve(world.desired, known)
    found = diff(resolved, world.observed, {}, BY)
    steps = plan(found, resolved, world.observed, world.policy, BY.stamp)
    note(shown_diff(found) + shown_plan(steps) + str(back.left_out))
    after = observed_states(carried_out(world, steps).dbs[Location(PATH)].observed())
    wanted = observed_states(then)
    stuck = [
        change for change in found.changes if change.ref in back.objects and change.op in (Op.BLOCKED, Op.UNMANAGED)
    ]
    if not stuck and not any(change.held for change in found.changes) and not back.left_out:
        assert {uuid: essence(state) for uuid, state in after.items()} == {
            uuid: essence(state) for uuid, state in wanted.items()
        }
    spoken = {change.ref.name for change in stuck} | {left.ref.name for left in back.left_out}
    spoken |= {change.ref.name for change in found.changes if change.held}
    for uuid, state in wanted.items():
        if state.name not in spoken and "shared" not in spoken:
            assert uuid in after
            assert essence(after[uuid]) == essence(state)
    for uuid, state in after.items():
        assert uuid in wanted or state.name in spoken or (state.name == DEFAULT_VMGROUP and "shared" in spoken)


@given(two_states(broken=False))
def test_names_that_others_bear_by_now_come_back_in_the_end(
    case: tuple[Inventory, ObservedConfigDB, ObservedConfigDB],
) -> None:
    known, then, now = case
    for _ in range(8):  # a chain of names takes a pass for each
        world, back = world_of(known, then, now)
        resolved = resolve(world.desired, known)
        found = diff(resolved, world.observed, {}, BY)
        note(shown_diff(found) + str(back.left_out))
        refs = [change.ref for change in found.changes]
        assert len(set(refs)) == len(refs)
        steps = plan(found, resolved, world.observed, world.policy, BY.stamp)
        if steps.empty:
            break
        now = carried_out(world, steps).dbs[Location(PATH)].observed()
    ours = [change for change in found.changes if change.ref in back.objects]
    # One that is left out for another reason keeps the name that it has now, and whoever shall have that one waits.
    only_names = all("has this name now" in left.why for left in back.left_out)
    if only_names and not any(change.op in (Op.BLOCKED, Op.UNMANAGED) or change.held for change in ours):
        circle = {left.ref.name for left in back.left_out}
        wanted, after = observed_states(then), observed_states(now)
        names = {state.name: uuid for uuid, state in wanted.items()}
        # Only vmgroups that swap names among themselves wait for each other for ever.
        assert all(
            after[uuid].name != name and after[uuid].name in names for name, uuid in names.items() if name in circle
        )


@given(two_states(broken=True))
def test_whatever_is_in_a_backup_no_rule_is_broken_anew(
    case: tuple[Inventory, ObservedConfigDB, ObservedConfigDB],
) -> None:
    known, then, now = case
    world, back = world_of(known, then, now)
    resolved = resolve(world.desired, known)
    found = diff(resolved, world.observed, {}, BY)
    note(shown_diff(found) + str(back.left_out))
    site = carried_out(world, plan(found, resolved, world.observed, world.policy, BY.stamp))
    assert site.dbs[Location(PATH)].violations() <= Rows.of(now).violations()
    broken = {state.name for state in observed_states(then).values() if state.default_url not in state.access}
    assert broken <= {left.ref.name for left in back.left_out}


@given(two_states(broken=False))
def test_nothing_else_is_touched_and_without_leave_nothing_is_destroyed(
    case: tuple[Inventory, ObservedConfigDB, ObservedConfigDB],
) -> None:
    known, then, now = case
    world, back = world_of(known, then, now)
    resolved = resolve(world.desired, known)
    steps = plan(diff(resolved, world.observed, {}, BY), resolved, world.observed, replace(APPLY, objects=back.objects))
    assert steps.hosts == ()
    assert {action.ref for step in steps.config_dbs for action in step.actions} <= back.objects
    after = observed_states(carried_out(world, steps).dbs[Location(PATH)].observed())
    assert set(observed_states(now)) <= set(after)


def test_the_very_same_rows_need_nothing() -> None:
    known = compact.inventory({"hosts": ["esx1"], "datastores": [{"name": "shared", "url": URL}], "vms": []})
    rows = replace(compact.observed_db("shared", {"vmgroups": {}}), path=PATH)
    world, _ = world_of(known, rows, rows)
    resolved = resolve(world.desired, known)
    assert plan(diff(resolved, world.observed, {}, BY), resolved, world.observed, world.policy).empty


G1 = "0f2d53d7-091e-4b04-a6b0-1d2a43c454e1"
G2 = "0f2d53d7-091e-4b04-a6b0-1d2a43c454e2"


def shared(**fields: object) -> ObservedConfigDB:
    group = {"id": G1, "default": URL, "access": {URL: [1, 0, 0]}, **fields}
    found = compact.observed_db("shared", {"vmgroups": {"g1": group}})
    tenants = tuple(replace(row, default_url=URL) for row in found.tenants)
    access = tuple(replace(row, url=URL) for row in found.privileges)
    return Rows.of(replace(found, path=PATH, tenants=tenants, privileges=access)).observed()


def made_since(name: str) -> TenantRow:
    return TenantRow(G2, name, "", URL)


KNOWN = compact.inventory({"hosts": ["esx1"], "datastores": [{"name": "shared", "url": URL}], "vms": []})


def test_what_is_brought_back_is_not_taken_for_what_the_manifests_say() -> None:
    """The record of a vmgroup that is changed says so; one that is as it was keeps its record."""
    record = Record("vmgroup/g1", G1, "", "digest", None, False, "ann@ws", None, "")
    then, now = shared(description="old"), replace(shared(description="new"), records=(record,))
    for was, expected in ((then, ["rollback to bak"]), (now, [])):
        world, back = world_of(KNOWN, was, now)
        resolved = resolve(back.desired, KNOWN)
        steps = plan(diff(resolved, world.observed, {}, BY), resolved, world.observed, world.policy, BY.stamp)
        actions = [action for step in steps.config_dbs for group in step.groups for action in group]
        assert [action.digest for action in actions if isinstance(action, RecordObject)] == expected


def test_a_vmgroup_that_another_set_applied_since_stays() -> None:
    record = Record("vmgroup/g1", G1, "others", "digest", None, False, "bob@ws", None, "")
    empty = replace(compact.observed_db("shared", {"vmgroups": {}}), path=PATH)
    world, back = world_of(KNOWN, empty, replace(shared(), records=(record,)))
    change = diff(resolve(back.desired, KNOWN), world.observed, {}, BY).changes[-1]
    assert (str(change.ref), change.op) == ("vmgroup/g1", Op.UNMANAGED)
    assert "others" in change.reason


def test_a_backup_of_schema_1_1_is_taken_as_it_is_upgraded() -> None:
    then = replace(shared(), schema=Schema.V1_1)
    then = replace(then, tenants=tuple(replace(row, default_url="") for row in then.tenants))
    _, back = world_of(KNOWN, then, shared())
    assert [group.default_datastore for group in back.desired.vmgroups] == ["_VM_DS"]
    assert back.left_out == ()


def test_a_name_that_another_vmgroup_has_now() -> None:
    """The one made since goes first, and the next rollback gives the name back."""
    now = shared()
    renamed = replace(now, tenants=(*(replace(row, name="g1-old") for row in now.tenants), made_since("g1")))
    renamed = replace(renamed, privileges=(*now.privileges, replace(now.privileges[0], tenant_id=G2)))
    world, back = world_of(KNOWN, now, Rows.of(renamed).observed())
    assert [(str(left.ref), "has this name now" in left.why) for left in back.left_out] == [("vmgroup/g1", True)]
    resolved = resolve(back.desired, KNOWN)
    steps = plan(diff(resolved, world.observed, {}, BY), resolved, world.observed, world.policy, BY.stamp)
    after = carried_out(world, steps).dbs[Location(PATH)].observed()
    assert [row.name for row in after.tenants] == ["g1-old"]

    world, back = world_of(KNOWN, now, after)
    assert back.left_out == ()
    resolved = resolve(back.desired, KNOWN)
    steps = plan(diff(resolved, world.observed, {}, BY), resolved, world.observed, world.policy, BY.stamp)
    assert [row.name for row in carried_out(world, steps).dbs[Location(PATH)].observed().tenants] == ["g1"]


VM = "564d171f-2de0-95b7-f9b8-9d9c42841b70"


def test_a_vm_that_is_gone_since_is_left_out_and_its_vmgroup_comes_back() -> None:
    """Nothing is granted to a UUID that no VM has, and a row of it does not keep its vmgroup from being deleted."""
    then = replace(shared(), vms=(VMRow(VM, G1, "gone"),))
    row = replace(then.privileges[0], tenant_id=G2)
    now = replace(then, tenants=(made_since("g2"),), privileges=(row,), vms=(VMRow(VM, G2, "gone"),))
    world, back = world_of(KNOWN, then, Rows.of(now).observed())
    assert [(str(left.ref), VM in left.why) for left in back.left_out] == [("vmgroup/g1", True)]
    resolved = resolve(back.desired, KNOWN)
    steps = plan(diff(resolved, world.observed, {}, BY), resolved, world.observed, world.policy, BY.stamp)
    after = carried_out(world, steps).dbs[Location(PATH)].observed()
    assert [state.name for state in observed_states(after).values()] == ["g1"]
    assert after.vms == ()


def test_the_row_of_a_vm_that_is_gone_stays_where_it_was() -> None:
    then = replace(shared(), vms=(VMRow(VM, G1, "gone"),))
    world, back = world_of(KNOWN, then, then)
    assert back.left_out == ()
    resolved = resolve(back.desired, KNOWN)
    assert plan(diff(resolved, world.observed, {}, BY), resolved, world.observed, world.policy).empty
