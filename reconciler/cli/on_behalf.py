"""On whose behalf a command looks or writes: the set that the manifests are, who applies them, from where, and why."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from reconciler.cli import git
from reconciler.model.errors import UsageError
from reconciler.model.ownership import Applying, Stamp

_LONGEST_SET: Final = 200
_LONGEST_REASON: Final = 1000


def applying(
    paths: Sequence[str],
    *,
    selector: str | None = None,
    named: str | None = None,
    prune: bool = False,
    reason: str | None = None,
) -> Applying:
    """Who applies these manifests, as which set. Raises UsageError for a set that cannot be pruned, and for a name or
    a reason that cannot be recorded."""
    name, why = _one_line("--set", named, _LONGEST_SET), _one_line("--reason", reason, _LONGEST_REASON)
    if prune:
        _check_prune(paths, selector, named)
    places = _places(paths)
    found = _as_set(paths, places, name)
    if prune and not found:
        raise UsageError(
            f"--prune needs --set NAME here: {_spelled(paths)} is not in a git repository, so nothing tells one set of "
            "manifests from another"
        )
    stamp = Stamp(who(), why)
    if places and (first := places[0]) is not None and first.commit is not None:
        files = [Path(path).absolute() for path in paths if path != "-"]
        stamp = replace(stamp, commit=first.commit, dirty=git.changed(_folder(files[0]), files))
    return Applying(found, stamp, _is_whole(paths, selector, named), prune)


def looking(paths: Sequence[str], selector: str | None = None) -> Applying:
    """The same for a command that only looks: nothing is said of who does, nor of the commit."""
    return Applying(_as_set(paths, _places(paths), ""), Stamp(""), _is_whole(paths, selector, None))


def who() -> str:
    """`user@host`: who runs this, also where sudo runs it for them."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):  # the user of a container may have no name
        user = str(os.getuid())
    text = f"{user}@{socket.gethostname()}"
    return "".join(char if char.isprintable() else "?" for char in text)[:_LONGEST_SET]


def _places(paths: Sequence[str]) -> list[git.Place | None]:
    return [git.place(_folder(Path(path).resolve())) for path in paths if path != "-"]


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _as_set(paths: Sequence[str], places: Sequence[git.Place | None], name: str) -> str:
    """`acme/site:manifests`: the repository and the folder in it. Only whole folders in git are a set by themselves."""
    if name or not all(path != "-" and Path(path).is_dir() for path in paths):
        return name
    names = {f"{place.repository}:{place.below}".rstrip(":") for place in places if place is not None}
    return "" if None in places else " + ".join(sorted(names))[:_LONGEST_SET]


def _is_whole(paths: Sequence[str], selector: str | None, named: str | None) -> bool:
    """Whether these may be all manifests that there are."""
    return not selector and all(Path(path).is_dir() if path != "-" else bool(named) for path in paths)


def _check_prune(paths: Sequence[str], selector: str | None, named: str | None) -> None:
    if selector:
        raise UsageError("--prune goes without -l: what -l leaves out would look as if it were not declared any more")
    if "-" in paths and not named:
        raise UsageError("--prune with standard input needs --set NAME: nothing else tells what was applied before")
    single = [path for path in paths if path != "-" and not Path(path).is_dir()]
    if single:
        raise UsageError(
            f"--prune takes whole folders, and {_spelled(single)} is a single file: what is declared in "
            "others would be removed; give their folder with -f"
        )


def _one_line(option: str, text: str | None, longest: int) -> str:
    if text is None:
        return ""
    if not text.strip() or len(text) > longest or not text.isprintable():
        raise UsageError(f"{option}: give one line of text of at most {longest} characters, without control characters")
    return text.strip()


def _spelled(paths: Sequence[str]) -> str:
    return ", ".join(paths)
