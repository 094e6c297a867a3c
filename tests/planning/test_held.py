"""An object whose manifest cannot be used stays as it is in vDVS, and the others go on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, note
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.model.diff import Op
from reconciler.model.kinds.vmgroup import ResolvedVMGroup
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Unresolved
from reconciler.planning.differ import diff
from reconciler.planning.files.volume import uuids_of_vmgroups
from reconciler.planning.resolve import resolve
from reconciler.planning.scope import incomplete, vmgroup_ref
from reconciler.planning.vmgroup.pairing import pairs
from reconciler.planning.vmgroup.state import VMGroupState
from tests.planning import compact
from tests.planning.shown import shown_diff, shown_plan
from tests.planning.test_properties import carried_out, deleted, look
from tests.planning.worlds import World, worlds


@given(worlds(), st.data())
def test_a_held_vmgroup_stays_as_it_is(world: World, data: st.DataObject) -> None:
    assume(world.desired.vmgroups)
    group = data.draw(st.sampled_from(world.desired.vmgroups))
    names = (*group.previous_names, *([group.uuid] if group.uuid else ()))
    held = Unresolved(group.ref, "it is broken", names, "Invalid", certain=True)
    others = tuple(each for each in world.desired.vmgroups if each is not group)
    world = replace(world, desired=replace(world.desired, vmgroups=others, held=(held,)))
    resolved, found, steps = look(world)
    note(shown_diff(found) + shown_plan(steps))
    (change,) = (change for change in found.changes if change.ref == group.ref)
    assert (change.op, change.reason, change.actions) == (Op.BLOCKED, "it is broken", ())
    db = next((db for db in resolved.config_dbs if db.ref.name == group.config_db), None)
    if db is None:
        return
    named = {each.name for each in others if each.config_db == group.config_db}
    named |= {name for each in others for name in each.previous_names}
    pinned = {each.uuid for each in others}
    rows = {row.id: row for row in world.observed.config_dbs[db.location].tenants}
    mine = {
        row.id
        for row in rows.values()
        if row.name not in named and row.id not in pinned and (row.name in (group.name, *names) or row.id in names)
    }
    assert not mine & deleted(steps)
    after = carried_out(world, steps).dbs[db.location]
    for uuid in mine & after.tenants.keys():
        assert after.tenants[uuid].name == rows[uuid].name


@given(worlds())
def test_others_go_on_beside_a_held_object_that_is_known_for_certain(world: World) -> None:
    _, alone, _ = look(world)
    resolved, _, _ = look(world)
    assume(resolved.config_dbs)
    ref = vmgroup_ref(resolved.config_dbs[0].ref, "broken", resolved)
    held = Unresolved(ref, "it is broken", why="Invalid", certain=True)
    _, beside, _ = look(replace(world, desired=replace(world.desired, held=(held,))))
    assert [change for change in beside.changes if change.ref != ref] == list(alone.changes)


@given(worlds())
def test_nothing_is_removed_while_it_is_not_known_what_a_held_object_is(world: World) -> None:
    held = Unresolved(ObjectRef(Kind.VMGROUP, "what"), "it is broken", why="Invalid")
    _, _, steps = look(replace(world, desired=replace(world.desired, held=(held,))))
    assert not deleted(steps)


@pytest.mark.parametrize("databases", [("a",), ("a", "b")])
@pytest.mark.parametrize(("name", "known_as"), [("g1", ()), ("what", ("g1",)), ("what", ("id-g1",))])
def test_of_a_held_vmgroup_in_no_known_config_db_only_namesakes_wait(
    databases: tuple[str, ...], name: str, known_as: tuple[str, ...]
) -> None:
    hosts, datastores = [f"esx-{db}" for db in databases], [{"name": db} for db in databases]
    known = compact.inventory({"hosts": hosts, "datastores": datastores, "vms": []})
    declared = {
        "hosts": dict.fromkeys(hosts),
        "configdbs": {db: {"datastore": db, "hosts": [f"esx-{db}"]} for db in databases},
    }
    gone = [["vmgroup/g1", "id-g1", "team"], ["vmgroup/g2", "id-g2", "team"]]
    rows: dict[str, Any] = {"vmgroups": {"g1": {}, "g2": {}}, "records": gone}
    observed = {
        "hosts": {f"esx-{db}": f"joined {db}" for db in databases},
        "config_dbs": {db: {} for db in databases} | {"a": rows},
    }
    held = Unresolved(ObjectRef(Kind.VMGROUP, name), "it is broken", known_as, "Invalid", certain=True, anywhere=True)
    pruning = Applying("team", Stamp("ann"), prune=True, trust_records=True, records=True)
    deletes = {}
    for case in ((), (held,)):
        resolved = resolve(replace(compact.desired(declared), held=case), known)
        changes = diff(resolved, compact.observed(observed, known), {}, pruning).changes
        deletes[case] = {change.ref.name.rpartition("/")[2] for change in changes if change.op is Op.DELETE}
    assert deletes == {(): {"g1", "g2"}, (held,): {"g2"}}


def test_files_that_cannot_be_looked_up_keep_nothing_else_from_being_removed() -> None:
    known = compact.inventory({"hosts": ["esx"], "datastores": [{"name": "shared"}], "vms": []})
    files = {
        "volumes": {"g1/v@nosuch": "read-only"},
        "storagepolicies": {"p": {"datastore": "nosuch", "content": '(("stripeWidth" i2))'}},
    }
    declared = {
        "hosts": {"esx": None},
        "configdbs": {"shared": {"datastore": "shared"}},
        "vmgroups": {"g1": {}},
        **files,
    }
    resolved = resolve(compact.desired(declared), known)
    found = compact.observed({"hosts": {"esx": "joined"}, "config_dbs": {"shared": {}}}, known)
    assert [str(each.ref) for each in resolved.unresolved] == ["storagepolicy/p", "volume/g1/v@nosuch"]
    assert incomplete(resolved, found) is None


def test_a_uuid_takes_no_vmgroup_from_another_owner() -> None:
    db = ObjectRef(Kind.CONFIG_DB, "shared")

    def group(name: str, owner: str, uuid: str | None = None) -> ResolvedVMGroup:
        return ResolvedVMGroup(ObjectRef(Kind.VMGROUP, name), name, db, uuid, None, "u", (), (), owner=owner)

    web = VMGroupState("id-web", "web", "", "u", {}, {})
    mine, thief, renamed = group("web", "a"), group("evil", "b", "id-web"), group("site", "a", "id-web")
    ours, other = pairs([mine, thief], {"id-web": web}, {}, frozenset())
    assert ours.before is web
    assert (other.before, other.problem) == (
        None, "its uuid id-web is that of the vmgroup web, which somebody else declares",
    )  # fmt: skip
    (alone,) = pairs([renamed], {"id-web": web}, {}, frozenset())
    assert alone.before is web, "nobody else declares it"
    claimed = group("web", "b")
    own, other = pairs([replace(renamed, was="id-web"), replace(claimed, was="")], {"id-web": web}, {}, frozenset())
    assert own.before is web, "who has made it renames it, whoever claims its old name"
    assert other.before is None


def test_a_uuid_takes_no_volume_from_another_owner() -> None:
    known = compact.inventory({"hosts": ["esx"], "datastores": [{"name": "shared"}], "vms": []})
    declared = {
        "hosts": {"esx": None},
        "configdbs": {"shared": {"datastore": "shared"}},
        "vmgroups": {"web": {}, "evil": {"uuid": "id-web"}},
        "volumes": {"web/v@shared": "read-only", "evil/v@shared": "read-write"},
    }
    found = compact.observed({"hosts": {"esx": "joined"}, "config_dbs": {"shared": {"vmgroups": {"web": {}}}}}, known)
    resolved = resolve(compact.desired(declared), known)
    owners = {"web": "a", "evil": "b"}
    for owned, has in ((owners, ["web/v@shared"]), ({}, ["web/v@shared", "evil/v@shared"])):
        groups = tuple(replace(each, owner=owned.get(each.name, "")) for each in resolved.vmgroups)
        uuids = uuids_of_vmgroups(replace(resolved, vmgroups=groups), found)
        assert sorted(ref.name for ref in uuids) == sorted(has)


def test_a_uuid_adopts_no_vmgroup_whose_name_its_namespace_may_not_have() -> None:
    db = ObjectRef(Kind.CONFIG_DB, "shared")
    there = {
        each: VMGroupState(each, name, "", "u", {}, {}) for each, name in (("id-1", "payments"), ("id-2", "web-2"))
    }

    def problem(uuid: str, was: str = "") -> str | None:
        group = ResolvedVMGroup(
            ObjectRef(Kind.VMGROUP, "web"), "web", db, uuid, None, None, None, None, was=was, adopts=("web-*",)
        )
        (found,) = pairs([group], there, {}, frozenset())
        return found.problem

    assert "the vmgroup payments is in vDVS already" in (problem("id-1") or "")
    assert problem("id-2") is None
    assert problem("id-1", was="id-1") is None, "somebody renamed its own by hand"
