"""Each action on the config DB: its effect and its preconditions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.agent.world import DEFAULT, G1, G2, URL, VM1, VM2, Agent, access, act, member, outcomes, vmgroup

OTHER_URL = "/vmfs/volumes/5a7b0002-0a0b0c0d-9bc3-000c29c1501d"
NOBODY = "99999999-9999-4999-8999-999999999999"


def test_create_writes_the_vmgroup_with_its_access_and_members(agent: Agent) -> None:
    agent.create([vmgroup(G1, "G1", [VM1], description="words", access=[access(), access("_VM_DS://", False, 0, 0)])])
    assert agent.rows("SELECT * FROM tenants") == [(G1, "G1", "words", URL)]
    assert agent.rows("SELECT * FROM vms") == [(VM1, G1, "photon")]
    assert sorted(agent.rows("SELECT * FROM privileges")) == [(G1, URL, 1, 200, 5120), (G1, "_VM_DS://", 0, 0, 0)]


def test_update_changes_what_is_given_and_leaves_the_rest(ready: Agent) -> None:
    ready.apply([act("UpdateVMGroup", description="new", default_url=None)])
    assert ready.rows(f"SELECT description, default_datastore_url FROM tenants WHERE id = '{G1}'") == [("new", URL)]
    other = {**access(OTHER_URL), "max_mb": 0}
    move = [act("SetAccess", access=other), act("UpdateVMGroup", description=None, default_url=OTHER_URL)]
    assert outcomes(ready.apply(move)) == ["ok"]
    found = ready.rows(f"SELECT description, default_datastore_url FROM tenants WHERE id = '{G1}'")
    assert found == [("new", OTHER_URL)]


def test_a_description_can_be_emptied(ready: Agent) -> None:
    ready.apply([act("UpdateVMGroup", description="new", default_url=None)])
    ready.apply([act("UpdateVMGroup", description="", default_url=None)])
    assert ready.rows(f"SELECT description FROM tenants WHERE id = '{G1}'") == [("",)]


def test_rename_changes_the_name_and_nothing_else(ready: Agent) -> None:
    everything = [ready.rows(f"SELECT * FROM {table}") for table in ("vms", "privileges", "volumes")]
    described = ready.rows("SELECT id, description, default_datastore_url FROM tenants ORDER BY 1")
    assert outcomes(ready.apply([act("RenameVMGroup", before="G1", name="new")])) == ["ok"]
    assert ready.rows("SELECT id, name FROM tenants ORDER BY 1") == [(G1, "new"), (G2, "G2")]
    assert [ready.rows(f"SELECT * FROM {table}") for table in ("vms", "privileges", "volumes")] == everything
    assert ready.rows("SELECT id, description, default_datastore_url FROM tenants ORDER BY 1") == described


def test_the_default_vmgroup_keeps_its_name(ready: Agent) -> None:
    url = "_VM_DS://"
    ready.apply([vmgroup(DEFAULT, "_DEFAULT", default_url=url, access=[access(url)])])
    reply = ready.apply([act("RenameVMGroup", DEFAULT, before="_DEFAULT", name="other")])
    assert outcomes(reply) == ["Precondition"]


def test_set_access_replaces_or_inserts(ready: Agent) -> None:
    ready.apply([act("SetAccess", access=access(max_mb=0, allow_create=False))])
    ready.apply([act("SetAccess", access=access(OTHER_URL))])
    found = ready.rows(f"SELECT * FROM privileges WHERE tenant_id = '{G1}' ORDER BY 2")
    assert found == [(G1, URL, 0, 0, 5120), (G1, OTHER_URL, 1, 200, 5120)]


def test_remove_access(ready: Agent) -> None:
    ready.apply([act("SetAccess", access=access(OTHER_URL))])
    assert outcomes(ready.apply([act("RemoveAccess", url=OTHER_URL)])) == ["ok"]
    assert ready.rows(f"SELECT datastore_url FROM privileges WHERE tenant_id = '{G1}'") == [(URL,)]


def test_members_are_added_moved_and_removed(ready: Agent) -> None:
    ready.apply([act("AddMember", G2, member=member(VM2))])
    ready.apply([act("MoveMember", G2, from_uuid=G1, member=member(VM1, "new name"))])
    assert ready.rows("SELECT * FROM vms ORDER BY 1") == [(VM1, G2, "new name"), (VM2, G2, "photon")]
    ready.apply([act("RemoveMember", G2, member=member(VM1))])
    assert ready.rows("SELECT vm_id FROM vms") == [(VM2,)]


def test_a_moved_vm_keeps_its_name_if_none_is_known(ready: Agent) -> None:
    ready.apply([act("MoveMember", G2, from_uuid=G1, member=member(VM1, None))])
    assert ready.rows("SELECT * FROM vms") == [(VM1, G2, "photon")]


def test_a_member_is_called_what_the_vm_is_called_now(ready: Agent) -> None:
    assert outcomes(ready.apply([act("NameMember", G1, member=member(VM1, "new name"))])) == ["ok"]
    assert ready.rows("SELECT * FROM vms") == [(VM1, G1, "new name")]
    assert outcomes(ready.apply([act("NameMember", G2, member=member(VM1, "other"))])) == ["Precondition"]
    assert ready.rows("SELECT * FROM vms") == [(VM1, G1, "new name")]


def test_a_vm_id_in_upper_case_is_found_and_repaired_by_a_move(ready: Agent) -> None:
    ready.sql(f"UPDATE vms SET vm_id = '{VM1.upper()}'")
    assert outcomes(ready.apply([act("AddMember", G2, member=member(VM1))])) == ["Precondition"]
    assert outcomes(ready.apply([act("MoveMember", G2, from_uuid=G1, member=member(VM1))])) == ["ok"]
    assert ready.rows("SELECT vm_id, tenant_id FROM vms") == [(VM1, G2)]


def test_delete_takes_the_access_rows_along(ready: Agent) -> None:
    assert outcomes(ready.apply([act("DeleteVMGroup", G2, name="G2")])) == ["ok"]
    assert ready.rows("SELECT id FROM tenants") == [(G1,)]
    assert ready.rows("SELECT DISTINCT tenant_id FROM privileges") == [(G1,)]


def test_the_default_vmgroup_has_its_constant_id(ready: Agent) -> None:
    url = "_VM_DS://"
    default = vmgroup(DEFAULT, "_DEFAULT", default_url=url, access=[access(url), access("_ALL_DS://")])
    assert outcomes(ready.apply([{**default, "uuid": NOBODY}])) == ["Precondition"]
    assert outcomes(ready.apply([{**default, "name": "other"}])) == ["Precondition"]
    assert outcomes(ready.apply([default])) == ["ok"]
    assert outcomes(ready.apply([act("AddMember", DEFAULT, member=member(VM2))])) == ["Violation"]


@pytest.mark.parametrize(
    "action",
    [
        vmgroup(G1, "new"),  # the id is taken
        vmgroup(NOBODY, "G1"),  # the name is taken
        vmgroup(NOBODY, "new", [VM1]),  # the VM is in a vmgroup
        vmgroup(G1.upper(), "new"),
        act("UpdateVMGroup", NOBODY, description="", default_url=None),
        act("RenameVMGroup", NOBODY, before="G1", name="new"),
        act("RenameVMGroup", G1, before="G2", name="new"),  # not called so
        act("RenameVMGroup", G1, before="G1", name="G2"),  # the name is taken
        act("RenameVMGroup", G1, before="G1", name="_DEFAULT"),
        act("SetAccess", NOBODY, access=access()),
        act("RemoveAccess", NOBODY, url=URL),
        act("RemoveAccess", G1, url=OTHER_URL),
        act("AddMember", NOBODY, member=member(VM2)),
        act("AddMember", G1, member=member(VM1)),
        act("AddMember", G2, member=member(VM1)),
        act("MoveMember", NOBODY, from_uuid=G1, member=member(VM1)),
        act("MoveMember", G1, from_uuid=G2, member=member(VM1)),
        act("MoveMember", G1, from_uuid=G2, member=member(VM2)),
        act("RemoveMember", G2, member=member(VM1)),
        act("RemoveMember", G2, member=member(VM2)),
        act("DeleteVMGroup", NOBODY, name="G1"),
        act("DeleteVMGroup", G2, name="G1"),  # not called so
        act("DeleteVMGroup", G1, name="G1"),  # has a member
    ],
    ids=lambda action: f"{action['action']}-{action['uuid'][:4]}",
)
def test_an_unmet_precondition_changes_nothing(ready: Agent, action: dict[str, Any]) -> None:
    before = ready.db.read_bytes()
    reply = ready.apply([action])
    assert outcomes(reply) == ["Precondition"]
    assert reply["groups"][0]["message"]
    assert ready.db.read_bytes() == before
    assert ready.files() == ["vmdkops_config.db"]


def test_a_vmgroup_with_volumes_in_its_books_is_not_deleted(ready: Agent) -> None:
    ready.sql(f"INSERT INTO volumes VALUES ('{G2}', '{URL}', 'v', 100)")
    assert outcomes(ready.apply([act("DeleteVMGroup", G2, name="G2")])) == ["Precondition"]


@pytest.mark.parametrize("table", ["vms", "privileges"])
def test_rows_left_by_an_earlier_vmgroup_are_not_inherited(ready: Agent, table: str) -> None:
    values = f"'{VM2}', '{NOBODY}', ''" if table == "vms" else f"'{NOBODY}', '{OTHER_URL}', 1, 0, 0"
    ready.sql(f"INSERT INTO {table} VALUES ({values})")
    assert outcomes(ready.apply([vmgroup(NOBODY, "new")])) == ["Precondition"]


def test_an_unknown_action_fails_its_group_only(ready: Agent) -> None:
    reply = ready.apply([{"action": "Explode"}], [act("AddMember", G2, member=member(VM2))])
    assert outcomes(reply) == ["BadRequest", "ok"]
