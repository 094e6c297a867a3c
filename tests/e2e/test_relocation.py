"""A config DB that moves to another datastore, and one of a host alone (SingleNode) that becomes the shared one: no row
is lost and no host is open at any moment, whoever dies between any two steps."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reconciler.agent.db import objects
from reconciler.agent.db.checks.rules import violations
from reconciler.cli.main import cli
from reconciler.hosts.client import AgentClient
from reconciler.model.diff import Op
from reconciler.model.outcome import Outcome
from reconciler.model.plan import Policy
from tests.e2e.site import SEED, LabSite, assert_in_sync, is_retired, statuses

UUID = "0f2d53d7-091e-4b04-a6b0-1d2a43c454eb"
PINNED = SEED.replace("  name: MYVMGROUP\n", f"  name: MYVMGROUP\n  uuid: {UUID}\n")
SECOND = "5c000002-1a2b3c4d-0e0f-000c29c15555"
MOVED = PINNED.replace("datastore: SHARED-Datastore, defaultVMGroup", "datastore: SECOND, defaultVMGroup")
OWN = PINNED.replace("mode: MultiNode, datastore: SHARED-Datastore", "mode: SingleNode, hosts: {names: [esxiz10]}")
TABLES = ("tenants", "vms", "privileges", "versions", "volumes")
HOSTS = ("esxiz10", "esxiz20")


class MovingSite:
    """A site in sync whose manifests are then changed so that its config DB has to move from `old` to `new`."""

    def __init__(self, site: LabSite, own: bool) -> None:
        self.site, self.own = site, own
        _add_datastore(site)
        site.write(OWN if own else PINNED)
        assert {"failed", "blocked"}.isdisjoint(statuses(site.reconcile()).values())
        self.old = site.link("esxiz10") if own else site.db
        self.new = site.db if own else site.lab / "datastores" / SECOND / "dockvols" / site.db.name
        self.target = f"/vmfs/volumes/{self.new.parent.parent.name}/dockvols/{self.new.name}"
        book(self.old, "first")
        _record(self.old)
        site.write(self.wish)

    @property
    def wish(self) -> str:
        return PINNED if self.own else MOVED

    def kept(self) -> list[Path]:
        return sorted(path for folder in {self.old.parent, self.new.parent} for path in folder.glob("*.moved-*"))

    def assert_moved(self, before: dict[str, Any]) -> None:
        """All hosts use the new one, which has all rows; the old one is out of the way, and kept."""
        assert content(self.new) == before
        for host in HOSTS:
            assert os.readlink(self.site.link(host)) == self.target
            script = (self.site.root(host) / "etc/rc.local.d/local.sh").read_text()
            assert self.new.parent.parent.name in script
        assert self.old.is_symlink() if self.own else self.is_retired()
        assert {name for (name,) in query(self.new, "SELECT name FROM sqlite_master WHERE name LIKE 'vdvs%'")} <= {
            "vdvs_meta",
            "vdvs_objects",
        }
        assert len(self.kept()) == 1

    def is_retired(self) -> bool:
        """Whether the old file is none any more, to vDVS and to us."""
        if self.old.is_symlink():
            return True
        with closing(sqlite3.connect(self.old)) as connection:
            return is_retired(connection)

    def closed(self) -> bool:
        """Whether no host that used a config DB is without one, which would be an open door."""
        return all(os.path.lexists(self.site.link(host)) for host in (HOSTS[:1] if self.own else HOSTS))


def _add_datastore(site: LabSite) -> None:
    """One more that both hosts mount."""
    path = site.lab / "inventory.json"
    inventory = json.loads(path.read_text())
    shared = next(entry for entry in inventory["datastores"] if entry["name"] == "SHARED-Datastore")
    more = {**shared, "name": "SECOND", "id": SECOND, "url": f"/vmfs/volumes/{SECOND}"}
    inventory["datastores"].append({**more, "path": "/DC0/datastore/SECOND"} if "path" in shared else more)
    path.write_text(json.dumps(inventory))
    (site.lab / "datastores" / SECOND).mkdir()
    for host in HOSTS:
        volumes = site.root(host) / "vmfs/volumes"
        (volumes / SECOND).symlink_to(os.readlink(volumes / shared["id"]).replace(shared["id"], SECOND))
        (volumes / "SECOND").symlink_to(SECOND)


def query(path: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement, values).fetchall()


def content(path: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(path)) as connection:
        assert violations(connection) == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall()) for table in TABLES}


def book(path: Path, name: str) -> None:
    """What vDVS does when somebody makes a volume."""
    query(path, "INSERT INTO volumes VALUES (?, '/vmfs/volumes/x', ?, 100)", UUID, name)


def _record(path: Path) -> None:
    """That somebody applied an object, written down as the agent does."""
    query(path, objects.CREATE)
    row = (f"vmgroup/{UUID}", UUID, "a", "d", None, 0, "alice", "20261123T201500Z", "because")
    query(path, "INSERT OR REPLACE INTO vdvs_objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *row)


def vdvs(site: LabSite, *args: str) -> Result:
    return CliRunner().invoke(cli, [*args, "-f", str(site.manifests)], catch_exceptions=False, prog_name="vdvs")


def reason(outcome: Outcome, ref: str) -> str:
    return next(result.detail for result in outcome.objects if str(result.ref) == ref)


@pytest.fixture(params=["shared", "own"])
def moving(request: pytest.FixtureRequest, site: LabSite) -> MovingSite:
    return MovingSite(site, request.param == "own")


@pytest.fixture(params=["shared", "own"])
def on_vmfs(request: pytest.FixtureRequest, tmp_path: Path) -> MovingSite:
    """The same where a file on a datastore is open on one host at a time."""
    return MovingSite(LabSite(tmp_path, vmfs_locks=True), request.param == "own")


def test_it_moves_with_all_rows_in_one_apply(moving: MovingSite) -> None:
    before = content(moving.old)
    records = query(moving.old, "SELECT object FROM vdvs_objects ORDER BY 1")
    outcome = moving.site.reconcile()
    assert set(statuses(outcome).values()) <= {"configured", "unchanged"}
    assert statuses(outcome)["configdb/shared"] == "configured"
    moving.assert_moved(before)
    assert set(records) <= set(query(moving.new, "SELECT object FROM vdvs_objects"))
    assert moving.kept()[0].name in {made.name for made in outcome.backups}
    assert_in_sync(moving.site)
    assert content(moving.kept()[0])["tenants"] == before["tenants"]


def test_it_moves_where_a_file_is_open_on_one_host_at_a_time(on_vmfs: MovingSite) -> None:
    before = content(on_vmfs.old)
    assert {"failed", "blocked"}.isdisjoint(statuses(on_vmfs.site.reconcile()).values())
    on_vmfs.assert_moved(before)
    assert_in_sync(on_vmfs.site)


def test_the_diff_says_so_and_only_apply_does_it(moving: MovingSite) -> None:
    (field,) = moving.site.change("configdb/shared").fields
    expected = ("mode", "SingleNode", "MultiNode (SHARED-Datastore)") if moving.own else None
    assert (field.path, field.before, field.after) == (expected or ("datastore", "SHARED-Datastore", "SECOND"))
    assert moving.site.change("configdb/shared").risk.value == "disrupts"
    shown = vdvs(moving.site, "diff")
    assert shown.exit_code == 1
    assert "disrupts" in shown.stdout
    before = moving.old.read_bytes()
    healed = statuses(moving.site.reconcile(Policy(frozenset(), config_db_lifecycle=False)))
    assert (healed["configdb/shared"], healed["host/esxiz10"]) == ("blocked", "blocked")
    assert moving.old.read_bytes() == before
    assert not moving.new.exists()


def test_other_changes_follow_in_the_same_apply(moving: MovingSite) -> None:
    moving.site.write(moving.wish.replace("5GB", "6GB"))
    assert "moved first" in moving.site.change("vmgroup/MYVMGROUP").reason
    outcome = moving.site.reconcile()
    assert statuses(outcome)["vmgroup/MYVMGROUP"] == "configured"
    assert query(moving.new, "SELECT usage_quota FROM privileges") == [(6144,)]
    assert_in_sync(moving.site)


def test_a_host_that_cannot_be_asked_blocks_it_before_anything_is_written(moving: MovingSite) -> None:
    before = moving.old.read_bytes()
    shutil.move(moving.site.root("esxiz20"), moving.site.folder / "away")
    outcome = moving.site.reconcile()
    assert statuses(outcome)["configdb/shared"] == "blocked"
    assert "host/esxiz20" in reason(outcome, "configdb/shared")
    assert moving.old.read_bytes() == before
    assert not moving.new.exists()
    assert os.path.lexists(moving.site.link("esxiz10"))


def test_a_db_that_cannot_be_read_is_not_moved(moving: MovingSite) -> None:
    before = moving.old.read_bytes()
    moving.old.write_bytes(b"no database" * 1000)
    outcome = moving.site.reconcile()
    assert statuses(outcome)["configdb/shared"] == "blocked"
    assert not moving.new.exists()
    assert moving.closed()
    moving.old.write_bytes(before)
    assert statuses(moving.site.reconcile())["configdb/shared"] == "configured"


def test_a_db_that_is_there_already_is_not_overwritten(moving: MovingSite) -> None:
    moving.new.parent.mkdir(exist_ok=True)
    shutil.copy(moving.old, moving.new)
    query(moving.new, "UPDATE tenants SET description = 'another'")
    before = (moving.old.read_bytes(), moving.new.read_bytes())
    outcome = moving.site.reconcile()
    if moving.own:  # it has all that the host's own has, which is kept
        assert [path.read_bytes() for path in moving.kept()] == [before[0]]
    else:
        assert statuses(outcome)["host/esxiz10"] == "blocked"
        assert moving.old.read_bytes() == before[0]
    assert query(moving.new, "SELECT description FROM tenants") == [("another",)]


class DiedError(Exception):
    """vdvs was killed here."""


@pytest.fixture
def die(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], list[str]]:
    """Let vdvs die before, or right after, the writing request of that number; returns what has been asked by then."""

    def die(at: int, after: bool) -> list[str]:
        asked: list[str] = []
        for name in ("copy_db", "apply_db", "apply_host", "retire_db"):
            really = getattr(AgentClient, name)

            async def call(self: Any, *args: Any, really: Any = really, name: str = name) -> Any:
                number = len(asked)
                asked.append(name)
                if number > at or (number == at and not after):
                    raise DiedError
                answer = await really(self, *args)
                if number == at:
                    raise DiedError
                return answer

            monkeypatch.setattr(AgentClient, name, call)
        return asked

    return die


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(4))
def test_killed_between_any_two_steps_the_next_apply_finishes_it(
    at: int, after: bool, moving: MovingSite, die: Callable[[int, bool], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = die(at, after)
    with pytest.raises((DiedError, ExceptionGroup)):
        moving.site.reconcile()
    monkeypatch.undo()
    assert len(asked) > at, "there are not so many steps"
    assert moving.closed()
    if not moving.is_retired():  # it may still be in use
        book(moving.old, "since")
    elif moving.new.exists():
        book(moving.new, "since")
    expected = content(moving.new if moving.is_retired() else moving.old)
    outcome = moving.site.reconcile()
    assert {"failed", "blocked"}.isdisjoint(statuses(outcome).values()), outcome.objects
    assert {name for *_, name, _ in expected["volumes"]} == {"first", "since"}
    moving.assert_moved(expected)
    assert_in_sync(moving.site)


def interrupted(moving: MovingSite, die: Callable[[int, bool], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy is there, and no host uses it yet."""
    die(0, True)
    with pytest.raises((DiedError, ExceptionGroup)):
        moving.site.reconcile()
    monkeypatch.undo()


def test_what_was_changed_by_hand_in_the_old_one_meanwhile_is_brought_over(
    moving: MovingSite, die: Callable[[int, bool], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(moving, die, monkeypatch)
    query(moving.old, "UPDATE tenants SET description = 'by hand'")
    before = content(moving.old)
    moving.site.reconcile()
    moving.assert_moved(before)


def test_changed_on_both_sides_neither_is_lost(
    moving: MovingSite, die: Callable[[int, bool], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(moving, die, monkeypatch)
    query(moving.old, "UPDATE tenants SET description = 'one'")
    query(moving.new, "UPDATE tenants SET description = 'other'")
    outcome = moving.site.reconcile()
    assert statuses(outcome)["configdb/shared"] == "blocked"
    assert "both were changed" in reason(outcome, "configdb/shared")
    assert query(moving.old, "SELECT description FROM tenants") == [("one",)]
    assert query(moving.new, "SELECT description FROM tenants") == [("other",)]
    query(moving.new, "UPDATE tenants SET description = 'one'")
    assert {"failed", "blocked"}.isdisjoint(statuses(moving.site.reconcile()).values())
    assert query(moving.new, "SELECT description FROM tenants") == [("one",)]


def test_changed_by_hand_in_the_middle_of_it_a_new_plan_brings_it_over(
    moving: MovingSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = AgentClient.retire_db
    meddled: list[bool] = []

    async def meddle_first(self: Any, *args: Any) -> Any:
        if not meddled:
            meddled.append(True)
            query(moving.old, "UPDATE tenants SET description = 'by hand'")
        return await really(self, *args)

    monkeypatch.setattr(AgentClient, "retire_db", meddle_first)
    outcome = moving.site.reconcile()
    assert {"failed", "blocked"}.isdisjoint(statuses(outcome).values()), outcome.objects
    assert query(moving.new, "SELECT description FROM tenants") == [("by hand",)]
    assert_in_sync(moving.site)


def test_it_moves_back(moving: MovingSite) -> None:
    if moving.own:
        return
    before = content(moving.old)
    moving.site.reconcile()
    moving.site.write(PINNED)
    moving.site.reconcile()
    assert content(moving.old) == before
    assert_in_sync(moving.site)


def test_a_host_that_still_links_to_the_old_one_is_refused_and_led_on(moving: MovingSite) -> None:
    if moving.own:
        return
    old_target = os.readlink(moving.site.link("esxiz20"))
    moving.site.reconcile()
    moving.site.link("esxiz20").unlink()
    moving.site.link("esxiz20").symlink_to(old_target)
    change = moving.site.change("host/esxiz20")
    assert (change.op, any("BrokenLink" in note for note in change.notes)) == (Op.UPDATE, True)
    moving.site.reconcile()
    assert_in_sync(moving.site)


def test_a_saved_plan_moves_it_and_one_that_is_stale_does_nothing(moving: MovingSite, tmp_path: Path) -> None:
    stale, good = tmp_path / "stale.plan", tmp_path / "good.plan"
    assert vdvs(moving.site, "plan", "--out", str(stale)).exit_code == 0
    query(moving.old, "UPDATE tenants SET description = 'since'")
    refused = CliRunner().invoke(cli, ["apply", "--plan", str(stale)], catch_exceptions=False)
    assert (refused.exit_code, moving.new.exists()) == (3, False)
    before = content(moving.old)
    assert vdvs(moving.site, "plan", "--out", str(good)).exit_code == 0
    done = CliRunner().invoke(cli, ["apply", "--plan", str(good)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    moving.assert_moved(before)
    assert_in_sync(moving.site)
