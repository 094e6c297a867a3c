"""What `make release` builds: the same each time, complete, and installed as its users do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

import reconciler
from tests.packages.building import PYTHON, ROOT, SUPPLY, locked, needs_tools, release_in, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), needs_tools]
VERSION = f"vdvs {reconciler.__version__}"
OLDER = sorted(Path.home().glob(".pyenv/versions/3.10.*/bin/python"))


def the(release: Path, pattern: str) -> Path:
    (found,) = release.glob(pattern)
    return found


def test_it_is_the_same_each_time_and_leaves_alone_what_was_there(release: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    others = {"vdvs-0.0.1-py3-none-any.whl": b"an older one", "notes.txt": b"of somebody"}
    for name, content in others.items():
        (tmp_path / "again" / name).write_bytes(content)
    release_in(tmp_path / "again")
    again = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    made = {path.name: path.read_bytes() for path in release.iterdir()}
    version = reconciler.__version__
    files = {f"vdvs-{version}-py3-none-any.whl", f"vdvs-{version}.tar.gz", f"vdvs-{version}.cdx.json", "vdvs.pyz"}
    assert set(made) == {*files, "SHA256SUMS"}
    assert {name for name in made | again if again.get(name) != (made | others).get(name)} == set()
    sums = [line.split() for line in made["SHA256SUMS"].decode().splitlines()]
    assert {name: digest for digest, name in sums} == {name: sha256(made[name]).hexdigest() for name in files}


def test_it_says_of_what_it_is_made(release: Path) -> None:
    listed = json.loads(the(release, "*.cdx.json").read_text())
    assert listed["bomFormat"] == "CycloneDX"
    about = listed["metadata"]["component"]
    assert (about["name"], about["version"]) == ("vdvs", reconciler.__version__)
    components = {
        one["name"]: (
            one["version"],
            {hash_["content"] for where in one["externalReferences"] for hash_ in where.get("hashes", ())},
        )
        for one in listed["components"]
    }
    assert components == locked("requirements-run.lock")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the git checkout is missing")
def test_everything_is_in_it(release: Path) -> None:
    with zipfile.ZipFile(the(release, "*.whl")) as wheel:
        there = set(wheel.namelist())
    data = f"vdvs-{reconciler.__version__}.data/data"
    tracked = run("git", "ls-files", "reconciler", "schemas", "share").splitlines()
    inside = {"schemas": "reconciler/_schemas", "share": f"{data}/share", "reconciler": "reconciler"}
    wanted = {f"{inside[folder]}/{rest}" for folder, _, rest in (path.partition("/") for path in tracked)}
    assert wanted <= there
    assert [name for name in there if name.endswith("/licenses/LICENSE")]
    with tarfile.open(the(release, "*.tar.gz")) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert set(tracked) <= names
    with zipfile.ZipFile(release / "vdvs.pyz") as one:
        unpacked = {name.removeprefix("site-packages/") for name in one.namelist()}
    assert {name for name in there if name.startswith("reconciler/")} <= unpacked


def test_the_one_file_works_where_nothing_is_installed(release: Path, tmp_path: Path) -> None:
    nothing = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    python = [getattr(sys, "_base_executable", sys.executable), "-I", "-S"]
    shutil.copy(release / "vdvs.pyz", tmp_path)

    def vdvs(*words: str) -> str:
        return run(*python, "vdvs.pyz", *words, cwd=tmp_path, env=nothing)

    assert vdvs("--version").strip() == VERSION
    (cache,) = (tmp_path / ".cache" / "vdvs").glob("vdvs*")
    vdvs("lab", "up")  # with the manifests
    assert "4 files valid" in vdvs("validate")
    assert "2 created, 2 configured" in vdvs("apply")  # agents are shipped
    assert "In sync." in vdvs("diff")
    assert list((tmp_path / ".cache" / "vdvs").glob("vdvs*")) == [cache], "it is unpacked once"

    line = [*python, "vdvs.pyz", "watch", "--listen", "0"]
    with subprocess.Popen(line, cwd=tmp_path, env=nothing, stderr=subprocess.PIPE, text=True) as watch:
        try:
            assert watch.stderr
            url = watch.stderr.readline().split()[-1]
            with urllib.request.urlopen(url, timeout=60) as page:  # noqa: S310 - of loopback
                assert b"</html>" in page.read()
        finally:
            watch.terminate()


@pytest.mark.skipif(not OLDER, reason="no Python 3.10 here")
def test_the_one_file_says_which_python_it_is_for(release: Path, tmp_path: Path) -> None:
    line = [str(OLDER[-1]), str(release / "vdvs.pyz"), "--version"]
    refused = subprocess.run(line, env={"HOME": str(tmp_path)}, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    machine = os.uname().machine
    assert refused.stderr == (
        f"vdvs: this file is for Python {PYTHON} on Linux {machine}, not for Python 3.10 on Linux {machine}; run it as"
        " `python3.N FILE`\n"
    )


def test_the_wheel_works_with_the_locked_dependencies_alone(release: Path, tmp_path: Path) -> None:
    """What is locked is installed by uv, which is quick; that pip takes the lock is shown by tests/pipelines."""
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=tmp_path)
    python = venv / "bin" / "python"
    lock = ROOT / "requirements-run.lock"
    run(SUPPLY / "uv", "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", lock, cwd=tmp_path)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", the(release, "*.whl"), cwd=tmp_path)
    run(*pip, "check", cwd=tmp_path)
    vdvs = venv / "bin" / "vdvs"
    assert run(vdvs, "--version", cwd=tmp_path).strip() == VERSION
    run(vdvs, "lab", "up", cwd=tmp_path)
    run(vdvs, "validate", cwd=tmp_path)
    run(vdvs, "apply", cwd=tmp_path)
    run(vdvs, "diff", cwd=tmp_path)
    assert (venv / "share/man/man1/vdvs-apply.1").exists()


@pytest.mark.parametrize("installer", ["pipx", "uv"])
def test_it_is_installed_with(installer: str, release: Path, tmp_path: Path) -> None:
    """The programs and, by pipx, the manual pages are where a user finds them; and all of it goes again."""
    programs, pages = tmp_path / "bin", tmp_path / "man"
    environment = os.environ | {
        "PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(programs), "PIPX_MAN_DIR": str(pages),
        "UV_TOOL_DIR": str(tmp_path / "uv"), "UV_TOOL_BIN_DIR": str(programs),
        "PATH": f"{SUPPLY}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    command = {"pipx": ["pipx"], "uv": ["uv", "tool"]}[installer]
    python = ["--python", sys.executable]
    run(*command, "install", *python, the(release, "*.whl"), cwd=tmp_path, env=environment, seconds=600)
    names = {path.name for path in programs.iterdir()}
    assert names == {"vdvs", "kubectl-vdvs", "kubectl_complete-vdvs"}
    assert run(programs / "vdvs", "--version", cwd=tmp_path).strip() == VERSION
    assert "approve" in run(programs / "kubectl_complete-vdvs", "app", cwd=tmp_path)
    if installer == "pipx":
        assert (pages / "man1/vdvs-apply.1").exists()
    run(*command, "uninstall", "vdvs", cwd=tmp_path, env=environment)
    assert not list(programs.iterdir())
