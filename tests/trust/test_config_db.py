"""Whoever can write a config DB gains nothing by it: no hidden rights, no power over other hosts and DBs, no hang."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.agent.db import rows
from reconciler.cli.main import cli
from reconciler.model.diff import Op
from tests.e2e.site import SEED, LabSite

SECOND = "5c000002-1a2b3c4d-0e0f-000c29c15555"
VIEWS = """
ALTER TABLE privileges RENAME TO p_real;
ALTER TABLE vms RENAME TO v_real;
CREATE VIEW privileges AS SELECT tenant_id, datastore_url, allow_create,
  CASE WHEN (SELECT temp_store FROM pragma_temp_store) = 2 THEN max_volume_size ELSE 0 END AS max_volume_size,
  CASE WHEN (SELECT temp_store FROM pragma_temp_store) = 2 THEN usage_quota ELSE 0 END AS usage_quota FROM p_real;
CREATE VIEW vms AS SELECT vm_id, tenant_id, vm_name FROM v_real;
"""
ENDLESS = """
ALTER TABLE vms RENAME TO v_real;
CREATE VIEW vms AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)
  SELECT vm_id, tenant_id, vm_name FROM v_real UNION ALL SELECT x, x, x FROM c WHERE x < 0;
"""
TRIGGER = (
    "CREATE TRIGGER t AFTER INSERT ON vdvs_meta BEGIN UPDATE privileges SET max_volume_size = 0, usage_quota = 0; END;"
)
TABLE = "CREATE TABLE theirs (what TEXT);"
HUGE = "UPDATE tenants SET description = hex(zeroblob(3000000)) WHERE name = 'MYVMGROUP';"
ATTACKS = {
    "views": (VIEWS, "Tampered", "table p_real"),
    "a query without end": (ENDLESS, "Tampered", "view vms"),
    "a trigger": (TRIGGER, "Tampered", "trigger t on vdvs_meta"),
    "a table": (TABLE, "Tampered", "table theirs"),
    "a huge cell": (HUGE, "TooLarge", "table tenants, row 1"),
}


@pytest.fixture
def applied(tmp_path: Path) -> LabSite:
    """The seed's site, in sync."""
    site = LabSite(tmp_path)
    site.reconcile()
    return site


def vdvs(site: LabSite, command: str, *options: str) -> Result:
    return CliRunner().invoke(cli, [command, "-f", str(site.manifests), *options], catch_exceptions=False)


def attack(db: Path, script: str) -> None:
    with closing(sqlite3.connect(db)) as connection:
        connection.executescript(script)


@pytest.mark.parametrize("case", ATTACKS)
def test_a_config_db_with_more_in_it_than_rows_is_blocked_and_left_as_it_is(applied: LabSite, case: str) -> None:
    script, reason, what = ATTACKS[case]
    good = applied.db.read_bytes()
    attack(applied.db, script)
    before = applied.db.read_bytes()
    applied.write(SEED.replace("5GB", "6GB"))
    change = applied.change("configdb/shared")
    assert change.op is Op.BLOCKED
    assert what in change.reason
    hosts = json.loads(vdvs(applied, "get", "hosts", "-o", "json").stdout)
    assert [host["state"] for host in hosts["items"]] == ["connected", "connected"]
    assert applied.change("host/esxiz10").op is Op.KEEP
    assert reason in vdvs(applied, "get", "configdbs").stdout
    assert vdvs(applied, "diff").exit_code == 3
    assert vdvs(applied, "apply").exit_code == 3
    assert applied.db.read_bytes() == before
    applied.db.write_bytes(good)
    assert vdvs(applied, "apply").exit_code == 0
    assert applied.sql("SELECT usage_quota FROM privileges") == [(6144,)]


def test_a_record_in_ones_own_db_gives_no_power_over_another(applied: LabSite) -> None:
    """Team A writes into its DB that it was moved there from that of team B, and has the same rows."""
    theirs = applied.lab / "datastores" / SECOND / "dockvols" / applied.db.name
    theirs.parent.mkdir(parents=True)
    for host in ("esxiz10", "esxiz20"):
        volumes, shared = applied.root(host) / "vmfs/volumes", applied.datastore.name
        (volumes / SECOND).symlink_to(os.readlink(volumes / shared).replace(shared, SECOND))
    theirs.write_bytes(applied.db.read_bytes())
    with closing(sqlite3.connect(applied.db)) as connection, connection:
        claims = {"moved_from": f"/vmfs/volumes/{SECOND}/dockvols/{theirs.name}", "moved_from_host": ""}
        claims["moved_rows"] = rows.fingerprint(rows.read(connection))
        connection.executemany("INSERT OR REPLACE INTO vdvs_meta VALUES (?, ?)", claims.items())
        connection.execute("CREATE TABLE IF NOT EXISTS vdvs_moved_volumes AS SELECT * FROM volumes")
    before = theirs.read_bytes()
    assert vdvs(applied, "apply").exit_code == 3
    assert (theirs.read_bytes(), [path.name for path in theirs.parent.iterdir()]) == (before, [theirs.name])
    assert "may be forged" in applied.change("configdb/shared").reason
    assert applied.change("vmgroup/MYVMGROUP").op is Op.KEEP


@pytest.mark.parametrize("path", ["/etc/passwd", "/vmfs/volumes/../../etc/passwd", "/vmfs/volumes/x\0y", "../x"])
def test_a_record_of_a_move_from_anywhere_is_only_a_claim(applied: LabSite, path: str) -> None:
    with closing(sqlite3.connect(applied.db)) as connection, connection:
        claims = {"moved_from": path, "moved_from_host": "", "moved_rows": "x"}
        connection.executemany("INSERT OR REPLACE INTO vdvs_meta VALUES (?, ?)", claims.items())
    assert vdvs(applied, "apply").exit_code == 3
    assert applied.change("configdb/shared").op is Op.BLOCKED
