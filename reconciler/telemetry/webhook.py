"""Delivery of events to a webhook as CloudEvents (structured JSON), with retries."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from reconciler.model.events import Pass, ReportedEvent
from reconciler.model.kinds.site import Secret
from reconciler.render.events import event_data

MOST_WAITING: Final = 1000
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_RETRYABLE: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_log = logging.getLogger(__name__)


class Webhook:
    """Implements `ports.Listener`. Delivers events in order, one at a time.

    `wait` returns the seconds to wait after an attempt, given whether it succeeded (then 0). While the receiver is
    down, the oldest events beyond MOST_WAITING are dropped and counted in `lost`.
    """

    def __init__(
        self, url: str, site: str, new_id: Callable[[], str], wait: Callable[[bool], float], token: Secret | None = None
    ) -> None:
        self._url = url
        self._source = f"/vdvs/site/{site}"
        self._new_id = new_id
        self._wait = wait
        self._token = token
        self._waiting: deque[dict[str, Any]] = deque(maxlen=MOST_WAITING)
        self._pending = asyncio.Event()
        self.lost = 0

    def on_event(self, reported: ReportedEvent) -> None:
        """See `ports.Listener`."""
        self._send(self._cloud_event(reported))

    def on_entry(self, entry: dict[str, Any]) -> None:
        """Deliver an entry of the audit log, too."""
        subject = {"subject": entry["object"]} if "object" in entry else {}
        self._send(self._event("audit", entry["at"], entry) | subject)

    def _send(self, event: dict[str, Any]) -> None:
        if len(self._waiting) == MOST_WAITING:
            if not self.lost:
                _log.warning("the webhook has been unreachable for so long that events for it are lost")
            self.lost += 1
        self._waiting.append(event)
        self._pending.set()

    def on_pass(self, done: Pass) -> None:
        """See `ports.Listener`."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver events inside the context; at its end make one last attempt for those that wait."""
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token.reveal()}"}
        async with aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as session:
            task = asyncio.create_task(self._deliver(session))
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                while self._waiting and await self._post(session, self._waiting[0]):
                    self._waiting.popleft()

    async def _deliver(self, session: aiohttp.ClientSession) -> None:
        while True:
            await self._pending.wait()
            self._pending.clear()
            while self._waiting:
                first = self._waiting[0]
                worked = await self._post(session, first)
                if worked and self._waiting and self._waiting[0] is first:
                    self._waiting.popleft()
                if (seconds := self._wait(worked)) > 0:
                    await asyncio.sleep(seconds)

    async def _post(self, session: aiohttp.ClientSession, event: dict[str, Any]) -> bool:
        """Return whether the event is done with: accepted, or refused for good."""
        kind = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
        try:
            async with session.post(self._url, data=json.dumps(event), headers=kind, allow_redirects=False) as answer:
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _log.info("the webhook cannot be reached: %s", error)
            return False
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _RETRYABLE:
            return False
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            _log.warning("the webhook rejected an event, which is dropped (HTTP %d)", status)
        return True

    def _cloud_event(self, reported: ReportedEvent) -> dict[str, Any]:
        kind, at = reported.event.kind.value.replace(" ", "-"), reported.at.isoformat().replace("+00:00", "Z")
        event = self._event(kind, at, event_data(reported))
        return event | ({"subject": str(reported.event.ref)} if reported.event.ref else {})

    def _event(self, kind: str, at: str, data: Any) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "id": self._new_id(),
            "source": self._source,
            "type": f"io.vdvs.{kind}",
            "time": at,
            "datacontenttype": "application/json",
            "data": data,
        }
