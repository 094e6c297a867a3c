"""The rows of the page, short, as there are thousands: everything else about an object is asked for by its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import nsmallest
from typing import Any, Final

from reconciler.model.base import clip
from reconciler.model.diff import Change, Effect, Op, Standing
from reconciler.model.events import Lasting, Since
from reconciler.model.outcome import Assessment
from reconciler.model.ownership import Record
from reconciler.model.refs import Kind, ObjectRef
from reconciler.render.data import effect_data
from reconciler.render.diff import by_risk
from reconciler.render.kinds import VIEWS
from reconciler.render.page.look import Look
from reconciler.render.tables import rows
from reconciler.render.text import Data
from reconciler.render.words import EFFECTS, STANDINGS, remarks, sides, told

MOST_TO_DO: Final = 20
LONGEST: Final = 300  # characters of a sentence in a row
_FIELDS: Final = 2  # that a sentence names
_URGENCY: Final = {word: position for position, word in enumerate(STANDINGS)}


def since_data(since: Since | None) -> dict[str, Data]:
    """Since when, and whether it began then or was first seen."""
    return {"since": since and since.at.isoformat(), "sinceKind": since and since.kind}


def row_list(look: Look, kind: Kind, lasting: Mapping[ObjectRef, Lasting]) -> Iterator[dict[str, Data]]:
    """Yield the objects of one kind: their state, in the words of all other outputs, and the facts of a row. Of one
    that is in sync, nothing is said that every other one has."""
    view = VIEWS[kind]
    for row in rows(look.joined, kind):
        change, known = row.change, lasting.get(row.change.ref)
        found: dict[str, Data] = {"object": str(change.ref), "name": row.name, "standing": change.standing.value}
        if change.standing is not Standing.IN_SYNC:
            found |= since_data(None if known is None else known.stands)
            found |= {"effect": effect_data(change), "cause": change.cause.value}
            found |= {"reason": clip(change.reason, LONGEST)}
        facts = (view.slim or view.data)(row)
        labels = dict(look.labels.get(change.ref, ()))
        yield {**found, **{key: value for key, value in facts.items() if value is not None}, "labels": labels}


def to_do(look: Look, lasting: Mapping[ObjectRef, Lasting]) -> dict[str, Data]:
    """What there is to do, the worst first, and how much of it there is."""
    changes = look.joined.assessment.diff.changes
    # A host that no manifest declares keeps nothing from being in sync, but stands open all the same.
    waiting = [change for change in changes if change.counts or change.standing is Standing.OPEN]
    worst = nsmallest(MOST_TO_DO, waiting, key=urgency)
    return {"todo": [_task(change, look, lasting) for change in worst], "todoTotal": len(waiting)}


def urgency(change: Change) -> tuple[Any, ...]:
    """Key for sorting changes: the most urgent state first, then the worst risk."""
    return _URGENCY[change.standing], by_risk(change)


def _task(change: Change, look: Look, lasting: Mapping[ObjectRef, Lasting]) -> dict[str, Data]:
    known = lasting.get(change.ref)
    return {
        "object": str(change.ref),
        "standing": change.standing.value,
        **since_data(None if known is None else known.stands),
        "text": clip(_said(change), LONGEST),
        "command": look.command(change),
    }


def _said(change: Change) -> str:
    """Spell in a sentence what is wrong with an object, and what that does to access."""
    if change.standing is Standing.OPEN:
        found = next((note for note in remarks(change) if note.startswith(Standing.OPEN)), told(change))
        return found.partition(": ")[2] or found  # the word for its state stands beside it
    if change.op not in (Op.UPDATE, Op.DELETE) or not change.fields:
        return told(change)
    shown = "; ".join(f"{field.path}: {sides(field)}" for field in change.fields[:_FIELDS])
    left = len(change.fields) - _FIELDS
    what = f"{shown}; and {left} more" if left > 0 else shown
    return what if change.effect is Effect.NEITHER else f"{EFFECTS[change.effect]}; {what}"


def applied_by(record: Record | None) -> Data:
    """Who applied something, when, and of which commit; null: nobody is known to have."""
    if record is None:
        return None
    at = record.when.isoformat() if record.when else None
    return {"by": record.by or None, "at": at, "commit": record.commit, "claimed": record.claimed}


def oldest(seen: Assessment | None, lasting: Mapping[ObjectRef, Lasting]) -> Since | None:
    """Return since when the oldest of the states lasts that keep the site from being in sync."""
    counts: Iterable[Change] = (change for change in seen.diff.changes if change.counts) if seen is not None else ()
    found = [lasting[change.ref].stands for change in counts if change.ref in lasting]
    return min(found, key=lambda since: since.at, default=None)
