"""The build steps of the Dockerfile, without Docker: a wheel, its locked dependencies, the installed program."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import reconciler

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "schemas", "manifests", "reconciler")


def run(*command: str | Path, cwd: Path) -> str:
    result = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_wheel_works_with_the_locked_dependencies_alone(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", ".vdvs-lab"))
        else:
            shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", cwd=source)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("/licenses/LICENSE")]

    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", venv, cwd=tmp_path)
    pip = (venv / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "--require-hashes", "-r", ROOT / "requirements-run.lock", cwd=tmp_path)
    run(*pip, "--no-deps", "--no-index", wheel, cwd=tmp_path)
    run(venv / "bin" / "python", "-m", "pip", "check", cwd=tmp_path)

    vdvs = venv / "bin" / "vdvs"
    assert run(vdvs, "--version", cwd=tmp_path).strip() == f"vdvs {reconciler.__version__}"
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests", ignore=shutil.ignore_patterns(".vdvs-lab"))
    run(vdvs, "validate", "-f", "manifests", cwd=tmp_path)
    run(vdvs, "apply", "-f", "manifests", cwd=tmp_path)
    run(vdvs, "diff", "-f", "manifests", cwd=tmp_path)
