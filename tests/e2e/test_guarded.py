"""What looks harmless and is not: each was once done, or passed over in silence."""

from __future__ import annotations

import shutil
from pathlib import Path

from reconciler import lab
from reconciler.model.diff import Op
from reconciler.render.diff import diff_text
from tests.e2e.site import SEED, LabSite, statuses


def test_a_vmgroup_that_was_renamed_by_hand_is_not_made_a_second_time(applied: LabSite) -> None:
    applied.sql("UPDATE tenants SET name = 'OTHER'")
    assert statuses(applied.reconcile())["vmgroup/MYVMGROUP"] == "blocked"
    assert applied.sql("SELECT name FROM tenants") == [("OTHER",)]


def test_hosts_are_not_taken_to_another_db_that_happens_to_be_there(tmp_path: Path) -> None:
    elsewhere = LabSite(tmp_path)
    lab.destroy(elsewhere.lab)
    lab.create(elsewhere.lab, hosts=2, datastores=2, vms=4)
    for old in elsewhere.manifests.glob("host-*"):
        old.unlink()
    for host in lab.hosts(elsewhere.lab):
        elsewhere.write_host(host, "{}")
    text = SEED.replace("SHARED-Datastore", "shared-01").replace("photon-01, photon-02", "vm-00001, vm-00002")
    elsewhere.write(text)
    assert statuses(elsewhere.reconcile())["vmgroup/MYVMGROUP"] == "created"
    volumes = elsewhere.lab / "hosts" / "esxi-001" / "vmfs" / "volumes"
    first, second = volumes / "shared-01", volumes / "shared-02"
    (second / "dockvols").mkdir()
    shutil.copy(first / "dockvols" / "vmdkops_config.db", second / "dockvols" / "vmdkops_config.db")

    elsewhere.write(text.replace("shared-01", "shared-02"))
    change = elsewhere.change("configdb/shared")
    assert change.op is Op.BLOCKED
    assert "there is another one here, and one of them would be lost" in change.reason
    links = {host: elsewhere.link(host).readlink() for host in lab.hosts(elsewhere.lab)}
    assert set(statuses(elsewhere.reconcile()).values()) == {"blocked"}
    assert {host: elsewhere.link(host).readlink() for host in lab.hosts(elsewhere.lab)} == links


def test_volumes_of_a_db_that_is_gone_are_not_orphaned_by_a_new_one(applied: LabSite) -> None:
    ((uuid,),) = applied.sql("SELECT id FROM tenants")
    folder = applied.db.parent / uuid
    folder.mkdir()
    (folder / "data.vmdk").write_text("# Disk DescriptorFile\n")
    applied.db.unlink()
    for host in ("esxiz10", "esxiz20"):  # reinstalled since
        applied.link(host).unlink()
        (applied.root(host) / "etc" / "rc.local.d" / "local.sh").write_text("#!/bin/sh\nexit 0\n")
    assert statuses(applied.reconcile())["configdb/shared"] == "blocked"
    assert not applied.db.exists()

    applied.write(SEED.replace("name: MYVMGROUP", f"name: MYVMGROUP\n  uuid: {uuid}"))
    assert statuses(applied.reconcile())["vmgroup/MYVMGROUP"] == "created"
    assert applied.sql("SELECT id FROM tenants") == [(uuid,)]


def test_an_open_host_is_never_passed_over_as_in_sync(applied: LabSite) -> None:
    (applied.manifests / "site-content.yaml").unlink()
    applied.link("esxiz10").unlink()
    text = diff_text(applied.diff())
    assert "OPEN: every VM may create volumes without limit on this host" in text
    assert not text.endswith("In sync.\n")


def test_rows_that_break_the_rules_of_vdvs_are_shown(site: LabSite) -> None:
    site.reconcile()
    site.sql("UPDATE tenants SET description = NULL")
    text = diff_text(site.diff())
    site.sql("UPDATE tenants SET description = ''")
    assert "breaks a rule of vDVS" in text


def test_under_secure_boot_nobody_claims_that_a_link_survives(site: LabSite) -> None:
    lab.set_secure_boot(site.lab, "esxiz10", enabled=True)
    outcome = site.reconcile()
    fields = {str(result.ref): result.fields for result in outcome.objects}["host/esxiz10"]
    assert {field.path: field.after for field in fields}["persistence"] == "local.sh section that never runs"
    assert any("Secure Boot" in note for note in site.change("host/esxiz10").notes)


def test_a_folder_that_is_a_link_to_foreign_volumes_is_an_exposure(applied: LabSite) -> None:
    ((uuid,),) = applied.sql("SELECT id FROM tenants")
    foreign = applied.db.parent / "99999999-9999-4999-8999-999999999999"
    foreign.mkdir()
    (applied.db.parent / uuid).symlink_to(foreign.name)
    change = applied.change("vmgroup/MYVMGROUP")
    assert change.op is Op.BLOCKED
    assert change.reason.startswith("EXPOSED")
