"""`reconcile` on a site in memory: what it writes, through whom, what it says of it; nobody stops the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from msgspec.structs import replace

from reconciler.model.diff import Op
from reconciler.model.errors import InventoryError
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import DBState, Unmanaged
from reconciler.model.kinds.host import DBMode, ObservedHost
from reconciler.model.kinds.vmgroup import VolumeUse
from reconciler.model.outcome import Outcome
from reconciler.model.plan import APPLY, APPLY_AND_DESTROY, REPORT_ONLY
from reconciler.model.refs import Location
from reconciler.reconcile import World as Outside
from reconciler.reconcile import assess, reconcile
from tests.execution.site import FakeHosts, Fakes, Lab, details, refusing, statuses
from tests.planning import compact
from tests.planning.compact import url_of
from tests.planning.interpreter import Site
from tests.planning.worlds import World, worlds

HOSTS = ["h1", "h2", "h3"]
PATH = f"{url_of('shared')}/dockvols/vmdkops_config.db"
PLACE = Location(PATH)
KNOWN = {"hosts": HOSTS, "datastores": [{"name": "shared"}], "vms": [{"name": "vm1"}, {"name": "vm2"}]}
G1 = {"defaultDatastore": "shared", "access": {"shared": "create"}, "vms": ["vm1"]}
WRITES = ("apply_db", "apply_links", "apply_host")
WATCHED = replace(APPLY, config_db_lifecycle=False)


def fresh(**vmgroups: Any) -> Lab:
    """Three open hosts and no config DB."""
    wanted = {
        "hosts": dict.fromkeys(HOSTS),
        "configdbs": {"a": {"datastore": "shared", "defaultVMGroup": "Absent"}},
        "vmgroups": vmgroups or {"g1": G1},
    }
    return Lab(wanted, KNOWN, {"hosts": dict.fromkeys(HOSTS, "open"), "config_dbs": {"shared": "absent"}})


def running(vmgroups: dict[str, Any], rows: dict[str, Any], **parts: Any) -> Lab:
    """Three joined hosts, and a config DB with these vmgroups in it."""
    wanted = {"hosts": dict.fromkeys(HOSTS), "configdbs": {"a": {"datastore": "shared"}}, "vmgroups": vmgroups}
    seen = {"hosts": dict.fromkeys(HOSTS, "joined"), "config_dbs": {"shared": {"vmgroups": rows}}, **parts}
    return Lab(wanted, KNOWN, seen)


def after_writing(site: Lab) -> list[tuple[str, str]]:
    """What hosts were asked after the last write."""
    last = max(number for number, (_, verb) in enumerate(site.hosts.log) if verb in WRITES)
    return site.hosts.log[last + 1 :]


def test_a_fresh_site_is_made_and_found_as_declared_afterwards() -> None:
    site = fresh()
    first = site.reconcile()
    assert statuses(first) == {
        "configdb/a": "created",
        "host/h1": "configured",
        "host/h2": "configured",
        "host/h3": "configured",
        "vmgroup/g1": "created",
    }
    assert first.after is not None
    assert first.after.diff.in_sync
    assert [backup.name for backup in first.backups] == ["backup-12"]
    assert site.site.dbs[PLACE].tenants["new-1"].name == "g1"  # the UUID that the first look drew

    site.hosts.log.clear()
    second = site.reconcile()
    assert set(statuses(second).values()) == {"unchanged"}
    assert second.after is None
    assert site.hosts.asked(*WRITES) == []


def test_the_config_db_is_read_back_through_another_host_than_wrote_it() -> None:
    outcome = fresh().reconcile()
    assert [step.writer for step in outcome.plan.config_dbs] == ["h1"]
    assert outcome.verified_from == ("h2",)


def test_after_a_change_of_rows_a_watch_asks_only_hosts_that_read_something_again() -> None:
    site = running({"g1": {"description": "new"}}, {"g1": {}})
    outcome = site.reconcile(WATCHED)
    assert statuses(outcome)["vmgroup/g1"] == "configured"
    assert outcome.after is not None
    assert outcome.after.diff.in_sync
    readers = {host for host, _ in after_writing(site)}
    assert readers == {"h1", *outcome.verified_from} == {"h1", "h2"}  # h1 reads the volumes
    assert outcome.after.observed.hosts.keys() == set(HOSTS)


def test_after_a_change_of_rows_a_watch_asks_the_host_that_wrote_them_again() -> None:
    """Its agent tells of no change from before the end of the write."""
    site = running({"g1": {"description": "new"}}, {"g1": {}})
    site.site.dbs[PLACE].other = replace(site.site.dbs[PLACE].other, writer="h3")

    def open_meanwhile(world: Site) -> None:
        host = world.hosts["h3"]
        assert isinstance(host, ObservedHost)
        world.hosts["h3"] = replace(host, link=None, link_path=None, db_mode=DBMode.NOT_CONFIGURED)

    site.hosts.before = [open_meanwhile]
    outcome = site.reconcile(WATCHED)
    assert [step.writer for step in outcome.plan.config_dbs] == ["h3"]
    assert outcome.after is not None
    assert {str(change.ref): change.op for change in outcome.after.diff.changes}["host/h3"] is Op.UPDATE


def test_rows_written_beside_a_journal_that_came_meanwhile_are_not_called_written() -> None:
    """vDVS on a host that is linked there was interrupted after the look: its next request undoes them. Nobody watches
    that host for a command."""
    site = running({"g1": {"description": "new"}}, {"g1": {}})

    def interrupt(world: Site) -> None:
        host = world.hosts["h3"]
        assert isinstance(host, ObservedHost)
        world.hosts["h3"] = replace(host, journal=True)

    site.hosts.before = [interrupt]
    outcome = site.reconcile()
    assert statuses(outcome)["vmgroup/g1"] == "failed"
    assert "host/h3" in details(outcome)["vmgroup/g1"]


def test_after_a_config_db_is_made_every_host_is_asked_again() -> None:
    site = fresh()
    site.reconcile()
    assert {host for host, _ in after_writing(site)} == set(HOSTS)


def test_a_quiet_pass_after_another_asks_each_host_once() -> None:
    site = running({"g1": {}}, {"g1": {}})
    world = site.world()
    wanted = compact.desired(site.wanted)
    first = asyncio.run(assess(wanted, world))
    assert len(site.hosts.log) > len(HOSTS)
    site.hosts.log.clear()
    second = asyncio.run(assess(wanted, world))
    assert second.observed == first.observed
    assert sorted(site.hosts.log) == [(name, "observe") for name in HOSTS]


def test_reporting_writes_nothing() -> None:
    site = fresh()
    outcome = site.reconcile(REPORT_ONLY)
    assert set(statuses(outcome).values()) == {"blocked"}
    assert site.hosts.asked(*WRITES) == []


def test_every_kind_of_status() -> None:
    vmgroups = {
        "changed": {"description": "new"},
        "lost": {"vms": ["nobody"]},
        "new": {"defaultDatastore": "shared", "access": {"shared": "mount"}},
        "same": {},
    }
    site = running(vmgroups, {"changed": {}, "lost": {}, "same": {}, "handmade": {}})
    site.hosts.down = {"h3"}
    outcome = site.reconcile()
    assert statuses(outcome) == {
        "configdb/a": "unchanged",
        "host/h1": "unchanged",
        "host/h2": "unchanged",
        "host/h3": "failed",
        "vmgroup/changed": "configured",
        "vmgroup/lost": "blocked",
        "vmgroup/new": "created",
        "vmgroup/same": "unchanged",
    }
    assert details(outcome)["host/h3"] == "h3 does not answer"


def test_a_host_that_dies_while_it_is_written_to_stops_nobody_else() -> None:
    site = fresh()
    site.hosts.deaf = {("h2", "apply_host")}
    found = statuses(site.reconcile())
    assert found.pop("host/h2") == "failed"
    assert set(found.values()) == {"created", "configured"}
    site.hosts.deaf.clear()
    assert statuses(site.reconcile())["host/h2"] == "configured"  # the next pass finishes the work


def test_a_config_db_that_could_not_be_made_leaves_its_hosts_alone_and_the_other_config_db_goes_on() -> None:
    wanted = {
        "hosts": dict.fromkeys(HOSTS),
        "configdbs": {"a": {"datastore": "d1", "hosts": ["h1", "h2"]}, "b": {"datastore": "d2", "hosts": ["h3"]}},
        "vmgroups": {"a/g1": {"defaultDatastore": "d1", "access": {"d1": "create"}}},
    }
    known = {"hosts": HOSTS, "datastores": [{"name": "d1"}, {"name": "d2"}], "vms": []}
    site = Lab(wanted, known, {"hosts": dict.fromkeys(HOSTS, "open"), "config_dbs": {"d1": "absent", "d2": "absent"}})
    site.hosts.deaf = {("h1", "apply_db")}
    outcome = site.reconcile()
    assert statuses(outcome) == {
        "configdb/a": "failed",
        "configdb/b": "created",
        "host/h1": "failed",
        "host/h2": "failed",
        "host/h3": "configured",
        "vmgroup/a/g1": "failed",
    }
    assert details(outcome)["host/h2"] == "configdb/a was not made"
    assert site.hosts.asked("apply_host") == ["h3"]


def grows_a_volume(site: Site) -> None:
    """Somebody makes a volume between the look and the write; the fingerprint does not cover that."""
    rows = site.dbs[PLACE]
    use = VolumeUse(compact.group_id("_DEFAULT"), url_of("shared"), 100, 1)
    rows.other = replace(rows.other, volume_use=(use,))


def test_one_object_that_is_refused_inside_the_transaction_does_not_undo_the_others() -> None:
    rows: dict[str, Any] = {"_DEFAULT": {}, "g1": {}}
    site = running({"g1": {"description": "new"}}, rows)
    site.wanted["configdbs"]["a"]["defaultVMGroup"] = "Absent"
    site.hosts.before = [grows_a_volume]
    outcome = site.reconcile(APPLY_AND_DESTROY)
    assert (statuses(outcome)["configdb/a"], statuses(outcome)["vmgroup/g1"]) == ("failed", "configured")
    assert site.site.dbs[PLACE].tenants["id-g1"].description == "new"


@pytest.mark.parametrize("reason", ["Locked", "DiskFull", "ReadOnly"])
def test_a_transaction_that_is_refused_fails_its_objects_and_no_host(reason: str) -> None:
    site = running({"g1": {"description": "new"}}, {"g1": {}})
    site.site.hosts["h3"] = compact.observed_host("h3", "open", site.inventory)
    site.hosts.before = [refusing(reason)] * 9
    outcome = site.reconcile()
    assert statuses(outcome)["vmgroup/g1"] == "failed"
    assert statuses(outcome)["host/h3"] == "configured"
    assert details(outcome)["vmgroup/g1"] == f"refused: {reason}"
    assert outcome.replanned == ()


def describes(text: str) -> Any:
    """Somebody else writes a description between the look and the write."""

    def describe(site: Site) -> None:
        rows = site.dbs[PLACE]
        rows.tenants["id-other"] = replace(rows.tenants["id-other"], description=text)

    return describe


@pytest.mark.parametrize("moves", [1, 3])
def test_a_world_that_moved_is_planned_anew(moves: int) -> None:
    site = running({"g1": {"description": "new"}}, {"g1": {}, "other": {}})
    site.hosts.before = [describes(str(number)) for number in range(moves)]
    outcome = site.reconcile()
    assert statuses(outcome)["vmgroup/g1"] == "configured"
    assert len(outcome.replanned) == moves
    assert [now for _, now in site.fakes.planned] == list(outcome.replanned)
    assert [earlier for earlier, _ in site.fakes.planned] == [outcome.before.diff, *outcome.replanned[:-1]]
    assert site.site.dbs[PLACE].tenants["id-other"].description == str(moves - 1)


def test_what_a_new_plan_finds_is_announced_before_it_is_written() -> None:
    def describe(site: Site) -> None:
        rows = site.dbs[PLACE]
        rows.tenants["id-g2"] = replace(rows.tenants["id-g2"], description="by hand")

    site = running(
        {"g1": {"description": "new"}, "g2": {"description": "old"}}, {"g1": {}, "g2": {"description": "old"}}
    )
    site.hosts.before = [describe]
    site.reconcile()
    found = [[str(change.ref) for change in diff.changes if change.op is Op.UPDATE] for diff in site.fakes.announced]
    assert found == [["vmgroup/g1"], ["vmgroup/g1", "vmgroup/g2"]]
    assert site.site.dbs[PLACE].tenants["id-g2"].description == "old"


def test_a_world_that_does_not_stop_moving_is_given_up() -> None:
    site = running({"g1": {"description": "new"}}, {"g1": {}, "other": {}})
    site.hosts.before = [describes(str(number)) for number in range(99)]
    outcome = site.reconcile()
    assert statuses(outcome)["vmgroup/g1"] == "failed"
    assert len(outcome.replanned) == 3
    assert site.site.dbs[PLACE].tenants["id-g1"].description == ""


def test_an_interrupted_write_is_rolled_back_and_then_planned_on() -> None:
    site = running({"g1": {"description": "new"}}, {"g1": {}})
    rows = site.site.dbs[PLACE]
    rows.other = replace(rows.other, state=DBState.UNKNOWN, reason="HotJournal", message="a hot journal")
    outcome = site.reconcile()
    assert statuses(outcome)["configdb/a"] == "configured"
    assert statuses(outcome)["vmgroup/g1"] == "configured"
    assert len(outcome.replanned) == 1


def test_a_link_is_set_right_and_one_that_cannot_be_stops_nobody() -> None:
    dockvols = {"shared": {"id-g1": 1, "g1": "-> id-g2", "id-g2": 1}}
    site = running({"g1": {}, "g2": {"description": "new"}}, {"g1": {}, "g2": {}}, dockvols=dockvols)
    site.hosts.deaf = {(name, "apply_links") for name in HOSTS}
    found = statuses(site.reconcile())
    assert (found["vmgroup/g1"], found["vmgroup/g2"]) == ("failed", "failed")  # g2 lacks its link, too
    assert site.site.dbs[PLACE].tenants["id-g2"].description == "new"
    site.hosts.deaf.clear()
    found = statuses(site.reconcile())
    assert (found["vmgroup/g1"], found["vmgroup/g2"]) == ("configured", "configured")
    assert site.site.datastores[url_of("shared")].entries["g1"].target == f"{url_of('shared')}/dockvols/id-g1"


def test_without_an_inventory_nothing_is_decided() -> None:
    site = fresh()

    class NoInventory(Fakes):
        async def snapshot(self) -> Inventory:
            raise InventoryError("no inventory")

    fakes = NoInventory(site.inventory)
    outside = Outside(fakes, site.hosts, fakes, fakes.new_uuid, fakes)
    with pytest.raises(InventoryError):
        asyncio.run(assess(compact.desired(site.wanted), outside))
    # What can be asked without names was asked meanwhile.
    assert site.hosts.log == [("h1", "observe"), ("h2", "observe"), ("h3", "observe")]


@given(worlds())
def test_in_any_world_a_pass_ends_with_a_word_on_every_object_and_the_next_pass_agrees(world: World) -> None:
    fakes, hosts = Fakes(world.inventory), FakeHosts(Site(world.observed))
    outside = Outside(fakes, hosts, fakes, fakes.new_uuid, fakes)

    def one_pass() -> Outcome:
        return asyncio.run(reconcile(world.desired, outside, world.policy, world.applying))

    first = one_pass()
    kinds = (world.desired.hosts, world.desired.config_dbs, world.desired.vmgroups)
    declared = {thing.ref for things in kinds for thing in things}
    looks = (first.before.diff, *first.replanned, *((first.after.diff,) if first.after else ()))
    extra = {change.ref for look in looks for change in look.changes if change.op is not Op.UNMANAGED} - declared
    assert declared <= {result.ref for result in first.objects} <= declared | extra
    assert extra == set() or world.applying or Unmanaged.DELETE in {db.unmanaged for db in world.desired.config_dbs}
    done = {result.ref for result in first.objects if result.status.value in ("created", "configured", "unchanged")}
    again = {result.ref: result.status.value for result in one_pass().objects}
    assert {again[ref] for ref in done} <= {"unchanged", "blocked"}
