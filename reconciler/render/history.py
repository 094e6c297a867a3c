"""The last apply of each object, as recorded in config DBs, and the history of watches: as tables and as data.

Rows of the history of watches are mappings as `history.store` returns them, newest first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.model.ownership import Record
from reconciler.planning.records.history import Applied
from reconciler.render.text import Data, Paint, columns, lines, plain

_NONE = "-"
_HEADING = ("APPLIED", "OBJECT", "SET", "COMMIT", "BY", "REASON")
Rows = Sequence[Mapping[str, Any]]
_SHORT = 7  # characters of a commit
_BRIEF = 60  # characters of a value in a line


def history_text(found: Sequence[Applied], paint: Paint = plain) -> str:
    """Write a line for each object."""
    if not found:
        return "Nothing is recorded.\n"
    return lines(columns([_HEADING, *map(_row, found)], paint=paint, names=1))


def _row(applied: Applied) -> tuple[str, ...]:
    record = applied.record
    by = f"{record.author} ({applied.altered})" if applied.altered else record.author
    cells = (record.set, record.revision, by, record.reason)
    return moment(record), applied.object, *(cell or _NONE for cell in cells)


def moment(record: Record) -> str:
    """Time of the apply, in UTC."""
    return record.when.strftime("%Y-%m-%d %H:%M:%S UTC") if record.when else _NONE


def history_data(found: Sequence[Applied]) -> Data:
    """Records as described by schemas/output/history.json."""
    items = [
        {
            "object": applied.object,
            "configDB": applied.config_db.name,
            "applied": applied_data(applied.record),
            "altered": applied.altered or None,
        }
        for applied in found
    ]
    return {"items": items}


def applied_data(record: Record | None) -> Data:
    """The last apply of an object; null: none, or unknown."""
    if record is None:
        return None
    return {
        "at": record.when.isoformat() if record.when else None,
        "by": record.by or None,
        "set": record.set or None,
        "git": {"commit": record.commit, "dirty": record.dirty} if record.commit else None,
        "reason": record.reason or None,
        "claimed": record.claimed,
    }


def drifts_text(found: Rows, paint: Paint = plain) -> str:
    """Write a line for each drift: when it began and ended, how it ended, and the fields that differed."""
    heading = ("SINCE", "LAST SEEN", "ENDED", "OBJECT", "FIELDS", "COMMIT")
    rows = [
        (
            f"{'began' if row.get('began') else 'first seen'} {_moment(row['first_seen'])}",
            _moment(row["last_seen"]),
            f"{row['how']} {_moment(row['ended'])}" if row["ended"] else "still drifts",
            row["object"],
            ", ".join(row["fields"]) or row["reason"],
            _commit(row),
        )
        for row in found
    ]
    return _table(heading, rows, "No drift is known.", paint)


def events_text(found: Rows, paint: Paint = plain) -> str:
    """Write a line for each event."""
    heading = ("TIME", "EVENT", "OBJECT", "PASS", "COMMIT", "MESSAGE")
    rows = [
        (
            _moment(row["at"]),
            row["event"],
            row["object"] or _NONE,
            row["pass"] or _NONE,
            _commit(row),
            row["message"].splitlines()[0] if row["message"] else _NONE,
        )
        for row in found
    ]
    return _table(heading, rows, "No event is known.", paint)


def passes_text(found: Rows, paint: Paint = plain) -> str:
    """Write a line for each pass."""
    heading = ("STARTED", "ENDED", "PASS", "BECAUSE OF", "EVENTS", "WRITTEN", "COMMIT", "RESULT")
    rows = [
        (
            _moment(row["started"]),
            _moment(row["ended"]),
            row["id"],
            row["trigger"],
            str(row["told"]),
            str(row["written"]),
            _commit(row),
            row["failure"].splitlines()[0] if row["failure"] else "ok",
        )
        for row in found
    ]
    return _table(heading, rows, "No pass is known.", paint)


def drifts_data(found: Rows) -> Data:
    """Rows as described by schemas/output/past.json."""
    names = {"object": "object", "reason": "reason", "fields": "fields", "firstSeen": "first_seen", "ended": "ended"}
    names |= {"lastSeen": "last_seen", "how": "how", "firstPass": "first_pass", "lastPass": "last_pass"}
    return {
        "items": [
            {**{key: row[name] for key, name in names.items()}, "began": bool(row.get("began")), "git": _git(row)}
            for row in found
        ]
    }


def events_data(found: Rows) -> Data:
    """Rows as described by schemas/output/past.json."""
    names = {
        "time": "at",
        "event": "event",
        "object": "object",
        "message": "message",
        "change": "change",
        "pass": "pass",
    }
    return {"items": [{**{key: row[name] for key, name in names.items()}, "git": _git(row)} for row in found]}


def passes_data(found: Rows) -> Data:
    """Rows as described by schemas/output/past.json."""
    names = {"pass": "id", "trigger": "trigger", "started": "started", "ended": "ended", "events": "told"}
    names["written"] = "written"
    return {
        "items": [
            {**{key: row[name] for key, name in names.items()}, "failure": row["failure"] or None, "git": _git(row)}
            for row in found
        ]
    }


def audit_text(found: Rows, paint: Paint = plain) -> str:
    """Write a line for each entry of the audit log."""
    heading = ("TIME", "RUN", "ENTRY", "OBJECT", "WHAT")
    rows = [
        (
            _moment(str(row.get("at", ""))),
            str(row.get("run", ""))[:8],
            str(row.get("event", "")),
            str(row.get("object") or _NONE),
            _entry(row),
        )
        for row in found
    ]
    return _table(heading, rows, "Nothing is logged.", paint)


def _entry(row: Mapping[str, Any]) -> str:
    match row.get("event"):
        case "begin":
            by, git = row.get("by") or {}, row.get("git") or {}
            sudo = f" (sudo by {by['sudo']})" if by.get("sudo") else ""
            dirty = "-dirty" if git.get("dirty") else ""
            commit = f", git {str(git['commit'])[:_SHORT]}{dirty}" if git.get("commit") else ""
            of = f", set {row['set']}" if row.get("set") else ""
            why = f": {row['reason']}" if row.get("reason") else ""
            return f"{row.get('how')} by {by.get('user')}@{by.get('host')}{sudo}{of}{commit}{why}"
        case "change":
            fields = row.get("fields")
            changed = [f"{f['path']}: {_brief(f['before'])} -> {_brief(f['after'])}" for f in _dicts(fields)]
            return f"{row.get('op')} ({row.get('risk')}) {'; '.join(changed)}".rstrip()
        case "result":
            return f"{'ok' if row.get('ok') else 'FAILED'}, {row.get('now')}{f': {w}' if (w := row.get('why')) else ''}"
        case "end":
            return f"{row.get('failed')} failed"
    return _NONE


def _dicts(fields: Any) -> list[Mapping[str, Any]]:
    found = fields if isinstance(fields, list) else []
    return [each for each in found if isinstance(each, dict) and {"path", "before", "after"} <= each.keys()]


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}..."


def audit_data(found: Rows, broken: str, unfinished: Sequence[str], notes: Sequence[str]) -> Data:
    """Entries as described by schemas/output/audit.json."""
    return {
        "intact": not broken,
        "broken": broken or None,
        "unfinished": list(unfinished),
        "notes": list(notes),
        "items": [dict(row) for row in found],
    }


def _table(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]], nothing: str, paint: Paint) -> str:
    names = heading.index("OBJECT") if "OBJECT" in heading else heading.index("PASS")
    return lines(columns([heading, *rows], paint=paint, names=names)) if rows else f"{nothing}\n"


def _moment(stamp: str) -> str:
    """`2026-11-23 20:15:00`, in UTC."""
    return stamp[:19].replace("T", " ")


def _commit(row: Mapping[str, Any]) -> str:
    commit = row["git_commit"]
    return f"{commit[:_SHORT]}{'-dirty' if row['dirty'] else ''}" if commit else _NONE


def _git(row: Mapping[str, Any]) -> Data:
    return {"commit": row["git_commit"], "dirty": bool(row["dirty"])} if row["git_commit"] else None
