"""The schemas are found wherever the package runs from: a checkout, an editable install, an installed wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, reconciler
from reconciler.loader import schemas
from reconciler.model.refs import KINDS
names = [*(spec.singular for spec in KINDS.values()), "inventory", "manifest"]
print(json.dumps([reconciler.__file__, {name: schemas.schema(name) for name in names}]))
"""
EXPECTED = {path.name.removesuffix(".v1.json"): json.loads(path.read_text()) for path in ROOT.glob("schemas/*.json")}


def ask(cwd: Path, *path: Path) -> Path:
    """Run a program that prints every schema, with `path` to import from; where the package was."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=cwd, env=environment, capture_output=True, text=True, check=True
    )
    package, found = json.loads(done.stdout)
    assert found == EXPECTED
    return Path(package).parent


def build_wheel(source: Path, into: Path, hook: str) -> Path:
    """What `pip install` does first: the wheel of `source`, an editable one with the hook `build_editable`."""
    program = f"from hatchling import build; print(build.{hook}({str(into)!r}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=source, capture_output=True, text=True, check=True)
    return into / done.stdout.split()[-1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the wheel is made from: building leaves nothing in the working tree."""
    copy = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", ".vdvs-lab")
    for name in ("reconciler", "schemas", "manifests"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy / name)
    if not (copy / "README.md").exists():
        (copy / "README.md").write_text("vdvs\n")
    return copy


def test_in_a_checkout(checkout: Path, tmp_path: Path) -> None:
    assert ask(tmp_path, checkout) == checkout / "reconciler"


def test_in_an_editable_install(checkout: Path, tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    with zipfile.ZipFile(build_wheel(checkout, tmp_path, "build_editable")) as wheel:
        wheel.extractall(site)
    (link,) = site.glob("*.pth")
    added = [Path(line) for line in link.read_text().splitlines() if not line.startswith("import ")]
    assert added == [checkout]
    # What Python does at its start with an installed .pth; any checkout may itself be installed in the same way.
    at_start = (
        "import os, site, sys; sys.path = [p for p in sys.path if not os.path.isfile(p + '/reconciler/__init__.py')]; "
        f"site.addsitedir({str(site)!r})"
    )
    program = at_start + PROGRAM
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    package, found = json.loads(done.stdout)
    assert found == EXPECTED
    assert Path(package).parent == checkout / "reconciler"


def test_in_an_installed_wheel(checkout: Path, tmp_path: Path) -> None:
    wheel = build_wheel(checkout, tmp_path, "build_wheel")
    site = tmp_path / "site-packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--disable-pip-version-check", "--target", str(site), str(wheel)], check=True)
    shutil.rmtree(checkout)
    assert ask(tmp_path, site) == site / "reconciler"
    assert (site / "reconciler" / "_schemas" / "vmgroup.v1.json").is_file()
