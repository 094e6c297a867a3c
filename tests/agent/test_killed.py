"""The agent killed with SIGKILL in any state that it can leave on disk: what it was changing is as before or as after,
what is not its own stays, and the next apply finishes the work and cleans up.

The ordinary suite kills it in SAMPLE random states of each kind of work (the seed is printed), `make test-slow` in all,
or in the share of them that VDVS_REPEAT asks for.
Between two states lie system calls that change nothing on disk; to die before any of these is the same.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.agent import local_sh
from reconciler.agent.db.checks import rules
from reconciler.agent.db.rows import is_retired
from tests.agent import old_db
from tests.agent.test_observe_db import leave_hot_journal
from tests.agent.test_relocation import NEW, OWN, Move, book, unbook
from tests.agent.test_upgrade import upgrade
from tests.agent.world import (
    AUTH_DB,
    DB,
    G1,
    G2,
    LOCAL_SH,
    URL,
    VM1,
    VM2,
    VOLUME,
    Agent,
    act,
    member,
    outcomes,
    vmgroup,
)
from tests.processes import states_on_disk
from tests.repetitions import times

SAMPLE = 15
G3 = "33333333-cccc-4ccc-8ccc-000000000003"
BY_NAME = DB.replace(VOLUME, "SHARED")
FOREIGN = "#!/bin/sh\n# by hand\necho foreign\n" + "esxcli network firewall refresh\n" * 20 + "exit 0\n"
LEFT = re.compile(r"\.new-[0-9a-f]{16}(-journal)?$")

State = Any


@dataclass(frozen=True)
class Work:
    """One operation of the agent.

    `state`: what it changes, as plain values; `check`: what must hold whenever it is killed, given the site before and
    after; `again`: requests the same once more, from the current state.
    """

    prepare: Callable[[Agent], None]
    request: Callable[[Agent], dict[str, Any]]
    state: Callable[[Agent], State]
    check: Callable[[Agent, Agent, Agent], None]
    again: Callable[[Agent], None]
    changes: bool = True  # whether `state` is another one afterwards


def copy(agent: Agent, folder: Path) -> Agent:
    """Return the same host in another folder."""
    shutil.copytree(agent.root, folder, symlinks=True)
    made = Agent.__new__(Agent)
    made.root, made.volume = folder, folder / URL[1:]
    made.dockvols = made.volume / "dockvols"
    made.db = made.dockvols / agent.db.name
    return made


# A config DB


def groups() -> list[list[dict[str, Any]]]:
    move = act("MoveMember", G2, from_uuid=G1, member=member(VM1))
    large = act("UpdateVMGroup", G1, description="x" * 40_000, default_url=None)
    return [[move, large], [vmgroup(G3, "G3", [VM2])]]


def change(agent: Agent) -> dict[str, Any]:
    return {"do": "apply_db", **agent.request(groups(), backups_to_keep=1, time="20261124T000000Z", deadline=30)}


def creation(agent: Agent) -> dict[str, Any]:
    found = "empty" if agent.db.exists() else "absent"
    return {"do": "apply_db", **agent.request(groups_of_new(), create=True, fingerprint=found, deadline=30)}


def groups_of_new() -> list[list[dict[str, Any]]]:
    return [[vmgroup(G1, "G1", [VM1, VM2], description="x" * 9000)]]


def rows(agent: Agent, db: Path | None = None) -> State:
    """All rows, as the next writer will find them: what is half-written is undone, in a copy. What was moved away is
    nothing."""
    db = db or agent.db
    if not db.exists() or db.stat().st_size == 0:
        return "nothing"
    scratch = agent.root / "scratch"
    scratch.mkdir()
    for name in (db.name, f"{db.name}-journal"):
        if (db.parent / name).exists():
            shutil.copy(db.parent / name, scratch / name)
    connection = sqlite3.connect(scratch / db.name)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if is_retired(connection):
            return "nothing"
        assert rules.violations(connection) == []
        tables = ("versions", "tenants", "vms", "privileges")
        return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]
    finally:
        connection.close()
        shutil.rmtree(scratch)


def backups(agent: Agent) -> dict[str, bytes]:
    return {name: (agent.dockvols / name).read_bytes() for name in agent.files() if ".db.bak-" in name}


def check_db(killed: Agent, before: Agent, after: Agent) -> None:
    """Check for complete backups, one of them of the former DB if anything changed, and no unexplained file."""
    whole = {*backups(before).values(), before.db.read_bytes() if before.db.exists() else b""}
    assert set(backups(killed).values()) <= whole
    if rows(killed) != rows(before) and backups(after):
        assert before.db.read_bytes() in backups(killed).values()
    known = {"vmdkops_config.db", "vmdkops_config.db-journal", *backups(before), *backups(after)}
    assert [name for name in killed.files() if name not in known and not LEFT.search(name)] == []


def settled(agent: Agent) -> str:
    return recovered_at(agent, DB)


def recovered_at(agent: Agent, path: str) -> str:
    """Recover the DB if a journal is hot, as the next pass does first."""

    def look() -> Any:
        wanted = [{"path": path, "fingerprint": None}]
        return agent.ask("observe", config_dbs=wanted, deadline=30)["config_dbs"][path]

    found = look()
    if found["reason"] == "HotJournal":
        agent.apply(recover=True, fingerprint="", path=path, deadline=30)
        found = look()
    assert found["reason"] == ""
    return str(found["state"])


def change_again(agent: Agent) -> None:
    settled(agent)
    moved = agent.rows(f"SELECT count(*) FROM vms WHERE tenant_id = '{G2}'") == [(1,)]
    work = [act("UpdateVMGroup", G1, description="x" * 40_000, default_url=None)]
    reply = agent.apply(*([work] if moved else groups()), deadline=30)
    assert set(outcomes(reply)) == {"ok"}
    assert not [name for name in agent.files() if name != agent.db.name and name not in backups(agent)]


def create_again(agent: Agent) -> None:
    state = settled(agent)
    if state != "present":
        assert outcomes(agent.create(*groups_of_new(), fingerprint=state)) == ["ok"]
    for path in agent.dockvols.iterdir():
        os.utime(path, (time.time() - 4000,) * 2)
    agent.apply([act("UpdateVMGroup", G1, description="x" * 9000, default_url=None)])
    assert not [name for name in agent.files() if LEFT.search(name)]


def ready(agent: Agent) -> None:
    agent.create([vmgroup(G1, "G1", [VM1])], [vmgroup(G2, "G2")])
    agent.apply([act("UpdateVMGroup", G1, description="first", default_url=None)], time="20261101T000000Z")


def interrupted(agent: Agent) -> None:
    ready(agent)
    leave_hot_journal(agent)


def recovery(agent: Agent) -> dict[str, Any]:
    return {"do": "apply_db", **agent.request([], recover=True, fingerprint="", deadline=30)}


def recover_again(agent: Agent) -> None:
    assert settled(agent) == "present"
    assert [name for name in agent.files() if name.endswith("-journal")] == []


# A move


def to_move(agent: Agent) -> None:
    ready(agent)
    move = Move(agent)
    book(move.old, "a", "b")
    (agent.root / AUTH_DB).parent.mkdir(parents=True)
    (agent.root / AUTH_DB).symlink_to(DB)


def to_share(agent: Agent) -> None:
    agent.create([vmgroup(G1, "G1", [VM1])], path=OWN)
    book(Move(agent, OWN, "esx1").old, "a", "b")


def copied(prepare: Callable[[Agent], None]) -> Callable[[Agent], None]:
    def copied(agent: Agent) -> None:
        prepare(agent)
        move = of(agent)
        move.copy()
        book(move.old, "c")
        unbook(move.old, "a")

    return copied


def of(agent: Agent) -> Move:
    own = not agent.db.exists() and not list(agent.dockvols.glob("*.moved-*"))
    return Move(agent, OWN, "esx1") if own else Move(agent)


def moving(verb: str) -> Callable[[Agent], dict[str, Any]]:
    return lambda agent: {"do": verb, **of(agent).request(deadline=30)}


def both(agent: Agent) -> State:
    """Return the rows of both DBs and the booked volumes of the new one. A link in place of the old one is not read."""
    move = of(agent)
    old = "nothing" if move.old.is_symlink() else rows(agent, move.old)
    new = rows(agent, move.new)
    return old, new, "nothing" if new == "nothing" or recovered_at(agent, NEW) != "present" else move.books()


def check_move(killed: Agent, before: Agent, after: Agent) -> None:
    """Each DB is as before or as after, and what vDVS uses is at no moment nothing, which would be an open door."""
    found, first, last = both(killed)[:2], both(before)[:2], both(after)[:2]
    assert all(state in states for state, states in zip(found, zip(first, last, strict=True), strict=True))
    assert os.path.lexists(killed.root / AUTH_DB)
    kept = list(killed.root.rglob("*.moved-*"))
    assert found[0] == first[0] or first[0] in [rows(killed, path) for path in kept]


def move_again(verb: str) -> Callable[[Agent], None]:
    def again(agent: Agent) -> None:
        recovered_at(agent, NEW)
        agent.ask(verb, **of(agent).request(deadline=30))

    return again


def to_leave(agent: Agent) -> None:
    to_share(agent)
    assert outcomes(agent.apply([vmgroup(G1, "G1")], path=NEW, create=True, fingerprint="absent")) == ["ok"]


def leaving_own(agent: Agent) -> dict[str, Any]:
    fingerprint = Move(agent, OWN).look(OWN)["fingerprint"]
    return {"do": "apply_host", "actions": [{"action": "LeaveOwnDB", "path": NEW, "fingerprint": fingerprint}]}


def leave_again(agent: Agent) -> None:
    recovered_at(agent, NEW)
    assert agent.on_host(*leaving_own(agent)["actions"]) == ["ok"]


# The host


def linked_by_name(agent: Agent) -> None:
    ready(agent)
    agent.program("/sbin/auto-backup.sh", "echo >> saves")
    link, script = agent.root / AUTH_DB, agent.root / LOCAL_SH
    link.parent.mkdir(parents=True)
    link.symlink_to(BY_NAME)
    script.parent.mkdir(parents=True)
    script.write_text(local_sh.with_section(FOREIGN, "another-datastore-with-a-longer-name-than-ours"))
    script.chmod(0o1755)


def joining(agent: Agent) -> dict[str, Any]:
    link = {"action": "LinkDB", "path": DB, "before": os.readlink(agent.root / AUTH_DB)}
    return {"do": "apply_host", "actions": [link, {"action": "WriteSection", "datastore": VOLUME}]}


def leaving(agent: Agent) -> dict[str, Any]:
    link = agent.root / AUTH_DB
    unlink = {"action": "UnlinkDB", "before": os.readlink(link) if link.is_symlink() else None}
    return {"do": "apply_host", "actions": [{"action": "RemoveSection"}, unlink]}


def host(agent: Agent) -> State:
    link = agent.root / AUTH_DB
    target = os.readlink(link) if link.is_symlink() else None
    # Before a shorter local.sh is cut to its length, blank lines follow its end.
    return target, (agent.root / LOCAL_SH).read_text().rstrip("\n")


def check_host(killed: Agent, before: Agent, after: Agent) -> None:
    """The link is the one before or the one after, at no moment none; every foreign line of local.sh is there."""
    (target, text), (target_before, text_before), (target_after, text_after) = map(host, (killed, before, after))
    assert target in (target_before, target_after)
    assert text in (text_before, text_after)
    assert (killed.root / LOCAL_SH).stat().st_mode == (before.root / LOCAL_SH).stat().st_mode
    if text != text_before and not (killed.root / "saves").exists():
        assert not killed.host()["local_sh"]["saved"]
    names = {entry.name for entry in (killed.root / AUTH_DB).parent.iterdir()}
    strange = {name for name in names if not LEFT.search(name)} - {"auth-db", "local.sh.vdvs-before", ".vdvs-unsaved"}
    assert strange == set()
    assert [entry.name for entry in (killed.root / LOCAL_SH).parent.iterdir()] == ["local.sh"]


def host_again(request: Callable[[Agent], dict[str, Any]]) -> Callable[[Agent], None]:
    def again(agent: Agent) -> None:
        assert agent.on_host(*request(agent)["actions"]) == ["ok", "ok"]
        assert agent.host()["local_sh"]["saved"]

    return again


# The name links


def with_links(agent: Agent) -> None:
    ready(agent)
    (agent.dockvols / G1).mkdir()
    (agent.dockvols / "G1").symlink_to(f"{URL}/dockvols/{G2}")
    (agent.dockvols / "old").symlink_to(f"{URL}/dockvols/{G1}")


def linking(agent: Agent) -> dict[str, Any]:
    set_, remove = {"action": "SetNameLink", "uuid": G1}, {"action": "RemoveNameLink", "target": f"{URL}/dockvols/{G1}"}
    actions = [{**set_, "name": "G1"}, {**set_, "name": "G2"}, {**remove, "name": "old"}]
    return {"do": "apply_links", "actions": [{"url": URL, **action} for action in actions]}


def name_links(agent: Agent) -> State:
    links = {path.name: os.readlink(path) for path in agent.dockvols.iterdir() if path.is_symlink()}
    return {name: target for name, target in links.items() if not LEFT.search(name)}


def check_links(killed: Agent, before: Agent, after: Agent) -> None:
    found, first, last = map(name_links, (killed, before, after))
    for name in {*found, *first, *last}:
        assert found.get(name) in (first.get(name), last.get(name))


def link_again(agent: Agent) -> None:
    actions = linking(agent)["actions"]
    assert set(agent.links(*actions)) == {"ok"}


# The upgrade of an old config DB


def old(agent: Agent) -> None:
    old_db.write(
        agent.db, [old_db.DEFAULT_TENANT, (G1, "G1", "", URL)], [(VM1, G1), (VM2, G1)], [old_db.DEFAULT_ACCESS]
    )


def upgrading(agent: Agent) -> dict[str, Any]:
    large = act("UpdateVMGroup", G1, description="x" * 40_000, default_url=None)
    return {"do": "apply_db", **agent.request([upgrade(), [large]], time="20261124T000000Z", deadline=30)}


def upgrade_again(agent: Agent) -> None:
    settled(agent)
    if agent.look(deadline=30)["schema"] == "1.1":
        fields = upgrading(agent)
        assert set(outcomes(agent.ask(fields.pop("do"), **fields))) == {"ok"}


WORKS = {
    "upgrade": Work(old, upgrading, rows, check_db, upgrade_again),
    "change": Work(ready, change, rows, check_db, change_again),
    "creation": Work(lambda _: None, creation, rows, check_db, create_again),
    "creation over an empty file": Work(lambda agent: agent.db.touch(), creation, rows, check_db, create_again),
    "recovery": Work(interrupted, recovery, rows, check_db, recover_again, changes=False),
    "copying": Work(to_move, moving("copy_db"), both, check_move, move_again("copy_db")),
    "copying the own one": Work(to_share, moving("copy_db"), both, check_move, move_again("copy_db")),
    "copying once more": Work(copied(to_move), moving("copy_db"), both, check_move, move_again("copy_db")),
    "retiring": Work(copied(to_move), moving("retire_db"), both, check_move, move_again("retire_db")),
    "retiring the own one": Work(copied(to_share), moving("retire_db"), both, check_move, move_again("retire_db")),
    "leaving the own one": Work(to_leave, leaving_own, both, check_move, leave_again),
    "joining": Work(linked_by_name, joining, host, check_host, host_again(joining)),
    "leaving": Work(linked_by_name, leaving, host, check_host, host_again(leaving)),
    "name links": Work(with_links, linking, name_links, check_links, link_again),
}


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Its seed is printed when a test fails."""
    seed = random.randrange(2**32)
    request.node.add_report_section("call", "seed", f"random.Random({seed})")
    return random.Random(seed)


def do(agent: Agent, work: Work, fatal: int | None = None) -> int:
    """Run the work in an agent that is killed after this number of changes on disk; return how many it made."""
    request = {"id": 1, **work.request(agent)}
    with agent.process() as process:
        assert process.stdout is not None
        process.stdout.readline()
        return states_on_disk(process, json.dumps(request).encode() + b"\n", agent.root, fatal)


def kill_and_go_on(work: Work, first: Agent, folder: Path, choose: Callable[[int], list[int]]) -> None:
    work.prepare(first)
    last = copy(first, folder / "last")
    total = do(last, work)
    before, after = work.state(first), work.state(last)
    assert (before != after) is work.changes
    for fatal in choose(total):
        killed = copy(first, folder / f"killed-{fatal}")
        assert do(killed, work, fatal) >= fatal - 1  # now and then a write writes what was there already
        if work.state is rows:
            assert rows(killed) in (before, after), f"killed after {fatal} changes on disk"
        work.check(killed, first, last)
        work.again(killed)
        assert work.state(killed) == after, f"killed after {fatal} changes on disk"
        shutil.rmtree(killed.root)


@pytest.mark.also_slow
@pytest.mark.parametrize("name", WORKS)
def test_killed_in_random_states(name: str, agent: Agent, tmp_path_factory: Any, chance: random.Random) -> None:
    folder = tmp_path_factory.mktemp("killed")
    kill_and_go_on(WORKS[name], agent, folder, lambda total: chance.sample(range(total + 1), min(SAMPLE, total + 1)))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", WORKS)
def test_killed_in_every_state(name: str, agent: Agent, tmp_path_factory: Any, chance: random.Random) -> None:
    folder = tmp_path_factory.mktemp("killed")
    kill_and_go_on(WORKS[name], agent, folder, lambda total: chance.sample(range(total + 1), times(total + 1)))
