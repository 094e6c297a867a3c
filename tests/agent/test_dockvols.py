"""The content of `dockvols/`, and its links named after vmgroups."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

from tests.agent.world import G1, G2, URL, VOLUME, Agent, break_at

TARGET = f"{URL}/dockvols/{G1}"
SET = {"action": "SetNameLink", "url": URL, "name": "G1", "uuid": G1}
REMOVE = {"action": "RemoveNameLink", "url": URL, "name": "G1", "target": TARGET}


def entries(agent: Agent) -> Any:
    found = agent.ask("observe", datastores=[URL], deadline=0)["datastores"][URL]
    assert found["error"] is None
    return found["entries"]


def error(agent: Agent, url: str = URL) -> str:
    found = agent.ask("observe", datastores=[url], deadline=0)["datastores"][url]
    assert found["entries"] == {}
    return str(found["error"])


def test_folders_links_and_files(ready: Agent) -> None:
    (ready.dockvols / G1).mkdir()
    (ready.dockvols / "old.vmdk").touch()
    (ready.dockvols / "G1").symlink_to(f"/vmfs/volumes/SHARED/dockvols/{G1}")
    (ready.dockvols / "G2").symlink_to(G2)
    (ready.dockvols / "away").symlink_to("/vmfs/volumes/not-mounted/dockvols/x")
    (ready.dockvols / "out").symlink_to("../../elsewhere")
    assert entries(ready) == {
        G1: ["folder", None, 0],
        "old.vmdk": ["file", None, 0],
        "G1": ["link", TARGET, 0],
        "G2": ["link", f"{URL}/dockvols/{G2}", 0],
        "away": ["link", "/vmfs/volumes/not-mounted/dockvols/x", 0],
        "out": ["link", "/vmfs/volumes/elsewhere", 0],
    }


def test_only_volumes_are_counted(agent: Agent) -> None:
    folder = agent.dockvols / G1
    folder.mkdir()
    for name in ("a.vmdk", "a-flat.vmdk", "a-000001.vmdk", "a-000001-delta.vmdk", "a-ctk.vmdk", "a-digest.vmdk"):
        (folder / name).touch()
    for name in ("b.vmdk", "b-4b88db79778570b6.vmfd", "c-00001.vmdk", "c-0000001.vmdk", "notes.txt"):
        (folder / name).touch()
    assert entries(agent)[G1] == ["folder", None, 4]  # a, b, c-00001, c-0000001


def test_no_dockvols_is_nothing_but_no_datastore_is_an_error(agent: Agent) -> None:
    agent.dockvols.rmdir()
    assert entries(agent) == {}
    agent.dockvols.symlink_to("gone")
    assert "neither a folder nor a link to one" in error(agent)
    shutil.rmtree(agent.volume)
    assert "not mounted" in error(agent)
    assert "not the URL of a datastore" in error(agent, "/etc")


@pytest.mark.parametrize("path", ["dockvols", f"dockvols/{G1}"])
def test_what_cannot_be_looked_at_is_an_error_and_not_absent(
    agent: Agent, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stale handle of NFS, say: a vmgroup with volumes in there must not seem to have none."""
    (agent.dockvols / G1).mkdir()
    break_at(monkeypatch, agent.volume / path)
    assert "Stale file handle" in error(agent)
    if path == "dockvols":
        assert agent.links(SET, REMOVE) == ["ReadError", "ReadError"]


def test_what_goes_while_it_is_listed_is_not_there(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    (agent.dockvols / G1).mkdir()
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: [*listed(path), "gone"] if path == str(agent.dockvols) else [])
    assert entries(agent) == {G1: ["folder", None, 0]}


def test_a_name_link_is_made_moved_and_removed(agent: Agent) -> None:
    link = agent.dockvols / "G1"
    assert agent.links(SET) == ["ok"]
    assert str(link.readlink()) == TARGET
    assert agent.links({**SET, "uuid": G2}) == ["ok"]
    assert str(link.readlink()) == f"{URL}/dockvols/{G2}"
    assert agent.links(REMOVE) == ["Moved"]
    assert agent.links({**REMOVE, "target": f"{URL}/dockvols/{G2}"}) == ["ok"]
    assert agent.links(REMOVE) == ["ok"]
    assert agent.files() == []


def test_a_link_by_the_datastores_name_is_known_by_its_target_and_rewritten(agent: Agent) -> None:
    link = agent.dockvols / "G1"
    link.symlink_to(f"/vmfs/volumes/SHARED/dockvols/{G1}")
    assert agent.links({**SET, "url": "/vmfs/volumes/SHARED"}) == ["ok"]
    assert str(link.readlink()) == f"/vmfs/volumes/{VOLUME}/dockvols/{G1}"
    link.unlink()
    link.symlink_to(G1)
    assert agent.links(REMOVE) == ["ok"]


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_folder_or_a_file_is_never_touched(agent: Agent, what: str) -> None:
    path = agent.dockvols / "G1"
    path.mkdir() if what == "folder" else path.touch()
    assert agent.links(SET, REMOVE) == ["NotALink", "NotALink"]
    assert entries(agent) == {"G1": [what, None, 0]}


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", "../x", "a\0b"])
def test_a_name_cannot_lead_out_of_the_folder(agent: Agent, name: str) -> None:
    assert agent.links({**SET, "name": name}, {**REMOVE, "name": name}) == ["BadRequest", "BadRequest"]


def test_a_uuid_that_is_none_is_refused(agent: Agent) -> None:
    assert agent.links({**SET, "uuid": "../policies"}, {**SET, "uuid": G1.upper()}) == ["BadRequest", "BadRequest"]


def test_each_link_stands_alone(agent: Agent) -> None:
    (agent.dockvols / "taken").mkdir()
    actions = [{**SET, "name": "taken"}, {**SET, "url": "/vmfs/volumes/gone"}, SET, {"action": "Explode"}]
    assert agent.links(*actions) == ["NotALink", "NotMounted", "ok", "BadRequest"]


def test_names_in_any_language(agent: Agent) -> None:
    assert agent.links({**SET, "name": "Gr\u00fcn \u2603"}) == ["ok"]
    assert entries(agent) == {"Gr\u00fcn \u2603": ["link", TARGET, 0]}
