"""`vdvs completion`, and what a shell is told to offer: quickly, and from anywhere."""

from __future__ import annotations

import json
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
REACHING = ("asyncssh", "pyVmomi", "reconciler.hosts.local")
KINDS_OF_GET = ["configdbs", "hosts", "vmgroups", "storagepolicies", "volumes", "datastores", "vms", "all"]


def offered(line: str, folder: Path, shell: str = "bash", *, not_loaded: tuple[str, ...] = NOT_LOADED) -> list[str]:
    """What click tells a shell when TAB is pressed at the end of `line`."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - (not line.endswith(" ")))}
    variables = os.environ | {"PYTHONPATH": str(ROOT), "_VDVS_COMPLETE": f"{shell}_complete"} | words
    code = (
        "import atexit, sys\nfrom reconciler.cli.main import main\n"
        f"atexit.register(lambda: print([name for name in {not_loaded!r} if name in sys.modules], file=sys.stderr))\n"
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
        ("vdvs get d", ["datastores"]),
        ("vdvs export ", ["configdbs", "hosts", "vmgroups", "storagepolicies", "volumes", "all"]),
        ("vdvs get all ", []),
        ("vdvs graph v", ["vmgroup", "vm"]),
        ("vdvs graph -o ", ["text", "dot", "mermaid", "svg"]),
        ("vdvs get -o json co", ["configdbs"]),
        ("vdvs get -o ", ["text", "wide", "json", "yaml", "name", "jsonpath=", "custom-columns="]),
        ("vdvs describe ", ["configdb", "host", "vmgroup", "storagepolicy", "volume"]),
        ("vdvs explain ho", ["host"]),
        ("vdvs explain configdb.", ["apiVersion", "kind", "metadata", "spec"]),
        ("vdvs explain host.sp", ["spec", "spec."]),
        ("vdvs explain vmgroups.spec.access.volumeT", ["volumeTotalSize"]),
        ("vdvs explain nonsense.", []),
        ("vdvs completion ", ["bash", "zsh", "fish"]),
        ("vdvs comp", ["completion"]),
        ("vdvs schema man", ["manifest"]),
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
    assert done.stdout.splitlines() == ["validate", "vmgroups volumes vms", "vmgroup.spec.defaultDatastore"]


def names(line: str, folder: Path, shell: str = "bash") -> list[str]:
    """The same of names, for which manifests are read, and nobody is asked."""
    return offered(line, folder, shell, not_loaded=REACHING)


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("vdvs get hosts ", ["esxiz10", "esxiz20"]),
        ("vdvs get hosts esxiz10 ", ["esxiz20"]),
        ("vdvs get host/esxiz1", ["host/esxiz10"]),
        ("vdvs describe vmgroup my", ["MYVMGROUP"]),
        ("vdvs get vms photon-0", ["photon-01", "photon-02", "photon-03"]),
        ("vdvs get datastores ", ["SHARED-Datastore", "datastore1", "'datastore1 (1)'"]),
        ("vdvs export -f manifests configdb ", ["shared"]),
        ("vdvs history vmgroup ", ["MYVMGROUP"]),
        ("vdvs graph vmgroup ", ["MYVMGROUP"]),
        ("vdvs graph datastore/SH", ["datastore/SHARED-Datastore"]),
        ("vdvs can-i create --vm photon-01 --datastore SH", ["SHARED-Datastore"]),
        ("vdvs can-i mount --vm ", ["photon-01", "photon-02", "photon-03"]),
        ("vdvs rollback -f manifests --config-db ", ["shared"]),
        ("vdvs lab reboot --directory manifests/.vdvs-lab ", ["esxiz10", "esxiz20"]),
    ],
)
def test_names_before_anybody_looked(folder: Folder, line: str, choices: list[str]) -> None:
    folder.vdvs("lab", "up", "--directory", "manifests/.vdvs-lab")
    assert names(line, folder.path) == choices


def test_names_that_the_last_look_saw(applied: Folder) -> None:
    applied.sql("UPDATE privileges SET usage_quota = 1")
    assert applied.vdvs("apply", "-f", "manifests").exit_code == 0
    (backup,) = names("vdvs rollback -f manifests --to ", applied.path)
    assert applied.vdvs("rollback", "-f", "manifests", "--to", backup, "--dry-run").exit_code in (0, 1)
    applied.sql("INSERT INTO tenants VALUES ('22222222-2222-4222-8222-222222222222', 'handmade', '', '_VM_DS://')")
    assert applied.vdvs("get", "vmgroups").exit_code == 0
    assert names("vdvs describe vmgroup ", applied.path) == ["MYVMGROUP", "handmade"]
    (applied.path / "manifests" / "vmgroup.yaml").write_text("kind: [")
    assert names("vdvs describe vmgroup ", applied.path) == [], "of manifests that cannot be read"
    site = applied.path / "manifests" / "site.yaml"
    assert names(f"vdvs describe --site {site} vmgroup ", applied.path) == ["MYVMGROUP", "handmade"]


@pytest.mark.parametrize("name", ["$(touch here)", "a;touch here", "a'b", "`touch here`", "a\\$(touch here)"])
def test_no_name_runs_anything_in_the_shell_that_takes_it(folder: Folder, name: str) -> None:
    """bash inserts what is offered into the line as it stands; zsh and fish quote it."""
    folder.vdvs("lab", "up", "--directory", "manifests/.vdvs-lab")
    inventory = folder.lab / "inventory.json"
    known = json.loads(inventory.read_text())
    known["vms"][0]["name"] = name
    known["vms"][1]["name"] = "two\nplain,lines"
    inventory.write_text(json.dumps(known))
    words = names("vdvs get vms ", folder.path)
    assert len(words) == 2, "a name with a line break is not offered"
    word = next(word for word in words if word != "photon-03")
    read = f"IFS=, read type value <<'end'\nplain,{word}\nend\neval \"printf %s $value\""  # as click's script does
    shown = subprocess.run(["bash", "-c", read], capture_output=True, text=True, cwd=folder.path, check=True).stdout
    assert shown == name.replace("\\", "")
    assert not (folder.path / "here").exists()
