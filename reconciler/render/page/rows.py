"""The rows of the page, short, as there are thousands: everything else about an object is asked for by its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from reconciler.model.base import clip
from reconciler.model.diff import Change, Standing
from reconciler.model.events import Lasting, Since
from reconciler.model.outcome import Assessment
from reconciler.model.ownership import Record
from reconciler.model.refs import Kind, ObjectRef
from reconciler.render.data import effect_data
from reconciler.render.kinds import VIEWS
from reconciler.render.page.look import Look
from reconciler.render.status.todo import LONGEST, since_data
from reconciler.render.tables import rows
from reconciler.render.text import Data


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


def applied_by(record: Record | None) -> Data:
    """The last apply of something: by whom, when, and of which commit; null: nobody is known to have."""
    if record is None:
        return None
    at = record.when.isoformat() if record.when else None
    return {"by": record.by or None, "at": at, "commit": record.commit, "claimed": record.claimed}


def oldest(seen: Assessment | None, lasting: Mapping[ObjectRef, Lasting]) -> Since | None:
    """Return since when the oldest of the states lasts that keep the site from being in sync."""
    counts: Iterable[Change] = (change for change in seen.diff.changes if change.counts) if seen is not None else ()
    found = [lasting[change.ref].stands for change in counts if change.ref in lasting]
    return min(found, key=lambda since: since.at, default=None)
