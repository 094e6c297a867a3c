"""Backups beside a config DB: listed, and read like the DB itself. Nothing is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

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


def forget(agent: Agent) -> None:
    """Remove the list of backups."""
    Path(f"{agent.db}.backups").unlink()


def listed(agent: Agent) -> list[tuple[str, str]]:
    """Each backup with what is known of it."""
    return [(name, origin) for name, _, origin in agent.ask("backups", path=DB, read=None)["backups"]]


def change(agent: Agent, day: int, keep: int = 2) -> None:
    described = act("UpdateVMGroup", G1, description=str(day), default_url=None)
    agent.apply([described], time=f"202612{day:02}T000000Z", backups_to_keep=keep)


def test_they_are_listed_with_their_size(backed: Agent) -> None:
    size = (backed.dockvols / FIRST).stat().st_size
    assert backed.ask("backups", path=DB, read=None) == {"backups": [[FIRST, size, "made"]]}


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
    assert read(backed)["tenants"]  # its content is as it was recorded, so the journal is not of it
    forget(backed)
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
    assert [name for name, *_ in listed] == ["auth-db.bak-20261123T201500Z"]
    assert agent.ask("backups", read=listed[0][0], **asked)["config_db"]["schema"] == "1.1"
    assert agent.refusal("backups", path="/vmfs/volumes/gone/dockvols/vmdkops_config.db", read=None) == "NotMounted"


class TestThoseOfOthers:
    """Whoever can write the datastore names and dates files as they like."""

    def test_those_from_the_future_drive_out_none_of_ours(self, backed: Agent) -> None:
        for second in range(12):
            (backed.dockvols / f"vmdkops_config.db.bak-20990101T0000{second:02}Z").write_bytes(b"theirs")
        change(backed, 1)
        change(backed, 2)
        ours = [(f"vmdkops_config.db.bak-202612{day:02}T000000Z", "made") for day in (1, 2)]
        assert listed(backed)[-2:] == ours
        assert {origin for _, origin in listed(backed)[:-2]} == {"foreign"}
        assert len(listed(backed)) == 14

    def test_ours_are_in_the_order_in_which_they_were_made_whatever_their_dates(self, backed: Agent) -> None:
        change(backed, 9, keep=3)
        change(backed, 1, keep=3)  # the clock of another machine is behind
        change(backed, 5, keep=3)
        days = [name[-10:-8] for name, _ in listed(backed)]
        assert days == ["09", "01", "05"]

    @pytest.mark.parametrize("size", ["same", "other"])
    def test_one_that_was_changed_is_told(self, backed: Agent, size: str) -> None:
        path = backed.dockvols / FIRST
        content = path.read_bytes()
        path.write_bytes(content.replace(b"photon", b"phot0n") if size == "same" else content + b"\0" * 4096)
        assert listed(backed) == [(FIRST, "changed")]
        assert backed.ask("backups", path=DB, read=FIRST, deadline=0)["made"] == "changed"

    def test_what_is_read_is_what_was_compared(self, backed: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is exchanged for another one as soon as it has been read once."""
        path, close = backed.dockvols / FIRST, os.close
        inode, evil = path.stat().st_ino, path.read_bytes().replace(b"G1", b"G9")

        def exchange(handle: int) -> None:
            is_it = os.fstat(handle).st_ino == inode
            close(handle)
            if is_it:
                path.write_bytes(evil)

        monkeypatch.setattr(os, "close", exchange)
        answer = backed.ask("backups", path=DB, read=FIRST, deadline=0)
        assert answer["made"] == "made"
        assert [row[1] for row in answer["config_db"]["tenants"]] == ["G1", "G2"]
        assert path.read_bytes() == evil

    LISTS: ClassVar = {
        "no JSON": b"{",
        "too deep": b"[" * 100_000,
        "too large": b" " * 2_000_000,
        "another shape": b'{"backups": 5}',
        "another file": b'{"backups": [{"name": "../x.bak-20261123T201500Z", "bytes": 1, "sha256": "%s"}]}'
        % (b"0" * 64),
        "twice": b'{"backups": [%s]}'
        % b", ".join([b'{"name": "%s", "bytes": 1, "sha256": "%s"}' % (FIRST.encode(), b"0" * 64)] * 2),
    }

    @pytest.mark.parametrize("content", LISTS)
    def test_a_list_that_is_not_ours_counts_as_none_and_is_replaced(self, backed: Agent, content: str) -> None:
        Path(f"{backed.db}.backups").write_bytes(self.LISTS[content])
        assert listed(backed) == [(FIRST, "foreign")]
        change(backed, 1, keep=1)
        assert listed(backed) == [(FIRST, "foreign"), ("vmdkops_config.db.bak-20261201T000000Z", "made")]

    @pytest.mark.parametrize("what", ["fifo", "link"])
    def test_a_list_that_is_no_file_is_replaced_and_not_followed(
        self, backed: Agent, what: str, tmp_path: Path
    ) -> None:
        forget(backed)
        place, outside = Path(f"{backed.db}.backups"), tmp_path / "outside"
        os.mkfifo(place) if what == "fifo" else place.symlink_to(outside)
        change(backed, 1)
        assert listed(backed)[-1] == ("vmdkops_config.db.bak-20261201T000000Z", "made")
        assert not outside.exists()

    def test_a_backup_that_is_a_fifo_does_not_hold_anybody_up(self, backed: Agent) -> None:
        (backed.dockvols / FIRST).unlink()
        os.mkfifo(backed.dockvols / FIRST)
        assert listed(backed) == [(FIRST, "changed")]
        assert backed.refusal("backups", path=DB, read=FIRST, deadline=0) == "ReadError"
