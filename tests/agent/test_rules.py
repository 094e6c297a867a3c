"""The rules of vDVS for rows of a config DB: each violation is found, named, and attributed."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from reconciler.agent.db import transaction
from reconciler.agent.db.checks import rules
from tests.agent.world import DEFAULT, G1, G2, URL, VM1, VM2, Agent, access, act, member, outcomes

BREAK = {
    "no description": ("UPDATE tenants SET description = NULL WHERE id = '{G1}'", (G1, None)),
    "no default datastore": ("UPDATE tenants SET default_datastore_url = NULL WHERE id = '{G1}'", (G1, None)),
    "empty default datastore": ("UPDATE tenants SET default_datastore_url = '' WHERE id = '{G1}'", (G1, None)),
    "no access to the default": ("DELETE FROM privileges WHERE tenant_id = '{G1}'", (G1, None)),
    "allow_create 2": ("UPDATE privileges SET allow_create = 2 WHERE tenant_id = '{G1}'", (G1, None)),
    "allow_create NULL": ("UPDATE privileges SET allow_create = NULL WHERE tenant_id = '{G1}'", (G1, None)),
    "negative maximum": ("UPDATE privileges SET max_volume_size = -5 WHERE tenant_id = '{G1}'", (G1, None)),
    "maximum NULL": ("UPDATE privileges SET max_volume_size = NULL WHERE tenant_id = '{G1}'", (G1, None)),
    "maximum with a fraction": ("UPDATE privileges SET max_volume_size = 1.5 WHERE tenant_id = '{G1}'", (G1, None)),
    "quota as text": ("UPDATE privileges SET usage_quota = 'all' WHERE tenant_id = '{G1}'", (G1, None)),
    "quota NULL": ("UPDATE privileges SET usage_quota = NULL WHERE tenant_id = '{G1}'", (G1, None)),
    "VM id in upper case": ("UPDATE vms SET vm_id = upper(vm_id)", (G1, VM1.upper())),
    "VM id without dashes": ("UPDATE vms SET vm_id = replace(vm_id, '-', '')", (G1, VM1.replace("-", ""))),
    "access of a vmgroup that is gone": ("UPDATE privileges SET tenant_id = 'gone' WHERE tenant_id <> '{G1}'", None),
    "a datastore that is not text": ("INSERT INTO privileges VALUES ('{G1}', x'AB', 1, 0, 0)", (G1, None)),
    "VM in a vmgroup that is gone": ("UPDATE vms SET tenant_id = 'gone'", ("gone", VM1)),
    "VM in _DEFAULT": ("UPDATE tenants SET name = '_DEFAULT' WHERE id = '{G1}'", (G1, VM1)),
    "VM under the id of _DEFAULT": ("UPDATE tenants SET id = '{DEFAULT}' WHERE id = '{G1}'", None),
    "a column too many": ("ALTER TABLE privileges ADD COLUMN extra TEXT", (None, None)),
    "another version": ("UPDATE versions SET minor_ver = 3", (None, None)),
    "write-ahead log": ("PRAGMA journal_mode = WAL", (None, None)),
}


def violations(agent: Agent) -> list[rules.Violation]:
    connection = sqlite3.connect(agent.db)
    try:
        return rules.violations(connection)
    finally:
        connection.close()


def test_a_db_as_we_make_it_breaks_no_rule(ready: Agent) -> None:
    assert violations(ready) == []


@pytest.mark.parametrize("case", BREAK)
def test_a_broken_rule_is_found_and_attributed(ready: Agent, case: str) -> None:
    statement, blamed = BREAK[case]
    ready.sql(statement.format(G1=G1, DEFAULT=DEFAULT))
    found = violations(ready)
    assert found
    if blamed is not None:
        assert {(violation.tenant, violation.vm) for violation in found} == {blamed}


def test_text_that_is_not_utf8_does_not_hide_a_violation(ready: Agent) -> None:
    ready.sql("UPDATE tenants SET name = CAST(x'61ff' AS TEXT), description = NULL WHERE name = 'G1'")
    assert len(violations(ready)) == 1


def test_a_group_that_would_break_a_rule_is_undone_and_the_others_go_on(ready: Agent) -> None:
    reply = ready.apply(
        [act("UpdateVMGroup", G1, description=None, default_url="/vmfs/volumes/elsewhere")],
        [act("AddMember", G2, member=member(VM2))],
        [act("SetAccess", G2, access=access(max_mb=-1))],
    )
    assert outcomes(reply) == ["Violation", "ok", "Violation"]
    assert ready.rows("SELECT vm_id, tenant_id FROM vms ORDER BY 1") == [(VM1, G1), (VM2, G2)]
    assert ready.rows("SELECT DISTINCT default_datastore_url FROM tenants") == [(URL,)]
    assert violations(ready) == []


def test_a_violation_that_was_there_before_does_not_stop_other_changes(ready: Agent) -> None:
    ready.sql("UPDATE tenants SET description = NULL WHERE name = 'G1'")
    assert outcomes(ready.apply([act("AddMember", G1, member=member(VM2))])) == ["ok"]
    assert len(ready.look()["violations"]) == 1
    assert outcomes(ready.apply([act("UpdateVMGroup", G1, description="", default_url=None)])) == ["ok"]
    assert ready.look()["violations"] == []


def test_who_is_called_otherwise_breaks_no_new_rule(ready: Agent) -> None:
    ready.sql("DELETE FROM privileges")
    rename, describe = act("RenameVMGroup", G1, before="G1", name="new"), act("UpdateVMGroup", G1, description="d")
    assert outcomes(ready.apply([rename, describe | {"default_url": None}])) == ["ok"]
    assert "vmgroup new: there is no access row" in " ".join(ready.look()["violations"])


def test_a_vm_that_is_spelled_otherwise_breaks_no_new_rule(ready: Agent) -> None:
    ready.sql(f"UPDATE tenants SET id = '{DEFAULT}' WHERE id = '{G1}'")
    ready.sql(f"UPDATE vms SET vm_id = upper(vm_id), tenant_id = '{DEFAULT}'")
    spelled = act("MoveMember", DEFAULT, from_uuid=DEFAULT, member=member(VM1))
    assert outcomes(ready.apply([spelled])) == ["ok"]
    assert [(each.tenant, each.vm) for each in violations(ready) if each.vm] == [(DEFAULT, VM1)]
    assert outcomes(ready.apply([act("AddMember", DEFAULT, member=member(VM2))])) == ["Violation"]


def test_a_second_row_of_the_same_vm_breaks_a_rule_once_more(ready: Agent) -> None:
    ready.sql(f"UPDATE tenants SET id = '{DEFAULT}' WHERE id = '{G1}'")
    ready.sql(f"UPDATE vms SET vm_id = upper(vm_id), tenant_id = '{DEFAULT}'")
    with closing(sqlite3.connect(ready.db)) as connection:
        before = Counter(each.key for each in rules.violations(connection))
        connection.execute("INSERT INTO vms VALUES (?, ?, NULL)", (VM1, DEFAULT))
        added = transaction._added(rules.violations(connection), before)
    assert [(each.tenant, each.vm) for each in added] == [(DEFAULT, VM1)]


def test_a_violation_for_which_no_group_is_to_blame_stops_the_whole_change(
    ready: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.agent.db.checks.inspection.inspect", lambda *_: None)
    ready.sql(
        f"CREATE TRIGGER evil AFTER INSERT ON vms BEGIN UPDATE tenants SET description = NULL WHERE id = '{G1}'; END"
    )
    before = ready.look()["fingerprint"]
    assert ready.refused([act("AddMember", G2, member=member(VM2))]) == "Violation"
    assert ready.look()["fingerprint"] == before
    assert ready.files() == ["vmdkops_config.db"]
