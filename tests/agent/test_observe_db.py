"""Every state in which a config DB can be found. Observing writes nothing."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.world import AUTH_DB, DB, G1, URL, VOLUME, Agent, break_open, sqlite, vmgroup

# Writes so much in one transaction that SQLite has to spill pages into the DB, then says so and waits to be killed.
SPILLING_WRITER = """
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA cache_size = 5")
c.execute("BEGIN IMMEDIATE")
for n in range(3000):
    c.execute("INSERT INTO vms VALUES (?, 'x', ?)", ("%08d-0000-0000-0000-000000000000" % n, "y" * 500))
print("spilled", flush=True)
time.sleep(600)
"""


def start_spilling_writer(agent: Agent) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", SPILLING_WRITER, str(agent.db)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"spilled\n"
    return process


def leave_hot_journal(agent: Agent) -> bytes:
    """Kill a writer in the middle of its transaction; the content that the DB file then has."""
    with start_spilling_writer(agent) as process:
        process.send_signal(signal.SIGKILL)
    assert Path(f"{agent.db}-journal").stat().st_size > 0
    return agent.db.read_bytes()


def state(agent: Agent) -> tuple[str, str]:
    found = agent.look()
    return found["state"], found["reason"]


def test_a_mounted_datastore_without_a_db(agent: Agent) -> None:
    assert state(agent) == ("absent", "")
    agent.dockvols.rmdir()
    assert state(agent) == ("absent", "")
    assert not agent.dockvols.exists()


def test_an_empty_file(agent: Agent) -> None:
    agent.db.touch()
    assert state(agent) == ("empty", "")


def test_a_datastore_that_is_not_mounted(agent: Agent) -> None:
    shutil.rmtree(agent.volume)
    assert state(agent) == ("unknown", "NotMounted")


def test_a_db_that_is_there(ready: Agent) -> None:
    found = ready.look()
    assert (found["state"], found["unchanged"], found["writer"]) == ("present", False, "esx1")
    assert [row[1] for row in found["tenants"]] == ["G1", "G2"]
    assert found["privileges"][0] == [G1, URL, 1, 200, 5120]
    assert found["violations"] == []


def test_an_unchanged_db_is_not_sent_again(ready: Agent) -> None:
    found = ready.look(known=ready.look()["fingerprint"])
    assert found["unchanged"] is True
    assert "tenants" not in found


def test_a_path_by_name_is_the_same_db(ready: Agent) -> None:
    path = DB.replace(VOLUME, "SHARED")
    found = ready.ask("observe", config_dbs=[{"path": path, "fingerprint": None}], deadline=0)["config_dbs"]
    assert found[path]["fingerprint"] == ready.look()["fingerprint"]


def test_the_volumes_in_the_books_are_summed(ready: Agent) -> None:
    ready.sql(*(f"INSERT INTO volumes VALUES ('{G1}', '{URL}', 'v{n}', 100)" for n in range(3)))
    assert ready.look()["volume_use"] == [[G1, URL, 300, 3]]


def test_a_db_that_stays_locked(ready: Agent) -> None:
    connection = sqlite3.connect(ready.db, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    assert state(ready) == ("unknown", "Locked")
    connection.close()
    assert state(ready) == ("present", "")


def test_a_hot_journal_is_reported_and_not_rolled_back(ready: Agent) -> None:
    before = leave_hot_journal(ready)
    journal = Path(f"{ready.db}-journal").read_bytes()
    assert state(ready) == ("unknown", "HotJournal")
    assert ready.db.read_bytes() == before
    assert Path(f"{ready.db}-journal").read_bytes() == journal


def test_the_journal_of_a_live_writer_is_not_hot(ready: Agent) -> None:
    writer = sqlite3.connect(ready.db, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE tenants SET description = 'not yet'")
    assert Path(f"{ready.db}-journal").exists()
    assert ready.look()["tenants"][0][2] == ""
    writer.close()


def test_a_torn_journal_is_reported(ready: Agent) -> None:
    leave_hot_journal(ready)
    with Path(f"{ready.db}-journal").open("r+b") as stream:
        stream.truncate(700)
    assert state(ready) == ("unknown", "HotJournal")


def test_a_finished_journal_does_not_matter(ready: Agent) -> None:
    Path(f"{ready.db}-journal").write_bytes(bytes(512))  # as `journal_mode = PERSIST` leaves it
    assert state(ready) == ("present", "")


def test_a_journal_without_its_db_is_not_absence(ready: Agent) -> None:
    leave_hot_journal(ready)
    ready.db.unlink()
    assert state(ready) == ("unknown", "HotJournal")
    assert ready.refused([vmgroup()], create=True, fingerprint="absent") == "HotJournal"


@pytest.mark.parametrize("keep", [1, 50, 99, 100, 4096, 12288])
def test_a_file_that_is_cut_off(ready: Agent, keep: int) -> None:
    os.truncate(ready.db, keep)
    assert state(ready) == ("unknown", "Corrupt")


def test_a_file_that_is_no_database(agent: Agent) -> None:
    agent.db.write_bytes(b"garbage " * 1000)
    assert state(agent) == ("unknown", "Corrupt")


def test_a_folder_in_the_place_of_the_db(agent: Agent) -> None:
    agent.db.mkdir()
    assert state(agent) == ("unknown", "ReadError")


def test_a_link_that_leads_nowhere_is_not_absence(agent: Agent) -> None:
    agent.db.symlink_to("gone.db")
    assert state(agent) == ("unknown", "Tampered")


def test_a_write_ahead_log_is_not_opened(ready: Agent) -> None:
    with sqlite(ready.db) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        assert state(ready) == ("unknown", "WriteAheadLog")
        connection.execute("CREATE TABLE more(x)")
        assert state(ready) == ("unknown", "WriteAheadLog")  # not: that somebody put the log there
    assert ready.files() == ["vmdkops_config.db"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE versions SET minor_ver = 0", "vmdkops_post_update.11.1.py"),
        ("UPDATE versions SET minor_ver = 3", "newer"),
        ("UPDATE versions SET major_ver = 2", "2.2"),
        ("UPDATE versions SET id = 1", "version is missing"),
        ("DELETE FROM versions", "version is missing"),
        ("DROP TABLE versions", "older than vDVS 0.10"),
    ],
)
def test_another_schema(ready: Agent, change: str, said: str) -> None:
    ready.sql(change)
    assert state(ready) == ("unknown", "WrongVersion")
    assert said in ready.look()["message"]


def test_only_row_0_of_versions_counts(ready: Agent) -> None:
    ready.sql("INSERT INTO versions VALUES (1, 1, 1, 1, 0)")
    look = ready.look()
    assert (look["state"], look["schema"], look["violations"]) == ("present", "1.2", [])


def test_an_sqlite_database_of_somebody_else(agent: Agent) -> None:
    agent.sql("CREATE TABLE songs(title TEXT)")
    assert state(agent) == ("unknown", "WrongVersion")


@pytest.mark.parametrize(
    ("table", "reason"), [("privileges", "Incomplete"), ("vms", "Incomplete"), ("volumes", "NoBooks")]
)
def test_a_missing_table(ready: Agent, table: str, reason: str) -> None:
    ready.sql(f"DROP TABLE {table}")
    assert state(ready) == ("unknown", reason)
    assert f"it has no table {table}" in ready.look()["message"]


@pytest.mark.parametrize(
    ("change", "query", "expected"),
    [
        ("UPDATE tenants SET description = NULL", "tenants", [G1, "G1", None, URL]),
        ("UPDATE tenants SET description = x'ff00'", "tenants", [G1, "G1", "X'ff00'", URL]),
        ("UPDATE tenants SET description = CAST(x'61ff62' AS TEXT)", "tenants", [G1, "G1", "a�b", URL]),
        ("UPDATE privileges SET allow_create = 'yes'", "privileges", [G1, URL, "yes", 200, 5120]),
        ("UPDATE privileges SET allow_create = ''", "privileges", [G1, URL, "", 200, 5120]),
        ("UPDATE privileges SET allow_create = x''", "privileges", [G1, URL, "", 200, 5120]),
        ("UPDATE privileges SET usage_quota = 1.5, max_volume_size = NULL", "privileges", [G1, URL, 1, None, "1.5"]),
    ],
)
def test_odd_values_can_be_read(ready: Agent, change: str, query: str, expected: list[object]) -> None:
    ready.sql(change)
    assert ready.look()[query][0] == expected


def test_backups_are_named_oldest_first(ready: Agent) -> None:
    for name in ("bak-20260102T000000Z-2", "bak-20260102T000000Z", "bak-20260101T000000Z", "bak_Mon_Nov", "bak-x"):
        Path(f"{ready.db}.{name}").touch()
    short = [name.partition(".db.")[2] for name in ready.look()["backups"]]
    assert short == ["bak-20260101T000000Z", "bak-20260102T000000Z", "bak-20260102T000000Z-2"]


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EIO])
def test_a_journal_that_cannot_be_read_is_not_taken_for_none(
    agent: Agent, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On VMFS a file that another host has open cannot be opened: that host is just creating the DB."""
    agent.db.touch()
    journal = Path(f"{agent.db}-journal")
    journal.touch()
    break_open(monkeypatch, journal, number)
    found = agent.look()
    assert (found["state"], found["reason"]) == ("unknown", "Locked" if number == errno.EBUSY else "ReadError")
    agent.db.unlink()
    assert agent.look()["state"] == "unknown"
    assert agent.refused([vmgroup()], create=True, fingerprint="absent") in ("Locked", "ReadError")
    assert not agent.db.exists()


def test_the_db_that_the_host_uses_is_read_without_being_named(ready: Agent) -> None:
    auth_db = ready.root / AUTH_DB
    auth_db.parent.mkdir(parents=True, exist_ok=True)
    assert ready.ask("observe", linked={})["config_dbs"] == {}
    auth_db.symlink_to(DB)
    ((path, seen),) = ready.ask("observe", linked={})["config_dbs"].items()
    assert (path, seen["state"]) == (DB, "present")
    assert seen == ready.look()
    assert ready.ask("observe", linked={DB: seen["fingerprint"]})["config_dbs"][DB]["unchanged"] is True
    auth_db.unlink()
    auth_db.symlink_to("/opt/elsewhere")
    assert ready.ask("observe", linked={})["config_dbs"] == {}
