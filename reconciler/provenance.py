"""Where manifests come from and who applies them: the set, the user, the git commit, the reason.

Without git, or outside a checkout, there is no commit and no set.
"""

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
from msgspec.structs import replace

from reconciler.model.errors import UsageError
from reconciler.model.ownership import Applying, Stamp
from reconciler.who import who

_LONGEST_SET: Final = 200
_LONGEST_REASON: Final = 1000
_TIMEOUT: Final = 5.0
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LIKE_SCP: Final = re.compile(r"[^/:]+:(?!//)(.*)", re.DOTALL)


class Checkout(Struct, frozen=True):
    """A folder in git. `repository`: its name, the same in every clone; `below`: the folder below the top (`""`: it is
    the top); `commit`: in full, or None if there is none yet."""

    repository: str
    below: str
    commit: str | None


def applying(
    paths: Sequence[str],
    *,
    selector: str | None = None,
    named: str | None = None,
    prune: bool = False,
    reason: str | None = None,
) -> Applying:
    """Return who applies these manifests, from which set and commit, and why.

    Raises UsageError for a set that cannot be pruned, and for a name or a reason that cannot be recorded.
    """
    name, why = _one_line("--set", named, _LONGEST_SET), _one_line("--reason", reason, _LONGEST_REASON)
    if prune:
        _check_prune(paths, selector, named)
    checkouts = _checkouts(paths)
    found = _as_set(paths, checkouts, name)
    if prune and not found:
        raise UsageError(
            f"--prune needs --set NAME here: {', '.join(paths)} is not in a git repository, so sets of manifests "
            "cannot be told apart"
        )
    stamp = Stamp(who(), why)
    if checkouts and (first := checkouts[0]) is not None and first.commit is not None:
        files = [Path(path).absolute() for path in paths if path != "-"]
        stamp = replace(stamp, commit=first.commit, dirty=_is_dirty(_folder(files[0]), files))
    return Applying(found, stamp, _is_whole(paths, selector, named), prune)


def reading(paths: Sequence[str], selector: str | None = None) -> Applying:
    """Return the same for a command that only reads: without a user and a commit."""
    return Applying(_as_set(paths, _checkouts(paths), ""), Stamp(""), _is_whole(paths, selector, None))


def _checkouts(paths: Sequence[str]) -> list[Checkout | None]:
    return [_checkout(_folder(Path(path).resolve())) for path in paths if path != "-"]


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _as_set(paths: Sequence[str], checkouts: Sequence[Checkout | None], name: str) -> str:
    """Return the name of the set, `acme/site:manifests` for a folder in a repository. Only whole folders have one."""
    if name or not all(path != "-" and Path(path).is_dir() for path in paths):
        return name
    names = {f"{each.repository}:{each.below}".rstrip(":") for each in checkouts if each is not None}
    return "" if None in checkouts else " + ".join(sorted(names))[:_LONGEST_SET]


def _is_whole(paths: Sequence[str], selector: str | None, named: str | None) -> bool:
    """Return whether these may be all manifests of the set."""
    return not selector and all(Path(path).is_dir() if path != "-" else bool(named) for path in paths)


def _check_prune(paths: Sequence[str], selector: str | None, named: str | None) -> None:
    if selector:
        raise UsageError(
            "--prune goes without -l: objects that -l leaves out would look as if they were no longer declared"
        )
    if "-" in paths and not named:
        raise UsageError(
            "--prune with standard input needs --set NAME: without a name it is unknown what was applied before"
        )
    single = [path for path in paths if path != "-" and not Path(path).is_dir()]
    if single:
        raise UsageError(
            f"--prune takes whole folders, and {', '.join(single)} is a single file: what is declared in "
            "others would be removed; give their folder with -f"
        )


def _one_line(option: str, text: str | None, longest: int) -> str:
    if text is None:
        return ""
    if not text.strip() or len(text) > longest or not text.isprintable():
        raise UsageError(f"{option}: give one line of text of at most {longest} characters, without control characters")
    return text.strip()


def _checkout(folder: Path) -> Checkout | None:
    """Return where this folder is in git; None: not in git, or git is not installed."""
    known = _git(folder, "rev-parse", "--show-toplevel", "--show-prefix", "HEAD", even_failing=True)
    lines = (known or "").split("\n")
    if len(lines) < 2 or not lines[0]:
        return None
    origin = _repository(_git(folder, "config", "--get", "remote.origin.url") or "")
    commit = lines[2] if _COMMIT.fullmatch("".join(lines[2:3])) else None
    return Checkout(origin or Path(lines[0]).name, lines[1].rstrip("/"), commit)


def _is_dirty(folder: Path, paths: Sequence[Path]) -> bool:
    """Return whether these manifests differ from the commit."""
    changes = _git(folder, "status", "--porcelain", "-z", "--", *map(str, paths)) or ""
    return any(map(_counts, changes.split("\0")))


def _repository(url: str) -> str:
    """Return the name of a repository, `acme/site`, without the protocol, host and credentials of its URL."""
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
    """Return whether this is a manifest, or a new folder that may hold some; a lab beside the manifests is neither."""
    name = entry.rstrip("/").rsplit("/", 1)[-1].rsplit(" ", 1)[-1]
    return name.endswith((".yaml", ".yml")) or (entry.endswith("/") and not name.startswith("."))


def _git(folder: Path, *words: str, even_failing: bool = False) -> str | None:
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
