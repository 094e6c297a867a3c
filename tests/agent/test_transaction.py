"""apply_db on an existing DB: all or nothing, only on the rows of the plan, and after a backup."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from reconciler.agent.db import sqlite as agents_sqlite
from reconciler.agent.wire import Refused
from reconciler.hosts.bundle import BOOTSTRAP, bundle_for
from tests.agent.pythons import ALL_PYTHONS
from tests.agent.test_observe_db import leave_hot_journal, start_spilling_writer
from tests.agent.world import ANOTHER_PYTHON, G1, G2, TIME, VM1, VM2, Agent, access, act, member, outcomes, vmgroup
from tests.agent.world import sqlite as opened

ADD = act("AddMember", G2, member=member(VM2))
G3 = "33333333-cccc-4ccc-8ccc-000000000003"
BACKUP = f"vmdkops_config.db.bak-{TIME}"


def untouched(agent: Agent, before: bytes) -> bool:
    """Return whether the DB is unchanged to the byte and nothing was left beside it."""
    return agent.db.read_bytes() == before and agent.files() == ["vmdkops_config.db"]


def test_a_change_is_committed_and_reported(ready: Agent) -> None:
    reply = ready.apply([ADD], writer="esx7")
    assert outcomes(reply) == ["ok"]
    found = ready.look()
    assert (found["fingerprint"], found["writer"]) == (reply["fingerprint"], "esx7")
    assert found["backups"] == [reply["backup"]] == [BACKUP]
    assert ready.rows("PRAGMA journal_mode") == [("delete",)]


def test_another_fingerprint_is_refused(ready: Agent) -> None:
    old = ready.look()["fingerprint"]
    ready.sql("UPDATE vms SET vm_name = 'renamed'")
    before = ready.db.read_bytes()
    assert ready.refused([ADD], fingerprint=old) == "Moved"
    assert untouched(ready, before)


def test_a_db_that_vanished_or_was_emptied_is_refused(ready: Agent) -> None:
    old = ready.look()["fingerprint"]
    os.truncate(ready.db, 0)
    assert ready.refused([ADD], fingerprint=old) == "Moved"
    ready.db.unlink()
    assert ready.refused([ADD], fingerprint=old) == "Moved"
    assert ready.files() == []


def test_a_failing_group_does_not_undo_the_others(ready: Agent) -> None:
    half_bad = [act("AddMember", G1, member=member(VM2)), act("AddMember", G1, member=member(VM1))]
    reply = ready.apply([vmgroup(G3, "G3")], half_bad, [ADD])
    assert outcomes(reply) == ["ok", "Precondition", "ok"]
    assert ready.rows("SELECT tenant_id FROM vms WHERE vm_id = '" + VM2 + "'") == [(G2,)]
    assert ready.rows("SELECT count(*) FROM tenants") == [(3,)]


def test_rows_with_text_that_is_not_utf8_do_not_prevent_a_change(ready: Agent) -> None:
    ready.sql(
        "UPDATE tenants SET description = CAST(x'61ff62' AS TEXT), name = CAST(x'47ff' AS TEXT) WHERE name = 'G1'"
    )
    reply = ready.apply([ADD], [act("DeleteVMGroup", G1, name="G1")])
    assert outcomes(reply) == ["ok", "Precondition"]
    assert reply["fingerprint"] == ready.look()["fingerprint"]
    assert ready.rows(f"SELECT hex(description) FROM tenants WHERE id = '{G1}'") == [("61FF62",)]


def test_nothing_to_commit_leaves_no_backup(ready: Agent) -> None:
    before = ready.db.read_bytes()
    reply = ready.apply([vmgroup(G1, "G1")])
    assert (reply["backup"], reply["fingerprint"]) == (None, ready.look()["fingerprint"])
    assert untouched(ready, before)


def test_the_backup_is_the_db_before_the_change(ready: Agent) -> None:
    before = ready.db.read_bytes()
    reply = ready.apply([ADD])
    assert (ready.dockvols / reply["backup"]).read_bytes() == before


def test_only_our_newest_backups_are_kept(ready: Agent) -> None:
    foreign = ["auth-db.bak_Mon", "vmdkops_config.db.bak-mine", "vmdkops_config.db.bak"]
    for name in foreign:
        (ready.dockvols / name).touch()
    for number in range(5):
        change = act("UpdateVMGroup", description=str(number), default_url=None)
        ready.apply([change], time=f"2026112{number}T000000Z", backups_to_keep=2)
    kept = [f"vmdkops_config.db.bak-2026112{number}T000000Z" for number in (3, 4)]
    assert ready.files() == sorted([*foreign, *kept, "vmdkops_config.db"])


def test_a_name_that_is_taken_gets_a_number(ready: Agent) -> None:
    for expected in (BACKUP, f"{BACKUP}-2", f"{BACKUP}-3"):
        reply = ready.apply([act("UpdateVMGroup", description=expected, default_url=None)])
        assert reply["backup"] == expected
    assert ready.look()["backups"][-1] == f"{BACKUP}-3"


def test_a_db_that_stays_locked_is_refused(ready: Agent) -> None:
    fingerprint = ready.look()["fingerprint"]
    with opened(ready.db) as other:
        other.execute("BEGIN IMMEDIATE")
        assert ready.refused([ADD], fingerprint=fingerprint) == "Locked"
        other.execute("ROLLBACK")
    assert outcomes(ready.apply([ADD], fingerprint=fingerprint)) == ["ok"]


def test_a_reader_that_does_not_end_prevents_the_commit_and_nothing_is_left(ready: Agent) -> None:
    before = ready.db.read_bytes()
    request = ready.request([[ADD]])
    reader = sqlite3.connect(ready.db, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM tenants").fetchall()
    assert ready.refusal("apply_db", **request) == "Locked"
    reader.close()
    assert untouched(ready, before)


def test_a_lock_that_goes_away_is_waited_for(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    request = {**ready.request([[ADD]]), "deadline": 60}
    other = sqlite3.connect(ready.db, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr("reconciler.agent.db.sqlite.time.sleep", lambda _: other.close())
    assert outcomes(ready.ask("apply_db", **request)) == ["ok"]


def test_a_hot_journal_is_refused_until_it_is_recovered(ready: Agent) -> None:
    fingerprint = ready.look()["fingerprint"]
    leave_hot_journal(ready)
    assert ready.refused([ADD], fingerprint=fingerprint) == "HotJournal"
    assert Path(f"{ready.db}-journal").exists()
    assert ready.apply(recover=True, fingerprint="")["fingerprint"] == fingerprint
    assert ready.files() == ["vmdkops_config.db"]
    assert outcomes(ready.apply([ADD])) == ["ok"]


def test_recover_leaves_a_live_writer_alone(ready: Agent) -> None:
    with start_spilling_writer(ready) as process:
        assert ready.refused(recover=True, fingerprint="") == "Locked"
        process.kill()


def test_a_damaged_file_is_not_written(ready: Agent) -> None:
    fingerprint = ready.look()["fingerprint"]
    with ready.db.open("r+b") as stream:  # the root page of the index behind `tenants.name` or so: rows still read
        pages = ready.db.stat().st_size // 4096
        stream.seek(4096 * (pages - 2))
        stream.write(b"\xff" * 200)
    assert ready.refused([ADD], fingerprint=fingerprint) in ("Damaged", "WrongVersion", "Moved")


def test_a_full_disk_leaves_everything_as_it_was(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ready.db.read_bytes()
    many = [vmgroup(f"{n:08d}-cccc-4ccc-8ccc-000000000003", f"N{n}", description="x" * 400) for n in range(200)]
    really_open = agents_sqlite.open_writing

    def open_on_a_full_disk(*arguments: Any) -> sqlite3.Connection:
        connection = really_open(*arguments)
        connection.execute(f"PRAGMA max_page_count = {len(before) // 4096 + 1}")
        return connection

    monkeypatch.setattr(agents_sqlite, "open_writing", open_on_a_full_disk)
    assert ready.refused(many) == "DiskFull"
    assert untouched(ready, before)


def test_no_room_for_the_backup_leaves_everything_as_it_was(ready: Agent) -> None:
    before = ready.db.read_bytes()
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))"
    assert refused_in_a_process(ready, limit, ready.request([[ADD]])) == "DiskFull"
    assert untouched(ready, before)


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become somebody else")
@pytest.mark.parametrize(("path", "mode"), [("vmdkops_config.db", 0o444), (".", 0o555)])
def test_without_permission_to_write_nothing_happens(path: str, mode: int) -> None:
    with tempfile.TemporaryDirectory() as folder:  # not `tmp_path`, which others may not enter
        Path(folder).chmod(0o755)
        agent = Agent(Path(folder))
        agent.create([vmgroup(G1, "G1", [VM1])], [vmgroup(G2, "G2")])
        before = agent.db.read_bytes()
        request = agent.request([[ADD]])
        (agent.dockvols / path).chmod(mode)
        become_nobody = "import hashlib, os, sqlite3, urllib.parse; os.setgid(65534); os.setuid(65534)"
        assert refused_in_a_process(agent, become_nobody, request) == "ReadOnly"
        assert untouched(agent, before)


def test_an_old_sqlite_never_writes(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version", "3.7.15")
    assert ready.host()["can_write"] is False
    assert ready.look()["state"] == "present"
    assert ready.refused([ADD]) == "TooOld"


def test_rows_that_somebody_loses_after_the_commit_are_noticed(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ready.db.read_bytes()
    monkeypatch.setattr("reconciler.agent.db.backup.keep_newest", lambda *_: ready.db.write_bytes(before))
    assert ready.refused([ADD]) == "Unverified"


@pytest.mark.parametrize("python", ALL_PYTHONS, ids=lambda path: Path(path).parents[1].name)
def test_the_folder_that_vdvs_was_started_in_lends_no_modules(
    ready: Agent, python: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Manifests may come from a stranger's git repository: nothing in it must run with the agent's rights."""
    folder = tmp_path_factory.mktemp("repository")
    for module in ("hashlib", "os", "sqlite3", "fcntl", "types"):
        (folder / f"{module}.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
    request = {"id": 1, "do": "apply_db", **ready.request([[ADD]])}
    lines = bundle_for("another") + json.dumps(request).encode() + b"\n"
    options = ["-E", "-s"] if "/2.7" in python else ["-I"]
    command = [python, *options, "-S", "-c", BOOTSTRAP, str(ready.root)]
    done = subprocess.run(command, input=lines, capture_output=True, cwd=folder, check=True)
    assert outcomes(json.loads(done.stdout.splitlines()[2])["result"]) == ["ok"]
    assert not (folder / "ran").exists()


def test_a_killed_backup_leaves_nothing_that_counts_as_one(ready: Agent) -> None:
    """An empty file in the place of a backup would push out real ones."""
    killed = """
import os, signal
from reconciler.agent import files
def kill(*arguments): os.kill(os.getpid(), signal.SIGKILL)
os.rename = kill
"""
    killed_in_a_process(ready, killed, ready.request([[ADD]]))
    assert ready.look()["backups"] == []
    assert sorted(name[: -len("0" * 16)] for name in ready.files() if ".new-" in name) == [
        "vmdkops_config.db.backups.new-",
        "vmdkops_config.db.bak.new-",
    ]
    assert outcomes(ready.apply([ADD])) == ["ok"]
    assert ready.files() == ["vmdkops_config.db", BACKUP]


def test_leftovers_of_a_creation_are_reported_and_removed_when_old(ready: Agent) -> None:
    name = f"vmdkops_config.db.new-{'0' * 16}"
    (ready.dockvols / name).touch()
    assert ready.look()["leftovers"] == []  # somebody may be at it
    for age, left in ((120, [name]), (4000, [])):
        os.utime(ready.dockvols / name, (time.time() - age,) * 2)
        assert ready.look()["leftovers"] == [name]
        ready.apply([act("UpdateVMGroup", description=str(age), default_url=None)])
        assert ready.look()["leftovers"] == left


def test_only_leftovers_of_our_own_are_removed(ready: Agent) -> None:
    for name in ("vmdkops_config.db.new-mine", f"vmdkops_config.db.new-{'0' * 16}.gz", f"G1.new-{'0' * 16}"):
        (ready.dockvols / name).touch()
        os.utime(ready.dockvols / name, (0, 0))
    before = ready.files()
    ready.apply([ADD])
    assert ready.files() == sorted([*before, BACKUP])


def test_a_commit_that_fails_half_way_keeps_the_backup(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a journal is beside the DB, the backup may be the only good copy."""
    before = ready.db.read_bytes()
    request = ready.request([[ADD]])
    really_execute = agents_sqlite.execute

    def execute(connection: Any, statement: str, *values: Any) -> Any:
        if statement == "COMMIT":
            connection.close()
            Path(f"{ready.db}-journal").write_bytes(b"\xd9\xd5\x05\xf9 half-written")
            raise Refused("ReadError", "SQLite error: disk I/O error")
        return really_execute(connection, statement, *values)

    monkeypatch.setattr(agents_sqlite, "execute", execute)
    assert ready.refusal("apply_db", **request) == "ReadError"
    assert (ready.dockvols / BACKUP).read_bytes() == before


def test_a_commit_does_not_hold_up_the_service_for_long(ready: Agent) -> None:
    """While a commit waits for a reader, nobody else can read: vDVS on all hosts gives up after 5 seconds."""
    reader = sqlite3.connect(ready.db, isolation_level=None)
    reader.execute("BEGIN")
    request = {**ready.request([[ADD]]), "deadline": 30}
    reader.execute("SELECT * FROM tenants").fetchall()
    began = time.monotonic()
    assert ready.refusal("apply_db", **request) == "Locked"
    assert time.monotonic() - began < 4
    reader.close()


@pytest.mark.parametrize(
    "bad",
    [
        act("SetAccess", access=access(max_mb=2**63)),
        act("AddMember", member=member("\ud800")),
        act("AddMember", member={"uuid": VM2}),
        act("UpdateVMGroup", description=["no", "text"], default_url=None),
        act("UpdateVMGroup", G1 + "x", description="", default_url=None),
        {"action": "AddMember"},
        {"action": ["AddMember"]},
        vmgroup(G3, None),  # type: ignore[arg-type]
    ],
    ids=lambda action: str(action)[:40],
)
def test_a_group_that_cannot_be_understood_does_not_stop_the_others(ready: Agent, bad: Any) -> None:
    if "/2.7" in (ANOTHER_PYTHON or "") and bad == act("AddMember", member=member("\ud800")):
        pytest.skip("half of a pair of surrogates is text to Python 2")
    reply = ready.apply([act("UpdateVMGroup", description="undone", default_url=None), bad], [ADD])
    first, second = outcomes(reply)
    assert (first in ("BadRequest", "Precondition"), second) == (True, "ok")
    assert ready.rows("SELECT count(*) FROM tenants WHERE description = 'undone'") == [(0,)]


def refused_in_a_process(agent: Agent, first: str, request: dict[str, Any]) -> str:
    """The reason with which an `apply_db` is refused in a process of its own that does `first`."""
    script = f"""
import json, sys
sys.path.insert(0, ".")
from reconciler.agent.main import answer
from reconciler.agent.paths import Root
{first}
print(answer(Root(sys.argv[1]), json.loads(sys.argv[2]))["error"]["reason"])
"""
    return run_in_a_process(agent, script, request).stdout.strip()


def killed_in_a_process(agent: Agent, first: str, request: dict[str, Any]) -> None:
    """An `apply_db` in a process of its own that does `first`, and is killed by what that arranges."""
    script = f"""
import json, sys
sys.path.insert(0, ".")
from reconciler.agent.main import answer
from reconciler.agent.paths import Root
{first}
answer(Root(sys.argv[1]), json.loads(sys.argv[2]))
"""
    assert run_in_a_process(agent, script, request).returncode == -signal.SIGKILL


def run_in_a_process(agent: Agent, script: str, request: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    asked = json.dumps({"do": "apply_db", **request})
    command = [sys.executable, "-B", "-c", script, str(agent.root), asked]
    return subprocess.run(command, capture_output=True, text=True)
