"""What git knows about manifests: which repository, which commit, and whether they differ from it. Without git, or
outside a checkout, there is simply nothing to say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

_TIMEOUT: Final = 5.0
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LIKE_SCP: Final = re.compile(r"[^/:]+:(?!//)(.*)", re.DOTALL)


class Place(Struct, frozen=True):
    """Where a folder is in git. `repository`: what every clone calls it; `below`: the folder below its top (`""`: it is
    the top); `commit`: in full, or None if there is none yet."""

    repository: str
    below: str
    commit: str | None


def place(folder: Path) -> Place | None:
    """Where this folder is in git, if it is."""
    known = _ask(folder, "rev-parse", "--show-toplevel", "--show-prefix", "HEAD", even_failing=True)
    lines = (known or "").split("\n")
    if len(lines) < 2 or not lines[0]:
        return None
    origin = _repository(_ask(folder, "config", "--get", "remote.origin.url") or "")
    commit = lines[2] if _COMMIT.fullmatch("".join(lines[2:3])) else None
    return Place(origin or Path(lines[0]).name, lines[1].rstrip("/"), commit)


def changed(folder: Path, paths: Sequence[Path]) -> bool:
    """Whether these manifests differ from the commit."""
    changes = _ask(folder, "status", "--porcelain", "-z", "--", *map(str, paths)) or ""
    return any(map(_counts, changes.split("\0")))


def _repository(url: str) -> str:
    """What is the same in every clone, whatever way and with whose password it was made: `acme/site`."""
    if "://" in url:
        parts = urlsplit(url)
        path, remote = parts.path, parts.scheme != "file"
    elif scp := _LIKE_SCP.fullmatch(url):
        path, remote = scp[1], True
    else:
        path, remote = url, False
    path = path.strip("/").removesuffix(".git").rstrip("/")
    return path if remote else path.rpartition("/")[2]


def _counts(entry: str) -> bool:
    """Whether this is a manifest, or a new folder that may hold some; a lab beside the manifests is neither."""
    name = entry.rstrip("/").rsplit("/", 1)[-1].rsplit(" ", 1)[-1]
    return name.endswith((".yaml", ".yml")) or (entry.endswith("/") and not name.startswith("."))


def _ask(folder: Path, *words: str, even_failing: bool = False) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    # fsmonitor off: a checkout's own configuration must not make us run a program of its choice.
    line = [git, "-C", str(folder), "-c", "core.fsmonitor=false", *words]
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(  # noqa: S603 - git, with fixed arguments
            line, capture_output=True, text=True, timeout=_TIMEOUT, env=environment, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 or even_failing else None
