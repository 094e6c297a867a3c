"""Rows that the original tool or people left broken: named, put right where they can be meant one way only."""

from __future__ import annotations

from reconciler.model.base import Risk
from reconciler.model.diff import Effect, Op
from tests.agent.world import DEFAULT
from tests.e2e.site import SEED, LabSite, assert_in_sync, statuses

NOBODY = "99999999-9999-4999-8999-999999999999"


def url(site: LabSite) -> str:
    return f"/vmfs/volumes/{site.datastore.name}"


def test_a_null_description_and_dead_rows_go_and_the_listing_works_again(applied: LabSite) -> None:
    before = (applied.sql("SELECT * FROM vms ORDER BY 1"), applied.sql("SELECT * FROM privileges"))
    ((uuid,),) = applied.sql("SELECT id FROM tenants")
    applied.sql("UPDATE tenants SET description = NULL")
    applied.sql("INSERT INTO privileges VALUES (?, x'AB', 1, 0, 0)", uuid)
    applied.sql("INSERT INTO privileges VALUES (?, ?, 1, 0, 0)", NOBODY, url(applied))
    applied.sql("INSERT INTO vms SELECT upper(vm_id), tenant_id, vm_name FROM vms LIMIT 1")

    change = applied.change("configdb/shared")
    assert (change.op, change.risk, len(change.fields)) == (Op.UPDATE, Risk.SAFE, 4)
    assert statuses(applied.reconcile())["configdb/shared"] == "configured"

    assert applied.sql("SELECT description FROM tenants") == [("",)]
    assert (applied.sql("SELECT * FROM vms ORDER BY 1"), applied.sql("SELECT * FROM privileges")) == before
    assert_in_sync(applied)


def test_a_negative_booking_that_lifts_a_quota_is_a_difference_and_goes(applied: LabSite) -> None:
    applied.sql("INSERT INTO volumes SELECT id, ?, 'ghost', -999999 FROM tenants", url(applied))
    change = applied.change("configdb/shared")
    assert (change.op, change.risk, change.effect) == (Op.UPDATE, Risk.RESTRICTS, Effect.GAVE)
    assert statuses(applied.reconcile())["configdb/shared"] == "configured"
    assert applied.sql("SELECT COUNT(*) FROM volumes") == [(0,)]
    assert_in_sync(applied)


def test_a_vm_of_a_vmgroup_that_is_gone_is_taken_over_by_the_one_that_lists_it(applied: LabSite) -> None:
    applied.sql("UPDATE vms SET tenant_id = ? WHERE vm_name = 'photon-01'", NOBODY)
    assert statuses(applied.reconcile())["vmgroup/MYVMGROUP"] == "configured"
    assert applied.sql("SELECT COUNT(DISTINCT tenant_id), COUNT(*) FROM vms") == [(1, 2)]
    assert_in_sync(applied)


def test_a_vm_of_a_vmgroup_that_is_gone_falls_to_default_only_when_that_is_applied(applied: LabSite) -> None:
    applied.write(SEED.replace("defaultVMGroup: Absent", "defaultVMGroup: Present"))
    applied.reconcile()
    ((unlisted,),) = applied.sql("SELECT vm_id FROM vms WHERE vm_name = 'photon-02'")
    applied.write(SEED.replace("defaultVMGroup: Absent", "defaultVMGroup: Present").replace(", photon-02", ""))
    applied.reconcile()
    applied.sql("INSERT INTO vms VALUES (?, ?, 'photon-02')", unlisted, NOBODY)

    assert applied.change("configdb/shared").risk is Risk.WIDENS
    assert statuses(applied.reconcile())["configdb/shared"] == "configured"
    assert applied.sql("SELECT COUNT(*) FROM vms WHERE vm_id = ?", unlisted) == [(0,)]
    assert_in_sync(applied)


def test_limits_that_are_no_numbers_are_set_by_the_manifest_that_states_them(applied: LabSite) -> None:
    applied.sql("UPDATE privileges SET allow_create = 2, max_volume_size = NULL, usage_quota = -1")
    assert applied.change("configdb/shared").op is Op.KEEP
    assert statuses(applied.reconcile())["vmgroup/MYVMGROUP"] == "configured"
    assert applied.sql("SELECT allow_create, max_volume_size, usage_quota FROM privileges") == [(1, 200, 5120)]
    assert_in_sync(applied)


def test_what_can_be_meant_in_two_ways_is_left_and_named(applied: LabSite) -> None:
    other = "0f2d53d7-091e-4b04-a6b0-1d2a43c454eb"
    applied.sql("INSERT INTO tenants VALUES (?, 'handmade', '', NULL)", other)
    change = applied.change("configdb/shared")
    assert change.op is Op.KEEP
    assert any("handmade" in note and "spec.defaultDatastore" in note for note in change.notes)
    applied.reconcile()
    assert applied.sql("SELECT default_datastore_url FROM tenants WHERE name = 'handmade'") == [(None,)]
    applied.sql("DELETE FROM tenants WHERE name = 'handmade'")


def test_a_vm_listed_in_default_is_in_no_list_any_more(applied: LabSite) -> None:
    applied.write(SEED.replace("defaultVMGroup: Absent", "defaultVMGroup: Present"))
    applied.reconcile()
    applied.sql("INSERT INTO vms VALUES ('564d0000-0000-4000-8000-000000000001', ?, 'gone')", DEFAULT)
    assert applied.change("configdb/shared").risk is Risk.SAFE
    assert statuses(applied.reconcile())["configdb/shared"] == "configured"
    assert applied.sql("SELECT COUNT(*) FROM vms WHERE tenant_id = ?", DEFAULT) == [(0,)]
