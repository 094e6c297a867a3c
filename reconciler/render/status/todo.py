"""Work to do on a site now: a line for each object that keeps it from being in sync, with a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import nsmallest
from typing import Any, Final

from msgspec import Struct

from reconciler.model.base import clip
from reconciler.model.diff import Change, Effect, Op, Standing
from reconciler.model.events import Lasting, Since
from reconciler.model.refs import ObjectRef
from reconciler.render.diff import by_risk
from reconciler.render.page.look import Look
from reconciler.render.text import Data
from reconciler.render.words import EFFECTS, STANDINGS, remarks, sides, told

MOST: Final = 20
LONGEST: Final = 300  # characters of a sentence
_FIELDS: Final = 2  # that a sentence names
_URGENCY: Final = {word: position for position, word in enumerate(STANDINGS)}


class Todo(Struct, frozen=True):
    """An object to look after. `since`: when its state began (None: not known); `text`: what is wrong, on one line;
    `command`: what mends it, or, where that takes a decision, what shows it (None: no command line can name it)."""

    ref: ObjectRef
    standing: Standing
    since: Since | None
    text: str
    command: str | None


def todo(look: Look, lasting: Mapping[ObjectRef, Lasting], most: int | None = MOST) -> tuple[list[Todo], int]:
    """Return what to do, at most so much of it (None: all), the most urgent first, and how much there is."""
    changes = look.joined.assessment.diff.changes
    # A host that no manifest declares keeps nothing from being in sync, but stands open all the same.
    waiting = [change for change in changes if change.counts or change.standing is Standing.OPEN]
    worst = nsmallest(len(waiting) if most is None else most, waiting, key=urgency)
    return [_todo(change, look, lasting.get(change.ref)) for change in worst], len(waiting)


def urgency(change: Change) -> tuple[Any, ...]:
    """Key for sorting changes: the most urgent state first, then the worst risk."""
    return _URGENCY[change.standing], by_risk(change)


def _todo(change: Change, look: Look, known: Lasting | None) -> Todo:
    since = known.stands if known is not None and known.standing in (None, change.standing) else None
    return Todo(change.ref, change.standing, since, clip(_text(change), LONGEST), look.command(change))


def _text(change: Change) -> str:
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


def todo_data(found: Sequence[Todo], total: int) -> dict[str, Data]:
    """Return what to do as `vdvs status -o json` and the page have it."""
    items = [
        {
            "object": str(each.ref),
            "standing": each.standing.value,
            **since_data(each.since),
            "text": each.text,
            "command": each.command,
        }
        for each in found
    ]
    return {"todo": items, "todoTotal": total}


def since_data(since: Since | None) -> dict[str, Data]:
    """Return since when, and whether it began then or was first seen."""
    return {"since": since and since.at.isoformat(), "sinceKind": since and since.kind}
