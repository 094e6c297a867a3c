"""The agent killed with SIGKILL at any moment: the DB keeps the rules of vDVS, and the next apply finishes the work."""

from __future__ import annotations

import json
import random
import sqlite3
import time

from reconciler.agent import rules
from tests.agent.world import DB, G1, G2, VM1, VM2, Agent, act, member, outcomes, vmgroup

ROUNDS = 20
LARGEST_DELAY = 0.06  # seconds; about as long as an apply takes, the start of its backup process included


def ask_and_kill(agent: Agent, request: dict[str, object], delay: float) -> None:
    with agent.process() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.write(json.dumps({"id": 1, "do": "apply_db", **request}).encode() + b"\n")
        process.stdin.flush()
        time.sleep(delay)
        process.kill()
        process.communicate()


def settle(agent: Agent) -> str:
    """What the next pass does first: the state of the DB, recovered if a journal is hot."""
    found = agent.look(deadline=30)
    if found["reason"] == "HotJournal":
        agent.apply(recover=True, fingerprint="", deadline=30)
        found = agent.look(deadline=30)
    assert found["reason"] == ""
    return str(found["state"])


def check_rules(agent: Agent) -> None:
    connection = sqlite3.connect(agent.db)
    assert rules.violations(connection) == []
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_a_change(ready: Agent) -> None:
    chance = random.Random(0)
    for number in range(ROUNDS):
        # VM1 changes places with VM2, and a large vmgroup comes or goes.
        here, there = (G1, G2) if number % 2 == 0 else (G2, G1)
        group = [
            act("MoveMember", there, from_uuid=here, member=member(VM1)),
            act("UpdateVMGroup", G1, description="x" * 20000 * (1 + number % 2), default_url=None),
        ]
        ask_and_kill(ready, ready.request([group], deadline=30), chance.uniform(0, LARGEST_DELAY))
        assert settle(ready) == "present"
        check_rules(ready)
        if ready.rows("SELECT tenant_id FROM vms") == [(here,)]:
            assert outcomes(ready.apply(group, deadline=30)) == ["ok"]
        assert ready.rows("SELECT tenant_id FROM vms") == [(there,)]
        assert ready.rows("SELECT max(length(description)) FROM tenants") == [(20000 * (1 + number % 2),)]


def test_a_creation(agent: Agent) -> None:
    chance = random.Random(1)
    for _ in range(ROUNDS):
        request = agent.request([[vmgroup(G1, "G1", [VM1, VM2])]], create=True, fingerprint="absent")
        ask_and_kill(agent, request, chance.uniform(0, LARGEST_DELAY / 2))
        state = settle(agent)
        if state != "present":
            agent.create([vmgroup(G1, "G1", [VM1, VM2])], fingerprint=state)
        check_rules(agent)
        assert agent.ask("observe", config_dbs=[{"path": DB, "fingerprint": None}])["config_dbs"][DB]["vms"]
        for entry in agent.dockvols.iterdir():
            entry.unlink()
