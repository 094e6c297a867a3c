"""Whoever can write a datastore cannot make the agent fail: the host answers, and what it cannot tell is an error of
the config DB or of the datastore.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reconciler.agent import folders, wire
from reconciler.agent.db import database
from reconciler.agent.dockvols import policies, tree
from reconciler.agent.wire import encode
from tests.agent.test_policies import of_policy, volume
from tests.agent.world import ANOTHER_PYTHON, DB, G1, URL, Agent

in_process = pytest.mark.skipif(ANOTHER_PYTHON is not None, reason="patches the agent")
UNUSABLE = ("Tampered", "Corrupt", "ReadError")  # as the SQLite of each Python puts it
BACKUP = "vmdkops_config.db.bak-20261123T201500Z"


def look(agent: Agent) -> tuple[Any, Any]:
    """The config DB, and the datastore."""
    asked = {"config_dbs": [{"path": DB, "fingerprint": None}], "datastores": [URL], "files": {URL: {"Volume": None}}}
    seen = agent.ask("observe", deadline=0, **asked)
    assert seen["host"]["driver_error"] is not None or seen["host"]["volumes"]
    return seen["config_dbs"][DB], seen["datastores"][URL]


@pytest.mark.parametrize("size", ["1e999", "-1e999", "NaN", "1.5", '"1"', "null", "9" * 5000])
def test_a_list_of_backups_with_any_number_in_it(ready: Agent, size: str) -> None:
    entry = f'{{"name": "{BACKUP}", "bytes": {size}, "sha256": "{"0" * 64}"}}'
    Path(f"{ready.db}.backups").write_text(f'{{"backups": [{entry}]}}')
    (ready.dockvols / BACKUP).touch()
    assert look(ready)[0]["state"] == "present"
    assert ready.ask("backups", path=DB, read=None)["backups"] == [[BACKUP, 0, "foreign"]]


def test_backups_that_it_takes_long_to_read_are_not_read_for_ever(ready: Agent) -> None:
    entry = {"name": BACKUP, "bytes": 64 * 2**20, "sha256": "0" * 64}
    Path(f"{ready.db}.backups").write_text(json.dumps({"backups": [entry]}))
    (ready.dockvols / BACKUP).touch()
    os.truncate(ready.dockvols / BACKUP, entry["bytes"])  # type: ignore[arg-type]
    assert ready.ask("backups", path=DB, read=None)["backups"] == [[BACKUP, entry["bytes"], "changed"]]
    assert ready.refusal("backups", path=DB, read=None, deadline=0) == "Timeout"


@in_process
def test_more_files_than_can_be_listed(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_NAMES", 3)
    for number in range(4):
        (ready.dockvols / str(number)).touch()
    db, datastore = look(ready)
    assert (db["state"], db["reason"]) == ("unknown", "ReadError")
    assert "holds more than 3 files" in datastore["error"]


@in_process
def test_names_and_links_that_are_too_long_together(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MOST_BYTES", 1000)
    (ready.dockvols / "x").symlink_to("y" * 1000)
    db, datastore = look(ready)
    assert db["state"] == "present"
    assert "more than 1000 bytes" in datastore["error"]


@pytest.mark.parametrize("sectors", ["9" * 16, "9" * 30, "9" * 4800])
def test_a_volume_larger_than_any(ready: Agent, sectors: str) -> None:
    (ready.dockvols / G1).mkdir()
    (ready.dockvols / G1 / "v.vmdk").write_text(f'RW {sectors} VMFS "v-flat.vmdk"\n')
    assert look(ready)[1]["volumes"] == {G1: [["v", None]]}


@in_process
def test_policies_that_are_too_large_together(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "MOST_BYTES", 5)
    (ready.dockvols / "policies").mkdir()
    for name in "ab":
        (ready.dockvols / "policies" / name).write_text("xyz")
    datastore = look(ready)[1]
    assert (datastore["error"], datastore["files"][0]["files"]) == (None, {})
    assert "more than 5 bytes" in datastore["files"][0]["error"]


def test_metadata_with_texts_of_any_length(ready: Agent) -> None:
    (ready.dockvols / "policies").mkdir()
    (ready.dockvols / "policies/gold").write_text("x")
    volume(ready.dockvols, "a", of_policy("gold" * 1000))
    long = "x" * 20000
    volume(ready.dockvols, "b", json.dumps({"status": "attached", "attachedVMName": long, "volOpts": {"access": long}}))
    files = look(ready)[1]["files"]
    assert (files[0]["users"], files[0]["unread"]) == ({}, None)
    assert len(encode(files[1])) < 2000


@pytest.mark.parametrize("depth", range(100, 1100, 50))
def test_metadata_nested_to_any_depth(ready: Agent, depth: int) -> None:
    volume(ready.dockvols, "a", '{"volOpts": {"access": ' + "[" * depth + "]" * depth + "}}")
    assert look(ready)[1]["error"] is None


@in_process
@pytest.mark.parametrize("what", ["the folder", "the metadata", "the config DB"])
def test_what_does_not_fit_into_a_reply_is_left_out(ready: Agent, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """The rest of the reply still comes."""
    monkeypatch.setattr(wire, "LARGEST_REPLY", 20000)
    if what == "the folder":
        for number in range(90):
            (ready.dockvols / f"{number:0200}").touch()
    elif what == "the config DB":
        ready.sql("UPDATE tenants SET description = hex(zeroblob(8000))")
    else:
        for number in range(50):
            volume(ready.dockvols, str(number), json.dumps({"volOpts": {"access": "x" * 200}}))
    db, datastore = look(ready)
    assert (db["state"], db["reason"]) == (("unknown", "TooLarge") if what == "the config DB" else ("present", ""))
    errors = {"the folder": datastore["error"], "the metadata": datastore["files"][1]["error"]}
    assert {part for part, error in errors.items() if error is not None} == {what} & errors.keys()
    assert all("too large for a reply" in error for error in errors.values() if error is not None)


def rename(connection: sqlite3.Connection, name: bytes) -> None:
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_master SET name = CAST(? AS TEXT) WHERE name = 'vms'", (name,))
    connection.execute("PRAGMA schema_version = 99")


HOSTILE: dict[str, Callable[[sqlite3.Connection], object]] = {
    "a name in the schema that is no text": lambda db: rename(db, b"vms\xff"),
    "a name in the schema with a NUL": lambda db: rename(db, b"vms\0x"),
    "a name in the schema that is huge": lambda db: rename(db, b"vms" * 100000),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_schema_that_sqlite_stumbles_over(ready: Agent, case: str) -> None:
    with closing(sqlite3.connect(ready.db, isolation_level=None)) as connection:
        HOSTILE[case](connection)
    db, datastore = look(ready)
    assert (db["state"], db["reason"] in UNUSABLE, len(db["message"]) <= 2000) == ("unknown", True, True)
    assert datastore["error"] is None


def test_a_schema_that_is_no_text_at_all(ready: Agent) -> None:
    raw = ready.db.read_bytes()
    ready.db.write_bytes(raw.replace(b"CREATE TABLE tenants", b"CREATE\xc1TABLE tenants"))
    db, _ = look(ready)
    assert (db["state"], db["reason"] in UNUSABLE) == ("unknown", True)


@in_process
def test_a_bug_that_a_config_db_sets_off_is_trouble_of_that_db(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_describe", lambda *_: 1 // 0)
    db, datastore = look(ready)
    assert (db["reason"], datastore["error"]) == ("AgentError", None)
    assert "ZeroDivisionError" in db["message"]
