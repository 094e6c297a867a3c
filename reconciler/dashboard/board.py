"""What the page shows: the last pass and the last events. Worked out when somebody asks, not in the pass."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from reconciler.model.events import EventKind, Pass, ReportedEvent
from reconciler.model.outcome import Assessment
from reconciler.model.refs import Kind
from reconciler.planning.conditions import conditions
from reconciler.render.data import change_data
from reconciler.render.events import event_data
from reconciler.render.rows import rows_data
from reconciler.render.status import status_data
from reconciler.render.tables import rows

MOST_EVENTS: Final = 200
MOST_CLIENTS: Final = 100
_BACKLOG: Final = 500  # messages that a client may be behind before it is told to come again
_SILENT: Final = (EventKind.STARTED, EventKind.STOPPED)
_KINDS: Final = {
    "hosts": Kind.HOST,
    "vmgroups": Kind.VMGROUP,
    "configDBs": Kind.CONFIG_DB,
    "storagePolicies": Kind.STORAGE_POLICY,
    "volumes": Kind.VOLUME,
}

Message = tuple[str, str]  # the name of a server-sent event, and its data as JSON


class Board:
    """Implements `ports.Listener`, for one site. `mode`: what the watch may write, in words; `stale_after`: seconds
    without a pass that worked."""

    def __init__(self, site: str, mode: str, stale_after: float, now: Callable[[], datetime]) -> None:
        self._site = site
        self._mode = mode
        self._stale_after = stale_after
        self._now = now
        self._version = 0
        self._seen: Assessment | None = None
        self._pass: dict[str, Any] | None = None
        self._last_good: datetime | None = None
        self._since: datetime | None = None
        self._events: deque[dict[str, Any]] = deque(maxlen=MOST_EVENTS)
        self._clients: set[asyncio.Queue[Message | None]] = set()
        self._text: tuple[int, bytes] | None = None

    def told(self, told: ReportedEvent) -> None:
        """See `ports.Listener`."""
        self._version += 1
        data = event_data(told)
        if told.event.kind not in _SILENT:
            self._events.appendleft(data)
        self._send("told", data)

    def passed(self, done: Pass) -> None:
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
            self._take(done.outcome.after or done.outcome.before, done.ended)
        self._send("pass", {"version": self._version, "pass": self._pass})

    def _take(self, seen: Assessment, at: datetime) -> None:
        before, self._seen, self._last_good = self._seen, seen, at
        if before is None or (before.diff, before.observed, before.resolved) != (
            seen.diff,
            seen.observed,
            seen.resolved,
        ):
            self._version += 1
        if before is None or before.diff.in_sync != seen.diff.in_sync:
            self._since = at

    @property
    def tag(self) -> str:
        """Another one whenever `state` is another."""
        return f"{self._version}-{self._pass['id'] if self._pass else 'none'}"

    def state(self) -> bytes:
        """Everything, as JSON. All but the pass is worked out anew only if something is not as it was."""
        if self._text is None or self._text[0] != self._version:
            self._text = self._version, json.dumps(self._state(), separators=(",", ":")).encode("ascii")
        return b'{"pass":%s,%s' % (json.dumps(self._pass).encode("ascii"), self._text[1][1:])

    def ready(self) -> str:
        """Why nobody should rely on what is shown; empty: there is no reason."""
        if self._last_good is None:
            return "no pass has looked at the site yet"
        age = (self._now() - self._last_good).total_seconds()
        return f"the last pass that worked was {age:.0f} s ago" if age > self._stale_after else ""

    @contextmanager
    def listening(self) -> Iterator[asyncio.Queue[Message | None]]:
        """What is told from now on; None: come again."""
        queue: asyncio.Queue[Message | None] = asyncio.Queue(_BACKLOG + 1)
        self._clients.add(queue)
        try:
            yield queue
        finally:
            self._clients.discard(queue)

    @property
    def clients(self) -> int:
        """How many listen."""
        return len(self._clients)

    def _send(self, name: str, data: dict[str, Any]) -> None:
        message = name, json.dumps(data)
        for queue in tuple(self._clients):
            if queue.qsize() >= _BACKLOG:
                self._clients.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(message)

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "version": self._version,
            "site": self._site,
            "mode": self._mode,
            "since": self._since.isoformat() if self._since else None,
            "events": list(self._events),
            "status": None,
        }
        if self._seen is None:
            return state | {name: [] for name in _KINDS}
        seen = self._seen
        changes = {
            str(change.ref): change_data(change) for change in seen.diff.changes if change.fields or change.notes
        }
        tables = {name: rows_data(rows(seen, kind))["items"] for name, kind in _KINDS.items()}
        return state | tables | {"status": status_data(self._site, seen, conditions(seen)), "changes": changes}
