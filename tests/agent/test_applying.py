"""Notes of applies that are going on: hints in a table of ours, which change nothing that vDVS reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.agent.pythons import ALL_PYTHONS
from tests.agent.world import DB, G2, VM2, Agent, act, member, outcomes, vmgroup

ANN, BOB = ["r-ann", "ann@ws"], ["r-bob", "bob@ws"]


def announce(agent: Agent, put: list[str] | None = None, drop: list[str] | None = None) -> list[list[str]]:
    """What the agent answers: the notes of others."""
    reply: dict[str, Any] = agent.ask("announce", path=DB, put=put, drop=drop or [])
    return list(reply["others"])


def test_each_learns_of_those_who_came_before(ready: Agent) -> None:
    assert announce(ready, ANN) == []
    assert announce(ready, BOB) == [ANN]
    assert sorted(announce(ready)) == [ANN, BOB]
    assert announce(ready, None, ["r-ann"]) == [BOB]
    assert announce(ready) == [BOB]


def test_a_note_changes_nothing_that_counts_and_hinders_nobody(ready: Agent) -> None:
    before = ready.look()["fingerprint"]
    announce(ready, ANN)
    assert ready.look()["fingerprint"] == before
    assert outcomes(ready.apply([act("AddMember", G2, member=member(VM2))])) == ["ok"]
    assert announce(ready) == [ANN]


def test_where_there_is_no_db_nothing_is_made(agent: Agent) -> None:
    assert announce(agent, ANN) == []
    assert agent.look()["state"] == "absent"


def test_what_is_no_note_of_ours_is_left_out(ready: Agent) -> None:
    announce(ready, ANN)
    for value in ("7", "NULL", "x'00'", "hex(zeroblob(501))"):
        ready.sql(f"INSERT INTO vdvs_meta VALUES ('applying:' || hex(randomblob(4)), {value})")
    assert ANN in announce(ready)
    assert all(isinstance(text, str) and len(text) <= 1000 for _, text in announce(ready))
    ready.sql("DELETE FROM vdvs_meta WHERE value IS NULL OR value != 'ann@ws'")
    for number in range(50):
        ready.sql(f"INSERT INTO vdvs_meta VALUES ('applying:{number}', 'x')")
    assert len(announce(ready)) == 20


def test_a_db_that_somebody_tampered_with_is_not_written(ready: Agent) -> None:
    ready.sql("CREATE TRIGGER t AFTER INSERT ON vdvs_meta BEGIN DELETE FROM vms; END")
    assert ready.refusal("announce", path=DB, put=ANN, drop=[]) == "Tampered"


@pytest.mark.parametrize("python", ALL_PYTHONS, ids=lambda path: Path(path).parents[1].name)
def test_it_is_the_same_on_every_python(agent: Agent, python: str) -> None:
    create = {"do": "apply_db", **agent.request([[vmgroup()]], create=True, fingerprint="absent")}
    note = {"do": "announce", "path": DB, "put": ["r1", "t\u00e9am"], "drop": []}
    look: dict[str, Any] = {"do": "announce", "path": DB, "put": None, "drop": []}
    replies = agent.talk(python, create, note, look)
    assert [reply.get("result", reply).get("others") for reply in replies[-2:]] == [[], [["r1", "t\u00e9am"]]]
