"""A config DB of one host alone (SingleNode): made, changed, lost at a reboot, exported."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner, Result

from reconciler import lab
from reconciler.agent.db.checks.rules import violations
from reconciler.cli.main import cli
from reconciler.model.plan import Policy
from tests.e2e.site import SEED, LabSite, assert_in_sync, statuses

UUID = "0f2d53d7-091e-4b04-a6b0-1d2a43c454eb"
OWN = SEED.replace("mode: MultiNode, datastore: SHARED-Datastore", "mode: SingleNode, hosts: {names: [esxiz10]}")
PINNED = OWN.replace("  name: MYVMGROUP\n", f"  name: MYVMGROUP\n  uuid: {UUID}\n")
LOST = "lost at the next reboot; the host is then open to every VM"


@pytest.fixture
def own(site: LabSite) -> LabSite:
    """esxiz10 with a config DB of its own, in sync; esxiz20 in none."""
    site.write(PINNED)
    assert set(statuses(site.reconcile()).values()) == {"created", "configured"}
    return site


def vdvs(site: LabSite, *args: str) -> Result:
    return CliRunner().invoke(cli, [*args, "-f", str(site.manifests)], catch_exceptions=False, prog_name="vdvs")


def rows(site: LabSite, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(site.link("esxiz10"))) as connection:
        assert violations(connection) == []
        return connection.execute(query).fetchall()


def test_it_is_made_on_its_host_and_nowhere_else(own: LabSite) -> None:
    assert_in_sync(own)
    assert not own.link("esxiz10").is_symlink()
    assert rows(own, "SELECT name, id FROM tenants") == [("MYVMGROUP", UUID)]
    assert not own.db.exists()
    assert "vSphere Docker" not in (own.root("esxiz10") / "etc/rc.local.d/local.sh").read_text()


def test_every_command_says_that_it_will_be_lost(own: LabSite) -> None:
    assert LOST in vdvs(own, "diff").stdout
    assert vdvs(own, "diff").exit_code == 0
    assert LOST in vdvs(own, "apply").stdout
    assert LOST in vdvs(own, "status").stdout
    assert LOST in vdvs(own, "describe", "host", "esxiz10").stdout
    assert LOST in vdvs(own, "describe", "configdb", "shared").stdout
    assert "SingleNode (lost at reboot)" in vdvs(own, "get", "hosts").stdout
    assert "SingleNode" in vdvs(own, "get", "configdbs").stdout


def test_a_change_is_written_with_a_backup_beside_it(own: LabSite) -> None:
    own.write(PINNED.replace("5GB", "6GB"))
    outcome = own.reconcile()
    assert statuses(outcome)["vmgroup/MYVMGROUP"] == "configured"
    assert rows(own, "SELECT usage_quota FROM privileges") == [(6144,)]
    assert [own.link("esxiz10").with_name(copy.name).is_file() for copy in outcome.backups] == [True]


def test_lost_at_a_reboot_the_host_is_open_until_the_next_apply_and_not_healed(own: LabSite) -> None:
    lab.reboot(own.lab, "esxiz10")
    change = own.change("host/esxiz10")
    assert any(note.startswith("OPEN") for note in change.notes)
    healed = own.reconcile(Policy(frozenset(), config_db_lifecycle=False))
    assert statuses(healed)["configdb/shared"] == "blocked"
    assert statuses(own.reconcile())["configdb/shared"] == "created"
    assert rows(own, "SELECT id FROM tenants") == [(UUID,)]
    assert_in_sync(own)


def test_its_volumes_are_not_given_to_a_new_vmgroup_of_the_same_name(own: LabSite) -> None:
    folder = own.datastore / "dockvols" / UUID
    folder.mkdir(parents=True)
    (folder / "data.vmdk").touch()
    lab.reboot(own.lab, "esxiz10")
    own.write(OWN)
    assert UUID in own.change("configdb/shared").reason
    assert statuses(own.reconcile())["configdb/shared"] == "blocked"
    own.write(PINNED)
    assert statuses(own.reconcile())["configdb/shared"] == "created"


def test_a_host_with_a_shared_one_is_not_given_one_of_its_own(applied: LabSite) -> None:
    applied.write(PINNED)
    found = statuses(applied.reconcile())
    assert (found["configdb/shared"], found["host/esxiz10"]) == ("blocked", "blocked")
    assert applied.link("esxiz10").is_symlink()


def test_a_section_in_local_sh_is_removed_because_it_would_link_the_host(own: LabSite) -> None:
    script = own.root("esxiz10") / "etc/rc.local.d/local.sh"
    before = script.read_text()
    section = f"# -- vSphere Docker Volume Service configuration --\ndatastore={own.datastore.name}\n"
    script.write_text(before.replace("exit 0", section + "# -- vSphere Docker Volume Service configuration --\nexit 0"))
    assert statuses(own.reconcile())["host/esxiz10"] == "configured"
    assert script.read_text() == before
    assert_in_sync(own)


def test_what_is_exported_differs_in_nothing(own: LabSite) -> None:
    exported = CliRunner().invoke(cli, ["export", "--site", str(own.lab / "site.yaml")], catch_exceptions=False)
    assert (exported.exit_code, exported.stderr) == (0, "")
    assert f"  mode: SingleNode  # {LOST}\n" in exported.stdout
    path = own.folder / "exported.yaml"
    path.write_text(exported.stdout, encoding="utf-8")
    again = CliRunner().invoke(cli, ["diff", "-f", str(path), "--site", str(own.lab / "site.yaml")])
    assert again.exit_code == 0
    assert again.stdout.splitlines()[-1].startswith("In sync, but 2 objects not as it should be.")


def test_it_is_left_for_a_shared_one_when_nothing_of_it_would_be_lost(own: LabSite) -> None:
    with closing(sqlite3.connect(own.link("esxiz10"))) as connection, connection:
        connection.execute("INSERT INTO volumes VALUES (?, '/vmfs/volumes/x', 'data', 100)", (UUID,))
    shared = PINNED.replace(
        "mode: SingleNode, hosts: {names: [esxiz10]}", "mode: MultiNode, datastore: SHARED-Datastore"
    )
    own.write(shared.replace("defaultVMGroup: Absent}", "defaultVMGroup: Absent, hosts: {names: [esxiz20]}}"))
    assert statuses(own.reconcile())["configdb/shared"] == "created"
    own.sql("UPDATE tenants SET id = 'another'")
    own.sql("UPDATE vms SET tenant_id = 'another'")
    own.sql("UPDATE privileges SET tenant_id = 'another'")
    own.write(shared.replace(f"  uuid: {UUID}\n", ""))
    outcome = own.reconcile()
    assert statuses(outcome)["host/esxiz10"] == "blocked"
    (detail,) = [result.detail for result in outcome.objects if str(result.ref) == "host/esxiz10"]
    assert UUID in detail
    assert "vdvs export" in detail
    assert rows(own, "SELECT id FROM tenants") == [(UUID,)]
    for table, column in (("tenants", "id"), ("vms", "tenant_id"), ("privileges", "tenant_id")):
        own.sql(f"UPDATE {table} SET {column} = ?", UUID)
    own.write(shared)
    assert own.change("host/esxiz10").risk.value == "widens"
    assert statuses(own.reconcile())["host/esxiz10"] == "configured"
    assert own.link("esxiz10").is_symlink()
    assert own.sql("SELECT volume_name FROM volumes") == [("data",)]
    (kept,) = own.db.parent.glob("*.moved-*")
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT id FROM tenants").fetchall() == [(UUID,)]
    assert_in_sync(own)
