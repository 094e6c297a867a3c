"""Creating a config DB: whole or not at all, and never over somebody else's."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from reconciler.agent.folders import Folder
from tests.agent.world import DB, DEFAULT, G1, URL, VM1, Agent, access, act, outcomes, vmgroup

FRESH = {
    "versions": [(0, 1, 2, 1, 0)],
    "tenants": [(DEFAULT, "_DEFAULT", "This is a default vmgroup", "_VM_DS://")],
    "privileges": [(DEFAULT, "_ALL_DS://", 1, 0, 0), (DEFAULT, "_VM_DS://", 1, 0, 0)],
    "vms": [],
    "volumes": [],
}
COLUMNS = {  # (name, type, NOT NULL, position in the primary key)
    "tenants": [
        ("id", "TEXT", 1, 1),
        ("name", "TEXT", 1, 0),
        ("description", "TEXT", 0, 0),
        ("default_datastore_url", "TEXT", 0, 0),
    ],
    "vms": [("vm_id", "TEXT", 1, 1), ("tenant_id", "TEXT", 1, 0), ("vm_name", "TEXT", 0, 0)],
    "privileges": [
        ("tenant_id", "TEXT", 1, 1),
        ("datastore_url", "TEXT", 1, 2),
        ("allow_create", "INTEGER", 0, 0),
        ("max_volume_size", "INTEGER", 0, 0),
        ("usage_quota", "INTEGER", 0, 0),
    ],
    "volumes": [
        ("tenant_id", "TEXT", 1, 1),
        ("datastore_url", "TEXT", 1, 2),
        ("volume_name", "TEXT", 0, 3),
        ("volume_size", "INTEGER", 0, 0),
    ],
    "versions": [
        ("id", "INTEGER", 1, 1),
        ("major_ver", "INTEGER", 1, 0),
        ("minor_ver", "INTEGER", 1, 0),
        ("vmodl_major_ver", "INTEGER", 1, 0),
        ("vmodl_minor_ver", "INTEGER", 1, 0),
    ],
}


def test_a_fresh_db_is_what_vdvs_itself_would_make(agent: Agent) -> None:
    reply = agent.create(with_default=True)
    assert reply["fingerprint"] == agent.look()["fingerprint"]
    for table, rows in FRESH.items():
        assert sorted(agent.rows(f"SELECT * FROM {table}")) == rows
    for table, columns in COLUMNS.items():
        found = agent.rows(f"SELECT name, type, \"notnull\", pk FROM pragma_table_info('{table}')")
        assert found == columns
    for table in ("vms", "privileges", "volumes"):
        keys = agent.rows(f'SELECT "table", "from", "to" FROM pragma_foreign_key_list(\'{table}\')')
        assert keys == [("tenants", "tenant_id", "id")]
    for pragma, value in (("journal_mode", "delete"), ("user_version", 0), ("encoding", "UTF-8")):
        assert agent.rows(f"PRAGMA {pragma}") == [(value,)]
    assert agent.look()["violations"] == []


def test_without_default_nobody_is_let_in(agent: Agent) -> None:
    agent.create(with_default=False)
    assert agent.rows("SELECT * FROM tenants") == []


def test_dockvols_is_made(agent: Agent) -> None:
    agent.dockvols.rmdir()
    assert outcomes(agent.create([vmgroup(G1, "G1", [VM1])])) == ["ok"]
    assert agent.files() == ["vmdkops_config.db"]


def test_dockvols_is_made_by_esxis_own_program_where_there_is_one(agent: Agent) -> None:
    agent.dockvols.rmdir()
    log = agent.root / "log"
    agent.program(
        "/usr/lib/vmware/osfs/bin/osfs-mkdir",
        f'printf "%s %s" "$@" > {log}; mkdir {agent.volume}/object && ln -s object {agent.dockvols}',
    )
    agent.create([vmgroup()])
    assert log.read_text() == f"-n {URL}/dockvols"
    assert (agent.volume / "object/vmdkops_config.db").exists()


def test_a_failing_group_does_not_prevent_the_db(agent: Agent) -> None:
    bad = vmgroup("22222222-bbbb-4bbb-8bbb-000000000002", "G2", access=[access("_VM_DS://")])
    assert outcomes(agent.create([vmgroup()], [bad])) == ["ok", "Violation"]
    assert agent.rows("SELECT name FROM tenants") == [("G1",)]


def test_an_empty_file_is_replaced_when_the_plan_saw_it(agent: Agent) -> None:
    agent.db.touch()
    assert agent.refused([vmgroup()], create=True, fingerprint="absent") == "Moved"
    assert agent.db.stat().st_size == 0
    assert outcomes(agent.create([vmgroup()], fingerprint="empty")) == ["ok"]
    assert agent.files() == ["vmdkops_config.db"]


@pytest.mark.parametrize("fingerprint", ["absent", "empty", "0" * 64])
def test_somebody_elses_db_is_never_replaced(ready: Agent, fingerprint: str) -> None:
    before = ready.db.read_bytes()
    assert ready.refused([vmgroup()], create=True, fingerprint=fingerprint) == "Moved"
    assert ready.db.read_bytes() == before
    assert ready.files() == ["vmdkops_config.db"]


def test_a_db_that_comes_while_ours_is_built_wins(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.agent import files

    publish = files.publish

    def somebody_was_quicker(folder: Folder, finished: str, name: str, over_empty: bool = False) -> bool:
        agent.db.write_bytes(b"somebody's")
        return bool(publish(folder, finished, name, over_empty))

    monkeypatch.setattr(files, "publish", somebody_was_quicker)
    assert agent.refused([vmgroup()], create=True, fingerprint="absent") == "Moved"
    assert agent.db.read_bytes() == b"somebody's"
    assert agent.files() == ["vmdkops_config.db"]


def test_it_needs_its_datastore(agent: Agent) -> None:
    shutil.rmtree(agent.volume)
    assert agent.refused([vmgroup()], create=True, fingerprint="absent") == "NotMounted"
    assert not agent.volume.exists()


def test_leftovers_of_an_interrupted_creation_are_removed_when_they_are_old(agent: Agent) -> None:
    old, new = (Path(f"{agent.db}.new-{n:016x}") for n in (1, 2))
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 4000, time.time() - 4000))
    agent.create([vmgroup()])
    assert agent.files() == ["vmdkops_config.db", new.name]


@pytest.mark.parametrize("found", ["absent", "empty"])
def test_of_hosts_that_create_it_at_the_same_time_one_wins(agent: Agent, found: str) -> None:
    if found == "empty":
        agent.db.touch()
    processes = [agent.process() for _ in range(6)]
    for number, process in enumerate(processes):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        request = agent.request(
            [[vmgroup(f"{number:08d}-aaaa-4aaa-8aaa-000000000001", f"G{number}")]],
            create=True,
            fingerprint=found,
            deadline=30,
        )
        process.stdin.write(json.dumps({"id": 1, "do": "apply_db", **request}).encode() + b"\n")
    for process in processes:
        assert process.stdin is not None
        process.stdin.flush()
    replies = [json.loads(process.communicate()[0]) for process in processes]
    winners = [number for number, reply in enumerate(replies) if "result" in reply]
    assert len(winners) == 1, replies
    assert {reply["error"]["reason"] for reply in replies if "error" in reply} == {"Moved"}
    assert agent.rows("SELECT name FROM tenants") == [(f"G{winners[0]}",)]
    assert agent.files() == ["vmdkops_config.db"]


def test_an_interrupted_claim_is_an_empty_file_that_the_next_apply_replaces(agent: Agent) -> None:
    agent.db.touch()
    assert agent.look()["state"] == "empty"
    agent.create([vmgroup()], fingerprint="empty")
    assert outcomes(agent.apply([act("RemoveAccess", G1, url=DB)])) == ["Precondition"]


def test_dockvols_that_somebody_else_makes_meanwhile_will_do(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    agent.dockvols.rmdir()
    mkdir = os.mkdir

    def both(path: str, mode: int = 0o777) -> None:
        mkdir(path, mode)
        if path == "dockvols":
            mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", both)
    assert outcomes(agent.create([vmgroup()])) == ["ok"]


def test_a_claim_that_somebody_else_has_filled_is_not_taken_away(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without file locks another host may rename its DB over our claim."""
    rename = os.rename

    def fails(source: str, target: str) -> None:
        theirs = agent.root / "theirs"
        theirs.write_bytes(b"somebody's")
        rename(theirs, target)
        raise OSError(errno.EIO, "it failed")

    monkeypatch.setattr(os, "rename", fails)
    assert agent.refused([vmgroup()], create=True, fingerprint="absent") == "ReadError"
    assert agent.db.read_bytes() == b"somebody's"
