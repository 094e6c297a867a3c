"""One object on the page: live beside declared, what that does to rights, and all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.model.base import clip
from reconciler.model.diff import RightsChange
from reconciler.model.events import Lasting, cut_change
from reconciler.model.refs import ObjectRef
from reconciler.render.data import change_data
from reconciler.render.describe import condition_data
from reconciler.render.history import Rows
from reconciler.render.kinds import VIEWS
from reconciler.render.page.look import Look
from reconciler.render.page.rows import applied_by
from reconciler.render.page.timeline import event_rows
from reconciler.render.status.todo import since_data
from reconciler.render.tables import rows
from reconciler.render.text import Data
from reconciler.render.words import told

MOST_FACTS: Final = 200
_LONGEST: Final = 2000  # characters of a fact
_IN_FULL: Final = "the output of `vdvs diff`"


def object_data(look: Look, ref: ObjectRef, lasting: Mapping[ObjectRef, Lasting], events: Rows) -> Data:
    """Everything about one object; null: there is none of that name. `events`: of its history, the newest first."""
    found = rows(look.joined, ref.kind, frozenset((ref,)))
    if not found:
        return None
    (row,) = found
    change, known, record = row.change, lasting.get(ref), row.item.record
    cut = cut_change(change, _IN_FULL)
    data = change_data(cut)
    facts = VIEWS[ref.kind].describe(row)
    left = len(facts) - MOST_FACTS
    return {
        "object": str(ref),
        "name": ref.name,
        "kind": ref.kind.value,
        "standing": change.standing.value,
        **since_data(None if known is None else known.stands),
        "reason": change.reason,
        "told": told(change),
        **{key: data[key] for key in ("op", "effect", "risk", "cause", "notes", "held", "claim")},
        "fields": [
            {"path": field["path"], "live": field["before"], "declared": field["after"], "place": None}
            for field in data["fields"]
        ],
        "rights": [_right_data(right, change.undeclared) for right in cut.rights],
        "conditions": [condition_data(condition) for condition in look.conditions(change)],
        "events": event_rows(events, changes=True),
        "applied": None if record is None else {
            **applied_by(record), "set": record.set or None, "reason": record.reason or None,
        },
        "manifest": look.manifest(ref),
        "labels": dict(look.labels.get(ref, ())),
        "command": look.command(change),
        "facts": [[name, clip(value, _LONGEST)] for name, value in facts[:MOST_FACTS]]
        + ([["", f"and {left} more, which `vdvs describe` shows"]] if left > 0 else []),
    }  # fmt: skip


def _right_data(right: RightsChange, undeclared: bool) -> Data:
    """Rights of somebody by what is declared (`before`), and by what is live (`after`).

    The rights of a change are those of its repair, or, of what no manifest declares, those that it has.
    """
    declared, live = (None, right.after) if undeclared else (right.after, right.before)
    more = undeclared or right.loses or (live is not None and not right.gains)
    return {
        "datastore": right.where or None,
        "vm": right.who,
        "before": declared,
        "after": live,
        "gains": more,
        "releases": right.releases or None,
    }
