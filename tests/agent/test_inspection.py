"""What a config DB may contain: whoever can write the datastore may have written it, and nothing of it is run."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.agent.db import schema
from reconciler.agent.db.checks import inspection
from tests.agent import old_db
from tests.agent.world import DEFAULT, G1, G2, URL, VM1, VM2, Agent, act, member, outcomes, sqlite, vmgroup

ADD = act("AddMember", G2, member=member(VM2))
EDIT = "PRAGMA writable_schema = ON"

# As the releases of vDVS make them: other blanks, and a comment before each column.
COMMENTED = [
    sql.replace("\n    ", '\n                -- the unit of "it" is -- "MB"; see (set_name)\n                ').replace(
        "PRIMARY KEY(", "PRIMARY KEY ("
    )
    for sql in schema.TABLES
]


def state(agent: Agent) -> tuple[str, str]:
    found = agent.look()
    return found["state"], found["reason"]


def edit(statement: str) -> list[str]:
    return [EDIT, f"UPDATE sqlite_master SET {statement}", "PRAGMA schema_version = 77"]


TAMPERED = {
    "a view in place of a table": ["ALTER TABLE vms RENAME TO v", "CREATE VIEW vms AS SELECT * FROM v"],
    "a view in place of the versions": ["ALTER TABLE versions RENAME TO v", "CREATE VIEW versions AS SELECT * FROM v"],
    "a view besides": ["CREATE VIEW rights AS SELECT * FROM privileges"],
    "a trigger": ["CREATE TRIGGER t AFTER INSERT ON vdvs_meta BEGIN UPDATE privileges SET usage_quota = 0; END"],
    "a trigger on a table of vDVS": ["CREATE TRIGGER t AFTER UPDATE ON vms BEGIN DELETE FROM vms; END"],
    "another table": ["CREATE TABLE theirs(x)"],
    "a column more": ["ALTER TABLE tenants ADD COLUMN more TEXT"],
    "a column less": ["ALTER TABLE tenants DROP COLUMN description"],
    "a generated column": ["ALTER TABLE vms ADD COLUMN g TEXT AS (vm_id || tenant_id)"],
    "an index": ["CREATE INDEX i ON vms(tenant_id)"],
    "an index over an expression": ["CREATE INDEX i ON vms(lower(vm_id))"],
    "an index over some rows": ["CREATE INDEX i ON vms(vm_id) WHERE vm_name IS NULL"],
    "a virtual table": ["CREATE VIRTUAL TABLE f USING fts5(a)"],
    "a table of ours that is a view": [
        "DROP TABLE vdvs_meta",
        "CREATE VIEW vdvs_meta AS SELECT 'writer' AS key, 1 AS value",
    ],
    "a table of ours of another shape": ["DROP TABLE vdvs_meta", "CREATE TABLE vdvs_meta(key, value)"],
    "records of another shape": ["CREATE TABLE vdvs_objects(object TEXT)"],
    "a CHECK": edit("sql = replace(sql, 'usage_quota INTEGER', 'usage_quota INTEGER CHECK(usage_quota >= 0)')"),
    "a DEFAULT": edit("sql = replace(sql, 'description TEXT', 'description TEXT DEFAULT (random())')"),
    "a collation": edit("sql = replace(sql, 'name TEXT UNIQUE', 'name TEXT COLLATE NOCASE UNIQUE')"),
    "another type": edit("sql = replace(sql, 'max_volume_size INTEGER', 'max_volume_size TEXT')"),
    "a cascade": edit("sql = replace(sql, 'REFERENCES tenants(id)', 'REFERENCES tenants(id) ON DELETE CASCADE')"),
    "a conflict clause": edit("sql = replace(sql, 'UNIQUE NOT NULL', 'UNIQUE ON CONFLICT REPLACE NOT NULL')"),
    "a table that is STRICT": edit("sql = sql || ' STRICT' WHERE name = 'versions'"),
    "columns that change places": edit(
        "sql = replace(replace(sql, 'max_volume_size', 'usage_quota'), 'usage_quota INTEGER,' || char(10) ||"
        " '    usage_quota', 'usage_quota INTEGER,' || char(10) || '    max_volume_size') WHERE name = 'privileges'"
    ),
    "a comment of C": edit("sql = replace(sql, 'vm_name TEXT', '/* -- */ vm_name TEXT') WHERE name = 'vms'"),
    "code behind what looks like a comment": edit(
        "sql = replace(sql, 'vm_name TEXT', 'vm_name TEXT DEFAULT ''--' || char(10) || '''') WHERE name = 'vms'"
    ),
    "a far too long text": edit("sql = sql || ' --' || hex(zeroblob(5000)) WHERE name = 'vms'"),
    "capitals": edit("name = 'VMS', tbl_name = 'VMS' WHERE name = 'vms'"),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_what_neither_vdvs_nor_we_make_is_named_and_nothing_is_written(ready: Agent, case: str) -> None:
    known = ready.look()["fingerprint"]
    with closing(sqlite3.connect(ready.db, isolation_level=None)) as connection:
        for statement in TAMPERED[case]:
            connection.execute(statement)
    before = ready.db.read_bytes()
    assert state(ready) == ("unknown", "Tampered")
    assert ready.refused([ADD], fingerprint=known) == "Tampered"
    assert (ready.db.read_bytes(), ready.files()) == (before, [ready.db.name])


def test_a_type_that_a_restored_dump_changed_is_named(ready: Agent) -> None:
    with closing(sqlite3.connect(ready.db, isolation_level=None)) as connection:
        for statement in edit("sql = replace(sql, 'INTEGER', 'TEXT') WHERE name = 'versions'"):
            connection.execute(statement)
    assert (
        "another table versions (with `id TEXT PRIMARY KEY NOT NULL` in place of `id INTEGER PRIMARY KEY NOT NULL`)"
        in (ready.look()["message"])
    )


def make(agent: Agent, tables: list[str], *more: str) -> None:
    """A config DB with these tables, and the rows of a new one."""
    with closing(sqlite3.connect(agent.db, isolation_level=None)) as connection:
        for statement in more[:1]:
            connection.execute(statement)
        for table in tables:
            connection.execute(table)
        connection.execute("INSERT INTO versions VALUES (0, 1, 2, 1, 0)")
        connection.execute(f"INSERT INTO tenants VALUES ('{G1}', 'G1', '', '{URL}'), ('{G2}', 'G2', '', '{URL}')")
        connection.execute(f"INSERT INTO privileges VALUES ('{G1}', '{URL}', 1, 0, 0), ('{G2}', '{URL}', 1, 0, 0)")
        for statement in more[1:]:
            connection.execute(statement)


GENUINE = {
    "as a release of vDVS makes it": [""],
    "vacuumed": ["", "VACUUM"],
    "analyzed": ["", "ANALYZE"],
    "renamed and back": ["", "ALTER TABLE tenants RENAME TO t", "ALTER TABLE t RENAME TO tenants"],
    "with a table that once counted": ["", "CREATE TABLE t(i INTEGER PRIMARY KEY AUTOINCREMENT)", "DROP TABLE t"],
    "with large pages": ["PRAGMA page_size = 65536"],
    "with small pages": ["PRAGMA page_size = 512"],
    "vacuumed by itself": ["PRAGMA auto_vacuum = FULL"],
    "with numbers of its own": ["PRAGMA user_version = 7", "PRAGMA application_id = 9"],
}


@pytest.mark.parametrize("case", GENUINE)
def test_a_db_of_vdvs_is_read_and_written(agent: Agent, case: str) -> None:
    make(agent, COMMENTED, *GENUINE[case])
    assert state(agent) == ("present", "")
    assert outcomes(agent.apply([ADD])) == ["ok"]
    assert agent.look()["vms"] == [[VM2, G2, "photon"]]


@pytest.mark.parametrize("until", ["the end", "version"])
def test_a_db_that_vdvs_upgraded_is_read(agent: Agent, until: str) -> None:
    old_db.write(agent.db, vms=[(VM1, DEFAULT)])
    assert agent.look()["schema"] == "1.1"
    old_db.upgrade_as_vdvs(agent.db, {VM1: "photon"}, until)
    found = agent.look()
    assert (found["state"], found["schema"], found["vms"]) == ("present", "1.2", [[VM1, DEFAULT, "photon"]])


def test_text_that_is_not_utf8(agent: Agent) -> None:
    make(agent, list(schema.TABLES), "PRAGMA encoding = 'UTF-16le'")
    assert state(agent) == ("unknown", "Tampered")


@pytest.mark.parametrize(
    ("versions", "reason"),
    [((1, 2), "WriteAheadLog"), ((2, 1), "WriteAheadLog"), ((2, 2), "WriteAheadLog"), ((1, 3), "Corrupt")],
)
def test_a_header_that_asks_for_another_journal(ready: Agent, versions: tuple[int, int], reason: str) -> None:
    raw = bytearray(ready.db.read_bytes())
    raw[18:20] = bytes(versions)
    ready.db.write_bytes(raw)
    assert state(ready) == ("unknown", reason)
    assert ready.files() == [ready.db.name]


def test_a_db_that_sqlite_only_reads_is_not_called_useless(ready: Agent) -> None:
    """vDVS serves what needs no write."""
    raw = bytearray(ready.db.read_bytes())
    raw[18] = 3
    ready.db.write_bytes(raw)
    with sqlite(ready.db) as connection:
        assert connection.execute("SELECT major_ver FROM versions WHERE id = 0").fetchall() == [(1,)]
    assert state(ready) == ("unknown", "Tampered")


def test_a_version_behind_too_many_tables_is_not_called_missing(ready: Agent) -> None:
    """vDVS minds none of them: it serves by the rows, and a new config DB in its place would orphan all."""
    with closing(sqlite3.connect(ready.db, isolation_level=None)) as connection:
        for number in range(101):
            connection.execute(f"CREATE TABLE t{number}(x)")
        connection.execute(EDIT)
        connection.execute("UPDATE sqlite_master SET rowid = 1000 WHERE name = 'versions'")
    assert state(ready) == ("unknown", "Tampered")


@pytest.mark.parametrize("content", [b"", b"x" * 5000])
def test_a_write_ahead_log_beside_it_is_not_followed(ready: Agent, content: bytes) -> None:
    Path(f"{ready.db}-wal").write_bytes(content)
    assert state(ready) == ("unknown", "Tampered")
    assert ready.files() == [ready.db.name, f"{ready.db.name}-wal"]


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "folder"])
def test_a_journal_that_is_no_file_is_neither_read_nor_written(ready: Agent, kind: str, tmp_path: Path) -> None:
    known, victim, journal = ready.look()["fingerprint"], tmp_path / "victim", Path(f"{ready.db}-journal")
    if kind == "link":
        victim.write_text("precious")
    if kind.endswith("link"):
        journal.symlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(journal)
    else:
        journal.mkdir()
    assert state(ready) == ("unknown", "Tampered")
    assert ready.refused([ADD], fingerprint=known) == "Tampered"
    assert ready.refused([], fingerprint=known, recover=True) == "Tampered"
    assert victim.exists() == (kind == "link")
    assert kind != "link" or victim.read_text() == "precious"


def test_a_hot_journal_that_has_another_file_deleted_is_not_rolled_back(ready: Agent, tmp_path: Path) -> None:
    victim, journal = tmp_path / "victim", Path(f"{ready.db}-journal")
    victim.write_text("precious")
    name = str(victim).encode()
    magic = bytes.fromhex("d9d505f920a163d7")
    header = (
        magic
        + (0).to_bytes(4, "big")
        + bytes(4)
        + (8).to_bytes(4, "big")
        + (512).to_bytes(4, "big")
        + (4096).to_bytes(4, "big")
    )
    tail = (
        (0x40000000 // 4096 + 1).to_bytes(4, "big") + name + len(name).to_bytes(4, "big") + sum(name).to_bytes(4, "big")
    )
    journal.write_bytes(header.ljust(512, b"\0") + tail + magic)
    assert ready.refused([], fingerprint="", recover=True) == "Tampered"
    assert victim.read_text() == "precious"


def test_a_db_that_is_a_link_gives_no_power_over_another(ready: Agent) -> None:
    known, other = ready.look()["fingerprint"], ready.root / "other.db"
    ready.db.rename(other)
    ready.db.symlink_to(os.path.relpath(other, ready.db.parent))
    before = other.read_bytes()
    assert state(ready) == ("unknown", "Tampered")
    assert ready.refused([ADD], fingerprint=known) == "Tampered"
    assert other.read_bytes() == before


LARGE = {
    "a text": "UPDATE tenants SET description = hex(zeroblob(40000)) WHERE name = 'G1'",
    "a text behind a NUL": "UPDATE tenants SET description = 'a' || char(0) || hex(zeroblob(40000)) WHERE name = 'G1'",
    "a blob": "UPDATE vms SET vm_name = zeroblob(70000)",
    "a booked volume": f"INSERT INTO volumes VALUES ('{G1}', '{URL}', zeroblob(70000), 1)",
    "a record": "INSERT INTO vdvs_meta VALUES ('k', zeroblob(70000))",
}


@pytest.mark.parametrize("case", LARGE)
def test_a_cell_that_is_too_large_is_named_and_not_read(ready: Agent, case: str) -> None:
    known = ready.look()["fingerprint"]
    ready.sql(LARGE[case])
    found = ready.look()
    assert (found["state"], found["reason"]) == ("unknown", "TooLarge")
    assert "row 1" in found["message"] or "row 2" in found["message"]
    assert ready.refused([ADD], fingerprint=known) == "TooLarge"


def test_a_file_that_is_too_large_is_not_opened(ready: Agent) -> None:
    os.truncate(ready.db, inspection.LARGEST_FILE + 1)
    assert state(ready) == ("unknown", "TooLarge")


def test_too_many_rows(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "MOST_ROWS", 1)
    assert state(ready) == ("unknown", "TooLarge")


def test_too_many_bytes_in_all(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "MOST_BYTES", 100)
    assert state(ready) == ("unknown", "TooLarge")


def test_an_index_that_tells_something_else_than_its_table(ready: Agent) -> None:
    """vDVS finds a VM through the index; a listing reads the table."""
    ready.sql(f"INSERT INTO vms VALUES ('{VM2}', '{G2}', 'photon')")
    raw = ready.db.read_bytes()
    assert raw.count(VM2.encode()) == 2
    first = raw.index(VM2.encode())
    ready.db.write_bytes(raw[:first] + VM2.replace("564d", "564e").encode() + raw[first + len(VM2) :])
    assert state(ready) == ("unknown", "Damaged")


def test_what_is_done_behind_our_statements_is_rolled_back(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison before COMMIT does not rest on the inspection."""
    ready.sql("CREATE TRIGGER t AFTER INSERT ON vdvs_meta BEGIN UPDATE privileges SET usage_quota = 0; END")
    before = ready.db.read_bytes()
    monkeypatch.setattr(inspection, "inspect", lambda *_: 0)
    reply = ready.reply("apply_db", **ready.request([[ADD]]))
    assert reply["error"]["reason"] == "Unexpected"
    assert "privileges" in reply["error"]["message"]
    assert (ready.db.read_bytes(), ready.files()) == (before, [ready.db.name])


def test_rows_that_a_new_db_gets_besides_are_noticed(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON vdvs_meta BEGIN DELETE FROM privileges; END"
    really = schema.create

    def create(connection: sqlite3.Connection, with_default: bool) -> None:
        really(connection, with_default)
        connection.execute(schema.META)
        connection.execute(trigger)

    monkeypatch.setattr(schema, "create", create)
    request = agent.request([[vmgroup(G1, "G1", [VM1])]], create=True, fingerprint="absent")
    assert agent.refusal("apply_db", **request) == "Unexpected"
    assert not agent.db.exists()


def test_every_kind_of_row_is_as_expected_after_it_was_written(ready: Agent) -> None:
    """Odd rows that were there before stay, whatever they hold."""
    with sqlite(ready.db) as connection:
        connection.execute("INSERT INTO vms VALUES (x'00ff', ?, CAST(x'61ff62' AS TEXT))", (G1,))
        connection.execute("INSERT INTO vms VALUES (?, ?, 1.5)", (VM2.upper(), G1))
        connection.execute("INSERT INTO privileges VALUES ('gone', ?, 1e300, 9223372036854775807, NULL)", (URL,))
        connection.execute(
            "INSERT INTO volumes VALUES ('a', 'b', NULL, 1), ('a', 'b', NULL, 1), ('a', 'b', 'c', x'00')"
        )
        connection.execute("INSERT INTO vdvs_meta VALUES (NULL, 1), (NULL, 2)")
        connection.execute("INSERT INTO privileges VALUES (?, ?, 9e999, -9e999, 'x')", (G1, "/vmfs/volumes/x"))
    dead = {row["table"]: row for row in ready.look()["dead_rows"]}
    reply = ready.apply(
        [act("MoveMember", G2, from_uuid=G1, member=member(VM2, None))],
        [act("SetAccess", G1, access={"url": URL, "allow_create": False, "max_mb": 1, "total_mb": 2})],
        [{"action": "DeleteRow", "table": "vms", "key": dead["vms"]["key"]}],
        [{"action": "DeleteRow", "table": "privileges", "key": dead["privileges"]["key"]}],
    )
    assert outcomes(reply) == ["ok"] * 4
