"""Any local.sh, repaired: no foreign line is lost, and the boot really makes the link.

Scripts are put together from pieces that occur in the field. Nothing in them does anything but print and end, so a
real shell may run them: what the agent claims about a script is compared with what that shell and the lab's do.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from reconciler.agent import local_sh
from reconciler.agent.own_lines import TAG
from reconciler.lab.rooted import Rooted
from reconciler.lab.shell.interpreter import run

FOLDER = "/etc/vmware/vmdkops"
OURS = local_sh.section_text("id-1")
ORIGINAL = f"""{TAG}
#
# This part belongs to the admin tool.
#

datastore=NAME

slink=/etc/vmware/vmdkops/auth-db
shared_db=/vmfs/volumes/$datastore/dockvols/vmdkops_config.db

if [ -d $(dirname $slink) ] && [ ! -e $slink  ]
then
    ln -s $shared_db $slink
fi

{TAG}
"""
# `@` stands for the number of the piece.
FOREIGN = [
    "# foreign @",
    "echo foreign @",
    "    echo foreign @",
    "echo 'foreign @\n    foreign @'",
    "cat <<foreign@\nforeign @\nexit 0\nforeign@",
    "if true; then\n    echo foreign @\nfi",
    "for name in foreign@; do echo $name; done",
    "foreign@() {\n    exit 3\n}",
    'case "$foreign" in\n    foreign@) echo;;\nesac',
    "echo foreign @ | cat",
    "echo foreign @ \\\n    foreign @",
    "(exit 1) # foreign @",
    "exec 2>/dev/null # foreign @",
]
ENDING = [
    "exit 0 # foreign @",
    "exit # foreign @",
    "    exit 1 # foreign @",
    "echo foreign @; exit 2",
    "{ exit 0; } # foreign @",
    "exec true foreign @",
    "foreign @ (1)",
    "if true; then exit 0; fi # foreign @",
    "true && exit 0 # foreign @",
    "false && exit 0 # foreign @",
    "set -e # foreign @",
    ". ./foreign@",
    'eval "exit 0" # foreign @',
    "foreign() { exit; }; foreign @",
    "fi # foreign @",
]
CUT = ["cat <<foreign\nforeign @", "if true; then # foreign @", "echo 'foreign @", "echo foreign @ \\"]


@st.composite
def sections(draw: st.DrawFn) -> str:
    names = ["id-1", "datastore1", "my ds", "datastore1 (1)"]
    text = draw(st.sampled_from([OURS, *(ORIGINAL.replace("NAME", name) for name in names)]))
    lines = text.splitlines()
    match draw(st.sampled_from(["whole", "whole", "whole", "foreign inside", "unclosed", "crlf", "inside if"])):
        case "foreign inside":
            place = draw(st.integers(1, len(lines) - 1).filter(lambda place: lines[place] != "then"))
            # Among the comment lines that the original writes first, one more cannot be told from them.
            comment = ["# foreign @"] if any(line.startswith("datastore=") for line in lines[:place]) else []
            lines.insert(place, draw(st.sampled_from(["echo foreign @", "    echo foreign @", *comment])))
        case "unclosed":
            lines.pop()
        case "crlf":
            lines = [line + "\r" for line in lines]
        case "inside if":
            lines = ["if false; then", *lines, "fi"]
    return "\n".join(lines)


@st.composite
def scripts(draw: st.DrawFn) -> str:
    pieces = draw(
        st.lists(st.one_of(st.sampled_from(FOREIGN), st.sampled_from(ENDING), sections(), sections()), max_size=6)
    )
    pieces += draw(st.sampled_from([[], [], [], ["exit 0"], *([cut] for cut in CUT)]))
    return headed(draw, pieces)


@st.composite
def scripts_with_one_section(draw: st.DrawFn) -> str:
    pieces = draw(st.lists(st.sampled_from(FOREIGN), max_size=3)) + draw(st.lists(st.sampled_from(ENDING), max_size=1))
    pieces += [draw(sections()), *draw(st.lists(st.sampled_from(FOREIGN + ENDING), max_size=2))]
    return headed(draw, pieces)


def headed(draw: st.DrawFn, pieces: list[str]) -> str:
    text = "\n".join(piece.replace("@", str(number)) for number, piece in enumerate(pieces))
    return draw(st.sampled_from(["#!/bin/sh\n", "#!/bin/sh\n", ""])) + text + draw(st.sampled_from(["\n", "\n", ""]))


def foreign(text: str) -> list[str]:
    return [line for line in text.split("\n") if "foreign" in line]


def booted(text: str, folder: Path) -> str | None:
    """What the link says after a real shell ran the script; None if it made none."""
    place = folder / "vmdkops"
    subprocess.run(["rm", "-rf", place], check=True)
    place.mkdir()
    script = text.replace(FOLDER, str(place)).encode("latin-1")
    subprocess.run(["sh", "-s"], input=script, capture_output=True, cwd=folder, timeout=20)
    link = place / "auth-db"
    return str(link.readlink()) if link.is_symlink() else None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("boot")


relaxed = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@relaxed
@given(scripts())
def test_a_repair_loses_no_foreign_line_and_holds(text: str) -> None:
    after = local_sh.with_section(text, "id-1")
    assert foreign(after) == foreign(text)
    assert local_sh.understand(after) == ("ours", "id-1")
    assert local_sh.runs(after) == (True, "")
    assert local_sh.with_section(after, "id-1") == after
    removed = local_sh.without_section(text)
    assert foreign(removed) == foreign(text)
    assert local_sh.understand(removed) == ("missing", None)


@relaxed
@given(scripts())
def test_after_a_repair_the_boot_makes_the_link(folder: Path, text: str) -> None:
    after = local_sh.with_section(text, "id-1")
    target = "/vmfs/volumes/id-1/dockvols/vmdkops_config.db"
    assert booted(after, folder) == target
    root = folder / "root"
    subprocess.run(["rm", "-rf", root], check=True)
    (root / "etc").mkdir(parents=True)
    run(after, Rooted(root))
    assert str((root / FOLDER[1:] / "auth-db").readlink()) == target


@relaxed
@given(scripts_with_one_section())
def test_what_is_claimed_of_a_script_is_what_a_shell_does(folder: Path, text: str) -> None:
    runs, why = local_sh.runs(text)
    event(f"runs: {runs}")
    assume(runs is not None and local_sh.understand(text)[0] != "missing")
    named = f"/vmfs/volumes/{local_sh.understand(text)[1]}/dockvols/vmdkops_config.db"
    assert (booted(text, folder) == named) is runs, why
