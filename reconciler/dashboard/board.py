"""The data of the page: the last pass and the last events. Made on request, in a thread, never in the pass."""

from __future__ import annotations

import asyncio
import gc
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from reconciler.model.events import EventKind, Lasting, Pass, Pulse, ReportedEvent, Since, cut_change
from reconciler.model.outcome import Assessment
from reconciler.model.refs import ObjectRef
from reconciler.planning.conditions import conditions
from reconciler.planning.joined import Joined
from reconciler.render.data import change_data, effect_data
from reconciler.render.events import event_data
from reconciler.render.kinds import VIEWS
from reconciler.render.status import sentence, status_data
from reconciler.render.tables import row_data, rows
from reconciler.render.words import words_data

MOST_EVENTS: Final = 200
MOST_CLIENTS: Final = 100
_BACKLOG: Final = 500  # messages that a client may be behind before it has to connect again
_IN_FULL: Final = "the output of `vdvs diff`"
_SILENT: Final = (EventKind.STARTED, EventKind.STOPPED)

Message = tuple[str, str]  # the name of a server-sent event, and its data as JSON


class Board:
    """The last pass and the last events of one site; a `ports.Listener`.

    `mode`: what the watch may write, in words. `pulse`: whether passes still end.
    """

    def __init__(self, site: str, mode: str, pulse: Pulse, now: Callable[[], datetime]) -> None:
        self._site = site
        self._mode = mode
        self._pulse = pulse
        self._now = now
        self._version = 0
        self._seen: Assessment | None = None
        self._pass: dict[str, Any] | None = None
        self._last_good: datetime | None = None
        self._in_sync: Since | None = None  # None: it is not
        self._lasting: Mapping[ObjectRef, Lasting] = {}
        self._events: deque[dict[str, Any]] = deque(maxlen=MOST_EVENTS)
        self._clients: dict[asyncio.Queue[Message | None], None] = {}  # the longest there first
        self._making = asyncio.Lock()
        self._made: tuple[int, bytes] | None = None  # by version

    def on_event(self, reported: ReportedEvent) -> None:
        """See `ports.Listener`."""
        self._version += 1
        data = event_data(reported)
        if reported.event.kind not in _SILENT:
            self._events.appendleft(data)
        self._send("event", data)

    def on_pass(self, done: Pass) -> None:
        """See `ports.Listener`."""
        self._pass = {
            "id": done.id,
            "trigger": done.trigger.value,
            "ended": done.ended.isoformat(),
            "seconds": round(done.seconds, 3),
            "failure": done.failure or None,
            "git": {"commit": done.revision.commit, "dirty": done.revision.dirty} if done.revision.commit else None,
        }
        if done.outcome is not None:
            self._take(done.outcome.after or done.outcome.before, done)
        self._send("pass", {"version": self._version, "pass": self._pass, "age": 0.0})

    def _take(self, seen: Assessment, done: Pass) -> None:
        before, self._seen, self._last_good, self._lasting = self._seen, seen, done.ended, done.lasting
        # The same Diff is kept from pass to pass while nothing that it was made from has changed.
        if before is None or before.diff is not seen.diff:
            self._version += 1
        if not seen.diff.in_sync:
            self._in_sync = None
        elif self._in_sync is None:
            self._in_sync = Since(done.ended, before is None)

    @property
    def tag(self) -> str:
        """Tag of the current state; it changes whenever `state` does."""
        return self._tag(self._version)

    async def state(self) -> tuple[str, bytes]:
        """Return the tag of the state, and the state as JSON.

        All but the pass is made again only after a change, once for all clients, and in a thread, so that the event
        loop of the watch goes on.
        """
        async with self._making:
            if self._made is None or self._made[0] != self._version:
                version, snapshot, seen, lasting = self._version, self._snapshot(), self._seen, self._lasting
                self._made = version, await asyncio.to_thread(page_json, snapshot, seen, lasting)
            version, text = self._made
            now = {"pass": self._pass, "age": round(self._pulse.age, 1), "stuck": self._pulse.stuck() or None}
            return self._tag(version), json.dumps(now).encode("ascii")[:-1] + b"," + text[1:]

    def _tag(self, version: int) -> str:
        return f"{version}-{self._pass['id'] if self._pass else 'none'}"

    @property
    def sentence(self) -> str:
        """The state of the site in one sentence."""
        return self.ready() or ("" if self._seen is None else sentence(self._seen))

    def ready(self) -> str:
        """Reason why the state is missing or stale; empty: it is neither."""
        if self._last_good is None:
            return "no pass has ended yet"
        age = (self._now() - self._last_good).total_seconds()
        return f"the last successful pass was {age:.0f} s ago" if age > self._pulse.stale_after else ""

    @contextmanager
    def listening(self) -> Iterator[asyncio.Queue[Message | None]]:
        """Queue of the messages from now on; None in it: connect again."""
        queue: asyncio.Queue[Message | None] = asyncio.Queue(_BACKLOG + 1)
        self._clients[queue] = None
        try:
            yield queue
        finally:
            self._clients.pop(queue, None)

    def make_room(self, most: int) -> None:
        """Have the clients that have been there longest connect again, so that there are fewer than `most`."""
        for queue in tuple(self._clients)[: max(0, len(self._clients) - most + 1)]:
            self._dismiss(queue)

    def _dismiss(self, queue: asyncio.Queue[Message | None]) -> None:
        self._clients.pop(queue, None)
        queue.put_nowait(None)

    @property
    def clients(self) -> int:
        """Number of connected clients."""
        return len(self._clients)

    def _send(self, name: str, data: dict[str, Any]) -> None:
        message = name, json.dumps(data)
        for queue in tuple(self._clients):
            if queue.qsize() >= _BACKLOG:
                self._dismiss(queue)
            else:
                queue.put_nowait(message)

    def _snapshot(self) -> dict[str, Any]:
        """Copy what may change while the data of the page is made."""
        return {
            "version": self._version,
            "site": self._site,
            "mode": self._mode,
            "interval": self._pulse.interval,
            "staleAfter": self._pulse.stuck_after,
            "words": words_data(),
            **_since_data(_oldest(self._seen, self._lasting) if self._in_sync is None else self._in_sync),
            "events": list(self._events),
        }


_NOTHING: Final[Mapping[ObjectRef, Lasting]] = {}


def _since_data(since: Since | None) -> dict[str, Any]:
    return {"since": since and since.at.isoformat(), "sinceKind": since and since.kind}


def _oldest(seen: Assessment | None, lasting: Mapping[ObjectRef, Lasting]) -> Since | None:
    """Return since when the oldest of the states lasts that keep the site from being in sync."""
    counts = (change for change in seen.diff.changes if change.counts) if seen is not None else ()
    found = [lasting[change.ref].stands for change in counts if change.ref in lasting]
    return min(found, key=lambda since: since.at, default=None)


def _row(row: Any, lasting: Mapping[ObjectRef, Lasting]) -> dict[str, Any]:
    """An object as the page needs it: what `vdvs get` has, and its state, in the words of all other outputs."""
    change, known = row.change, lasting.get(row.change.ref)
    since = None if known is None else known.stands
    state = {"standing": change.standing.value, "effect": effect_data(change), "cause": change.cause.value}
    return {**row_data(row), **state, **_since_data(since)}


def page_json(
    snapshot: dict[str, Any], seen: Assessment | None, lasting: Mapping[ObjectRef, Lasting] = _NOTHING
) -> bytes:
    """Write `snapshot` and all objects of `seen`, by kind, as JSON in ASCII.

    No step may hold the interpreter lock, and with it the event loop of the watch, for long: objects are encoded one by
    one, and the garbage collector, which would visit every object of the site, is paused (nothing here makes cycles).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return _page_json(snapshot, seen, lasting)
    finally:
        if was_enabled:
            gc.enable()


def _page_json(snapshot: dict[str, Any], seen: Assessment | None, lasting: Mapping[ObjectRef, Lasting]) -> bytes:
    parts = {key: _encode(value) for key, value in snapshot.items()}
    parts["kinds"] = _encode([view.key for view in VIEWS.values()])
    if seen is None:
        parts |= {"status": "null", **{view.key: "[]" for view in VIEWS.values()}}
    else:
        joined = Joined(seen)
        parts |= {view.key: _list(_row(row, lasting) for row in rows(joined, kind)) for kind, view in VIEWS.items()}
        status = status_data(snapshot["site"], seen, conditions(seen))
        judged = _list(status.pop("conditions"))
        parts["status"] = _mapping({**{key: _encode(value) for key, value in status.items()}, "conditions": judged})
        shown = (change for change in seen.diff.changes if change.fields or change.notes)
        parts["changes"] = _mapping(
            {str(change.ref): _encode(change_data(cut_change(change, _IN_FULL))) for change in shown}
        )
    return _mapping(parts).encode("ascii")


def _encode(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _list(values: Iterable[Any]) -> str:
    return f"[{','.join(map(_encode, values))}]"


def _mapping(parts: Mapping[str, str]) -> str:
    """A JSON object of values that are JSON already."""
    return "{" + ",".join(f"{_encode(key)}:{value}" for key, value in parts.items()) + "}"
