"""What happened since the start, in memory, for a watch that keeps no history."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec.structs import replace

from reconciler.model.events import COUNTED, QUARTER, EventKind, Lasting, Pass, Past, Quarter, ReportedEvent
from reconciler.model.refs import ObjectRef
from reconciler.render.data import change_data

_MOST_EVENTS: Final = 1000
_MOST_ENDS: Final = 1000
_MOST_QUARTERS: Final = 31 * 96
_ENDS: Final = (EventKind.HEALED, EventKind.IN_SYNC)


class Recent:
    """The last events, and counts; a `ports.Listener`."""

    def __init__(self) -> None:
        self._events: deque[dict[str, Any]] = deque(maxlen=_MOST_EVENTS)  # as rows of the history, the newest first
        self._ends: deque[tuple[datetime, str, float]] = deque(maxlen=_MOST_ENDS)
        self._quarters: dict[int, Quarter] = {}
        self._lasting: Mapping[ObjectRef, Lasting] = {}

    def on_event(self, reported: ReportedEvent) -> None:
        """See `ports.Listener`."""
        event, revision = reported.event, reported.revision
        if (counted := COUNTED.get(event.kind)) is not None:
            self._count(reported.at, counted, 1)
        if event.kind in _ENDS and event.ref is not None and (known := self._lasting.get(event.ref)) is not None:
            began = (known.differs or known.stands).at
            self._ends.append((reported.at, str(event.ref), (reported.at - began).total_seconds()))
        if event.kind not in (EventKind.STARTED, EventKind.STOPPED):
            self._events.appendleft(
                {
                    "at": reported.at.isoformat(), "pass": reported.pass_id or None, "event": event.kind.value,
                    "object": None if event.ref is None else str(event.ref), "message": event.message,
                    "change": None if event.change is None else change_data(event.change),
                    "git_commit": revision.commit, "dirty": revision.dirty,
                }
            )  # fmt: skip

    def on_pass(self, done: Pass) -> None:
        """See `ports.Listener`."""
        self._count(done.ended, "passes", 1)
        self._count(done.ended, "seconds", done.seconds)
        self._lasting = done.lasting

    def _count(self, at: datetime, name: str, more: float) -> None:
        begin = int(at.timestamp()) // QUARTER * QUARTER
        quarter = self._quarters.get(begin, Quarter(begin))
        self._quarters[begin] = replace(quarter, **{name: getattr(quarter, name) + more})
        while len(self._quarters) > _MOST_QUARTERS:
            del self._quarters[next(iter(self._quarters))]

    def past(self, begin: datetime, name: str | None, most: int) -> Past:
        """Return what happened since then, to one object if one is named, with at most so many events."""
        since = begin.isoformat()
        found = [each for each in self._events if each["at"] >= since and name in (None, each["object"])]
        if name is None:
            quarters = tuple(each for each in self._quarters.values() if each.at >= begin.timestamp())
        else:
            quarters = tuple(_quarter(each) for each in found if EventKind(each["event"]) in COUNTED)
        ends = tuple(seconds for at, of, seconds in self._ends if at >= begin and name in (None, of))
        return Past(quarters, found[:most], len(found) > most, ends, kept=False)


def _quarter(event: Mapping[str, Any]) -> Quarter:
    at = int(datetime.fromisoformat(event["at"]).timestamp())
    return Quarter(at, **{COUNTED[EventKind(event["event"])]: 1})
