"""Folder for state between runs, by the XDG Base Directory Specification. It is its owner's alone."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from reconciler import private
from reconciler.model.errors import UsageError
from reconciler.model.events import Event, ReportedEvent
from reconciler.model.kinds.site import Site
from reconciler.model.ownership import UsedCommit

MOST_KEPT: Final = 20
_COMMIT: Final = re.compile(rb"[0-9a-f]{40}\n")
_NUMBER: Final = re.compile(rb"[0-9]{1,9}\n")


def state_folder() -> Path:
    """Return `$XDG_STATE_HOME/vdvs`, by default `~/.local/state/vdvs`.

    Raises UsageError where neither is known, as in a container that runs as any uid.
    """
    if (found := known_state_folder()) is None:
        raise UsageError(
            f"the user with uid {os.getuid()} has no home folder to keep state in: set XDG_STATE_HOME (or HOME) to the"
            " full path of a folder that it may write to"
        )
    return found


def known_state_folder() -> Path | None:
    """Return the same; None where it is not known."""
    given = os.environ.get("XDG_STATE_HOME", "")
    home = os.path.expanduser("~/.local/state")  # noqa: PTH111 - Path.expanduser raises for a user without a home
    base = given if given.startswith("/") else home
    return Path(base) / "vdvs" if base.startswith("/") else None


class LargeEvents:
    """Events that are too large to be sent around, as files in `folder` (None: nowhere): the last MOST_KEPT."""

    def __init__(self, folder: Path | None, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._now = now

    def keep(self, event: Event) -> str:
        """Store an event; return its file, or where else to look."""
        if self._folder is None:
            return "the output of `vdvs diff`"
        from reconciler.render.data import to_json  # slow to import, and seldom needed
        from reconciler.render.events import event_data

        data = event_data(ReportedEvent(self._now(), event))
        file = self._folder / f"{self._now():%Y%m%dT%H%M%S%fZ}.json"
        try:
            private.write(file, to_json(data).encode("ascii"))
            for old in sorted(self._folder.glob("*Z.json"))[:-MOST_KEPT]:
                old.unlink()
        except (OSError, UsageError) as error:
            return f"the output of `vdvs diff` ({file} cannot be written: {getattr(error, 'strerror', None) or error})"
        return str(file)


class LastUsed:
    """The commit that a watch used last, in a file (None: in this process only)."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._last: UsedCommit | None = None

    def read(self) -> UsedCommit | None:
        """Return it; None: none was used yet. Raises UsageError."""
        if self._file is None:
            return self._last
        try:
            content = private.read(self._file)
        except OSError as error:
            raise UsageError(f"{self._file}, the commit that was used last: {error.strerror}") from error
        if content is None:
            return None
        if not _COMMIT.fullmatch(content):
            raise UsageError(f"{self._file} does not hold the commit that was used last; remove it to use any")
        return UsedCommit(content[:40].decode(), f"remove {self._file}")

    def note(self, commit: str) -> None:
        """Keep this one from now on. Raises UsageError."""
        if self._file is None:
            self._last = UsedCommit(commit, "start the watch anew")
        elif (last := self.read()) is None or last.commit != commit:
            try:
                private.write(self._file, f"{commit}\n".encode())
            except OSError as error:
                raise UsageError(f"{self._file}, the commit that was used last: {error.strerror}") from error


def last_used_file(paths: Sequence[str]) -> Path | None:
    """Return where the last commit is kept that a watch of these paths used; None: there is no place for it."""
    folder = known_state_folder()
    place = hashlib.sha256(repr([str(Path(path).absolute()) for path in paths]).encode()).hexdigest()[:32]
    return None if folder is None else folder / "commits" / place


def history_file(site: Site) -> Path:
    """Return the default path of a site's history. Its name and what it reaches choose it."""
    return state_folder() / "history" / f"{_file_name(site)}.sqlite"


def applied_file(site: Site) -> Path | None:
    """Return where the last apply of each object of a site is kept; None: there is no place for it."""
    folder = known_state_folder()
    return None if folder is None else folder / "applied" / f"{_file_name(site)}.json"


def looks_file(site: Site) -> Path | None:
    """Return where the runs that look at a site are counted; None: there is no place for it."""
    folder = known_state_folder()
    return None if folder is None else folder / "looks" / _file_name(site)


def names_file(site: Site) -> Path | None:
    """Return where the names are kept that the last look at a site saw; None: there is no place for it."""
    folder = known_state_folder()
    return None if folder is None else folder / "names" / f"{_file_name(site)}.json"


def read_number(file: Path | None) -> int:
    """Return the number in a file of ours; 0 where there is none, or it cannot be read."""
    try:
        found = (None if file is None else private.read(file)) or b""
    except (OSError, UsageError):
        return 0
    return int(found) if _NUMBER.fullmatch(found) else 0


def write_number(file: Path | None, number: int) -> None:
    """Write a number into a file of ours, if that can be done."""
    if file is not None:
        with suppress(OSError, UsageError):
            private.write(prepared(file), b"%d\n" % number)


def audit_file() -> Path:
    """Return the default path of the audit log, which is one for all sites."""
    return state_folder() / "audit.jsonl"


def prepared(file: Path) -> Path:
    """Return a file in the state folder after making its folders. Raises UsageError if one is not ours, or cannot be
    made."""
    for folder in dict.fromkeys((state_folder(), file.parent)):
        try:
            private.make_folder(folder)
        except OSError as error:
            raise UsageError(
                f"{folder}, where vdvs keeps state, cannot be made: {error.strerror} ({error.filename}); set"
                " XDG_STATE_HOME to the full path of a folder that this user may write to"
            ) from error
    return file


def _file_name(site: Site) -> str:
    hosts, vcenters, inventory = site.reach
    place = hashlib.sha256(repr((hosts, list(vcenters), inventory)).encode()).hexdigest()[:12]
    name = "".join(char if char.isalnum() or char in "-." else "_" for char in site.name)[:60]
    return f"{name}-{place}"
