"""The content of the page of one site: the last pass, the last events, and whoever listens to them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from heapq import nsmallest
from typing import Any, Final

from reconciler.dashboard.made import Body, Workshop, encode, encode_list, encode_mapping
from reconciler.dashboard.recent import Recent
from reconciler.model.diff import Change
from reconciler.model.errors import VdvsError
from reconciler.model.events import EventKind, Lasting, Pass, Past, Pulse, ReportedEvent, Since, cut_change
from reconciler.model.outcome import Assessment
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Desired
from reconciler.render.data import change_data
from reconciler.render.events import event_data
from reconciler.render.kinds import VIEWS
from reconciler.render.page import timeline
from reconciler.render.page.access import AccessMap, cell_data, map_data
from reconciler.render.page.commands import NO_COMMANDS, Commands
from reconciler.render.page.drawer import object_data
from reconciler.render.page.look import Look
from reconciler.render.page.rows import applied_by, oldest, row_list
from reconciler.render.status import sentence, status_data
from reconciler.render.status.todo import since_data, todo, todo_data, urgency
from reconciler.render.text import Data
from reconciler.render.words import words_data

MOST_EVENTS: Final = 200
MOST_CLIENTS: Final = 100
_MOST_CHANGES: Final = 100
_MOST_OF_OBJECT: Final = 50  # events
_BACKLOG: Final = 500  # messages that a client may be behind before it has to connect again
_IN_FULL: Final = "the output of `vdvs diff`"
_SILENT: Final = (EventKind.STARTED, EventKind.STOPPED)
_log = logging.getLogger(__name__)

Message = tuple[str, str]  # the name of a server-sent event, and its data as JSON
ReadPast = Callable[[datetime, str | None, int], Past]
"""What happened since a moment, to one object or to all, with at most so many events. Raises VdvsError."""


class Board:
    """The last pass and the last events of one site; a `ports.Listener`.

    `mode`: what the watch may write, in words. `pulse`: whether passes still end. `repository_url`: where people read
    the manifests; `commands`: how `vdvs` is called for it; `past`: reads its history (None: it has none).
    """

    def __init__(
        self,
        site: str,
        mode: str,
        pulse: Pulse,
        now: Callable[[], datetime],
        *,
        repository_url: str | None = None,
        commands: Commands = NO_COMMANDS,
        past: ReadPast | None = None,
    ) -> None:
        self._site = site
        self._mode = mode
        self._pulse = pulse
        self._now = now
        self._repository_url = repository_url
        self._commands = commands
        self._past = past
        self._unread = False
        self._recent = Recent()
        self._version = int(now().timestamp() * 1000)  # others than a watch had that ran before
        self._seen: Assessment | None = None
        self._desired: Desired | None = None
        self._access: AccessMap | None = None
        self._pass: dict[str, Any] | None = None
        self._last_good: datetime | None = None
        self._in_sync: Since | None = None  # None: it is not
        self._lasting: Mapping[ObjectRef, Lasting] = {}
        self._events: deque[ReportedEvent] = deque(maxlen=MOST_EVENTS)
        self._clients: dict[asyncio.Queue[Message | None], None] = {}  # the longest there first
        self._workshop = Workshop()

    def on_event(self, reported: ReportedEvent) -> None:
        """See `ports.Listener`."""
        self._recent.on_event(reported)
        self._version += 1
        if reported.event.kind not in _SILENT:
            self._events.appendleft(reported)
        if self._clients:
            self._send("event", event_data(reported))

    def on_pass(self, done: Pass) -> None:
        """See `ports.Listener`."""
        self._recent.on_pass(done)
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
        if self._clients:
            self._send("pass", {"version": self._version, "pass": self._pass, **self._ages()})

    def _take(self, seen: Assessment, done: Pass) -> None:
        before, self._seen, self._last_good, self._lasting = self._seen, seen, done.ended, done.lasting
        # The same Diff is kept from pass to pass while nothing that it was made from has changed.
        if before is None or before.diff is not seen.diff or not _same(self._desired, done.desired):
            self._version += 1
            self._desired, self._access = done.desired, AccessMap(Look(seen, done.desired, self._commands))
        if not seen.diff.in_sync:
            self._in_sync = None
        elif self._in_sync is None:
            self._in_sync = Since(done.ended, before is None)

    @property
    def tag(self) -> str:
        """Tag of the current state; it changes whenever `state` does."""
        return self._tag(self._version)

    async def state(self) -> tuple[str, Body, bytes]:
        """Return the tag of the state, and the state as JSON, in two parts.

        All but the pass is made again only after a change, once for all clients, and in a thread, so that the event
        loop of the watch goes on.
        """
        version, body = await self._workshop.kept("state", lambda: self._version, self._to_make_state)
        now = {"pass": self._pass, **self._ages(), "stuck": self._pulse.stuck() or None}
        return self._tag(version), body, b"," + json.dumps(now).encode("ascii")[1:]

    def _to_make_state(self) -> Callable[[], bytes]:
        snapshot, look, lasting = self._snapshot(), self._look, self._lasting
        return lambda: page_json(snapshot, look, lasting)[:-1]

    async def access(self) -> tuple[str, Body]:
        """Return the tag of the access map, and the map as JSON."""
        version, body = await self._workshop.kept("access", lambda: self._version, self._to_make_access)
        return f"{version}", body

    def _to_make_access(self) -> Callable[[], bytes]:
        version, access = self._version, self._access
        return lambda: access_json(version, access)

    @property
    def _look(self) -> Look | None:
        return None if self._access is None else self._access.look

    async def object(self, ref: ObjectRef) -> Data:
        """Return all about one object; None: it is not there."""
        look, lasting = self._look, self._lasting
        if look is None:
            return None
        begin = timeline.beginning(self._now(), timeline.MOST_HOURS)
        return await self._workshop.once(
            lambda: object_data(look, ref, lasting, self._read(begin, str(ref), _MOST_OF_OBJECT).events)
        )

    async def cell(self, vmgroup: str, datastore: str) -> Data:
        """Return the rights of a vmgroup on a datastore, and why; None: there are no such two."""
        access = self._access
        if access is None:
            return None
        return await self._workshop.once(lambda: cell_data(access, vmgroup, datastore))

    async def history(self, hours: int, name: str | None) -> Data:
        """Return what happened in the last `hours`, to the object of this name, or (None) at the site."""
        now = self._now()
        begin = timeline.beginning(now, hours)
        return await self._workshop.once(
            lambda: timeline.history_data(self._read(begin, name, timeline.MOST_EVENTS), now, hours)
        )

    def _read(self, begin: datetime, name: str | None, most: int) -> Past:
        """Read the history, or what is in memory, if there is none or it cannot be read."""
        if self._past is not None:
            try:
                found = self._past(begin, name, most)
            except VdvsError as error:
                if not self._unread:
                    _log.warning("%s; the page shows what this watch has seen since its start", error)
                self._unread = True
            else:
                self._unread = False
                return found
        return self._recent.past(begin, name, most)

    def _tag(self, version: int) -> str:
        return f"{version}-{self._pass['id'] if self._pass else 'none'}"

    def _ages(self) -> dict[str, float]:
        age = self._pulse.age
        return {"age": round(age, 1), "nextPass": round(max(0.0, self._pulse.interval - age), 1)}

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

    def dismiss(self) -> None:
        """Have all clients connect again."""
        for queue in tuple(self._clients):
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
            "repositoryURL": self._repository_url,
            "interval": self._pulse.interval,
            "staleAfter": self._pulse.stuck_after,
            "words": words_data(),
            **since_data(oldest(self._seen, self._lasting) if self._in_sync is None else self._in_sync),
            "events": tuple(self._events),
        }


_NOTHING: Final[Mapping[ObjectRef, Lasting]] = {}


def _same(one: Desired | None, other: Desired | None) -> bool:
    return one is other or one == other


def page_json(snapshot: Mapping[str, Any], look: Look | None, lasting: Mapping[ObjectRef, Lasting] = _NOTHING) -> bytes:
    """Write `snapshot` and all objects of a look, by kind, as JSON in ASCII."""
    parts = {key: encode(value) for key, value in snapshot.items() if key != "events"}
    parts["events"] = encode_list(map(event_data, snapshot.get("events", ())))
    parts["kinds"] = encode([view.key for view in VIEWS.values()])
    if look is None:
        empty: dict[str, Data] = {"status": None, "todo": [], "todoTotal": 0, "appliedBy": None, "changes": {}}
        parts |= {key: encode(value) for key, value in empty.items()}
        parts |= {view.key: "[]" for view in VIEWS.values()}
    else:
        seen = look.joined.assessment
        parts |= {view.key: encode_list(row_list(look, kind, lasting)) for kind, view in VIEWS.items()}
        status = status_data(snapshot["site"], seen, ())
        parts["status"] = encode({key: value for key, value in status.items() if key != "conditions"})
        parts |= {key: encode(value) for key, value in todo_data(*todo(look, lasting)).items()}
        parts["appliedBy"] = encode(applied_by(look.last_applied))
        shown = nsmallest(_MOST_CHANGES, (each for each in seen.diff.changes if _is_shown(each)), key=urgency)
        parts["changes"] = encode_mapping(
            {str(change.ref): encode(change_data(cut_change(change, _IN_FULL))) for change in shown}
        )
    return encode_mapping(parts).encode("ascii")


def _is_shown(change: Change) -> bool:
    return bool(change.fields or change.notes)


def access_json(version: int, access: AccessMap | None) -> bytes:
    """Write the access map as JSON in ASCII."""
    parts = {"version": encode(version), "vmgroups": "[]", "datastores": "[]"}
    if access is not None:
        parts |= {key: encode_list(values) for key, values in map_data(access)}
    return encode_mapping(parts).encode("ascii")
