"""The description of one object."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.diff import Op
from reconciler.model.events import Condition
from reconciler.model.ownership import Record
from reconciler.render.data import change_data
from reconciler.render.diff import change_text
from reconciler.render.history import Rows, events_data, events_text, moment
from reconciler.render.kinds import VIEWS
from reconciler.render.kinds.view import Pairs
from reconciler.render.tables import AnyRow, row_data
from reconciler.render.text import Data, Paint, columns, lines, plain


def describe_text(row: AnyRow, conditions: Sequence[Condition], events: Rows = (), paint: Paint = plain) -> str:
    """Write the facts, the conditions, the last events, and the change that an apply would make."""
    change = row.change
    pairs = [
        ("Object", str(change.ref)),
        ("Sync", change.sync.value),
        *_applied(row.item.record),
        *VIEWS[change.ref.kind].describe(row),
    ]
    parts = columns(pairs, paint=paint)
    parts += ["", *_conditions(conditions, paint)] if conditions else []
    text = lines(parts, paint) + (f"\n{events_text(events, paint)}" if events else "")
    return text if change.op is Op.KEEP else f"{text}\n{change_text(change, paint)}"


def describe_data(row: AnyRow, conditions: Sequence[Condition], events: Rows = ()) -> Data:
    """One object as described by schemas/output/describe.json."""
    return {
        "item": row_data(row),
        "conditions": [condition_data(condition) for condition in conditions],
        "change": change_data(row.change),
        "events": events_data(events)["items"],
    }


def condition_data(condition: Condition) -> Data:
    """One condition."""
    return {
        "object": str(condition.ref),
        "type": condition.type,
        "status": condition.status.value,
        "reason": condition.reason,
        "message": condition.message,
        "since": condition.since.isoformat() if condition.since else None,
    }


def _applied(record: Record | None) -> Pairs:
    if record is None:
        return []
    commit = f", git {record.revision}" if record.revision else ""
    of = f", set {record.set}" if record.set else ""
    last = f"{moment(record)} by {record.author}{of}{commit}"
    return [("Applied", last), *([("Reason", record.reason)] if record.reason else [])]


def _conditions(conditions: Sequence[Condition], paint: Paint) -> list[str]:
    rows = [(each.type, each.status.value, each.reason, each.message) for each in conditions]
    return columns([("CONDITION", "STATUS", "REASON", "MESSAGE"), *rows], paint=paint)
