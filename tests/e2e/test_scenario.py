"""The main job: from nothing to in sync, and back in sync after anything that a person or a reboot does."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from reconciler import lab
from reconciler.model.base import Risk
from reconciler.model.diff import Op
from tests.e2e.site import SEED, LabSite, assert_in_sync, statuses

pytestmark = pytest.mark.usefixtures("started_agents")


def test_from_nothing_to_in_sync(site: LabSite) -> None:
    outcome = site.reconcile()

    assert statuses(outcome) == {
        "configdb/shared": "created",
        "host/esxiz10": "configured",
        "host/esxiz20": "configured",
        "vmgroup/MYVMGROUP": "created",
    }
    assert site.sql("SELECT name, description FROM tenants") == [("MYVMGROUP", "")]
    url = f"/vmfs/volumes/{site.datastore.name}"
    assert site.sql("SELECT datastore_url, allow_create, max_volume_size, usage_quota FROM privileges") == [
        (url, 1, 200, 5120)
    ]
    assert site.sql("SELECT vm_name FROM vms ORDER BY vm_name") == [("photon-01",), ("photon-02",)]
    for host in ("esxiz10", "esxiz20"):
        assert str((site.link(host)).readlink()) == f"{url}/dockvols/vmdkops_config.db"
    assert_in_sync(site)


def test_a_second_apply_finds_nothing_to_do_and_writes_nothing(applied: LabSite) -> None:
    before = {path: path.lstat().st_mtime_ns for path in applied.lab.rglob("*")}
    outcome = applied.reconcile()
    assert set(statuses(outcome).values()) == {"unchanged"}
    assert outcome.after is None
    assert {path: path.lstat().st_mtime_ns for path in applied.lab.rglob("*")} == before


def test_a_diff_writes_nothing(site: LabSite) -> None:
    before = sorted(site.lab.rglob("*"))
    assert not site.diff().in_sync
    assert sorted(site.lab.rglob("*")) == before


@pytest.mark.parametrize("local_sh_first", [False, True])
def test_the_link_comes_back_at_every_boot(applied: LabSite, local_sh_first: bool) -> None:
    applied.link("esxiz10").with_name("canary").touch()
    report = lab.reboot(applied.lab, "esxiz10", local_sh_first=local_sh_first)
    assert not applied.link("esxiz10").with_name("canary").exists()  # the folder was lost, the link is a new one
    assert (report.local_sh, report.not_run) == ("ran", ())
    assert_in_sync(applied)


def test_the_link_of_a_boot_section_that_was_never_saved_is_missed(applied: LabSite) -> None:
    (applied.root("esxiz10") / "bootbank").rename(applied.root("esxiz10") / "bootbank-gone")
    local_sh = applied.root("esxiz10") / "etc" / "rc.local.d" / "local.sh"
    local_sh.write_text("#!/bin/sh\nexit 0\n")
    applied.link("esxiz10").unlink()
    change = applied.change("host/esxiz10")
    assert [(f.path, f.before) for f in change.fields] == [("configDB", "NotConfigured"), ("persistence", "missing")]
    assert any(note.startswith("OPEN") for note in change.notes)
    failed = statuses(applied.reconcile())
    assert failed["host/esxiz10"] == "failed"  # auto-backup cannot save it, so persistence is not claimed
    (applied.root("esxiz10") / "bootbank-gone").rename(applied.root("esxiz10") / "bootbank")
    assert statuses(applied.reconcile())["host/esxiz10"] == "configured"
    assert_in_sync(applied)


def relink(site: LabSite, target: str) -> None:
    site.link("esxiz10").unlink()
    site.link("esxiz10").symlink_to(target)


def edit_local_sh(site: LabSite, old: str, new: str) -> None:
    path = site.root("esxiz10") / "etc" / "rc.local.d" / "local.sh"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def stop_service(site: LabSite) -> None:
    for pid_file in (site.root("esxiz10") / "var" / "run").rglob("*.PID"):
        pid_file.unlink()


TAG = "# -- vSphere Docker Volume Service configuration --"
DRIFTS: dict[str, tuple[Callable[[LabSite], object], str, str]] = {
    "limit raised": (
        lambda s: s.sql("UPDATE privileges SET max_volume_size = 0"),
        "vmgroup/MYVMGROUP",
        "access[SHARED-Datastore].volumeMaxSize",
    ),
    "right to create taken": (
        lambda s: s.sql("UPDATE privileges SET allow_create = 0"),
        "vmgroup/MYVMGROUP",
        "access[SHARED-Datastore].allowCreate",
    ),
    "row that vDVS cannot read": (
        lambda s: s.sql("UPDATE privileges SET usage_quota = NULL"),
        "vmgroup/MYVMGROUP",
        "access[SHARED-Datastore]",
    ),
    "foreign access row": (
        lambda s: s.sql("INSERT INTO privileges SELECT id, '_ALL_DS://', 1, 0, 0 FROM tenants"),
        "vmgroup/MYVMGROUP",
        "access[_ALL_DS]",
    ),
    "default row removed": (
        lambda s: s.sql("DELETE FROM privileges"),
        "vmgroup/MYVMGROUP",
        "access[SHARED-Datastore]",
    ),
    "member removed": (lambda s: s.sql("DELETE FROM vms WHERE vm_name = 'photon-01'"), "vmgroup/MYVMGROUP", "vms"),
    "member in upper case": (lambda s: s.sql("UPDATE vms SET vm_id = upper(vm_id)"), "vmgroup/MYVMGROUP", "vms"),
    "member orphaned": (
        lambda s: s.sql("UPDATE vms SET tenant_id = 'gone' WHERE vm_name = 'photon-01'"),
        "vmgroup/MYVMGROUP",
        "vms",
    ),
    "vmgroup deleted": (
        lambda s: (s.sql("DELETE FROM vms"), s.sql("DELETE FROM privileges"), s.sql("DELETE FROM tenants")),
        "vmgroup/MYVMGROUP",
        "defaultDatastore",
    ),
    "link lost": (lambda s: s.link("esxiz10").unlink(), "host/esxiz10", "configDB"),
    "link by name": (
        lambda s: relink(s, "/vmfs/volumes/SHARED-Datastore/dockvols/vmdkops_config.db"),
        "host/esxiz10",
        "link",
    ),
    "link elsewhere": (
        lambda s: relink(s, "/vmfs/volumes/other/dockvols/vmdkops_config.db"),
        "host/esxiz10",
        "configDB",
    ),
    "section removed": (
        lambda s: (s.root("esxiz10") / "etc" / "rc.local.d" / "local.sh").write_text("#!/bin/sh\nexit 0\n"),
        "host/esxiz10",
        "persistence",
    ),
    "section edited": (lambda s: edit_local_sh(s, "ln -s", "echo ln -s"), "host/esxiz10", "persistence"),
    "section unclosed": (lambda s: edit_local_sh(s, f"\n\n{TAG}\n", "\n\n"), "host/esxiz10", "persistence"),
    "local.sh removed": (
        lambda s: (s.root("esxiz10") / "etc" / "rc.local.d" / "local.sh").unlink(),
        "host/esxiz10",
        "persistence",
    ),
    "service stopped": (stop_service, "host/esxiz10", "service"),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_drift_is_found_named_and_healed(name: str, applied: LabSite) -> None:
    make_it, ref, path = DRIFTS[name]
    make_it(applied)

    change = applied.change(ref)
    assert change.op in (Op.UPDATE, Op.CREATE), change.reason
    assert path in [field.path for field in change.fields]

    healed = statuses(applied.reconcile())
    assert healed.pop(ref) in ("configured", "created")
    assert set(healed.values()) == {"unchanged"}
    assert_in_sync(applied)


def test_a_link_that_is_lost_is_an_open_door_and_closing_it_restricts(applied: LabSite) -> None:
    applied.link("esxiz10").unlink()
    change = applied.change("host/esxiz10")
    assert change.risk is Risk.RESTRICTS
    assert change.notes[0].startswith("OPEN: every VM")


def test_a_vmgroup_made_by_hand_is_reported_and_left_alone(applied: LabSite) -> None:
    url = f"/vmfs/volumes/{applied.datastore.name}"
    applied.sql("INSERT INTO tenants VALUES ('3b7d1ac5-9f0c-4f0e-8f60-0f9f0a1b2c3d', 'handmade', '', ?)", url)
    applied.sql("INSERT INTO privileges VALUES ('3b7d1ac5-9f0c-4f0e-8f60-0f9f0a1b2c3d', ?, 1, 0, 0)", url)
    rows = applied.sql("SELECT * FROM tenants JOIN privileges ON id = tenant_id ORDER BY id")
    assert applied.change("vmgroup/handmade").op is Op.UNMANAGED
    assert set(statuses(applied.reconcile()).values()) == {"unchanged"}
    assert applied.sql("SELECT * FROM tenants JOIN privileges ON id = tenant_id ORDER BY id") == rows


def test_a_member_that_is_dropped_from_the_manifest_leaves(applied: LabSite) -> None:
    applied.write(SEED.replace("[photon-01, photon-02]", "[photon-01]"))
    assert statuses(applied.reconcile())["vmgroup/MYVMGROUP"] == "configured"
    assert applied.sql("SELECT vm_name FROM vms") == [("photon-01",)]


def test_a_vm_moves_between_vmgroups(applied: LabSite) -> None:
    applied.write(SEED.replace("[photon-01, photon-02]", "[photon-01]") + applied.vmgroup("other", "[photon-02]"))
    assert statuses(applied.reconcile()) == {
        "configdb/shared": "unchanged",
        "host/esxiz10": "unchanged",
        "host/esxiz20": "unchanged",
        "vmgroup/MYVMGROUP": "configured",
        "vmgroup/other": "created",
    }
    members = "SELECT name, vm_name FROM vms JOIN tenants ON tenant_id = id ORDER BY vm_name"
    assert applied.sql(members) == [("MYVMGROUP", "photon-01"), ("other", "photon-02")]
    assert_in_sync(applied)


def test_what_a_manifest_does_not_say_is_left_alone(applied: LabSite) -> None:
    applied.sql("UPDATE tenants SET description = 'by hand'")
    applied.sql("UPDATE privileges SET usage_quota = 1")
    quiet = SEED.partition("  access:")[0]
    applied.write(quiet)
    assert_in_sync(applied)


def test_each_write_is_preceded_by_a_backup_of_what_was_there(applied: LabSite) -> None:
    applied.sql("UPDATE privileges SET usage_quota = 7")
    outcome = applied.reconcile()
    (backup,) = outcome.backups
    with closing(sqlite3.connect(applied.db.parent / backup.name)) as connection:
        assert connection.execute("SELECT usage_quota FROM privileges").fetchall() == [(7,)]


def test_name_links_follow_the_folder_of_the_volumes(applied: LabSite) -> None:
    ((uuid,),) = applied.sql("SELECT id FROM tenants")
    dockvols = applied.db.parent
    (dockvols / uuid).mkdir()
    assert applied.change("vmgroup/MYVMGROUP").fields[0].path == "links[SHARED-Datastore]"
    applied.reconcile()
    assert str((dockvols / "MYVMGROUP").readlink()) == f"/vmfs/volumes/{applied.datastore.name}/dockvols/{uuid}"
    assert_in_sync(applied)


def test_a_stale_name_link_is_an_exposure_and_is_put_right(applied: LabSite) -> None:
    ((uuid,),) = applied.sql("SELECT id FROM tenants")
    dockvols = applied.db.parent
    foreign = "99999999-9999-4999-8999-999999999999"
    for folder in (uuid, foreign):
        (dockvols / folder).mkdir()
    (dockvols / "MYVMGROUP").symlink_to(f"/vmfs/volumes/SHARED-Datastore/dockvols/{foreign}")
    change = applied.change("vmgroup/MYVMGROUP")
    assert any(note.startswith("EXPOSED") for note in change.notes)
    applied.reconcile()
    assert str((dockvols / "MYVMGROUP").readlink()).endswith(uuid)
    assert_in_sync(applied)
