"""Moves of a config DB: the copy with its origin, the volumes taken over, and the old DB retired."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from reconciler.agent.db.checks import rules
from tests.agent.world import AUTH_DB, DB, G1, G2, TIME, URL, VM1, Agent, access, act, outcomes, sqlite, vmgroup

OTHER = "5a7b0002-0a0b0c0d-9bc3-000c29c1501d"
NEW = f"/vmfs/volumes/{OTHER}/dockvols/vmdkops_config.db"
OWN = f"/{AUTH_DB}"
BOOKED = "INSERT INTO volumes VALUES (?, ?, ?, ?)"


class Move:
    """A move of the DB at `source` to another datastore of the same host."""

    def __init__(self, agent: Agent, source: str = DB, host: str = "") -> None:
        self.agent, self.source, self.host = agent, source, host
        self.old, self.new = agent.root / source[1:], agent.root / NEW[1:]
        (agent.root / f"vmfs/volumes/{OTHER}").mkdir(exist_ok=True)

    def look(self, path: str) -> dict[str, Any]:
        wanted = [{"path": path, "fingerprint": None}]
        return dict(self.agent.ask("observe", config_dbs=wanted, deadline=0)["config_dbs"][path])

    def request(self, **changes: Any) -> dict[str, Any]:
        """The fields of both verbs, for the DBs as they are now."""
        fields = {
            "path": NEW,
            "fingerprint": self.look(NEW)["fingerprint"],
            "source": self.source,
            "source_host": self.host,
            "source_fingerprint": self.look(self.source)["fingerprint"],
            "writer": "esx1",
            "time": TIME,
            "deadline": 0,
        }
        return {**fields, **changes}

    def copy(self, **changes: Any) -> None:
        self.agent.ask("copy_db", **self.request(**changes))

    def retire(self, **changes: Any) -> Any:
        return self.agent.ask("retire_db", **self.request(**changes))["kept"]

    def refused(self, verb: str, **changes: Any) -> str:
        return self.agent.refusal(verb, **self.request(**changes))

    def books(self, path: Path | None = None) -> list[str]:
        with sqlite(path or self.new) as connection:
            return [name for (name,) in connection.execute("SELECT volume_name FROM volumes ORDER BY 1")]


def book(path: Path, *names: str) -> None:
    with sqlite(path) as connection:
        connection.executemany(BOOKED, [(G1, URL, name, 100) for name in names])


def unbook(path: Path, name: str) -> None:
    with sqlite(path) as connection:
        connection.execute("DELETE FROM volumes WHERE volume_name = ?", (name,))


def describe(path: Path, text: str) -> None:
    with sqlite(path) as connection:
        connection.execute("UPDATE tenants SET description = ?", (text,))


def content(path: Path) -> dict[str, list[Any]]:
    tables = ("tenants", "vms", "privileges", "volumes", "versions", "vdvs_objects")
    with sqlite(path) as connection:
        assert rules.violations(connection) == []
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}


def record() -> dict[str, Any]:
    return act("RecordObject", object="vmgroup/G1", uid=G1, set="a", digest="d")


@pytest.fixture(params=["shared", "own"])
def move(request: pytest.FixtureRequest, agent: Agent) -> Move:
    """A DB with a vmgroup, a VM, a record and books, shared or of this host alone."""
    own = request.param == "own"
    path = OWN if own else DB
    made = agent.create([vmgroup(G1, "G1", [VM1])], [record()], path=path, with_default=True)
    assert outcomes(made) == ["ok", "ok"]
    found = Move(agent, path, "esx1" if own else "")
    book(found.old, "a", "b", "c")
    return found


def test_the_copy_has_every_row_and_its_origin(move: Move) -> None:
    before = content(move.old)
    move.copy()
    assert content(move.new) == content(move.old) == before
    assert (move.look(move.source)["moving_to"], move.look(NEW)["moving_to"]) == (NEW, None)
    seen = move.look(NEW)
    assert seen["copied_from"] == [move.source, move.host, seen["fingerprint"]]
    assert move.look(move.source)["copied_from"] is None
    assert [path.name for path in move.new.parent.iterdir()] == [move.new.name]


def test_retired_the_old_file_is_kept_and_nobody_can_use_it_unnoticed(move: Move) -> None:
    move.copy()
    before = content(move.old)
    kept = move.retire()
    assert content(move.new) == before
    assert move.look(NEW)["copied_from"] is None
    if move.host:
        assert os.readlink(move.old) == NEW
        assert (move.agent.host()["db_mode"], kept) == ("MultiNode", f"{move.new.name}.moved-{TIME}")
        assert content(move.new.with_name(kept)) == before
    else:
        assert move.look(move.source)["state"] == "absent"
        assert kept == f"{move.old.name}.moved-{TIME}"
        assert content(move.old.with_name(kept)) == before
        with sqlite(move.old) as connection:  # by which vDVS refuses every request
            assert connection.execute("SELECT major_ver, minor_ver FROM versions").fetchall() == [(0, 0)]


def test_a_request_in_flight_ends_well(move: Move) -> None:
    if move.host:
        pytest.skip("a link takes the place of a host's own DB")
    with sqlite(move.old) as connection:  # as vDVS has it open while it makes a volume
        connection.execute("SELECT * FROM privileges").fetchall()
        move.copy()
        move.retire()
        with connection:
            connection.execute(BOOKED, (G1, URL, "late", 1))


def test_the_place_of_a_retired_one_is_free(move: Move) -> None:
    if move.host:
        pytest.skip("a link takes the place of a host's own DB")
    move.copy()
    move.retire()
    before = content(move.new)
    back = Move(move.agent, NEW)
    wanted = back.request(path=DB, fingerprint="absent")
    move.agent.ask("copy_db", **wanted)
    assert content(move.old) == before
    assert len(list(move.old.parent.glob("*.moved-*"))) == 2


def test_a_volume_that_was_removed_through_the_new_one_does_not_come_back(move: Move) -> None:
    folder = move.agent.dockvols / G1
    folder.mkdir(parents=True)
    move.copy()
    book(move.old, "gone", "made")  # by a host that is not linked to the new one yet; removed by one that is
    Path(folder, "made.vmdk").touch()
    move.retire()
    assert move.books() == ["a", "b", "c", "made"]


def test_a_volume_that_was_made_anew_through_the_new_one_stays(move: Move) -> None:
    folder = move.agent.dockvols / G1
    folder.mkdir(parents=True)
    move.copy()
    unbook(move.old, "a")
    unbook(move.old, "b")
    Path(folder, "a.vmdk").touch()  # vDVS cannot book it: its row is still in the new one
    move.retire()
    assert move.books() == ["a", "c"]
    with sqlite(move.new) as connection:
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'vdvs_moved_volumes'").fetchall()


def test_a_link_to_the_old_one_is_broken_then(agent: Agent) -> None:
    agent.create([vmgroup(G1, "G1", [VM1])])
    move = Move(agent)
    (agent.root / AUTH_DB).parent.mkdir(parents=True)
    (agent.root / AUTH_DB).symlink_to(DB)
    move.copy()
    move.retire()
    assert agent.host()["db_mode"] == "MultiNode"  # as vDVS calls it, and refuses every request by the version
    assert agent.look()["state"] == "absent"


def test_what_was_booked_on_both_sides_meanwhile_is_merged(move: Move) -> None:
    move.copy()
    book(move.old, "old")
    unbook(move.old, "a")
    book(move.new, "new")
    unbook(move.new, "b")
    move.retire()
    assert move.books() == ["c", "new", "old"]


def test_configuration_that_came_to_the_old_one_stops_the_end_and_is_brought_over(move: Move) -> None:
    move.copy()
    stale = move.request()
    describe(move.old, "since")
    book(move.old, "old")
    assert move.agent.refusal("retire_db", **stale) == "Moved"
    assert move.refused("retire_db") == "Moved"
    assert move.old.exists()
    assert not move.old.is_symlink()
    move.copy()
    assert content(move.new) == content(move.old)
    assert move.look(NEW)["copied_from"][2] == move.look(move.source)["fingerprint"]
    move.retire()
    assert move.books() == ["a", "b", "c", "old"]


def test_what_was_changed_in_the_new_one_stays(move: Move) -> None:
    move.copy()
    describe(move.new, "since")
    move.retire()
    assert {row[2] for row in content(move.new)["tenants"]} == {"since"}


def test_changed_on_both_sides_neither_is_lost(move: Move) -> None:
    move.copy()
    describe(move.old, "one")
    describe(move.new, "other")
    assert (move.refused("copy_db"), move.refused("retire_db")) == ("Moved", "Moved")
    describe(move.new, "one")
    move.retire()
    assert {row[2] for row in content(move.new)["tenants"]} == {"one"}


def test_the_end_is_the_same_once_more(move: Move) -> None:
    move.copy()
    again = move.request()
    move.retire()
    assert move.agent.ask("retire_db", **again)["kept"] is None


@pytest.mark.parametrize("changes", [{"fingerprint": "absent"}, {}])
def test_a_db_that_is_no_copy_of_this_one_is_never_written(move: Move, changes: dict[str, Any]) -> None:
    move.agent.create([vmgroup(G2, "G2")], path=NEW)
    before = move.new.read_bytes()
    assert (move.refused("copy_db", **changes), move.refused("retire_db")) == ("Moved", "Moved")
    assert move.new.read_bytes() == before
    assert move.old.exists()


def test_a_db_that_changed_since_the_plan_is_not_copied(move: Move) -> None:
    stale = move.request()
    describe(move.old, "since")
    assert move.agent.refusal("copy_db", **stale) == "Moved"
    assert not move.new.exists()


def test_while_a_writer_is_at_work_nothing_is_copied_or_retired(move: Move) -> None:
    writer = sqlite3.connect(move.old, isolation_level=None, timeout=0)
    try:
        writer.execute("BEGIN IMMEDIATE")
        assert move.refused("copy_db") == "Locked"
        writer.execute("ROLLBACK")
        move.copy()
        writer.execute("BEGIN IMMEDIATE")
        assert move.refused("retire_db") == "Locked"
    finally:
        writer.close()
    move.retire()


def test_a_datastore_that_is_not_there_is_no_end_of_a_move(agent: Agent) -> None:
    agent.create([vmgroup(G1, "G1")])
    move = Move(agent)
    move.copy()
    request = move.request()
    shutil.move(agent.volume, agent.root / "away")
    assert agent.refusal("retire_db", **request) == "NotMounted"
    assert move.look(NEW)["copied_from"] is not None


def test_rows_that_break_rules_are_moved_as_they_are(agent: Agent) -> None:
    agent.create([vmgroup(G1, "G1", [VM1], access=[access()])])
    agent.sql("INSERT INTO vms VALUES (X'AB', 'gone', NULL)", "UPDATE tenants SET description = NULL")
    move = Move(agent)
    move.copy()
    move.retire()
    assert move.look(NEW)["violations"]
    with sqlite(move.new) as connection:
        assert connection.execute("SELECT hex(vm_id) FROM vms WHERE tenant_id = 'gone'").fetchall() == [("AB",)]


@pytest.fixture
def leaving(agent: Agent) -> Move:
    """A host with a config DB of its own and a shared one beside it that has the same vmgroup."""
    for path in (OWN, NEW):
        found = Move(agent, path)
        made = agent.apply([vmgroup(G1, "G1", [VM1])], path=path, create=True, fingerprint="absent")
        assert outcomes(made) == ["ok"]
    found = Move(agent, OWN, "esx1")
    book(found.old, "a", "both")
    book(found.new, "both", "new")
    return found


def leave(move: Move, **changes: Any) -> str:
    fields = {"action": "LeaveOwnDB", "path": NEW, "fingerprint": move.look(OWN)["fingerprint"], **changes}
    return move.agent.on_host(fields)[0]


def test_the_own_db_is_left_for_a_shared_one_and_kept_beside_that(leaving: Move) -> None:
    before = leaving.old.read_bytes()
    assert leave(leaving) == "ok"
    assert os.readlink(leaving.old) == NEW
    assert leaving.books() == ["a", "both", "new"]
    (kept,) = leaving.new.parent.glob("*.moved-*")
    assert kept.read_bytes() == before
    assert leave(leaving, fingerprint="whatever") == "ok"  # once more there is nothing to do


def test_an_own_db_that_changed_since_the_plan_or_that_is_in_use_is_not_left(leaving: Move) -> None:
    stale = leaving.look(OWN)["fingerprint"]
    describe(leaving.old, "since")
    assert leave(leaving, fingerprint=stale) == "Moved"
    leaving.new.rename(leaving.new.with_name("away"))
    assert leave(leaving) == "Missing"
    leaving.new.with_name("away").write_bytes(b"no database" * 500)
    leaving.new.with_name("away").rename(leaving.new)
    assert leave(leaving) == "Corrupt"
    assert not leaving.old.is_symlink()
    assert list(leaving.new.parent.glob("*.moved-*")) == []


def test_what_is_booked_under_no_name_of_a_file_is_taken_over_too(move: Move) -> None:
    """Whoever can write the old one must not keep it from being moved."""
    move.copy()
    (move.agent.dockvols / G1).mkdir(exist_ok=True)
    odd = ["'a' || char(0)", "x'ff00'", "CAST(x'ff' AS TEXT)", "'../b'", "NULL", "hex(zeroblob(500))"]
    with sqlite(move.old) as connection, connection:
        for name in odd:
            connection.execute(f"INSERT INTO volumes VALUES ('{G1}', '{URL}', {name}, 1)")
        for tenant, url in (("CAST(x'ff' AS TEXT)", f"'{URL}'"), (f"'{G1}'", f"'{URL}' || char(0)"), ("'/'", "'x'")):
            connection.execute(f"INSERT INTO volumes VALUES ({tenant}, {url}, 'v', 1)")
    booked = "SELECT count(*), total(volume_size) FROM volumes"
    with sqlite(move.old) as connection:
        expected = connection.execute(booked).fetchone()
    move.retire()
    with sqlite(move.new) as connection:
        there = connection.execute(booked).fetchone()
    assert there == (expected[0] - 3, expected[1] - 3)  # bytes and NULL name files, which are not there
    assert move.look(NEW)["state"] == "present"


def test_many_changes_of_what_is_booked_do_not_hold_the_locks_for_long(move: Move) -> None:
    """vDVS refuses every request meanwhile, and what takes a minute is given up."""
    if move.host:
        pytest.skip("it is the same for a host's own DB")
    (move.agent.dockvols / G1).mkdir(exist_ok=True)
    before = set(move.books(move.old))
    many = [f"v{number}" for number in range(20000)]
    book(move.old, *many)
    move.copy()
    with sqlite(move.old) as connection, connection:
        connection.execute("UPDATE volumes SET volume_name = 'w' || volume_name WHERE volume_name GLOB 'v*[02468]'")
    (move.agent.dockvols / G1 / "wv0.vmdk").touch()
    move.retire()
    assert set(move.books()) == before | {"wv0", *many[1::2]}
