"""`vdvs rollback`: a config DB becomes what it was in one of its backups, as a plan like any other."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import cli
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.plan import HEAL
from tests.agent import old_db
from tests.e2e.site import SEED, LabSite, assert_in_sync, statuses
from tests.render import schemas

TABLES = ("tenants", "vms", "privileges")


def vdvs(site: LabSite, *args: str) -> Result:
    return CliRunner().invoke(cli, [*args, "-f", str(site.manifests)], catch_exceptions=False, prog_name="vdvs")


def content(db: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(db)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}


def newest(site: LabSite) -> str:
    """The name of the newest backup, as a user would find it."""
    done = vdvs(site, "rollback", "--list", "-o", "json")
    told = json.loads(done.stdout)
    schemas.check("backups", told)
    return str(told["items"][0]["backups"][-1]["name"])


@pytest.fixture
def changed(applied: LabSite) -> LabSite:
    """In sync, then changed in every way: limits, members, a description, a name, one vmgroup more and one less."""
    applied.write(SEED + applied.vmgroup("going", "[photon-03]") + applied.vmgroup("moved"))
    applied.reconcile()
    applied.first = content(applied.db)  # type: ignore[attr-defined]
    ((uuid,),) = applied.sql("SELECT id FROM tenants WHERE name = 'moved'")
    renamed = applied.vmgroup("renamed").replace("spec: {", f"spec: {{uuid: {uuid}, ")
    seed = SEED.replace("200MB", "300MB").replace("[photon-01, photon-02]", "[photon-02, photon-03]")
    applied.sql("DELETE FROM vms WHERE vm_name = 'photon-03'")
    applied.sql("DELETE FROM privileges WHERE tenant_id = (SELECT id FROM tenants WHERE name = 'going')")
    applied.sql("DELETE FROM tenants WHERE name = 'going'")
    shutil.copy(applied.db, applied.folder / "before")
    applied.write(seed + renamed + applied.vmgroup("new", "[photon-01]"))
    assert "failed" not in statuses(applied.reconcile()).values()
    return applied


def test_a_backup_is_listed_with_its_time_and_size(changed: LabSite) -> None:
    done = vdvs(changed, "rollback", "--list")
    assert (done.exit_code, done.stderr) == (0, "")
    heading, *rows = done.stdout.splitlines()
    assert heading.split() == ["CONFIG", "DB", "BACKUP", "TAKEN", "AT", "SIZE", "MADE", "BY", "READ", "FROM"]
    assert rows[-1].split()[:2] == ["shared", newest(changed)]
    assert "KB" in rows[-1]
    assert rows[-1].split()[-1] in ("esxiz10", "esxiz20")


def test_what_was_changed_since_is_as_it_was(changed: LabSite) -> None:
    was = content(changed.folder / "before")
    backup = newest(changed)
    shown = vdvs(changed, "rollback", "--to", backup, "--dry-run", "--allow-destroy")
    assert shown.exit_code == 0, shown.stderr
    for line in ("- vmgroup/new", "~ vmgroup/moved", "~ vmgroup/MYVMGROUP", "volumeMaxSize   300MB -> 200MB"):
        assert line in shown.stdout
    assert "host/" not in shown.stdout
    now = content(changed.db)

    done = vdvs(changed, "rollback", "--to", backup, "--allow-destroy")
    assert done.exit_code == 0, done.stderr
    assert "the site differs from the manifests now" in done.stderr
    assert content(changed.db) == was
    assert content(changed.db.parent / newest(changed)) == now  # so there is a way back from it, too
    assert vdvs(changed, "diff").exit_code == 1
    again = vdvs(changed, "rollback", "--to", backup, "--allow-destroy")
    assert (again.exit_code, content(changed.db)) == (0, was)


def test_what_is_exported_then_agrees_with_it(changed: LabSite) -> None:
    vdvs(changed, "rollback", "--to", newest(changed), "--allow-destroy")
    exported = vdvs(changed, "export", "configdb", "vmgroup")
    changed.write(exported.stdout)
    assert_in_sync(changed)


def test_without_leave_nothing_is_destroyed(changed: LabSite) -> None:
    done = vdvs(changed, "rollback", "--to", newest(changed))
    assert done.exit_code == 3
    assert "vmgroup/new" in done.stdout
    assert "--allow-destroy" in done.stdout
    assert changed.sql("SELECT COUNT(*) FROM tenants WHERE name = 'new'") == [(1,)]


def test_a_vmgroup_whose_folder_holds_volumes_stays(changed: LabSite) -> None:
    ((uuid,),) = changed.sql("SELECT id FROM tenants WHERE name = 'new'")
    folder = changed.db.parent / uuid
    folder.mkdir()
    (folder / "data.vmdk").touch()
    done = vdvs(changed, "rollback", "--to", newest(changed), "--allow-destroy")
    assert done.exit_code == 3
    assert "remove or migrate them first" in done.stdout
    assert changed.sql("SELECT COUNT(*) FROM tenants WHERE name = 'new'") == [(1,)]
    assert (folder / "data.vmdk").exists()


def test_it_can_be_saved_and_applied_later(changed: LabSite) -> None:
    plan = changed.folder / "back.plan"
    saved = vdvs(changed, "rollback", "--to", newest(changed), "--allow-destroy", "--out", str(plan))
    assert saved.exit_code == 0, saved.stderr
    now = content(changed.db)
    done = CliRunner().invoke(cli, ["apply", "--plan", str(plan), "--allow-destroy"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert content(changed.db) == content(changed.folder / "before") != now


def test_what_broke_a_rule_in_the_backup_stays_as_it_is_and_is_named(changed: LabSite) -> None:
    backup = newest(changed)
    with closing(sqlite3.connect(changed.db.parent / backup)) as connection, connection:
        connection.execute("UPDATE tenants SET default_datastore_url = '' WHERE name = 'MYVMGROUP'")
    before = [row for row in content(changed.db)["privileges"] if row[3] == 300]
    done = vdvs(changed, "rollback", "--to", backup, "--allow-destroy", "--unverified")
    assert done.exit_code == 3
    assert "not restored: vmgroup/MYVMGROUP: it had no default datastore" in done.stderr
    assert [row for row in content(changed.db)["privileges"] if row[3] == 300] == before
    assert changed.sql("SELECT COUNT(*) FROM tenants WHERE name = 'new'") == [(0,)]


def test_a_backup_of_schema_1_1_is_brought_back_upgraded(applied: LabSite) -> None:
    backup = applied.db.with_name(f"{applied.db.name}.bak-20200101T000000Z")
    url = f"/vmfs/volumes/{applied.datastore.name}"
    old_db.write(backup, [("0f2d53d7-091e-4b04-a6b0-1d2a43c454eb", "OLD", "", url)], access=[])
    done = vdvs(applied, "rollback", "--to", backup.name, "--allow-destroy", "--unverified")
    assert done.exit_code == 0, done.stderr
    assert content(applied.db)["tenants"] == [("0f2d53d7-091e-4b04-a6b0-1d2a43c454eb", "OLD", "", url)]


@pytest.mark.parametrize("name", ["vmdkops_config.db", "other", "../vmdkops_config.db.bak-20261123T201500Z"])
def test_there_is_no_such_backup(changed: LabSite, name: str) -> None:
    before = changed.db.read_bytes()
    done = vdvs(changed, "rollback", "--to", name)
    assert done.exit_code == 2
    assert newest(changed) in done.stderr
    assert changed.db.read_bytes() == before


def test_a_db_that_cannot_be_read_is_not_rolled_back(changed: LabSite) -> None:
    backup, good = newest(changed), changed.db.read_bytes()
    changed.db.write_bytes(b"garbage " * 1000)
    done = vdvs(changed, "rollback", "--to", backup)
    assert done.exit_code == 3
    assert "configdb/shared cannot be rolled back" in done.stderr
    changed.db.write_bytes(good)


def test_it_is_recorded_and_nobody_heals_it_back(applied: LabSite) -> None:
    """What was rolled back is not what the manifests say any more, and only a new apply takes it for approved."""
    for limit in ("200MB", "300MB"):
        applied.write(SEED.replace("200MB", limit))
        assert vdvs(applied, "apply", "--set", "team").exit_code == 0
    done = vdvs(applied, "rollback", "--to", newest(applied), "--set", "team", "--reason", "ticket 7")
    assert done.exit_code == 0, done.stderr
    record = "SELECT set_name, reason FROM vdvs_objects WHERE object = 'vmgroup/MYVMGROUP'"
    assert applied.sql(record) == [("team", "ticket 7")]
    healed = applied.reconcile(HEAL, Applying("team", Stamp("watch@ws")))
    assert statuses(healed)["vmgroup/MYVMGROUP"] == "blocked"
    assert applied.sql("SELECT max_volume_size FROM privileges") == [(200,)]
    assert vdvs(applied, "apply", "--set", "team").exit_code == 0
    assert_in_sync(applied)


def test_a_vmgroup_that_another_set_made_since_stays_and_is_named(applied: LabSite) -> None:
    vdvs(applied, "apply", "--set", "team")
    (applied.folder / "other").mkdir()
    other = LabSite.sharing(applied, applied.folder / "other")
    other.write(SEED + other.vmgroup("theirs"))
    assert vdvs(other, "apply", "--set", "others").exit_code == 0
    done = vdvs(applied, "rollback", "--to", newest(applied), "--set", "team", "--allow-destroy")
    assert done.exit_code == 3
    assert "vmgroup/theirs is not in the backup, but it stays: set others" in done.stderr
    assert applied.sql("SELECT COUNT(*) FROM tenants") == [(2,)]


def test_a_config_db_of_one_host_alone(site: LabSite) -> None:
    own = SEED.replace("mode: MultiNode, datastore: SHARED-Datastore", "mode: SingleNode, hosts: {names: [esxiz10]}")
    site.write(own)
    site.reconcile()
    was = content(site.link("esxiz10"))
    site.write(own.replace("200MB", "300MB"))
    site.reconcile()
    assert vdvs(site, "rollback", "--to", newest(site)).exit_code == 0
    assert content(site.link("esxiz10")) == was


def test_one_of_several_config_dbs(site: LabSite) -> None:
    """The other one, and the vmgroups that its manifests declare, are not spoken of."""
    shared = SEED.replace("defaultVMGroup: Absent", "defaultVMGroup: Absent, hosts: {names: [esxiz20]}")
    shared = shared.replace("  name: MYVMGROUP", "  name: MYVMGROUP\n  configDB: shared")
    own = "---\napiVersion: vdvs.io/v1\nkind: ConfigDB\nmetadata: {name: own}\n"
    own += "spec: {mode: SingleNode, hosts: {names: [esxiz10]}}\n"
    theirs = site.vmgroup("theirs").replace("spec: {", "spec: {configDB: own, ")
    site.write(shared + own + theirs)
    assert statuses(site.reconcile())["vmgroup/own/theirs"] == "created"
    was, theirs_now = content(site.db), content(site.link("esxiz10"))
    site.write(shared.replace("200MB", "300MB") + own + theirs)
    site.reconcile()

    told = json.loads(vdvs(site, "rollback", "--list", "-o", "json").stdout)["items"]
    backup = next(item for item in told if item["object"] == "configdb/shared")["backups"][-1]["name"]
    assert "give --config-db, one of own, shared" in vdvs(site, "rollback", "--to", backup).stderr
    done = vdvs(site, "rollback", "--config-db", "shared", "--to", backup)
    assert done.exit_code == 0, done.stderr
    assert "own" not in done.stdout
    assert (content(site.db), content(site.link("esxiz10"))) == (was, theirs_now)


def test_a_config_db_of_schema_1_1_is_upgraded_by_it(applied: LabSite) -> None:
    applied.write(SEED.replace("200MB", "300MB"))
    applied.reconcile()
    backup = newest(applied)
    was = content(applied.db.with_name(backup))
    applied.db.unlink()
    old_db.write(applied.db)
    done = vdvs(applied, "rollback", "--to", backup, "--allow-destroy")
    assert done.exit_code == 0, done.stderr
    assert "1.1 -> 1.2" in done.stdout
    assert content(applied.db) == was


def test_as_json_it_is_what_diff_and_apply_say(changed: LabSite) -> None:
    line = ("rollback", "--to", newest(changed), "--allow-destroy", "-o", "json")
    shown = json.loads(vdvs(changed, *line, "--dry-run").stdout)
    schemas.check("diff", shown)
    reasons = {change["object"]: change["reason"] for change in shown["changes"]}
    assert reasons["vmgroup/new"] == f"it is not in {newest(changed)}"
    done = json.loads(vdvs(changed, *line).stdout)
    schemas.check("apply", done)
    assert {item["object"]: item["status"] for item in done["objects"]} == {
        "configdb/shared": "unchanged",
        "vmgroup/MYVMGROUP": "configured",
        "vmgroup/moved": "configured",
        "vmgroup/new": "pruned",
    }


def test_any_host_that_sees_the_folder_tells_of_the_backups(changed: LabSite) -> None:
    backup = newest(changed)
    was = content(changed.folder / "before")
    shutil.move(changed.root("esxiz10"), changed.folder / "away")
    listed = vdvs(changed, "rollback", "--list")
    assert (listed.exit_code, listed.stdout.split()[-1]) == (0, "esxiz20")
    done = vdvs(changed, "rollback", "--to", backup, "--allow-destroy")
    assert done.exit_code == 3  # a pass that does not see everything removes nothing
    assert content(changed.db) != was
    shutil.move(changed.root("esxiz20"), changed.folder / "away, too")
    listed = vdvs(changed, "rollback", "--list")
    assert (listed.exit_code, listed.stdout.split()[-6:]) == (3, ["shared", *"?????"])
    assert "configdb/shared: host/esxiz20" in listed.stderr


def test_it_says_what_to_do_or_where(applied: LabSite) -> None:
    assert vdvs(applied, "rollback").exit_code == 2
    assert vdvs(applied, "rollback", "--list", "--to", "x").exit_code == 2
    assert "there is no configdb/other" in vdvs(applied, "rollback", "--config-db", "other", "--to", "x").stderr
