"""A config DB of one host alone (SingleNode): the plain file where vDVS looks for it."""

from __future__ import annotations

import pytest

from reconciler.agent.db import schema
from reconciler.agent.db.checks import rules
from tests.agent.world import AUTH_DB, DB, G1, VM1, Agent, act, outcomes, sqlite, vmgroup

OWN = "/etc/vmware/vmdkops/auth-db"


def look(agent: Agent) -> dict[str, object]:
    wanted = [{"path": OWN, "fingerprint": None}]
    return dict(agent.ask("observe", config_dbs=wanted, deadline=0)["config_dbs"][OWN])


@pytest.fixture
def own(agent: Agent) -> Agent:
    """A host with a config DB of its own that holds the vmgroup G1."""
    made = agent.apply([vmgroup(G1, "G1", [VM1])], path=OWN, create=True, fingerprint="absent", with_default=True)
    assert outcomes(made) == ["ok"]
    return agent


def test_it_is_made_where_vdvs_looks_for_it_in_a_folder_that_was_missing(own: Agent) -> None:
    file = own.root / AUTH_DB
    assert file.is_file()
    assert not file.is_symlink()
    assert own.host()["db_mode"] == "SingleNode"
    with sqlite(file) as connection:
        assert rules.violations(connection) == []
    assert look(own)["state"] == "present"
    assert own.look()["state"] == "absent"


def test_a_change_leaves_a_backup_beside_it(own: Agent) -> None:
    group = [act("UpdateVMGroup", G1, description="new", default_url=None)]
    done = own.apply(group, path=OWN, fingerprint=look(own)["fingerprint"], backups_to_keep=1)
    assert (outcomes(done), done["backup"]) == (["ok"], "auth-db.bak-20261123T201500Z")
    assert look(own)["backups"] == ["auth-db.bak-20261123T201500Z"]


@pytest.mark.parametrize("target", [DB, "/vmfs/volumes/gone/dockvols/vmdkops_config.db"])
def test_a_link_is_no_config_db_of_its_own_and_is_never_followed_or_replaced(ready: Agent, target: str) -> None:
    link = ready.root / AUTH_DB
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    assert look(ready)["state"] == "absent"
    assert ready.refused(path=OWN, create=True, fingerprint="absent") == "Moved"
    shared = ready.look()["fingerprint"]
    group = [act("DeleteVMGroup", G1, name="G1")]
    assert ready.refused(group, path=OWN, fingerprint=shared) == "Moved"
    assert ready.look()["fingerprint"] == shared
    assert str(link.readlink()) == target


def test_an_empty_file_of_an_interrupted_start_becomes_a_config_db(agent: Agent) -> None:
    file = agent.root / AUTH_DB
    file.parent.mkdir(parents=True)
    file.touch()
    assert look(agent)["state"] == "empty"
    assert outcomes(agent.apply([vmgroup()], path=OWN, create=True, fingerprint="empty")) == ["ok"]
    assert look(agent)["state"] == "present"


def test_the_mark_of_a_shared_one_that_was_moved_away_frees_no_place(own: Agent) -> None:
    """Whoever wrote it there, nobody moved this one: ours have a link in their place then."""
    with sqlite(own.root / AUTH_DB) as connection, connection:
        connection.execute("UPDATE versions SET (major_ver, minor_ver, vmodl_major_ver) = (?, ?, ?)", schema.RETIRED)
    found = look(own)
    assert (found["state"], found["reason"]) == ("unknown", "WrongVersion")
    before = (own.root / AUTH_DB).read_bytes()
    assert own.refused(path=OWN, create=True, fingerprint="absent") == "WrongVersion"
    assert (own.root / AUTH_DB).read_bytes() == before
