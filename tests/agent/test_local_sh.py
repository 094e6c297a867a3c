"""The text of local.sh, before and after. Each folder of tests/golden/local_sh is a case:

`before`: the file as it is; `form`: what is understood of it (form, datastore, whether it runs and why not); `after`:
with our section for the datastore `id-1`; `removed`: without any section. A new case is a new folder with `before`;
UPDATE_GOLDEN=1 writes the rest.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from reconciler.agent import local_sh
from reconciler.agent.local_sh import TAG

CASES = sorted(path for path in (Path(__file__).parents[1] / "golden" / "local_sh").iterdir() if path.is_dir())
ID = "5a7b0001-0a0b0c0d-9bc3-000c29c1501d"
UPDATE = os.environ.get("UPDATE_GOLDEN")


def test_there_are_cases() -> None:
    assert len(CASES) >= 15


def expect(case: Path, name: str, text: str) -> None:
    if UPDATE:
        (case / name).write_bytes(text.encode("latin-1"))
    assert text == read(case / name)


def read(path: Path) -> str:
    return path.read_bytes().decode("latin-1")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(case: Path) -> None:
    before = read(case / "before")
    said = local_sh.understand(before)
    why = f", {said['why']}" if said["why"] else ""
    form = f"{said['form']} {said['datastore']}\nruns: {said['runs']}{why}\n"
    expect(case, "form", form)
    expect(case, "after", local_sh.with_section(before, "id-1"))
    expect(case, "removed", local_sh.without_section(before))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_holds_in_every_case(case: Path, tmp_path: Path) -> None:
    before = read(case / "before")
    after = local_sh.with_section(before, "id-1")
    said = local_sh.understand(after)
    assert (said["form"], said["datastore"]) == ("ours", "id-1")
    assert said["runs"] or said["hindrance"] or said["why"].startswith("line ")
    assert local_sh.with_section(after, "id-1") == after
    assert local_sh.understand(local_sh.without_section(before))["form"] == "missing"
    foreign = [line for line in before.splitlines() if "foreign" in line]
    assert [line for line in after.splitlines() if "foreign" in line] == foreign
    assert is_shell(after, tmp_path) or not is_shell(before, tmp_path)


def is_shell(text: str, folder: Path) -> bool:
    script = folder / "local.sh"
    script.write_bytes(text.encode("latin-1"))
    return subprocess.run(["sh", "-n", script], capture_output=True).returncode == 0


@pytest.mark.parametrize("wrong", ["", ".", "..", "a/b", "it's", "a\nb", "a\0b", "a\x7f", "\u00c5"])
def test_what_cannot_be_the_id_of_a_datastore(wrong: str) -> None:
    with pytest.raises(ValueError, match="not the id"):
        local_sh.section_text(wrong)


def test_the_section_is_shell_that_makes_the_link_and_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "vmdkops"
    text = local_sh.section_text("datastore1 (1); $x").replace("/etc/vmware/vmdkops", str(folder))
    for _ in range(2):
        subprocess.run(["sh", "-eu", "-c", text], check=True)
    link = folder / "auth-db"
    target = "/vmfs/volumes/datastore1 (1); $x/dockvols/vmdkops_config.db"
    assert str(link.readlink()) == target
    link.unlink()
    link.write_text("a DB of this host alone")
    subprocess.run(["sh", "-eu", "-c", text], check=True)
    assert link.read_text() == "a DB of this host alone"


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x85", "\u00c5"])
def test_only_a_newline_ends_a_line(character: str) -> None:
    """The bytes of an A with a ring, for one, hold what Unicode calls the end of a line; the shell does not."""
    foreign = f"#!/bin/sh\necho '{character}exit 0'\necho '{character}{TAG}'\n".encode().decode("latin-1")
    text = local_sh.with_section(foreign + "exit 0\n", ID)
    assert text == f"#!/bin/sh\n{local_sh.section_text(ID)}{foreign[10:]}exit 0\n"
    assert local_sh.understand(text)["form"] == "ours"
    assert local_sh.without_section(text) == foreign + "exit 0\n"
