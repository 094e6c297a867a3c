"""Who applied what, and when, as a table and as data."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.ownership import Record
from reconciler.planning.history import Applied
from reconciler.render.data import Data
from reconciler.render.text import Paint, columns, lines, plain

_HEADING = ("APPLIED", "OBJECT", "SET", "COMMIT", "BY", "REASON")
_NONE = "-"


def history_text(found: Sequence[Applied], paint: Paint = plain) -> str:
    """A line for each object."""
    if not found:
        return "Nothing is recorded.\n"
    return lines(columns([_HEADING, *map(_row, found)], paint=paint))


def _row(applied: Applied) -> tuple[str, ...]:
    record = applied.record
    cells = (record.set, record.revision, record.by, record.reason)
    return moment(record), applied.object, *(cell or _NONE for cell in cells)


def moment(record: Record) -> str:
    """When it was applied."""
    return record.when.strftime("%Y-%m-%d %H:%M:%S UTC") if record.when else _NONE


def history_data(found: Sequence[Applied]) -> Data:
    """schemas/output/history.json"""
    items = [
        {"object": applied.object, "configDB": applied.config_db.name, "applied": applied_data(applied.record)}
        for applied in found
    ]
    return {"items": items}


def applied_data(record: Record | None) -> Data:
    """Who applied an object last; null: nobody, or nobody can say."""
    if record is None:
        return None
    return {
        "at": record.when.isoformat() if record.when else None,
        "by": record.by or None,
        "set": record.set or None,
        "git": {"commit": record.commit, "dirty": record.dirty} if record.commit else None,
        "reason": record.reason or None,
    }
