"""Storage policies: files in `dockvols/policies`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.agent.world import G1, URL, Agent

TEXT = '(("hostFailuresToTolerate" i1))'
OTHER = '(("hostFailuresToTolerate" i2))'
NOTHING: dict[str, Any] = {
    "kind": "StoragePolicy",
    "error": None,
    "looked": None,
    "files": {},
    "users": {},
    "unread": "there is no policy, so usage was not examined",
}


@pytest.fixture
def dockvols(agent: Agent) -> Path:
    return agent.root / URL[1:] / "dockvols"


@pytest.fixture
def folder(dockvols: Path) -> Path:
    made = dockvols / "policies"
    made.mkdir(parents=True)
    return made


def look(agent: Agent) -> Any:
    return agent.ask("observe", datastores=[URL], deadline=0)["datastores"][URL]["files"][0]


def do(agent: Agent, name: str, before: str | None, content: str | None = TEXT) -> str:
    action = {"action": "RemoveStoragePolicy", "url": URL, "name": name, "before": before}
    if content is not None:
        action |= {"action": "WriteStoragePolicy", "content": content}
    (result,) = agent.ask("apply_files", actions=[action])["results"]
    return "ok" if result["ok"] else str(result["reason"])


def volume(dockvols: Path, name: str, metadata: str, folder: str = G1) -> Path:
    """A volume with these metadata; the file that has them."""
    (dockvols / folder).mkdir(parents=True, exist_ok=True)
    (dockvols / folder / f"{name}.vmdk").write_text(f'sidecars = "{name}_1,{name}-0.vmfd"\n')
    side = dockvols / folder / f"{name}-0.vmfd"
    side.write_text(metadata)
    return side


def of_policy(name: Any) -> str:
    return json.dumps({"volOpts": {"vsan-policy-name": name}}).ljust(4095) + "\n"


class TestLooking:
    def test_without_the_folder_there_are_none(self, agent: Agent) -> None:
        assert look(agent) == NOTHING

    def test_every_file_is_one(self, agent: Agent, folder: Path) -> None:
        (folder / "gold").write_text(TEXT + "\n")
        (folder / "gold.old").write_text("")
        assert look(agent)["files"] == {"gold": [TEXT + "\n", ""], "gold.old": ["", ""]}

    def test_what_is_no_text_or_no_file_has_no_content(self, agent: Agent, folder: Path) -> None:
        (folder / "bytes").write_bytes(b"\xff\xfe")
        (folder / "folder").mkdir()
        (folder / "link").symlink_to("/etc/passwd")
        (folder / "large").write_bytes(b"x" * 65537)
        os.mkfifo(folder / "pipe")
        found = look(agent)["files"]
        assert [content for content, _ in found.values()] == [None] * 5
        assert found["link"][1] == "is a link, not a file"

    def test_what_a_writer_of_ours_left_is_none(self, agent: Agent, folder: Path) -> None:
        (folder / "gold.new-0123456789abcdef").write_text("half")
        assert look(agent)["files"] == {}

    @pytest.mark.parametrize("target", ["elsewhere", "/etc", "../../.."])
    def test_a_folder_that_is_a_link_is_an_error(self, agent: Agent, folder: Path, target: str) -> None:
        folder.rmdir()
        folder.symlink_to(target)
        assert "is a link, not a folder" in look(agent)["error"]

    def test_a_folder_that_cannot_be_read_is_an_error_and_not_empty(self, agent: Agent, folder: Path) -> None:
        if os.getuid() == 0:
            pytest.skip("root reads everything")
        folder.chmod(0)
        assert "cannot be read" in look(agent)["error"]
        folder.chmod(0o755)


class TestUsers:
    def test_the_volumes_that_name_a_policy(self, agent: Agent, dockvols: Path, folder: Path) -> None:
        (folder / "gold").write_text(TEXT + "\n")
        volume(dockvols, "web", of_policy("gold"))
        volume(dockvols, "db", of_policy("gold"))
        volume(dockvols, "plain", json.dumps({"volOpts": {}}))
        volume(dockvols, "old", of_policy("gold"), folder=".")
        (dockvols / G1 / "without.vmdk").write_text("RW 1 VMFS\n")
        found = look(agent)
        assert found["users"] == {"gold": ["old", f"{G1}/db", f"{G1}/web"]}
        assert found["unread"] is None

    @pytest.mark.parametrize("metadata", ["", "{", "x" * 70000])
    def test_metadata_that_cannot_be_read(self, agent: Agent, dockvols: Path, folder: Path, metadata: str) -> None:
        (folder / "gold").write_text(TEXT + "\n")
        volume(dockvols, "web", metadata)
        assert f"the metadata of {G1}/web cannot be read" in look(agent)["unread"]

    def test_metadata_that_are_gone_or_a_link(self, agent: Agent, dockvols: Path, folder: Path) -> None:
        (folder / "gold").write_text(TEXT + "\n")
        side = volume(dockvols, "web", "")
        side.unlink()
        assert "No such file" in look(agent)["unread"]
        side.symlink_to("/etc/passwd")
        assert "cannot be read" in look(agent)["unread"]

    @pytest.mark.parametrize("metadata", ["[]", '{"volOpts": 5}', of_policy(None), of_policy(7), of_policy("")])
    def test_metadata_that_name_none(self, agent: Agent, dockvols: Path, folder: Path, metadata: str) -> None:
        (folder / "gold").write_text(TEXT + "\n")
        volume(dockvols, "web", metadata)
        assert (look(agent)["users"], look(agent)["unread"]) == ({}, None)


class TestWriting:
    def test_a_new_one_makes_the_folders(self, agent: Agent, dockvols: Path) -> None:
        assert do(agent, "gold", None) == "ok"
        assert (dockvols / "policies/gold").read_bytes() == TEXT.encode() + b"\n"
        assert os.listdir(dockvols / "policies") == ["gold"]

    def test_a_change(self, agent: Agent, folder: Path) -> None:
        (folder / "gold").write_text(OTHER)
        assert do(agent, "gold", OTHER) == "ok"
        assert (folder / "gold").read_text() == TEXT + "\n"
        assert os.listdir(folder) == ["gold"]

    def test_what_is_done_already_is_done(self, agent: Agent, folder: Path) -> None:
        (folder / "gold").write_text(TEXT + "\n")
        assert do(agent, "gold", OTHER) == "ok"

    @pytest.mark.parametrize("before", [None, TEXT, OTHER])
    def test_one_that_has_moved_stays(self, agent: Agent, folder: Path, before: str | None) -> None:
        (folder / "gold").write_text("something else")
        assert do(agent, "gold", before) == "Moved"
        assert do(agent, "gold", before or "", None) == "Moved"
        assert (folder / "gold").read_text() == "something else"

    def test_one_that_is_gone_has_moved(self, agent: Agent, folder: Path) -> None:
        assert do(agent, "gold", OTHER) == "Moved"
        assert os.listdir(folder) == []

    @pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\nb", "gold.new-0123456789abcdef"])
    def test_a_name_that_leads_elsewhere_is_refused(self, agent: Agent, folder: Path, name: str) -> None:
        assert do(agent, name, None) == "BadRequest"
        assert do(agent, name, "", None) == "BadRequest"
        assert os.listdir(folder) == []

    def test_a_link_is_not_followed(self, agent: Agent, folder: Path, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.write_text(OTHER)
        (folder / "gold").symlink_to(outside)
        assert do(agent, "gold", OTHER) == "NotAFile"
        assert do(agent, "gold", OTHER, None) == "NotAFile"
        assert outside.read_text() == OTHER

    def test_a_folder_that_is_a_link_is_not_followed(self, agent: Agent, dockvols: Path, folder: Path) -> None:
        folder.rename(dockvols / "elsewhere")
        folder.symlink_to("elsewhere")
        assert do(agent, "gold", None) == "ReadError"
        assert os.listdir(dockvols / "elsewhere") == []


class TestRemoving:
    def test_one_that_nobody_uses(self, agent: Agent, folder: Path) -> None:
        (folder / "gold").write_text(TEXT)
        assert do(agent, "gold", TEXT, None) == "ok"
        assert os.listdir(folder) == []
        assert do(agent, "gold", TEXT, None) == "ok"

    def test_one_in_use_stays(self, agent: Agent, dockvols: Path, folder: Path) -> None:
        (folder / "gold").write_text(TEXT)
        volume(dockvols, "web", of_policy("gold"))
        assert do(agent, "gold", TEXT, None) == "InUse"
        assert os.listdir(folder) == ["gold"]

    def test_a_policy_of_unknown_usage_stays(self, agent: Agent, dockvols: Path, folder: Path) -> None:
        (folder / "gold").write_text(TEXT)
        volume(dockvols, "web", "{")
        assert do(agent, "gold", TEXT, None) == "ReadError"
        assert os.listdir(folder) == ["gold"]


def test_an_unknown_action_is_refused(agent: Agent) -> None:
    (result,) = agent.ask("apply_files", actions=[{"action": "SetNameLink"}])["results"]
    assert result["reason"] == "BadRequest"
