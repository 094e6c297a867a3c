"""Metadata of volumes: how they are read, and that only the access is changed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.agent.dockvols import access as module
from tests.agent.world import ANOTHER_PYTHON, G1, G2, URL, Agent

METADATA: dict[str, Any] = {
    "status": "detached",
    "created": "Mon Nov 23 20:15:00 2026",
    "volOpts": {"size": "1gb", "fstype": "ext4", "access": "read-write", "attach-as": "independent_persistent"},
    "created-by": "phóton-01",
    "zz": 1,
    "aa": [None, 1.5],
}


def volume(agent: Agent, metadata: Any = METADATA, name: str = "web", folder: str = G1, side: str = "") -> Path:
    """A volume with these metadata (bytes: as they are); the file that has them."""
    (agent.dockvols / folder).mkdir(exist_ok=True)
    side = side or f"{name}-4b88db79778570b6.vmfd"
    (agent.dockvols / folder / f"{name}.vmdk").write_text(f'# Disk\nddb.sidecars = "{name}_1,{side}"\n')
    file = agent.dockvols / folder / side
    content = metadata if isinstance(metadata, bytes) else (json.dumps(metadata).ljust(4095) + "\n").encode()
    file.write_bytes(content)
    return file


def look(agent: Agent, names: list[str] | None = None) -> Any:
    seen = agent.ask("observe", datastores=[URL], files={URL: {"Volume": names}}, deadline=0)
    return seen["datastores"][URL]["files"][1]


def web(agent: Agent) -> Any:
    return look(agent, ["web"])["found"][G1]["web"]


def do(agent: Agent, file: Path, access: str = "read-only", name: str = "web", **other: str) -> str:
    digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
    action = {"action": "SetVolumeAccess", "url": URL, "uuid": G1, "name": name, "access": access, "digest": digest}
    (result,) = agent.ask("apply_files", actions=[{**action, **other}])["results"]
    return "ok" if result["ok"] else str(result["reason"])


def read_only(metadata: dict[str, Any]) -> str:
    return json.dumps({**metadata, "volOpts": {**metadata["volOpts"], "access": "read-only"}})


def fail_at(monkeypatch: pytest.MonkeyPatch, name: str, path: Path, number: int, times: int = 99) -> None:
    """Make this function of the operating system fail this many times for this path (its last argument)."""
    really, left = getattr(os, name), [times]

    def call(*arguments: Any, **more: Any) -> Any:
        if str(path) in [os.path.abspath(each) for each in arguments[:2] if isinstance(each, str)] and left[0] > 0:
            left[0] -= 1
            raise OSError(number, os.strerror(number), str(path))
        return really(*arguments, **more)

    monkeypatch.setattr(os, name, call)


in_this_process = pytest.mark.skipif(ANOTHER_PYTHON is not None, reason="it fails in this process only")


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_VALUES = st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
_OPTIONS = st.none() | st.dictionaries(st.sampled_from(["size", "access", "fstype", "é"]), _VALUES)
_OBJECTS = st.builds(
    lambda others, options: {**others, **options},
    st.dictionaries(st.text(), _VALUES),
    st.fixed_dictionaries({}, optional={"volOpts": _OPTIONS, "status": st.text()}),
).filter(lambda found: found.get("volOpts") is None or isinstance(found["volOpts"], dict))


class TestLooking:
    def test_what_nobody_asks_for_is_not_read(self, agent: Agent) -> None:
        volume(agent)
        seen = agent.ask("observe", datastores=[URL], deadline=0)["datastores"][URL]["files"][1]
        assert seen == {"kind": "Volume", "error": None, "looked": [], "found": {}}

    def test_what_is_asked_for_is_found_in_every_vmgroup_that_has_it(self, agent: Agent) -> None:
        volume(agent)
        volume(agent, folder=G2)
        volume(agent, name="other")
        found = look(agent, ["web", "gone"])
        assert found["looked"] == ["web", "gone"]
        assert {uuid: list(names) for uuid, names in found["found"].items()} == {G1: ["web"], G2: ["web"]}
        assert sorted(look(agent, None)["found"][G1]) == ["other", "web"]

    def test_the_fields_of_its_settings(self, agent: Agent) -> None:
        file = volume(agent)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert web(agent) == {
            "state": "read", "why": "", "digest": digest, "access": "read-write", "attached": None
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("metadata", "access"),
        [({}, None), ({"volOpts": None}, None), ({"volOpts": {}}, None), ({"volOpts": {"access": 1}}, "1")],
    )
    def test_a_missing_or_unknown_access(self, agent: Agent, metadata: Any, access: str | None) -> None:
        volume(agent, metadata)
        assert web(agent)["access"] == access

    def test_who_has_it_attached(self, agent: Agent) -> None:
        volume(agent, {"status": "attached", "attachedVMUuid": "50aa", "attachedVMName": "phóton"})
        assert web(agent)["attached"] == ["50aa", "phóton"]
        volume(agent, {"status": "attached"})
        assert web(agent)["attached"] == [None, None]
        volume(agent, {"status": "detached", "attachedVMUuid": "50aa"})
        assert web(agent)["attached"] is None

    def test_the_newest_snapshot_names_the_file(self, agent: Agent) -> None:
        volume(agent)
        for number, access in ((2, "old"), (1, "new")):
            side = volume(agent, {"volOpts": {"access": access}}, f"web-{number:06}").parent / f"web-{number:06}.vmdk"
            os.utime(side)
        assert list(look(agent, None)["found"][G1]) == ["web"]
        assert web(agent)["access"] == "new"

    @pytest.mark.parametrize("line", ["", 'sidecars = "web_1"', "nothing"])
    def test_a_descriptor_that_names_none_is_unusable(self, agent: Agent, line: str) -> None:
        descriptor = volume(agent).with_name("web.vmdk")
        descriptor.write_text(line + "\n")
        assert (web(agent)["state"], "names no metadata file" in web(agent)["why"]) == ("unusable", True)

    @pytest.mark.parametrize("side", ["../secret.vmfd", "/etc/passwd", "sub/x", "..", "."])
    def test_a_file_in_another_folder_is_never_read(self, agent: Agent, side: str) -> None:
        (agent.dockvols / "secret.vmfd").write_text(json.dumps(METADATA))
        volume(agent).with_name("web.vmdk").write_text(f'sidecars = "web_1,{side}"\n')
        assert (web(agent)["state"], "in another folder" in web(agent)["why"]) == ("unusable", True)

    def test_descriptors_that_somebody_wrote_to_take_long_do_not(self, agent: Agent) -> None:
        for number in range(300):
            volume(agent, name=f"v{number}").with_name(f"v{number}.vmdk").write_text("sidecars" * 620)
        began = time.monotonic()
        assert len(look(agent, None)["found"][G1]) == 300
        assert time.monotonic() - began < 1.5

    def test_a_large_descriptor_is_data_to_vdvs(self, agent: Agent) -> None:
        descriptor = volume(agent).with_name("web.vmdk")
        descriptor.write_text(descriptor.read_text().ljust(5000))
        assert (web(agent)["state"], "has 5000 bytes" in web(agent)["why"]) == ("unusable", True)

    def test_a_file_that_is_gone_or_a_link_is_unusable(self, agent: Agent) -> None:
        file = volume(agent)
        file.rename(file.with_name("elsewhere"))
        assert (web(agent)["state"], "is missing" in web(agent)["why"]) == ("unusable", True)
        file.symlink_to("elsewhere")
        assert (web(agent)["state"], "is not a file" in web(agent)["why"]) == ("unusable", True)

    @pytest.mark.parametrize("content", [b"", b"{", b"\0" * 4096, b"[]", b'"x"', b"\xff{}", b"[" * 60000])
    def test_what_is_no_object_is_unknown(self, agent: Agent, content: bytes) -> None:
        volume(agent, content)
        assert (web(agent)["state"], "is damaged" in web(agent)["why"]) == ("unknown", True)

    def test_what_is_too_large_is_unknown(self, agent: Agent) -> None:
        volume(agent, b"{}".ljust(65537))
        assert (web(agent)["state"], "more than 65536 bytes" in web(agent)["why"]) == ("unknown", True)

    def test_options_that_are_no_object_are_unusable(self, agent: Agent) -> None:
        volume(agent, {"volOpts": "access"})
        assert web(agent)["state"] == "unusable"

    def test_a_folder_that_is_a_link_is_not_followed(self, agent: Agent) -> None:
        volume(agent, folder=G2)
        (agent.dockvols / G1).symlink_to(G2)
        assert list(look(agent, ["web"])["found"]) == [G2]

    @in_this_process
    def test_what_cannot_be_read_is_unknown(self, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
        fail_at(monkeypatch, "open", volume(agent), errno.EIO)
        assert web(agent) == {"state": "unknown", "why": "its metadata cannot be read: Input/output error"}

    @in_this_process
    def test_what_is_busy_is_looked_at_again(self, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
        fail_at(monkeypatch, "open", volume(agent), errno.EBUSY, times=3)
        assert web(agent)["state"] == "read"

    @in_this_process
    def test_a_folder_that_cannot_be_listed_is_an_error_and_not_empty(
        self, agent: Agent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        volume(agent)
        fail_at(monkeypatch, "scandir", agent.dockvols / G1, errno.EIO)
        assert "cannot be listed" in look(agent, ["web"])["error"]


class TestChanging:
    def test_only_the_access_is_changed_and_the_order_stays(self, agent: Agent) -> None:
        file = volume(agent)
        file.chmod(0o640)
        assert do(agent, file) == "ok"
        assert file.read_text() == read_only(METADATA).ljust(4095) + "\n"
        assert file.stat().st_mode & 0o777 == 0o640
        assert sorted(os.listdir(file.parent)) == ["web-4b88db79778570b6.vmfd", "web.vmdk"]

    def test_what_was_there_is_kept(self, agent: Agent) -> None:
        file = volume(agent)
        before = file.read_bytes()
        assert do(agent, file) == "ok"
        assert (agent.dockvols / ".vdvs-backups" / G1 / file.name).read_bytes() == before
        assert do(agent, file, "read-write") == "ok"
        assert json.loads(file.read_text()) == METADATA
        assert os.listdir(agent.dockvols / ".vdvs-backups" / G1) == [file.name]

    @pytest.mark.parametrize("metadata", [{}, {"volOpts": None}, {"volOpts": {}}, {"volOpts": {"size": "1gb"}}])
    def test_a_missing_access_is_added(self, agent: Agent, metadata: Any) -> None:
        file = volume(agent, metadata)
        assert do(agent, file) == "ok"
        expected = {**metadata, "volOpts": {**(metadata.get("volOpts") or {}), "access": "read-only"}}
        assert json.loads(file.read_text()) == expected

    @pytest.mark.parametrize("length", [4094, 4095, 4096, 4097, 8191, 8192])
    def test_the_file_is_a_multiple_of_a_block_whatever_the_length(self, agent: Agent, length: int) -> None:
        short = len(read_only({"volOpts": {}, "x": ""}))
        metadata = {"volOpts": {}, "x": "x" * (length - short)}
        file = volume(agent, metadata)
        assert do(agent, file) == "ok"
        content = file.read_bytes()
        assert len(content.rstrip()) == length
        assert len(content) == (4096 if length < 4096 else 8192 if length < 8192 else 12288)
        assert content.endswith(b"\n")

    def test_names_that_are_not_ascii(self, agent: Agent) -> None:
        file = volume(agent, b"{", "wéb")
        assert "wéb-4b88db79778570b6.vmfd is damaged" in look(agent, ["wéb"])["found"][G1]["wéb"]["why"]
        assert do(agent, file, name="wéb") == "ReadError"
        file.unlink()
        assert do(agent, file, name="wéb") == "Unusable"
        file = volume(agent, METADATA, "wéb")
        assert do(agent, file, name="wéb") == "ok"
        assert json.loads(file.read_text())["volOpts"]["access"] == "read-only"

    @given(metadata=_OBJECTS, access=st.sampled_from(module.ACCESS))
    def test_whatever_else_is_in_it_stays(self, metadata: dict[str, Any], access: str) -> None:
        content = module.changed(json.dumps(metadata).encode(), access)
        after = json.loads(content)
        expected = dict(metadata)
        expected["volOpts"] = {**(metadata.get("volOpts") or {}), "access": access}
        assert after == expected
        assert list(after) == list(expected)
        assert list(after["volOpts"]) == list(expected["volOpts"])
        assert len(content) % 4096 == 0
        assert content.endswith(b"\n")

    def test_what_is_so_already_is_not_written(self, agent: Agent) -> None:
        file = volume(agent, {"volOpts": {"access": "read-only"}})
        before = file.stat()
        assert do(agent, file, digest="another") == "ok"
        assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        unsaid = volume(agent, {}, "unsaid")
        assert do(agent, unsaid, "read-write", "unsaid") == "ok"
        assert json.loads(unsaid.read_text()) == {}

    def test_what_has_changed_since_is_not_written(self, agent: Agent) -> None:
        file = volume(agent)
        before = file.read_bytes()
        assert do(agent, file, digest=hashlib.sha256(b"what the plan saw").hexdigest()) == "Moved"
        assert file.read_bytes() == before
        assert not (agent.dockvols / ".vdvs-backups").exists()

    @pytest.mark.parametrize("content", [b"{", b"", b"\0" * 4096])
    def test_what_is_damaged_is_not_written(self, agent: Agent, content: bytes) -> None:
        file = volume(agent, content)
        assert do(agent, file) == "ReadError"
        assert file.read_bytes() == content

    def test_nothing_is_written_through_a_link(self, agent: Agent) -> None:
        file = volume(agent)
        target = file.rename(agent.dockvols / "target")
        file.symlink_to("../target")
        before = target.read_bytes()
        assert do(agent, file) == "Unusable"
        assert file.is_symlink()
        assert target.read_bytes() == before

    def test_a_folder_that_is_a_link_holds_no_volume(self, agent: Agent) -> None:
        file = volume(agent, folder=G2)
        (agent.dockvols / G1).symlink_to(G2)
        before = file.read_bytes()
        assert do(agent, file) == "Missing"
        assert file.read_bytes() == before

    def test_a_place_for_backups_that_is_a_link_is_not_used(self, agent: Agent, tmp_path: Path) -> None:
        file = volume(agent)
        before = file.read_bytes()
        (tmp_path / "outside").mkdir()
        (agent.dockvols / ".vdvs-backups").symlink_to(tmp_path / "outside")
        assert do(agent, file) == "NotAFolder"
        assert file.read_bytes() == before
        assert os.listdir(tmp_path / "outside") == []

    @pytest.mark.skipif(os.getuid() == 0, reason="root writes everywhere")
    def test_a_read_only_datastore_is_reported(self, agent: Agent) -> None:
        file = volume(agent)
        before = file.read_bytes()
        agent.dockvols.chmod(0o555)
        try:
            assert do(agent, file) == "ReadOnly"
        finally:
            agent.dockvols.chmod(0o755)
        assert file.read_bytes() == before

    @in_this_process
    @pytest.mark.parametrize(
        ("number", "reason"),
        [(errno.ENOSPC, "DiskFull"), (errno.EROFS, "ReadOnly"), (errno.EIO, "ReadError"), (errno.EBUSY, "Locked")],
    )
    def test_a_write_that_fails_leaves_the_file_whole(
        self, agent: Agent, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
    ) -> None:
        monkeypatch.setattr(module, "PAUSE", 0)
        file = volume(agent)
        before = file.read_bytes()
        fail_at(monkeypatch, "rename", file, number)
        assert do(agent, file) == reason
        assert file.read_bytes() == before
        assert sorted(os.listdir(file.parent)) == [file.name, "web.vmdk"]

    @in_this_process
    def test_a_file_that_is_busy_for_a_while_is_written(self, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "PAUSE", 0)
        file = volume(agent)
        fail_at(monkeypatch, "rename", file, errno.EBUSY, times=3)
        assert do(agent, file) == "ok"

    @in_this_process
    def test_what_somebody_writes_in_the_meantime_is_not_overwritten(
        self, agent: Agent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """vDVS notes that a VM has attached it, after the first look and before the rename."""
        file = volume(agent)
        changed = module.changed

        def attached_meanwhile(*arguments: Any) -> bytes:
            file.write_text(json.dumps({**METADATA, "status": "attached"}).ljust(4095) + "\n")
            return changed(*arguments)

        monkeypatch.setattr(module, "changed", attached_meanwhile)
        assert do(agent, file) == "Moved"
        assert json.loads(file.read_text())["status"] == "attached"
        assert sorted(os.listdir(file.parent)) == [file.name, "web.vmdk"]

    @pytest.mark.parametrize(
        "other",
        [{"access": "ro"}, {"uuid": "policies"}, {"uuid": "../x"}, {"name": "a/b"}, {"name": ""}, {"action": "X"}],
    )
    def test_nonsense_is_refused(self, agent: Agent, other: dict[str, str]) -> None:
        assert do(agent, volume(agent), **other) == "BadRequest"

    def test_a_volume_that_is_not_there(self, agent: Agent) -> None:
        assert do(agent, volume(agent), name="gone") == "Missing"
        assert do(agent, volume(agent), uuid=G2) == "Missing"
