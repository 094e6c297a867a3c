"""Which commit the manifests are from. Without git, or outside a checkout, there is simply nothing to say."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_TIMEOUT = 5.0


def revision(paths: Sequence[str]) -> str | None:
    """`4f2c1ab`, or `4f2c1ab + uncommitted changes` if these paths differ from it."""
    files = [Path(path).absolute() for path in paths if path != "-"]
    git = shutil.which("git")
    if not files or git is None:
        return None
    folder = files[0] if files[0].is_dir() else files[0].parent
    commit = _ask(git, folder, "rev-parse", "--short", "HEAD")
    if not commit:
        return None
    changes = _ask(git, folder, "status", "--porcelain", "-z", "--", *map(str, files))
    return f"{commit} + uncommitted changes" if any(map(_counts, (changes or "").split("\0"))) else commit


def _counts(entry: str) -> bool:
    """Whether this is a manifest, or a new folder that may hold some; a lab beside the manifests is neither."""
    name = entry.rstrip("/").rsplit("/", 1)[-1].rsplit(" ", 1)[-1]
    return name.endswith((".yaml", ".yml")) or (entry.endswith("/") and not name.startswith("."))


def _ask(git: str, folder: Path, *words: str) -> str | None:
    # fsmonitor off: a checkout's own configuration must not make us run a program of its choice.
    line = [git, "-C", str(folder), "-c", "core.fsmonitor=false", *words]
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(  # noqa: S603 - git, with fixed arguments
            line, capture_output=True, text=True, timeout=_TIMEOUT, env=environment, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
