"""`vdvs completion`, and what a shell is told to offer: quickly, and from anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Folder
from tests.cli.test_process import SLOW

ROOT = Path(__file__).parents[2]
NOT_LOADED = tuple(name for name in SLOW if name != "reconciler.model")
KINDS_OF_GET = ["configdbs", "hosts", "vmgroups", "storagepolicies", "volumes", "all"]


def offered(line: str, folder: Path) -> list[str]:
    """What click tells bash when TAB is pressed at the end of `line`."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - (not line.endswith(" ")))}
    variables = os.environ | {"PYTHONPATH": str(ROOT), "_VDVS_COMPLETE": "bash_complete"} | words
    code = (
        "import atexit, sys\nfrom reconciler.cli.main import main\n"
        f"atexit.register(lambda: print([name for name in {NOT_LOADED!r} if name in sys.modules], file=sys.stderr))\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=variables, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr
    if "." not in line:
        assert done.stderr == "[]\n"
    return [entry.partition(",")[2] for entry in done.stdout.splitlines() if entry.startswith("plain,")]


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("vdvs get ", KINDS_OF_GET),
        ("vdvs get VMG", ["vmgroups"]),
        ("vdvs get hosts ", []),
        ("vdvs get -o json co", ["configdbs"]),
        ("vdvs get -o ", ["text", "wide", "json", "yaml", "name"]),
        ("vdvs describe ", ["configdb", "host", "vmgroup", "storagepolicy", "volume"]),
        ("vdvs explain ho", ["host"]),
        ("vdvs explain configdb.", ["apiVersion", "kind", "metadata", "spec"]),
        ("vdvs explain host.sp", ["spec", "spec."]),
        ("vdvs explain vmgroups.spec.access.volumeT", ["volumeTotalSize"]),
        ("vdvs explain nonsense.", []),
        ("vdvs completion ", ["bash", "zsh", "fish"]),
        ("vdvs comp", ["completion"]),
    ],
)
def test_what_is_offered(tmp_path: Path, line: str, choices: list[str]) -> None:
    word = "" if line.endswith(" ") else line.split()[-1]
    above = word[: len(word) - len(word.rpartition(".")[2])]
    assert offered(line, tmp_path) == [above + choice for choice in choices]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for(tmp_path: Path, shell: str) -> None:
    done = Folder(tmp_path).vdvs("completion", shell)
    assert done.exit_code == 0
    assert f"_VDVS_COMPLETE={shell}_complete" in done.stdout


def test_no_script_for_other_shells(tmp_path: Path) -> None:
    assert Folder(tmp_path).vdvs("completion", "tcsh").exit_code == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    """The script as a user would source it; then what TAB makes bash do."""
    vdvs = tmp_path / "vdvs"
    vdvs.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m reconciler "$@"\n')
    vdvs.chmod(0o755)
    script = """
        set -eu
        complete() { [ "${!#}" = vdvs ] && registered="$4"; }  # the last words: -F FUNCTION vdvs
        source <(vdvs completion bash)
        press_tab() {
            COMPREPLY=(); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
            "$registered" vdvs
            echo "${COMPREPLY[*]}"
        }
        press_tab vdvs val
        press_tab vdvs get v
        press_tab vdvs explain vmgroup.spec.def
    """
    variables = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, env=variables, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["validate", "vmgroups volumes", "vmgroup.spec.defaultDatastore"]
