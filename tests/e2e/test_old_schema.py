"""A config DB that vDVS 0.13 left: shown as what it is, and upgraded by `apply`, but never while a driver needs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler import lab
from reconciler.cli.main import cli
from reconciler.model.base import Risk
from reconciler.model.diff import Op
from tests.agent import old_db
from tests.e2e.site import SEED, LabSite, assert_in_sync, statuses
from tests.render import schemas

UUID = "0f2d53d7-091e-4b04-a6b0-1d2a43c454eb"
PRESENT = SEED.replace("defaultVMGroup: Absent", "defaultVMGroup: Present")


def vdvs(site: LabSite, *args: str) -> Result:
    return CliRunner().invoke(cli, [*args, "-f", str(site.manifests)], catch_exceptions=False, prog_name="vdvs")


def bios_uuid(site: LabSite, name: str) -> str:
    inventory = json.loads((site.lab / "inventory.json").read_text())
    return str(next(vm["uuid"] for vm in inventory["vms"] if vm["name"] == name))


@pytest.fixture
def old(site: LabSite) -> LabSite:
    """The seed's site in sync, and then with the config DB that 0.13 would have left in its place."""
    site.write(PRESENT)
    assert set(statuses(site.reconcile()).values()) == {"created", "configured"}
    site.db.unlink()
    url = f"/vmfs/volumes/{site.datastore.name}"
    old_db.write(
        site.db,
        [old_db.DEFAULT_TENANT, (UUID, "MYVMGROUP", "", "")],
        [(bios_uuid(site, "photon-01"), UUID)],
        [old_db.DEFAULT_ACCESS, (UUID, url, 1, 200, 5120)],
    )
    return site


def test_it_is_shown_as_what_it_is(old: LabSite) -> None:
    change = old.change("configdb/shared")
    assert (change.op, change.risk) == (Op.UPDATE, Risk.WIDENS)  # short names go round the limits on the datastore
    assert (change.fields[0].path, change.fields[0].before, change.fields[0].after) == ("schema", "1.1", "1.2")
    assert any("by themselves" in note for note in change.notes)

    told = vdvs(old, "describe", "configdb", "shared").stdout
    assert "Schema       1.1\n" in told
    assert "OldSchema" in told
    found = json.loads(vdvs(old, "get", "configdbs", "-o", "json").stdout)
    schemas.check("get", found)
    assert found["items"][0]["schema"] == "1.1"
    asked = vdvs(old, "can-i", "create", "--vm", "photon-01", "--datastore", "SHARED-Datastore")
    assert asked.exit_code == 0
    assert "vDVS first upgrades the config DB" in asked.stdout
    assert vdvs(old, "diff").exit_code == 1
    old.reconcile()


def test_apply_upgrades_it_together_with_what_is_declared(old: LabSite) -> None:
    before = old.db.read_bytes()
    done = old.reconcile()
    assert statuses(done)["configdb/shared"] == statuses(done)["vmgroup/MYVMGROUP"] == "configured"
    assert_in_sync(old)
    assert old.sql("SELECT major_ver, minor_ver FROM versions") == [(1, 2)]
    assert old.sql("SELECT vm_name FROM vms ORDER BY 1") == [("photon-01",), ("photon-02",)]
    assert old.sql("SELECT id FROM tenants WHERE name = 'MYVMGROUP'") == [(UUID,)]
    assert old.sql("SELECT COUNT(*) FROM privileges WHERE datastore_url = '_DEFAULT_URL'") == [(0,)]
    assert [(old.db.parent / copy.name).read_bytes() for copy in done.backups] == [before]


def test_a_driver_that_needs_it_keeps_it_as_it_is(old: LabSite) -> None:
    before = old.db.read_bytes()
    descriptors = list((old.root("esxiz20") / "var/db/esximg/vibs").glob("*"))
    texts = {path: path.read_text() for path in descriptors}
    assert any(lab.VIB_VERSION in text for text in texts.values())
    for path, text in texts.items():
        path.write_text(text.replace(lab.VIB_VERSION, "0.13.0000000-0.0.1"))

    assert "esxiz20 has driver 0.13" in old.change("configdb/shared").reason
    found = statuses(old.reconcile())
    assert (found["configdb/shared"], found["vmgroup/MYVMGROUP"]) == ("blocked", "blocked")
    assert old.db.read_bytes() == before

    assert found["host/esxiz20"] == "configured"  # its driver was replaced after that
    assert statuses(old.reconcile())["configdb/shared"] == "configured"
    assert_in_sync(old)


def test_what_is_exported_of_it_is_what_it_is_upgraded_to(old: LabSite, tmp_path: Path) -> None:
    exported = vdvs(old, "export")
    assert exported.exit_code in (0, 1, 3)
    assert "defaultDatastore: _VM_DS" in exported.stdout
    old.write(exported.stdout)
    for host in lab.hosts(old.lab):
        (old.manifests / f"host-{host}.yaml").unlink()
    changes = {str(change.ref): change.op for change in old.diff().changes if change.op is not Op.KEEP}
    assert list(changes.values()) == [Op.UPDATE]
    old.reconcile()
    assert_in_sync(old)


def test_an_upgrade_that_vdvs_left_half_done_is_finished(old: LabSite) -> None:
    old_db.upgrade_as_vdvs(old.db, {}, until="version")
    assert len(old.broken_rules()) == 2
    change = old.change("configdb/shared")
    assert (change.op, change.risk, change.reason) == (Op.UPDATE, Risk.WIDENS, "vDVS left its upgrade half-done")
    assert statuses(old.reconcile())["configdb/shared"] == "configured"
    assert_in_sync(old)


@pytest.mark.parametrize(
    ("change", "way_out"),
    [
        ("UPDATE versions SET minor_ver = 0", "vmdkops_post_update.11.1.py"),
        ("UPDATE versions SET minor_ver = 3", "use a newer vdvs"),
        ("DROP TABLE versions", "cannot be upgraded"),
    ],
)
def test_other_schemas_are_refused_with_what_to_do(old: LabSite, change: str, way_out: str) -> None:
    good = old.db.read_bytes()
    old.sql(change)
    before = old.db.read_bytes()
    assert statuses(old.reconcile())["configdb/shared"] == "failed"
    assert way_out in old.change("configdb/shared").reason
    assert vdvs(old, "diff").exit_code == 3
    assert old.db.read_bytes() == before
    old.db.write_bytes(good)
    old.reconcile()
