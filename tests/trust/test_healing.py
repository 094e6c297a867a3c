"""Whoever can write the config DB, or push to the manifests, keeps nothing that was added to what was applied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.base import Risk
from reconciler.model.diff import Op
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.plan import HEAL
from reconciler.planning.conditions import conditions
from tests.e2e.site import SEED, SERVICE, VIB, LabSite

TEAM = Applying("team", Stamp("ann@ws"))
LIMITS = (
    "SELECT allow_create, max_volume_size, usage_quota FROM privileges"
    " JOIN tenants ON id = tenant_id WHERE name = 'MYVMGROUP'"
)
MEMBERS = "SELECT vm_name FROM vms ORDER BY 1"
STRANGER = "564d0000-0000-0000-0000-000000000bad"
THEIRS = "564d0000-0000-0000-0000-00000000beef"


@pytest.fixture
def site(tmp_path: Path) -> LabSite:
    """The seed's site, applied by a team."""
    made = LabSite(tmp_path)
    made.reconcile(applying=TEAM)
    assert made.diff().in_sync
    return made


def joins(site: LabSite, uuid: str, name: str, group: str = "MYVMGROUP") -> None:
    site.sql("INSERT INTO vms SELECT ?, id, ? FROM tenants WHERE name = ?", uuid, name, group)


def inventory(site: LabSite) -> dict[str, Any]:
    return json.loads((site.lab / "inventory.json").read_text())  # type: ignore[no-any-return]


def twin_of(site: LabSite, name: str) -> None:
    """Somebody may create VMs in vCenter, and calls one like another."""
    said = inventory(site)
    one = next(vm for vm in said["vms"] if vm["name"] == name)
    said["vms"].append({**one, "uuid": THEIRS, "instanceUuid": STRANGER, "path": f"/DC0/vm/elsewhere/{name}"})
    (site.lab / "inventory.json").write_text(json.dumps(said))


class TestOneRestrictionBesideAWidening:
    """A small restriction makes the change as a whole one that widens; what was added goes all the same."""

    def test_of_the_same_row(self, site: LabSite) -> None:
        site.sql("UPDATE privileges SET max_volume_size = 0, usage_quota = 5119")
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 200, 5119)]

    def test_a_row_that_was_added_beside_a_lower_limit(self, site: LabSite) -> None:
        site.sql("INSERT INTO privileges SELECT id, '_ALL_DS://', 1, 0, 0 FROM tenants")
        site.sql("UPDATE privileges SET usage_quota = 5119 WHERE datastore_url <> '_ALL_DS://'")
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 200, 5119)]

    def test_a_member_that_was_added_beside_one_that_left(self, site: LabSite) -> None:
        site.sql("DELETE FROM vms WHERE vm_name = 'photon-02'")
        joins(site, STRANGER, "evil")
        site.reconcile(HEAL)
        assert site.sql(MEMBERS) == [("photon-01",)]

    def test_a_default_datastore_that_was_changed_beside_it(self, site: LabSite) -> None:
        site.sql("INSERT INTO privileges SELECT id, '_VM_DS://', 1, 0, 0 FROM tenants")
        site.sql("UPDATE tenants SET default_datastore_url = '_VM_DS://'")
        site.sql("UPDATE privileges SET max_volume_size = 100 WHERE datastore_url <> '_VM_DS://'")
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 100, 5120)]

    def test_a_host_that_obeys_no_config_db_and_another_setting(self, site: LabSite) -> None:
        link = site.link("esxiz20")
        right = link.readlink()
        link.unlink()
        site.write_host("esxiz20", f"{{driver: {{source: {VIB}}}, {SERVICE}}}".replace("INFO", "DEBUG"))
        site.reconcile(applying=TEAM)
        link.unlink()
        log = site.root("esxiz20") / "etc" / "vmware" / "vmdkops" / "log_config.json"
        log.write_text(log.read_text().replace("DEBUG", "INFO"))
        change = site.change("host/esxiz20")
        assert change.risk is Risk.DISRUPTS
        site.reconcile(HEAL)
        assert link.readlink() == right

    def test_what_waits_is_named(self, site: LabSite) -> None:
        site.sql("UPDATE privileges SET max_volume_size = 0, usage_quota = 5119")
        result = next(each for each in site.reconcile(HEAL).objects if str(each.ref) == "vmgroup/MYVMGROUP")
        assert (result.status, result.detail) == ("blocked", "it widens; `vdvs apply` lets it")
        assert [field.path for field in result.fields] == ["access[SHARED-Datastore].volumeMaxSize"]

    def test_what_is_only_restricted_is_not_given_back(self, site: LabSite) -> None:
        site.sql("UPDATE privileges SET usage_quota = 5119")
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 200, 5119)]


class TestRightsThatNobodyGave:
    def test_a_member_that_the_inventory_does_not_show(self, site: LabSite) -> None:
        joins(site, STRANGER, "evil")
        change = site.change("vmgroup/MYVMGROUP")
        assert [(field.path, field.before) for field in change.fields] == [("vms", f"evil ({STRANGER})")]
        assert not site.diff().in_sync
        site.reconcile(HEAL)
        assert site.sql(MEMBERS) == [("photon-01",), ("photon-02",)]

    def test_a_vmgroup_is_a_difference_with_what_it_lets_whom_do(self, site: LabSite) -> None:
        site.sql("INSERT INTO tenants VALUES (?, 'ops', '', '_ALL_DS://')", THEIRS)
        assert site.diff().in_sync, "nothing yet"
        site.sql("INSERT INTO privileges VALUES (?, '_ALL_DS://', 1, 0, 0)", THEIRS)
        joins(site, STRANGER, "mallory", "ops")
        found = site.reconcile(HEAL).before
        change = next(each for each in found.diff.changes if str(each.ref) == "vmgroup/ops")
        assert change.op is Op.UNMANAGED
        assert not found.diff.in_sync
        assert "mallory may create, delete and mount without limit on every datastore" in change.reason
        judged = {(str(each.ref), each.type): each for each in conditions(found)}
        assert judged["vmgroup/ops", "InSync"].reason == "NotDeclared"

    def test_a_default_for_everybody_goes(self, site: LabSite) -> None:
        uuid = "11111111-1111-1111-1111-111111111111"
        site.sql("INSERT INTO tenants VALUES (?, '_DEFAULT', '', '_ALL_DS://')", uuid)
        site.sql("INSERT INTO privileges VALUES (?, '_ALL_DS://', 1, 0, 0)", uuid)
        site.reconcile(HEAL)
        assert site.sql("SELECT name FROM tenants") == [("MYVMGROUP",)]
        assert site.sql("SELECT count(*) FROM privileges") == [(1,)]


class TestWhatCannotBeWorkedOut:
    def test_a_name_that_fits_two_vms_hides_no_lifted_limit(self, site: LabSite) -> None:
        twin_of(site, "photon-01")
        site.sql("UPDATE privileges SET max_volume_size = 0")
        change = site.change("vmgroup/MYVMGROUP")
        assert (change.op, [field.path for field in change.fields]) == (
            Op.UPDATE,
            ["access[SHARED-Datastore].volumeMaxSize"],
        )
        assert "ambiguous" in change.held[0]
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 200, 5120)]
        assert site.sql(MEMBERS) == [("photon-01",), ("photon-02",)]

    def test_nor_does_it_keep_a_stranger(self, site: LabSite) -> None:
        twin_of(site, "photon-01")
        joins(site, STRANGER, "evil")
        site.reconcile(HEAL)
        assert site.sql(MEMBERS) == [("photon-01",), ("photon-02",)]

    def test_another_manifest_that_claims_a_member_hides_nothing(self, site: LabSite) -> None:
        path = next(vm["path"] for vm in inventory(site)["vms"] if vm["name"] == "photon-01")
        site.write(SEED + site.vmgroup("thief", f"[{{inventoryPath: {path}}}]"))
        site.sql("UPDATE privileges SET max_volume_size = 0")
        change = site.change("vmgroup/MYVMGROUP")
        assert [field.path for field in change.fields] == ["access[SHARED-Datastore].volumeMaxSize"]
        assert change.held == ("VM photon-01 is also claimed by vmgroup/thief",)


class TestWhoSilences:
    ASKING = SEED.replace("{name: myvmgroup}", "{name: myvmgroup, annotations: {vdvs.io/reconcile: disabled}}")

    def test_an_annotation_that_nobody_applied_does_not_count(self, site: LabSite) -> None:
        site.write(self.ASKING)
        site.sql("UPDATE privileges SET max_volume_size = 0")
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 200, 5120)]

    def test_one_that_was_applied_does_and_is_told(self, site: LabSite) -> None:
        site.write(self.ASKING)
        site.reconcile(applying=TEAM)
        site.sql("UPDATE privileges SET max_volume_size = 0")
        found = site.reconcile(HEAL).before
        assert site.sql(LIMITS) == [(1, 0, 5120)]
        told = [(each.status, each.reason) for each in conditions(found) if each.type == "Watched"]
        assert told == [("False", "Disabled")]
