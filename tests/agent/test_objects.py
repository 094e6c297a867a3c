"""Records of who applied what: written with the change itself, trusted only if the table is as we make it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.agent.pythons import ALL_PYTHONS
from tests.agent.world import DB, G1, G2, TIME, VM1, VM2, Agent, act, member, outcomes, vmgroup

ANN = {"by": "ann@ws", "commit": "4f2c1ab", "dirty": False, "reason": "ticket 7"}
ADD = act("AddMember", G2, member=member(VM2))


def record(name: str = "vmgroup/G1", uid: str | None = G1, of: str = "team", digest: str = "d1") -> dict[str, Any]:
    return {"action": "RecordObject", "object": name, "uid": uid, "set": of, "digest": digest}


def row(name: str = "vmgroup/G1", uid: str | None = G1, of: str = "team", digest: str = "d1") -> list[Any]:
    return [name, uid, of, digest, "4f2c1ab", 0, "ann@ws", TIME, "ticket 7"]


def test_nobody_has_applied_anything_yet(ready: Agent) -> None:
    assert ready.look()["objects"] == []
    assert ready.rows("SELECT name FROM sqlite_master WHERE name = 'vdvs_objects'") == []


def test_it_is_recorded_who_applied_what(ready: Agent) -> None:
    before = ready.look()["fingerprint"]
    reply = ready.apply([record()], [record("host/esx1", None)], stamp=ANN)
    assert outcomes(reply) == ["ok", "ok"]
    assert ready.look()["objects"] == [row("host/esx1", None), row()]
    assert ready.look()["fingerprint"] == before == reply["fingerprint"]


@pytest.mark.parametrize("python", ALL_PYTHONS, ids=lambda path: Path(path).parents[1].name)
def test_it_is_the_same_on_every_python(agent: Agent, python: str) -> None:
    request = agent.request([[vmgroup(), record(of="t\u00e9am")]], create=True, fingerprint="absent", stamp=ANN)
    question = {"do": "observe", "config_dbs": [{"path": DB, "fingerprint": None}]}
    _, created, observed = agent.talk(python, {"do": "apply_db", **request}, question)
    assert outcomes(created["result"]) == ["ok"]
    assert observed["result"]["config_dbs"][DB]["objects"] == agent.look()["objects"] == [row(of="t\u00e9am")]


def test_an_unchanged_db_still_has_its_records(ready: Agent) -> None:
    known = ready.look()["fingerprint"]
    ready.apply([record()], stamp=ANN)
    found = ready.look(known=known)
    assert found["unchanged"]
    assert found["objects"] == [row()]


def test_without_a_stamp_only_the_time_is_known(ready: Agent) -> None:
    ready.apply([record()])
    assert ready.look()["objects"] == [["vmgroup/G1", G1, "team", "d1", None, 0, "", TIME, ""]]


def test_the_newest_record_replaces_the_one_before_it(ready: Agent) -> None:
    ready.apply([record()], stamp=ANN)
    ready.apply([record(of="other", digest="d2")], stamp=ANN)
    assert ready.look()["objects"] == [row(of="other", digest="d2")]


def test_a_vmgroup_has_one_record_whatever_it_was_called(ready: Agent) -> None:
    ready.apply([record()], stamp=ANN)
    ready.apply([record("vmgroup/NEW")], stamp=ANN)
    assert ready.look()["objects"] == [row("vmgroup/NEW")]


def test_a_group_that_fails_records_nothing(ready: Agent) -> None:
    bad = act("AddMember", G2, member=member(VM1))
    assert outcomes(ready.apply([bad, record("vmgroup/G2", G2)], [ADD, record()], stamp=ANN)) == ["Precondition", "ok"]
    assert ready.look()["objects"] == [row()]


def test_a_deleted_vmgroup_takes_its_record_along(ready: Agent) -> None:
    ready.apply([record("vmgroup/G2", G2)], [record()], stamp=ANN)
    assert outcomes(ready.apply([act("DeleteVMGroup", G2, name="G2")])) == ["ok"]
    assert ready.look()["objects"] == [row()]


def test_a_record_can_be_forgotten(ready: Agent) -> None:
    ready.apply([record("host/esx1", None)], [record()], stamp=ANN)
    ready.apply([{"action": "ForgetObject", "object": "host/esx1"}])
    assert ready.look()["objects"] == [row()]
    assert outcomes(ready.apply([{"action": "ForgetObject", "object": "host/nobody"}])) == ["ok"]


@pytest.mark.parametrize(
    ("only_of", "outcome"),
    [(None, "ok"), (["team"], "ok"), (["", "team"], "ok"), (["other"], "Precondition"), ([""], "Precondition")],
)
def test_a_vmgroup_that_another_set_took_meanwhile_is_not_deleted(
    ready: Agent, only_of: list[str] | None, outcome: str
) -> None:
    ready.apply([record("vmgroup/G2", G2)], stamp=ANN)
    assert outcomes(ready.apply([act("DeleteVMGroup", G2, name="G2", only_of=only_of)])) == [outcome]


def test_a_vmgroup_of_nobody_is_deleted_only_as_such(ready: Agent) -> None:
    ready.apply([record("vmgroup/G2", "another-uuid")], stamp=ANN)
    assert outcomes(ready.apply([act("DeleteVMGroup", G2, name="G2", only_of=["team"])])) == ["Precondition"]
    assert outcomes(ready.apply([act("DeleteVMGroup", G2, name="G2", only_of=[""])])) == ["ok"]


DAMAGE = {
    "a number": ["UPDATE vdvs_objects SET digest = x'00'"],
    "no such dirt": ["UPDATE vdvs_objects SET dirty = 2"],
    "not UTF-8": ["UPDATE vdvs_objects SET reason = CAST(x'61ff62' AS TEXT)"],
    "far too long": ["UPDATE vdvs_objects SET reason = hex(zeroblob(501))"],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_foreign_rows_are_ignored_and_block_nothing(ready: Agent, name: str) -> None:
    ready.apply([record("vmgroup/G2", G2)], stamp=ANN)
    ready.sql(*DAMAGE[name])
    found = ready.look()
    assert (found["state"], found["objects"], len(found["tenants"])) == ("present", None, 2)
    delete = act("DeleteVMGroup", G2, name="G2", only_of=["", "team"])
    assert outcomes(ready.apply([delete], [act("AddMember", G1, member=member(VM2))])) == ["Precondition", "ok"]
    assert outcomes(ready.apply([act("DeleteVMGroup", G2, name="G2")])) == ["ok"]


def test_what_could_not_be_read_back_is_not_recorded(ready: Agent) -> None:
    assert outcomes(ready.apply([ADD, record()], stamp={**ANN, "reason": "x" * 1001})) == ["BadRequest"]
    assert ready.rows(f"SELECT * FROM vms WHERE vm_id = '{VM2}'") == []
    assert outcomes(ready.apply([ADD])) == ["ok"]


def test_writing_down_who_applied_what_pushes_no_older_backup_out(ready: Agent) -> None:
    kept = ready.apply([ADD], backups_to_keep=1)["backup"]
    reply = ready.apply([record()], stamp=ANN, time="20261125T000000Z", backups_to_keep=1)
    assert reply["backup"] is None
    assert ready.look()["backups"] == [kept]
    assert ready.look()["objects"] == [[*row()[:7], "20261125T000000Z", "ticket 7"]]


def test_a_record_that_was_undone_hides_none_that_is_there(ready: Agent) -> None:
    ready.apply([record()], stamp=ANN)
    bad = act("AddMember", G2, member=member(VM1))
    reply = ready.apply([record("vmgroup/NEW"), bad], [record("vmgroup/OTHER")], stamp=ANN)
    assert outcomes(reply) == ["Precondition", "ok"]
    assert ready.look()["objects"] == [row("vmgroup/OTHER")]


def test_each_of_many_deletions_looks_at_its_own_record(ready: Agent) -> None:
    ready.apply([record("vmgroup/G2", G2)], [record(of="others")], stamp=ANN)
    empty = [act("RemoveMember", member=member(VM1))]
    only: dict[str, Any] = {"only_of": ["team"]}
    reply = ready.apply(
        [*empty, act("DeleteVMGroup", name="G1", **only)], [act("DeleteVMGroup", G2, name="G2", **only)]
    )
    assert outcomes(reply) == ["Precondition", "ok"]
    assert ready.look()["objects"] == [row(of="others")]
