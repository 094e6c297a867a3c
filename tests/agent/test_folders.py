"""Nothing on a datastore is written by following a link that somebody puts there, whenever they do so."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.agent.folders import MOST_NAMES, Folder
from reconciler.agent.paths import Root
from reconciler.agent.wire import Refused
from tests.agent.world import DB, G1, G2, URL, VM1, VOLUME, Agent, act, vmgroup

AGENT = Path(__file__).parents[2] / "reconciler/agent"
METADATA = {"status": "detached", "volOpts": {"access": "read-write"}}
HOOKED = ("open", "lstat", "stat", "mkdir", "rename", "unlink", "symlink", "readlink", "scandir", "fchdir", "access")


def set_volume_access(agent: Agent) -> tuple[str, dict[str, Any]]:
    folder = agent.dockvols / G1
    folder.mkdir(parents=True)
    (folder / "web.vmdk").write_text('ddb.sidecars = "web_1.vmfd,profile.local"\n')
    (folder / "profile.local").write_text(json.dumps(METADATA))
    (agent.dockvols / ".vdvs-backups" / G1).mkdir(parents=True)
    digest = hashlib.sha256((folder / "profile.local").read_bytes()).hexdigest()
    action = {"action": "SetVolumeAccess", "url": URL, "uuid": G1, "name": "web", "access": "read-only"}
    return "apply_files", {"actions": [{**action, "digest": digest}]}


def write_policy(agent: Agent) -> tuple[str, dict[str, Any]]:
    (agent.dockvols / "policies").mkdir()
    return "apply_files", {"actions": [policy_action()]}


def write_first_policy(agent: Agent) -> tuple[str, dict[str, Any]]:
    agent.dockvols.rmdir()
    return "apply_files", {"actions": [policy_action()]}


def policy_action() -> dict[str, Any]:
    return {"action": "WriteStoragePolicy", "url": URL, "name": "gold", "content": '(("p" i1))', "before": None}


def remove_policy(agent: Agent) -> tuple[str, dict[str, Any]]:
    (agent.dockvols / "policies").mkdir()
    (agent.dockvols / "policies/gold").write_text("x\n")
    return "apply_files", {"actions": [{"action": "RemoveStoragePolicy", "url": URL, "name": "gold", "before": "x\n"}]}


def set_name_link(agent: Agent) -> tuple[str, dict[str, Any]]:
    (agent.dockvols / "web").symlink_to(G2)
    return "apply_links", {"actions": [{"action": "SetNameLink", "url": URL, "name": "web", "uuid": G1}]}


def create_db(agent: Agent) -> tuple[str, dict[str, Any]]:
    return "apply_db", agent.request([[vmgroup(G1, "G1", [VM1])]], create=True, fingerprint="absent")


def create_dockvols(agent: Agent) -> tuple[str, dict[str, Any]]:
    agent.dockvols.rmdir()
    return create_db(agent)


def move_db(agent: Agent) -> tuple[str, dict[str, Any]]:
    agent.create([vmgroup(G1, "G1", [VM1])])
    source = agent.root / "vmfs/volumes/old/dockvols"
    source.mkdir(parents=True)
    agent.db.rename(source / agent.db.name)
    path = f"/vmfs/volumes/old/dockvols/{agent.db.name}"
    known = agent.ask("observe", config_dbs=[{"path": path}], deadline=0)["config_dbs"][path]["fingerprint"]
    fields = {"path": DB, "fingerprint": "absent", "source": path, "source_host": "", "source_fingerprint": known}
    return "copy_db", {**fields, "writer": "esx1", "time": "20261201T000000Z", "deadline": 0}


def change_db(agent: Agent) -> tuple[str, dict[str, Any]]:
    agent.create([vmgroup(G1, "G1", [VM1])])
    agent.apply([act("UpdateVMGroup", G1, description="one backup", default_url=None)])
    return "apply_db", agent.request([[act("UpdateVMGroup", G1, description="new", default_url=None)]])


# Each, with the folders that are exchanged: some are only made by the work itself.
KEPT = "dockvols/.vdvs-backups"
WORK: dict[Any, list[str]] = {
    set_volume_access: ["dockvols", f"dockvols/{G1}", KEPT, f"{KEPT}/{G1}"],
    write_policy: ["dockvols", "dockvols/policies"],
    write_first_policy: ["dockvols", "dockvols/policies"],
    remove_policy: ["dockvols", "dockvols/policies"],
    set_name_link: ["dockvols"],
    create_db: ["dockvols"],
    create_dockvols: ["dockvols"],
    change_db: ["dockvols"],
    move_db: ["dockvols", "old/dockvols"],
}
EVERY: dict[Any, int] = {create_db: 5, create_dockvols: 5, change_db: 17, move_db: 19}  # those have hundreds of steps


def steps(monkeypatch: pytest.MonkeyPatch, before: Callable[[int], None]) -> None:
    """Call `before` with its number before each call of the operating system that the agent makes about a name."""
    number = iter(range(100_000))

    def hook(name: str) -> None:
        really = getattr(os, name)

        def call(*arguments: Any, **more: Any) -> Any:
            before(next(number))
            return really(*arguments, **more)

        monkeypatch.setattr(os, name, call)

    for name in HOOKED:
        hook(name)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Something of the host's own, which is as the folders on the datastore are."""
    folder = tmp_path / "outside"
    for inner in (G1, f".vdvs-backups/{G1}", "policies"):
        (folder / inner).mkdir(parents=True)
    for inner in ("policies/gold", "profile.local", f"{G1}/profile.local"):
        (folder / inner).write_text("x\n")
    return folder


def everything(folder: Path) -> dict[str, Any]:
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[str(path.relative_to(folder))] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return found


def worlds(tmp_path: Path) -> Iterator[Agent]:
    for number in range(100_000):
        agent = Agent(tmp_path / f"host{number}")
        yield agent
        agent.close()


@pytest.mark.parametrize(("work", "victim"), [(work, victim) for work, victims in WORK.items() for victim in victims])
def test_a_folder_exchanged_for_a_link_at_any_step(
    work: Callable[[Agent], tuple[str, dict[str, Any]]], victim: str, tmp_path: Path, outside: Path
) -> None:
    """Exchanged before the first step, then (in another world) before the second, and so on to the last."""
    before = everything(outside)
    for number, agent in enumerate(worlds(tmp_path)):
        at = number * EVERY.get(work, 1)
        verb, fields = work(agent)
        place = agent.root / "vmfs/volumes" / victim if victim.startswith("old") else agent.volume / victim
        taken: list[int] = []
        really = os.rename, os.symlink

        def exchange(
            step: int, at: int = at, place: Path = place, taken: list[int] = taken, really: Any = really
        ) -> None:
            if step == at:
                taken.append(step)
                if place.is_dir():
                    really[0](place, place.with_name("aside"))
                if place.parent.is_dir() and not place.exists():
                    really[1](outside / place.name if (outside / place.name).is_dir() else outside, place)

        with pytest.MonkeyPatch.context() as patch:
            steps(patch, exchange)
            reply = agent.reply(verb, **fields)
        assert everything(outside) == before, f"written outside: exchanged before step {at}"
        if not taken:  # that was the last step: it was done with nobody there
            assert "error" not in reply
            assert all(result["ok"] for result in reply["result"].get("results", ()))
            return


def test_a_config_db_is_changed_only_where_it_was_found(
    ready: Agent, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite opens by path: a DB of somebody else there is not taken for the one that was looked at."""
    other = outside / ready.db.name
    other.write_bytes(ready.db.read_bytes())
    before = other.read_bytes()
    request = ready.request([[act("UpdateVMGroup", G1, description="new", default_url=None)]])
    connect = sqlite3.connect
    swapped: list[bool] = []

    def exchange(*arguments: Any, **more: Any) -> Any:
        if "mode=rw" in str(arguments[0]) and not swapped:
            swapped.append(True)
            ready.dockvols.rename(ready.dockvols.with_name("aside"))
            ready.dockvols.symlink_to(outside)
            return connect(str(other), **{**more, "uri": False})
        return connect(*arguments, **more)

    monkeypatch.setattr(sqlite3, "connect", exchange)
    assert ready.refusal("apply_db", **request) == "Moved"
    assert swapped
    assert other.read_bytes() == before


class TestHolding:
    def test_vsan_makes_dockvols_a_link_to_a_folder_beside_it(self, agent: Agent) -> None:
        agent.dockvols.rename(agent.volume / "3f1a")
        for target in ("3f1a", f"{URL}/3f1a", "/vmfs/volumes/SHARED/3f1a"):
            agent.dockvols.symlink_to(target)
            agent.create([vmgroup(G1, "G1")])
            assert (agent.volume / "3f1a" / agent.db.name).is_file()
            (agent.volume / "3f1a" / agent.db.name).unlink()
            agent.dockvols.unlink()

    @pytest.mark.parametrize("target", ["/etc", "..", ".", "../other", "dockvols", "gone", "/vmfs/volumes/other/x"])
    def test_no_other_link_is_followed_there(self, agent: Agent, target: str) -> None:
        (agent.root / "etc").mkdir()
        (agent.root / "vmfs/volumes/other/x").mkdir(parents=True)
        agent.dockvols.rmdir()
        agent.dockvols.symlink_to(target)
        assert agent.refused([vmgroup()], create=True, fingerprint="absent") == "ReadError"
        assert agent.look()["state"] == "unknown"
        assert os.listdir(agent.root / "etc") == []

    def test_a_config_db_that_is_a_link_is_not_followed(self, ready: Agent) -> None:
        request = ready.request([[act("UpdateVMGroup", G1, description="new", default_url=None)]])
        ready.db.rename(ready.dockvols / "theirs")
        ready.db.symlink_to("theirs")
        assert ready.look()["reason"] == "Tampered"
        assert ready.refusal("apply_db", **request) == "Tampered"

    def test_what_is_no_file_holds_nobody_up(self, ready: Agent) -> None:
        """Opening a FIFO waits for a writer, for ever."""
        verb, fields = set_volume_access(ready)
        for name in (f"{G1}/profile.local", "policies"):
            path = ready.dockvols / name
            path.unlink(missing_ok=True)
            os.mkfifo(path)
        assert [each["ok"] for each in ready.ask(verb, **fields)["results"]] == [False]
        found = ready.ask("observe", datastores=[URL], files={URL: {"Volume": None}}, deadline=0)["datastores"][URL]
        by_kind = {each["kind"]: each for each in found["files"]}
        assert by_kind["Volume"]["found"][G1]["web"]["state"] == "unusable"
        assert "not a folder" in by_kind["StoragePolicy"]["error"]

    def test_a_folder_with_too_many_names_is_an_error(self, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("reconciler.agent.folders.MOST_NAMES", 3)
        for number in range(4):
            (agent.dockvols / str(number)).mkdir()
        error = agent.ask("observe", datastores=[URL], deadline=0)["datastores"][URL]["error"]
        assert "more than 3 files" in error
        assert MOST_NAMES == 100_000

    def test_what_is_done_in_a_folder_is_done_there_whatever_its_name_becomes(self, agent: Agent) -> None:
        held = Root(str(agent.root)).made(f"/vmfs/volumes/{VOLUME}/dockvols")
        agent.dockvols.rename(agent.volume / "aside")
        agent.dockvols.mkdir()
        held.write_new("file", b"content")
        assert held.read("file", 100) == b"content"
        assert os.listdir(agent.volume / "aside") == ["file"]
        assert os.listdir(agent.dockvols) == []

    def test_a_file_is_known_to_be_open_whatever_was_closed_since(self, agent: Agent) -> None:
        """The number of a descriptor says nothing: lower ones become free again."""
        folder = Root(str(agent.root)).made(f"/vmfs/volumes/{VOLUME}/dockvols")
        agent.db.write_bytes(b"x")
        assert not folder.has_opened(agent.db.name)
        low = os.open(os.devnull, os.O_RDONLY)
        with agent.db.open("rb"):
            os.close(low)
            assert folder.has_opened(agent.db.name)

    def test_a_new_file_replaces_nothing(self, agent: Agent, tmp_path: Path) -> None:
        held = Folder.at(str(agent.dockvols))
        (agent.dockvols / "link").symlink_to(tmp_path / "outside")
        with pytest.raises(FileExistsError):
            held.write_new("link", b"content")
        with pytest.raises(OSError, match="symbolic links"):
            held.read("link", 100)
        with pytest.raises(Refused, match="is a folder"):
            Folder.at(str(agent.volume)).read("dockvols", 100)
        assert not (tmp_path / "outside").exists()


WRITES = {"rename", "replace", "unlink", "remove", "rmdir", "symlink", "link", "mkdir", "makedirs", "truncate"}
OF_THE_HOST = {"folders.py", "local_sh.py"}  # the first does it; the other's file is the host's own


@pytest.mark.parametrize("path", sorted(AGENT.rglob("*.py")), ids=lambda path: str(path.relative_to(AGENT)))
def test_only_folders_write_by_name(path: Path) -> None:
    """`os.rename` and its like, and `open` for writing, are called in `folders` alone."""
    if path.name in OF_THE_HOST:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            assert node.func.value.id != "os" or node.func.attr not in WRITES, f"line {node.lineno}"
        if isinstance(node.func, ast.Name) and node.func.id == "open":
            assert "devnull" in ast.unparse(node), f"line {node.lineno}: open by name"
