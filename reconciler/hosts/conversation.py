"""A conversation with a running agent: one request at a time, and its events in between."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from msgspec import ValidationError

from reconciler.hosts import wire
from reconciler.hosts.lines import Channel, Lines, ProtocolViolationError
from reconciler.model.errors import HostUnreachableError
from reconciler.model.events import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

GREETING_LIMIT = 10_000  # bytes
EVENT_LIMIT = 2**20  # bytes; an event lists what changed, of what is watched
REPLY_LIMIT = 2**26  # bytes of one reply: that of a config DB with 200,000 members has a third of it
# In one line: small values take many times their bytes once they are decoded. An agent sends no more of config DBs.
MOST_VALUES = 5 * 2**20
_EVENTS_A_SECOND, _EVENTS_AT_ONCE = 2.0, 30  # an agent looks once a second


class Conversation:
    """Over one channel, which ends with it. `noticed` is called for each event of the agent, and once when the channel
    breaks while idle. `greet` comes first. Every method raises HostUnreachableError for a broken channel, and
    ProtocolViolationError for a violation of the protocol; then only `close` may follow.

    `watched`: what an event may name. `broken`: why the channel has ended, None: it is not known to have.
    """

    def __init__(self, host: str, channel: Channel, noticed: Callable[[], None]) -> None:
        self._host = host
        self._channel = channel
        self._lines = Lines(host, channel)
        self._noticed = noticed
        self._waiting: asyncio.Future[wire.Line] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._events = Bucket(_EVENTS_A_SECOND, _EVENTS_AT_ONCE)
        self._now = asyncio.get_running_loop().time
        self.watched: frozenset[str] = frozenset()
        self.broken: Exception | None = None

    async def greet(self, protocol: int) -> None:
        """Read the agent's hello. Raises HostUnreachableError, also for another protocol than this."""
        line = await self._lines.next(lambda: GREETING_LIMIT)
        self._trace("<", line)
        hello = _decode(self._host, line).hello
        if hello is None or hello.protocol != protocol:
            spoken = "no protocol" if hello is None else f"protocol {hello.protocol}"
            raise ProtocolViolationError(f"{self._host}: the agent speaks {spoken}, not {protocol}")

    async def ask(self, line: bytes) -> wire.Line:
        """Return the reply to one request. The next may be asked only when it has come."""
        if self.broken is not None:
            raise self.broken
        reply: asyncio.Future[wire.Line] = asyncio.get_running_loop().create_future()
        self._waiting = reply
        self._trace(">", line)
        try:
            await self._channel.send(line)
            if self._reader is None:
                self._reader = asyncio.create_task(self._read())
            return await reply
        finally:
            self._waiting = None
            if reply.done() and not reply.cancelled():
                reply.exception()  # it may have arrived while sending failed, and nothing else takes it

    async def close(self) -> None:
        """End the agent, and what it is asked. Never raises."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(HostUnreachableError(f"{self._host}: its connection was ended"))
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.wait([reader])
        await self._channel.close()

    async def _read(self) -> None:
        try:
            while True:
                line = await self._lines.next(self._limit)
                self._trace("<", line)
                received = _decode(self._host, line)
                if received.event is not None:
                    self._take(received.event)
                elif self._idle:
                    raise ProtocolViolationError(f"{self._host}: the agent answered though nothing was asked")
                elif self._waiting is not None:
                    self._waiting.set_result(received)
        except Exception as error:  # of the channel, or a bug: the pending request must fail with it
            self.broken = error
            if self._waiting is None or self._waiting.done():
                self._noticed()
            else:
                self._waiting.set_exception(error)

    def _trace(self, direction: str, line: bytes) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s %s %s", self._host, direction, line.decode(errors="replace").rstrip("\n"))

    @property
    def _idle(self) -> bool:
        return self._waiting is None or self._waiting.done()

    def _limit(self) -> int:
        return EVENT_LIMIT if self._idle else REPLY_LIMIT

    def _take(self, event: tuple[str, ...]) -> None:
        """Pass an event on. A host speaks for itself only, and not without end."""
        if unknown := next((what for what in event if what not in self.watched), None):
            raise ProtocolViolationError(f"{self._host}: the agent tells of a change of {unknown[:80]!r}, unasked")
        if not self._events.take(self._now()):
            raise ProtocolViolationError(f"{self._host}: the agent sends more events than it can have seen")
        self._noticed()


def _decode(host: str, line: bytes) -> wire.Line:
    if len(line) > MOST_VALUES and line.count(b",") + line.count(b"[") > MOST_VALUES:
        raise ProtocolViolationError(f"{host}: the agent's answer has too many values (over {MOST_VALUES})")
    try:
        return wire.line(line)
    except wire.NONSENSE as error:
        wrong = f"what its protocol says ({error})" if isinstance(error, ValidationError) else "JSON"
        raise ProtocolViolationError(f"{host}: the agent's answer is not {wrong}: {line[:80]!r}") from None
