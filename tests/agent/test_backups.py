"""Backups beside a config DB: listed, and read like the DB itself. Nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.agent import old_db
from tests.agent.pythons import ALL_PYTHONS
from tests.agent.test_observe_db import leave_hot_journal
from tests.agent.world import DB, G1, G2, Agent, act

FIRST = "vmdkops_config.db.bak-20261123T201500Z"


@pytest.fixture
def backed(ready: Agent) -> Agent:
    """The vmgroups G1 and G2, and a backup from when G1 had no description yet."""
    ready.apply([act("UpdateVMGroup", G1, description="new", default_url=None)])
    assert ready.files() == ["vmdkops_config.db", FIRST]
    return ready


def files(agent: Agent) -> dict[str, bytes]:
    return {name: (agent.dockvols / name).read_bytes() for name in agent.files()}


def read(agent: Agent, name: str = FIRST) -> Any:
    return agent.ask("backups", path=DB, read=name, deadline=0)["config_db"]


def test_they_are_listed_with_their_size(backed: Agent) -> None:
    size = (backed.dockvols / FIRST).stat().st_size
    assert backed.ask("backups", path=DB, read=None) == {"backups": [[FIRST, size]]}


@pytest.mark.parametrize("python", ALL_PYTHONS)
def test_one_is_read_and_nothing_is_written(backed: Agent, python: str) -> None:
    before = files(backed)
    now = backed.look()
    found = backed.talk(python, {"do": "backups", "path": DB, "read": FIRST, "deadline": 5})[1]["result"]["config_db"]
    assert [row[:3] for row in found["tenants"]] == [[G1, "G1", ""], [G2, "G2", ""]]
    assert (found["vms"], found["privileges"], found["schema"]) == (now["vms"], now["privileges"], "1.2")
    assert found["fingerprint"] != now["fingerprint"]
    assert files(backed) == before


def test_one_of_schema_1_1_is_read(backed: Agent) -> None:
    (backed.dockvols / FIRST).unlink()
    old_db.write(backed.dockvols / FIRST)
    assert read(backed)["schema"] == "1.1"


@pytest.mark.parametrize("name", ["vmdkops_config.db", "other", f"../dockvols/{FIRST}", f"{FIRST}-2", "", "x" * 5000])
def test_what_is_not_in_the_list_is_not_read(backed: Agent, name: str) -> None:
    assert backed.refusal("backups", path=DB, read=name, deadline=0) == "Missing"


def test_a_link_is_not_followed(backed: Agent) -> None:
    link = backed.dockvols / FIRST.replace("2015", "2016")
    link.symlink_to(FIRST)
    assert backed.refusal("backups", path=DB, read=link.name, deadline=0) == "ReadError"


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "Corrupt"), (b"garbage " * 1000, "Corrupt"), (None, "Corrupt")], ids=str
)
def test_one_that_is_damaged_is_refused(backed: Agent, content: bytes | None, reason: str) -> None:
    path = backed.dockvols / FIRST
    path.write_bytes(path.read_bytes()[:8192] if content is None else content)
    assert backed.refusal("backups", path=DB, read=FIRST, deadline=0) == reason


def test_a_journal_beside_it_is_not_rolled_back(backed: Agent) -> None:
    leave_hot_journal(backed)
    journal = Path(f"{backed.db}-journal").read_bytes()
    (backed.dockvols / f"{FIRST}-journal").write_bytes(journal)
    before = files(backed)
    assert backed.refusal("backups", path=DB, read=FIRST, deadline=0) == "HotJournal"
    (backed.dockvols / f"{FIRST}-journal").unlink()
    del before[f"{FIRST}-journal"]
    assert read(backed)["tenants"]  # whatever has become of the DB itself
    assert files(backed) == before


def test_a_db_that_is_gone_still_has_its_backups(backed: Agent) -> None:
    backed.db.unlink()
    assert read(backed)["tenants"]
    assert not backed.db.exists()


def test_those_of_a_host_of_its_own(agent: Agent) -> None:
    """SingleNode: beside /etc/vmware/vmdkops/auth-db."""
    folder = agent.root / "etc/vmware/vmdkops"
    folder.mkdir(parents=True)
    old_db.write(folder / "auth-db.bak-20261123T201500Z")
    asked = {"path": "/etc/vmware/vmdkops/auth-db", "deadline": 0}
    listed = agent.ask("backups", read=None, **asked)["backups"]
    assert [name for name, _ in listed] == ["auth-db.bak-20261123T201500Z"]
    assert agent.ask("backups", read=listed[0][0], **asked)["config_db"]["schema"] == "1.1"
    assert agent.refusal("backups", path="/vmfs/volumes/gone/dockvols/vmdkops_config.db", read=None) == "NotMounted"
