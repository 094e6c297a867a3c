"""The backups of config DBs, as a table and as data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from reconciler.model.kinds.configdb import Backup, BackupOrigin, Backups
from reconciler.render.text import Data, columns, lines

_HEADING = ("CONFIG DB", "BACKUP", "TAKEN AT", "SIZE", "MADE BY", "READ FROM")
_MADE_BY = {
    BackupOrigin.MADE: "vdvs",
    BackupOrigin.CHANGED: "vdvs, but changed since",
    BackupOrigin.FOREIGN: "not known",
}
_UNKNOWN = "?"


def backups_text(found: Sequence[Backups], now: datetime) -> str:
    """Write a line for each backup: those that vdvs made last, oldest first."""
    rows = [(each.ref.name, *_row(backup, now), each.host or _UNKNOWN) for each in found for backup in each.found]
    rows += [(each.ref.name, *[_UNKNOWN] * (len(_HEADING) - 1)) for each in found if each.host is None]
    if not rows:
        return "no backups\n"
    return lines(columns([_HEADING, *rows]))


def _row(backup: Backup, now: datetime) -> tuple[str, ...]:
    taken_at = backup.taken_at.strftime("%Y-%m-%d %H:%M:%S UTC") if backup.taken_at else _UNKNOWN
    taken_at += " (in the future)" if backup.is_from_the_future(now) else ""
    size = _UNKNOWN if backup.size is None else f"{-(-backup.size // 1024)}KB"
    return backup.name, taken_at, size, _MADE_BY[backup.origin]


def backups_data(found: Sequence[Backups], now: datetime) -> Data:
    """Backups as described by schemas/output/backups.json."""
    return {"items": [_data(each, now) for each in found]}


def _data(each: Backups, now: datetime) -> Data:
    return {
        "object": str(each.ref),
        "path": each.path or None,
        "readFrom": each.host,
        "problem": each.problem or None,
        "backups": [
            {
                "name": backup.name,
                "takenAt": backup.taken_at.isoformat() if backup.taken_at else None,
                "bytes": backup.size,
                "origin": backup.origin.value,
                "fromTheFuture": backup.is_from_the_future(now),
            }
            for backup in each.found
        ],
    }
