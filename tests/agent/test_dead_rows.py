"""Dead rows: found with their exact key, kept apart from the other rows, and deleted without touching any other."""

from __future__ import annotations

import pytest

from tests.agent.world import G1, G2, URL, VM1, VM2, Agent, act, outcomes

TABLES = ("tenants", "vms", "privileges", "volumes")
LEFT_BY_HAND = {
    "a VM id that is a blob": (f"INSERT INTO vms VALUES (x'AB', '{G1}', 'odd')", "vms", "X'ab'"),
    "a VM twice": (f"INSERT INTO vms VALUES ('{VM1.upper()}', '{G2}', 'photon')", "vms", VM1.upper()),
    "a datastore that is a blob": (f"INSERT INTO privileges VALUES ('{G1}', x'CD', 1, 0, 0)", "privileges", "X'cd'"),
    "access of a vmgroup that is gone": (
        f"INSERT INTO privileges VALUES ('gone', '{URL}', 1, 0, 0)",
        "privileges",
        URL,
    ),
    "a booked size below nothing": (f"INSERT INTO volumes VALUES ('{G1}', '{URL}', 'ghost', -999)", "volumes", "ghost"),
    "a booked size that is text": (f"INSERT INTO volumes VALUES ('{G1}', '{URL}', 'ghost', '-9x')", "volumes", "ghost"),
    "a booked volume without a name": (
        f"INSERT INTO volumes VALUES ('{G1}', '{URL}', NULL, -1), ('{G1}', '{URL}', NULL, -2)",
        "volumes",
        "",
    ),
    "a name that is not UTF-8": (
        "INSERT INTO privileges VALUES (CAST(x'FF61' AS TEXT), CAST(x'62FF' AS TEXT), 1, 0, 0)",
        "privileges",
        "b\ufffd",
    ),
}


@pytest.mark.parametrize("case", LEFT_BY_HAND)
def test_a_dead_row_is_shown_apart_and_deleted_by_its_exact_key(ready: Agent, case: str) -> None:
    before = [ready.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES]
    seen_before = ready.look()
    statement, table, what = LEFT_BY_HAND[case]
    ready.sql(statement)

    seen = ready.look()
    (dead,) = seen["dead_rows"]
    assert (dead["table"], dead["what"]) == (table, what)
    assert dead["why"]
    assert seen["violations"]
    assert (seen["vms"], seen["privileges"]) == (seen_before["vms"], seen_before["privileges"])

    assert outcomes(ready.apply([act("DeleteRow", table=table, key=dead["key"])])) == ["ok"]
    assert [ready.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES] == before
    assert ready.look()["dead_rows"] == []


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("vms", ["text:" + VM1.encode().hex().upper()]),  # it serves its VM
        ("privileges", ["text:" + G1.encode().hex().upper(), "text:" + URL.encode().hex().upper()]),
        ("vms", ["blob:AB"]),  # not there
        ("tenants", ["text:" + G1.encode().hex().upper()]),
    ],
)
def test_no_other_row_is_deleted(ready: Agent, table: str, key: list[str]) -> None:
    before = ready.db.read_bytes()
    assert outcomes(ready.apply([act("DeleteRow", table=table, key=key)])) == ["Precondition"]
    assert ready.db.read_bytes() == before


def test_a_vm_in_upper_case_that_has_no_other_row_is_not_dead(ready: Agent) -> None:
    ready.sql(f"INSERT INTO vms VALUES ('{VM2.upper()}', '{G2}', 'photon')")
    assert ready.look()["dead_rows"] == []
