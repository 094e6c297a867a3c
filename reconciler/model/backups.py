"""Backups: the copies of a config DB from before a change, beside it."""

from __future__ import annotations

from datetime import datetime

from reconciler.model.frozen import dataclass
from reconciler.model.refs import ObjectRef


@dataclass(frozen=True, slots=True)
class Backup:
    """One of them. `taken_at` is in its name (None: it is not); `size` in bytes (None: it could not be told)."""

    name: str
    taken_at: datetime | None
    size: int | None


@dataclass(frozen=True, slots=True)
class Backups:
    """Those of one config DB, oldest first, as `host` told of them; None: nobody could, and `problem` says why."""

    ref: ObjectRef
    path: str
    host: str | None
    found: tuple[Backup, ...] = ()
    problem: str = ""
