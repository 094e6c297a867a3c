"""What is broken, locked or gone is a condition of that object: never "nothing there", and never in the others' way."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import closing

import pytest

from reconciler.model.diff import Op
from reconciler.model.kinds.host import DBMode, ObservedHost
from reconciler.model.plan import APPLY_AND_DESTROY, REPORT_ONLY
from tests.e2e.site import SEED, LabSite, assert_in_sync, statuses


def truncate(site: LabSite) -> None:
    os.truncate(site.db, site.db.stat().st_size // 2)


def scribble(site: LabSite) -> None:
    site.db.write_bytes(b"not a database, whatever it is" * 100)


def old_version(site: LabSite) -> None:
    site.sql("UPDATE versions SET minor_ver = 0")


def newer_version(site: LabSite) -> None:
    site.sql("UPDATE versions SET major_ver = 2")


def lose_a_table(site: LabSite) -> None:
    site.sql("DROP TABLE privileges")


def remove(site: LabSite) -> None:
    site.db.unlink()


def empty(site: LabSite) -> None:
    os.truncate(site.db, 0)


def make_a_folder_of_it(site: LabSite) -> None:
    site.db.unlink()
    site.db.mkdir()


def unmount_everywhere(site: LabSite) -> None:
    shutil.move(site.datastore, site.folder / "elsewhere")


BREAKS: dict[str, tuple[Callable[[LabSite], None], Op]] = {
    "truncated": (truncate, Op.UNKNOWN),
    "scribbled over": (scribble, Op.UNKNOWN),
    "version too old": (old_version, Op.UNKNOWN),
    "version too new": (newer_version, Op.UNKNOWN),
    "without a table": (lose_a_table, Op.UNKNOWN),
    "a folder": (make_a_folder_of_it, Op.UNKNOWN),
    "gone": (remove, Op.BLOCKED),
    "emptied": (empty, Op.BLOCKED),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_db_that_cannot_be_used_is_named_and_left_as_it_is(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site = LabSite(tmp_path_factory.mktemp("site"))
    site.reconcile()
    break_it, expected = BREAKS[name]
    break_it(site)
    before = (site.db.exists(), site.db.read_bytes() if site.db.is_file() else None)

    change = site.change("configdb/shared")
    assert change.op is expected
    assert change.reason
    result = statuses(site.reconcile(APPLY_AND_DESTROY))

    assert result["configdb/shared"] in ("failed", "blocked")
    assert result["vmgroup/MYVMGROUP"] in ("failed", "blocked")
    assert (site.db.exists(), site.db.read_bytes() if site.db.is_file() else None) == before


def test_a_datastore_that_is_gone_is_not_an_empty_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    site = LabSite(tmp_path_factory.mktemp("site"))
    site.reconcile()
    unmount_everywhere(site)
    assert site.change("configdb/shared").op is Op.UNKNOWN
    assert statuses(site.reconcile())["configdb/shared"] == "failed"
    assert not site.datastore.exists()


def test_a_locked_db_is_unknown_and_its_hosts_are_done_all_the_same(applied: LabSite) -> None:
    applied.link("esxiz10").unlink()
    with closing(sqlite3.connect(applied.db, isolation_level=None)) as somebody:
        somebody.execute("BEGIN EXCLUSIVE")
        outcome = applied.reconcile()
        change = next(c for c in outcome.before.diff.changes if str(c.ref) == "configdb/shared")
        assert change.op is Op.UNKNOWN
        assert applied.link("esxiz10").is_symlink()
    assert_in_sync(applied)


@pytest.fixture
def hot_journal(applied: LabSite) -> LabSite:
    """A writer was killed in the middle of its commit."""
    writer = f"""
        import os, signal, sqlite3
        c = sqlite3.connect({str(applied.db)!r}, isolation_level=None)
        c.execute("PRAGMA cache_size = 1")
        c.execute("PRAGMA cache_spill = 1")
        c.execute("BEGIN IMMEDIATE")
        c.execute("CREATE TABLE ballast (x)")
        c.executemany("INSERT INTO ballast VALUES (?)", (("x" * 4000,) for _ in range(200)))
        c.execute("UPDATE privileges SET usage_quota = 1")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(writer)], check=False)
    assert died.returncode == -signal.SIGKILL
    assert applied.db.with_name(applied.db.name + "-journal").stat().st_size > 0
    return applied


def test_looking_at_a_hot_journal_does_not_roll_it_back(hot_journal: LabSite) -> None:
    journal = hot_journal.db.with_name(hot_journal.db.name + "-journal")
    before = journal.read_bytes()
    change = hot_journal.change("configdb/shared")
    assert [field.path for field in change.fields] == ["database"]
    assert hot_journal.change("vmgroup/MYVMGROUP").op is Op.UNKNOWN
    assert journal.read_bytes() == before


def test_apply_rolls_a_hot_journal_back_and_then_goes_on(hot_journal: LabSite) -> None:
    hot_journal.write(SEED.replace("5GB", "6GB"))
    result = statuses(hot_journal.reconcile())
    assert (result["configdb/shared"], result["vmgroup/MYVMGROUP"]) == ("configured", "configured")
    assert hot_journal.sql("SELECT usage_quota FROM privileges") == [(6144,)]
    assert_in_sync(hot_journal)


def test_a_journal_beside_a_hosts_link_makes_the_db_unknown_to_all(applied: LabSite) -> None:
    """Its vDVS has an SQLite before 3.10. Whatever others wrote now would be undone when it finds its journal."""
    before = applied.db.read_bytes()
    journal = applied.link("esxiz20").with_name("auth-db-journal")
    journal.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7 torn")
    applied.write(SEED.replace("5GB", "6GB"))
    applied.link("esxiz10").unlink()
    outcome = applied.reconcile()
    found = next(change for change in outcome.before.diff.changes if str(change.ref) == "configdb/shared")
    assert (found.op, "host/esxiz20" in found.reason) == (Op.UNKNOWN, True)
    assert statuses(outcome)["vmgroup/MYVMGROUP"] == "failed"
    assert (applied.db.read_bytes(), journal.exists()) == (before, True)
    assert applied.link("esxiz10").is_symlink()  # an open host is closed all the same
    journal.unlink()  # what vDVS on that host does
    assert statuses(applied.reconcile())["vmgroup/MYVMGROUP"] == "configured"


def test_a_host_that_does_not_answer_does_not_stop_the_other(site: LabSite) -> None:
    gone = site.root("esxiz10")
    gone.rename(gone.with_name("away"))
    result = statuses(site.reconcile())
    assert result["host/esxiz10"] == "failed"
    assert (result["configdb/shared"], result["host/esxiz20"]) == ("created", "configured")
    gone.with_name("away").rename(gone)
    assert statuses(site.reconcile())["host/esxiz10"] == "configured"
    assert_in_sync(site)


def test_while_a_host_is_away_members_go_but_no_vmgroup_does(applied: LabSite) -> None:
    gone = applied.root("esxiz10")
    gone.rename(gone.with_name("away"))
    applied.write(SEED.replace("[photon-01, photon-02]", "[photon-03]"))
    assert statuses(applied.reconcile())["vmgroup/MYVMGROUP"] == "configured"  # the inventory shows their disks
    assert applied.sql("SELECT vm_name FROM vms") == [("photon-03",)]
    applied.write(SEED.partition("---")[0].replace("mode: MultiNode", "mode: MultiNode, unmanaged: Delete"))
    assert statuses(applied.reconcile(APPLY_AND_DESTROY))["vmgroup/MYVMGROUP"] == "blocked"
    assert applied.sql("SELECT name FROM tenants") == [("MYVMGROUP",)]


def test_a_vm_that_cannot_be_found_fails_its_vmgroup_only(applied: LabSite) -> None:
    applied.write(SEED.replace("photon-02", "photon-99") + applied.vmgroup("other", "[photon-03]"))
    result = statuses(applied.reconcile())
    assert (result["vmgroup/MYVMGROUP"], result["vmgroup/other"]) == ("blocked", "created")
    assert applied.sql("SELECT COUNT(*) FROM vms") == [(3,)]


def test_a_host_whose_volume_is_not_mounted_is_not_opened_by_installing_the_driver(site: LabSite) -> None:
    for entry in (site.root("esxiz10") / "vmfs" / "volumes").iterdir():
        entry.unlink()
    result = site.reconcile()
    assert statuses(result)["host/esxiz10"] == "blocked"
    assert statuses(result)["host/esxiz20"] == "configured"
    assert not (site.root("esxiz10") / "etc" / "init.d" / "vmdk-opsd").exists()


def test_a_failing_install_leaves_a_linked_host_and_says_why(site: LabSite) -> None:
    site.write_host(
        "esxiz10", "{driver: {source: /vmfs/volumes/SHARED-Datastore/missing.vib}, service: {state: Running}}"
    )
    outcome = site.reconcile()
    result = {str(o.ref): o for o in outcome.objects}["host/esxiz10"]
    assert result.status == "failed"
    assert "missing.vib" in result.detail
    assert site.link("esxiz10").is_symlink()
    assert statuses(outcome)["host/esxiz20"] == "configured"


def test_a_wrong_digest_is_not_installed(site: LabSite) -> None:
    source = (site.manifests / "host-esxiz10.yaml").read_text()
    (site.manifests / "host-esxiz10.yaml").write_text(source.replace("source:", f"sha256: '{'0' * 64}', source:"))
    outcome = site.reconcile()
    assert statuses(outcome)["host/esxiz10"] == "failed"
    assert not (site.root("esxiz10") / "etc" / "init.d" / "vmdk-opsd").exists()


def test_removing_default_is_destruction_and_needs_to_be_allowed(applied: LabSite) -> None:
    url = f"/vmfs/volumes/{applied.datastore.name}"
    default = "11111111-1111-1111-1111-111111111111"
    applied.sql("INSERT INTO tenants VALUES (?, '_DEFAULT', '', ?)", default, url)
    applied.sql("INSERT INTO privileges VALUES (?, ?, 1, 0, 0)", default, url)
    assert statuses(applied.reconcile())["configdb/shared"] == "blocked"
    assert statuses(applied.reconcile(APPLY_AND_DESTROY))["configdb/shared"] == "configured"
    assert applied.sql("SELECT name FROM tenants") == [("MYVMGROUP",)]


def test_read_only_storage_is_a_failure_of_that_db(applied: LabSite) -> None:
    applied.write(SEED.replace("5GB", "6GB"))
    applied.link("esxiz10").unlink()
    subprocess.run(["chattr", "+i", str(applied.db)], check=False, capture_output=True)
    if os.access(applied.db, os.W_OK):
        pytest.skip("this file system has no immutable files, and root may write everything else")
    try:
        outcome = applied.reconcile()
    finally:
        subprocess.run(["chattr", "-i", str(applied.db)], check=True)
    assert statuses(outcome)["vmgroup/MYVMGROUP"] == "failed"
    assert statuses(outcome)["host/esxiz10"] == "configured"
    assert applied.sql("SELECT usage_quota FROM privileges") == [(5120,)]


@pytest.mark.parametrize("elsewhere", ["/vmfs/volumes/SHARED-Datastore/other.db", "/etc/other.db"])
def test_a_host_that_is_linked_to_no_config_db_is_refused_everything(applied: LabSite, elsewhere: str) -> None:
    """No manifest speaks of that file, so somebody must read it only for that."""
    link = applied.root("esxiz10") / "etc/vmware/vmdkops/auth-db"
    link.unlink()
    link.symlink_to(elsewhere)
    place = applied.root("esxiz10") / elsewhere[1:] if elsewhere.startswith("/etc") else applied.datastore / "other.db"
    place.write_bytes(b"not a database, whatever it is" * 100)
    look = applied.reconcile(REPORT_ONLY).before.observed
    found = [(host.db_mode, host.db_reason) for _, host in sorted(look.hosts.items()) if isinstance(host, ObservedHost)]
    assert found == [(DBMode.BROKEN_LINK, "Corrupt"), (DBMode.MULTI_NODE, "")]
    assert len(look.config_dbs) == 1
