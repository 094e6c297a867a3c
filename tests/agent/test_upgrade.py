"""A config DB of schema 1.1: read as it is, written only together with its upgrade, in one transaction."""

from __future__ import annotations

from typing import Any

import pytest

from tests.agent import old_db
from tests.agent.pythons import ALL_PYTHONS
from tests.agent.world import DB, DEFAULT, G1, TIME, URL, VM1, VM2, Agent, access, act, outcomes

VM_DS, ALL_DS, FORMER = "_VM_DS://", "_ALL_DS://", "_DEFAULT_URL"


def full(url: str) -> dict[str, Any]:
    return access(url, max_mb=0, total_mb=0)


def upgrade(*more: dict[str, Any], names: tuple[tuple[str, str], ...] = ((VM1, "photon-01"),)) -> list[dict[str, Any]]:
    """The savepoint that planning makes for `old`."""
    return [
        {"action": "UpgradeDB", "names": [{"uuid": uuid, "name": name} for uuid, name in names]},
        act("SetAccess", DEFAULT, access=full(VM_DS)),
        act("SetAccess", DEFAULT, access=full(ALL_DS)),
        act("UpdateVMGroup", DEFAULT, description=None, default_url=VM_DS),
        act("RemoveAccess", DEFAULT, url=FORMER),
        act("SetAccess", G1, access=full(URL)),
        *more,
    ]


@pytest.fixture
def old(agent: Agent) -> Agent:
    """`_DEFAULT` as 0.13 makes it, and G1 with VM1 and VM2, whose default datastore has no row."""
    old_db.write(
        agent.db,
        [old_db.DEFAULT_TENANT, (G1, "G1", "", URL)],
        [(VM1, G1), (VM2, G1)],
        [old_db.DEFAULT_ACCESS],
        [(G1, URL, "data", 100)],
    )
    return agent


UPGRADED: dict[str, list[Any]] = {
    "versions": [(0, 1, 2, 1, 0)],
    "tenants": [(DEFAULT, "_DEFAULT", "This is a default vmgroup", VM_DS), (G1, "G1", "", URL)],
    "vms": [(VM1, G1, "photon-01"), (VM2, G1, None)],
    "privileges": [(DEFAULT, ALL_DS, 1, 0, 0), (DEFAULT, VM_DS, 1, 0, 0), (G1, URL, 1, 0, 0)],
    "volumes": [(G1, URL, "data", 100)],
}


def tables(agent: Agent) -> dict[str, list[Any]]:
    return {table: agent.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in UPGRADED}


def test_it_is_read_with_vms_that_have_no_name(old: Agent) -> None:
    before = old.db.read_bytes()
    found = old.look()
    assert (found["state"], found["schema"], found["violations"]) == ("present", "1.1", [])
    assert found["vms"] == [[VM1, G1, None], [VM2, G1, None]]
    assert found["tenants"][0][3] == ""
    assert old.look(known=found["fingerprint"])["unchanged"]
    assert old.db.read_bytes() == before


def test_every_host_finds_it_in_use(old: Agent) -> None:
    link = old.root / "etc/vmware/vmdkops/auth-db"
    link.parent.mkdir(parents=True)
    link.symlink_to(DB)
    assert old.host()["db_mode"] == "MultiNode"


def test_all_of_the_upgrade_is_one_transaction_after_a_backup(old: Agent) -> None:
    before = old.db.read_bytes()
    reply = old.apply(upgrade(), [act("UpdateVMGroup", G1, description="new", default_url=None)])
    assert outcomes(reply) == ["ok", "ok"]
    expected = {**UPGRADED, "tenants": [UPGRADED["tenants"][0], (G1, "G1", "new", URL)]}
    assert tables(old) == expected
    found = old.look()
    assert (found["schema"], found["violations"], found["fingerprint"]) == ("1.2", [], reply["fingerprint"])
    assert (old.dockvols / reply["backup"]).read_bytes() == before


@pytest.mark.parametrize("python", ALL_PYTHONS)
def test_every_python_of_a_host_does_it(old: Agent, python: str) -> None:
    look = {"do": "observe", "config_dbs": [{"path": DB, "fingerprint": None}], "deadline": 5}
    seen = old.talk(python, look)[1]["result"]["config_dbs"][DB]
    assert (seen["schema"], seen["fingerprint"]) == ("1.1", old.look()["fingerprint"])
    change = old.request([upgrade()], fingerprint=seen["fingerprint"], time=TIME, deadline=5)
    reply = old.talk(python, {"do": "apply_db", **change})[1]
    assert reply["result"]["groups"] == [{"ok": True}]
    assert tables(old) == UPGRADED
    assert old.look()["violations"] == []


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ([[act("UpdateVMGroup", G1, description="new", default_url=None)]], "WrongVersion"),
        ([[act("UpdateVMGroup", G1, description="new", default_url=None)], upgrade()], "WrongVersion"),
        ([upgrade(act("RemoveAccess", G1, url="nowhere"))], "Precondition"),
        ([upgrade()[:3] + upgrade()[4:]], "Violation"),  # _DEFAULT would have no default datastore
        ([upgrade()[:1]], "Violation"),
    ],
    ids=["no upgrade", "too late", "a step fails", "a step is missing", "nothing but the tables"],
)
def test_half_of_it_is_refused_as_a_whole(old: Agent, groups: list[list[dict[str, Any]]], reason: str) -> None:
    before = old.db.read_bytes()
    assert old.refused(*groups) == reason
    assert old.db.read_bytes() == before
    assert old.files() == [old.db.name]


def test_another_group_that_fails_does_not_stop_the_upgrade(old: Agent) -> None:
    reply = old.apply(
        upgrade(),
        [act("RemoveAccess", G1, url="nowhere")],
        [act("RemoveAccess", G1, url=URL)],  # of its default datastore, which the upgrade has just written
    )
    assert outcomes(reply) == ["ok", "Precondition", "Violation"]
    assert tables(old) == UPGRADED


def test_what_vdvs_left_half_done_is_finished_by_the_same_actions(old: Agent) -> None:
    old_db.upgrade_as_vdvs(old.db, {VM1: "photon-01"}, until="version")
    assert old.look()["schema"] == "1.2"
    assert outcomes(old.apply(upgrade(names=((VM1, "not again"),)))) == ["ok"]
    assert tables(old) == UPGRADED


def test_a_version_without_its_column_is_read_and_upgraded(old: Agent) -> None:
    old.sql("UPDATE versions SET minor_ver = 2")
    assert old.look()["schema"] == "1.2 without vm_name"
    assert outcomes(old.apply(upgrade())) == ["ok"]
    assert tables(old) == UPGRADED
    assert old.look()["violations"] == []


def test_a_name_that_was_there_before_the_version_is_kept(old: Agent) -> None:
    old.sql("ALTER TABLE vms ADD COLUMN vm_name TEXT", f"UPDATE vms SET vm_name = 'mine' WHERE vm_id = '{VM1}'")
    assert old.look()["schema"] == "1.1"
    assert outcomes(old.apply(upgrade())) == ["ok"]
    assert old.rows("SELECT vm_name FROM vms ORDER BY vm_id") == [("mine",), (None,)]


def test_the_result_is_what_vdvs_itself_would_have_made(old: Agent) -> None:
    """vDVS takes no row back that it added for `_DEFAULT`, and asks only its own host for names."""
    twin = old.dockvols / "twin.db"
    twin.write_bytes(old.db.read_bytes())
    old.apply(upgrade())
    ours = tables(old)
    twin.replace(old.db)
    old_db.upgrade_as_vdvs(old.db, {VM1: "photon-01"})
    assert tables(old) == ours
