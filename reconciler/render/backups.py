"""The backups of config DBs, as a table and as data."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.kinds.configdb import Backup, Backups
from reconciler.render.text import Data, columns, lines

_HEADING = ("CONFIG DB", "BACKUP", "TAKEN AT", "SIZE", "READ FROM")
_UNKNOWN = "?"


def backups_text(found: Sequence[Backups]) -> str:
    """Write a line for each backup, oldest first."""
    rows = [(each.ref.name, *_row(backup), each.host or _UNKNOWN) for each in found for backup in each.found]
    rows += [(each.ref.name, _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN) for each in found if each.host is None]
    if not rows:
        return "no backups\n"
    return lines(columns([_HEADING, *rows]))


def _row(backup: Backup) -> tuple[str, str, str]:
    taken_at = backup.taken_at.strftime("%Y-%m-%d %H:%M:%S UTC") if backup.taken_at else _UNKNOWN
    return backup.name, taken_at, _UNKNOWN if backup.size is None else f"{-(-backup.size // 1024)}KB"


def backups_data(found: Sequence[Backups]) -> Data:
    """Backups as described by schemas/output/backups.json."""
    return {"items": [_data(each) for each in found]}


def _data(each: Backups) -> Data:
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
            }
            for backup in each.found
        ],
    }
