"""Events since the start, in memory, for a watch that keeps no history."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Any, Final

from msgspec.structs import replace

from reconciler.model.events import COUNTED, QUARTER, EventKind, Pass, Past, Quarter, ReportedEvent
from reconciler.model.refs import ObjectRef
from reconciler.render.data import change_data

_MOST_EVENTS: Final = 1000
_MOST_ENDS: Final = 1000
_MOST_QUARTERS: Final = 31 * 96
_BEGINS: Final = (EventKind.DRIFTED, EventKind.BLOCKED)
_ENDS: Final = (EventKind.HEALED, EventKind.IN_SYNC)


class Recent:
    """The last events, and counts; a `ports.Listener`."""

    def __init__(self) -> None:
        self._events: deque[ReportedEvent] = deque(maxlen=_MOST_EVENTS)  # the newest first
        self._ends: deque[tuple[ReportedEvent, float]] = deque(maxlen=_MOST_ENDS)
        self._quarters: dict[int, Quarter] = {}
        self._differs: dict[ObjectRef, datetime] = {}  # since when

    def on_event(self, reported: ReportedEvent) -> None:
        """See `ports.Listener`."""
        event = reported.event
        ended = self._ended(reported)
        if (counted := COUNTED.get(event.kind)) is not None and (ended or event.kind is not EventKind.IN_SYNC):
            self._count(reported.at, counted, 1)
        if event.kind not in (EventKind.STARTED, EventKind.STOPPED):
            self._events.appendleft(reported)

    def _ended(self, reported: ReportedEvent) -> bool:
        """Return whether an event ends a difference: what only could not be looked at did not differ."""
        kind, ref = reported.event.kind, reported.event.ref
        if ref is not None and kind in _BEGINS:
            self._differs.setdefault(ref, reported.at)
        began = self._differs.pop(ref, None) if ref is not None and kind in _ENDS else None
        if began is not None:
            self._ends.append((reported, (reported.at - began).total_seconds()))
        return began is not None

    def on_pass(self, done: Pass) -> None:
        """See `ports.Listener`."""
        self._count(done.ended, "passes", 1)
        self._count(done.ended, "seconds", done.seconds)
        self._differs = {ref: known.differs.at for ref, known in done.lasting.items() if known.differs}

    def _count(self, at: datetime, name: str, more: float) -> None:
        begin = int(at.timestamp()) // QUARTER * QUARTER
        quarter = self._quarters.get(begin, Quarter(begin))
        self._quarters[begin] = replace(quarter, **{name: getattr(quarter, name) + more})
        while len(self._quarters) > _MOST_QUARTERS:
            del self._quarters[next(iter(self._quarters))]

    def past(self, begin: datetime, name: str | None, most: int) -> Past:
        """Return what happened since then, to one object if one is named, with at most so many events."""
        found = [each for each in self._events if each.at >= begin and _is_of(each, name)]
        ends = [(each, seconds) for each, seconds in self._ends if each.at >= begin and _is_of(each, name)]
        if name is None:
            quarters = tuple(each for each in self._quarters.values() if each.at >= begin.timestamp())
        else:
            counted = [each for each in found if each.event.kind in COUNTED.keys() - {EventKind.IN_SYNC}]
            counted += [each for each, _ in ends if each.event.kind is EventKind.IN_SYNC]
            quarters = tuple(map(_quarter, counted))
        took = tuple(seconds for _, seconds in ends)
        return Past(quarters, [_row(each) for each in found[:most]], len(found) > most, took, kept=False)


def _is_of(reported: ReportedEvent, name: str | None) -> bool:
    return name is None or (reported.event.ref is not None and str(reported.event.ref) == name)


def _quarter(reported: ReportedEvent) -> Quarter:
    return Quarter(int(reported.at.timestamp()), **{COUNTED[reported.event.kind]: 1})


def _row(reported: ReportedEvent) -> dict[str, Any]:
    """An event as a row of the history."""
    event, revision = reported.event, reported.revision
    return {
        "at": reported.at.isoformat(),
        "pass": reported.pass_id or None,
        "event": event.kind.value,
        "object": None if event.ref is None else str(event.ref),
        "message": event.message,
        "change": None if event.change is None else change_data(event.change),
        "git_commit": revision.commit,
        "dirty": revision.dirty,
    }
