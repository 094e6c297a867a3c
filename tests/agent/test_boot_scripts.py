"""What is said of a boot script is what busybox's ash does, before and after our edit.

As on a host, a shell starts the script by its path, so its first line counts. Paths are rewritten into a folder of the
test, and no programs but those of busybox are found.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.agent import local_sh
from tests.agent.boot_scripts import BEHIND, HARMLESS, HINDERED, ID, NAMING, texts

BUSYBOX = shutil.which("busybox")
PROGRAMS = ("sh", "ash", "mkdir", "ln", "rm", "mv", "cat", "dirname", "sleep", "date", "true", "false")
PATHS = re.compile(rb"/(?=(etc/vmware|vmfs/|tmp\b|usr/lib/vmware))")
SCRIPTS = texts()

pytestmark = pytest.mark.skipif(BUSYBOX is None, reason="needs busybox")


@dataclass(frozen=True)
class Boot:
    """The result of a boot: the target of the link (None: no link), and the output of the script."""

    link: str | None
    output: bytes


def boot(text: str, box: Path) -> Boot:
    """Run a local.sh in this folder, which is created for it, as /etc/rc.local of ESXi does."""
    shutil.rmtree(box, ignore_errors=True)
    for folder in ("bin", "tmp", "etc/vmware", "vmfs/volumes"):
        (box / folder).mkdir(parents=True)
    for program in PROGRAMS:
        (box / "bin" / program).symlink_to(str(BUSYBOX))
    script = PATHS.sub(bytes(box) + b"/", text.encode("latin-1"))
    script = re.sub(rb"\A#!([ \t]*)/bin/(sh|ash)\b", rb"#!\1" + bytes(box) + rb"/bin/\2", script)
    script = re.sub(rb"\A(#![^\n]*)[ ]\+\+\S+", rb"\1", script)  # ESXi itself takes it off
    (box / "local.sh").write_bytes(script)
    (box / "local.sh").chmod(0o755)
    started = subprocess.Popen(
        [str(BUSYBOX), "ash", "-c", "./local.sh; :"],
        cwd=box,
        env={"PATH": str(box / "bin")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        output = started.communicate(timeout=2)[0]
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        output = started.communicate()[0]
    link = box / "etc/vmware/vmdkops/auth-db"
    target = str(link.readlink()).removeprefix(str(box)) if link.is_symlink() else None
    return Boot(target, output)


def judge(text: str, box: Path) -> Boot:
    """Boot, and compare with the agent's statement about the text."""
    said, booted = local_sh.understand(text), boot(text, box)
    if said["runs"]:
        assert booted.link == f"/vmfs/volumes/{said['datastore']}/dockvols/vmdkops_config.db"
    elif said["runs"] is None:
        assert re.match(r"lines? \d", said["why"]), said
    elif "vmdkops" not in text:
        assert booted.link is None
    return booted


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_statement_holds(name: str, tmp_path: Path) -> None:
    judge(SCRIPTS[name], tmp_path / "box")
    said = local_sh.understand(SCRIPTS[name])
    assert (said["form"] == "not first" and said["runs"] is True) is (name in BEHIND)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_statement_holds_after_our_edit(name: str, tmp_path: Path) -> None:
    text = SCRIPTS[name]
    edited = local_sh.with_section(text, ID)
    said, booted = local_sh.understand(edited), judge(edited, tmp_path / "box")
    assert said["form"] == "ours" or name in HINDERED
    assert said["datastore"] == ID
    assert said["runs"] is True if name in (*HARMLESS, *BEHIND) else not said["runs"]
    assert bool(said["hindrance"]) is (name in HINDERED)
    assert local_sh.with_section(edited, ID) == edited
    if local_sh.TAG not in text and name not in NAMING:
        assert booted.output == boot(text, tmp_path / "box").output  # the rest does what it did
        assert local_sh.without_section(edited) in (text, text + "\n")


@pytest.mark.parametrize("name", SCRIPTS)
def test_without_a_section_the_rest_does_what_it_did(name: str, tmp_path: Path) -> None:
    text = SCRIPTS[name]
    bare = local_sh.without_section(text)
    assert local_sh.understand(bare)["form"] == "missing"
    foreign = [line for line in text.split("\n") if re.search(r"\becho [ab]\b", line)]
    assert [line for line in bare.split("\n") if re.search(r"\becho [ab]\b", line)] == foreign
    if name in HARMLESS or name in BEHIND:
        assert boot(bare, tmp_path / "box").link is None


def test_the_original_section_runs_with_a_name_that_is_not_ascii(tmp_path: Path) -> None:
    """The shell takes the bytes as they are. The daemon makes the folder of the link before, here the script does."""
    golden = Path(__file__).parents[1] / "golden" / "local_sh" / "original-name-non-ascii" / "before"
    text = golden.read_bytes().decode("latin-1").replace("\n", "\nmkdir -p /etc/vmware/vmdkops\n", 1)
    booted = judge(text, tmp_path / "box")
    assert booted.link == "/vmfs/volumes/Größe-1/dockvols/vmdkops_config.db"


def test_there_are_scripts_of_every_kind() -> None:
    assert len(SCRIPTS) == len(HARMLESS) + len(BEHIND) + len(NAMING) + len(HINDERED) >= 60


PIECES = [text.removeprefix("#!/bin/sh\n") for name, text in SCRIPTS.items() if "never ends" not in name and text]

HEADS = ["#!/bin/sh\n", "#!/bin/sh -e\n", ""]


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=4), head=st.sampled_from(HEADS))
def test_the_statement_holds_for_any_mixture(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str], head: str
) -> None:
    box = tmp_path_factory.getbasetemp() / "mixture"
    text = head + "".join(pieces)
    judge(text, box)
    edited = local_sh.with_section(text, ID)
    judge(edited, box)
    said = local_sh.understand(edited)
    assert said["form"] == "ours" or said["hindrance"]
    assert local_sh.with_section(edited, ID) == edited or said["hindrance"]
    assert local_sh.understand(local_sh.without_section(text))["form"] == "missing"
