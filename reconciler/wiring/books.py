"""The books of a site: what this side keeps of applies, and the audit log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from reconciler.history.kept import KeptFile
from reconciler.model.errors import VdvsError
from reconciler.model.kinds.site import Site
from reconciler.model.ownership import Applying, Kept
from reconciler.ports import Clock
from reconciler.wiring.state import (
    applied_file,
    audit_file,
    known_state_folder,
    looks_file,
    prepared,
    read_number,
    write_number,
)

if TYPE_CHECKING:
    from reconciler.audit.log import AuditLog
    from reconciler.model.outcome import ActionResult, Assessment, BackupMade
    from reconciler.model.plan import Plan

_log = logging.getLogger(__name__)


class SiteBooks:
    """Implements `ports.Books`. `log`: the file of the audit log (None: the default one); `on_entry` is called with
    each entry once it is written; `behalf`: on whose behalf something is done where a pass does not say (a heal)."""

    def __init__(
        self,
        site: Site,
        clock: Clock,
        new_id: Callable[[], str],
        log: str | None = None,
        on_entry: Callable[[dict[str, Any]], None] = lambda _entry: None,
        behalf: Callable[[], Applying | None] = lambda: None,
    ) -> None:
        self._site = site.name
        self._looks = looks_file(site)
        self._clock = clock
        self._new_id = new_id
        self._file = log
        self._on_entry = on_entry
        self._behalf = behalf
        self._kept = KeptFile(applied_file(site))
        self._begun: tuple[AuditLog, str, Plan] | None = None
        self._told = ""

    def kept(self) -> Mapping[str, Kept]:
        """See `ports.Books`."""
        return self._kept.read()

    def looks(self) -> int:
        """See `ports.Books`."""
        return read_number(self._looks)

    def count_looks(self, number: int) -> None:
        """See `ports.Books`."""
        write_number(self._looks, number)

    def keep(self, before: Mapping[str, Kept], now: Mapping[str, Kept]) -> None:
        """See `ports.Books`."""
        try:
            self._kept.merge(before, now)
        except VdvsError as error:
            if str(error) != self._told:
                _log.warning("%s", error)
            self._told = str(error)

    def begin(self, found: Assessment, steps: Plan, behalf: Applying | None, how: str, plan: str = "") -> None:
        """See `ports.Books`."""
        from reconciler.audit.entries import beginning
        from reconciler.who import identity

        log, run = audit_log(self._file), self._new_id()
        entries = beginning(found, steps, behalf or self._behalf(), how, identity(), self._site, plan)
        self._write(log, run, entries)
        self._begun = log, run, steps

    def end(self, results: Sequence[ActionResult], backups: Sequence[BackupMade], after: Assessment) -> None:
        """See `ports.Books`."""
        from reconciler.audit.entries import ending

        if self._begun is not None:
            log, run, steps = self._begun
            self._begun = None
            try:
                self._write(log, run, ending(steps, results, backups, after))
            except VdvsError as error:
                raise VdvsError(f"it was carried out (`vdvs diff` shows how it is now), but {error}") from error

    def _write(self, log: AuditLog, run: str, entries: Any) -> None:
        for entry in log.append(self._clock.now(), run, entries):
            self._on_entry(entry)


def audit_log(file: str | None) -> AuditLog:
    """Return the audit log in `file` (None: the default one). Raises UsageError where there is no place for it."""
    from reconciler.audit.log import AuditLog

    folder = known_state_folder()
    head = None if folder is None else folder / "audit-heads"
    path = prepared(audit_file()) if file is None else Path(file).absolute()
    return AuditLog(path, None if head is None else head / f"{_hashed(path)}.json")


class Audit(Struct, frozen=True):
    """The content of the audit log `name`: its last entries, newest first; see `audit.log.Verified`."""

    name: str
    entries: tuple[dict[str, Any], ...]
    broken: str
    unfinished: tuple[str, ...]
    notes: tuple[str, ...]


def read_audit(file: str | None, names: frozenset[str], most: int) -> Audit:
    """Read and verify an audit log, see `audit_log`: its last entries, only of these objects if any are named.

    Raises UsageError if there is none, or it cannot be read.
    """
    log = audit_log(file)
    found = log.read(most, names)
    return Audit(str(log.file), found.entries[::-1], found.broken, found.unfinished, found.notes)


def _hashed(path: Path) -> str:
    import hashlib

    return hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:32]
