"""What `make` builds, and commands that must succeed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUPPLY = ROOT / ".venv" / "supply" / "bin"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

needs_tools = pytest.mark.skipif(
    not SUPPLY.exists() and not os.environ.get("CI"), reason="`make .venv/supply/.made` installs them"
)


def locked(name: str) -> dict[str, tuple[str, set[str]]]:
    """Name -> (version, hashes) of what a lock holds."""
    entries = re.findall(r"^(\S+)==(\S+)((?: \\\n    --hash=\S+)+)", (ROOT / name).read_text(), re.MULTILINE)
    return {name: (version, set(re.findall(r"sha256:(\w+)", hashes))) for name, version, hashes in entries}


def run(*command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None, seconds: float = 280) -> str:
    """Run a command and return what it prints. Raises AssertionError with that if it fails."""
    line = [*map(str, command)]
    done = subprocess.run(line, cwd=cwd, env=env, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout


def make(target: str, folder: Path, *variables: str, env: Mapping[str, str] | None = None) -> None:
    """Make a target in `folder`, with the environments as they are."""
    installed = ["-o", "install", "-o", ".venv/supply/.made"]
    run("make", "-s", *installed, target, f"DIST={folder}", *variables, env=env, seconds=1000)


def release_in(folder: Path) -> None:
    """Make a release, of which the one file is for this Python alone: each takes a while."""
    make("release", folder, f"ONEFILE_PYTHONS={PYTHON}")
