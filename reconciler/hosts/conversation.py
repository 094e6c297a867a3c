"""A conversation with a running agent: one request at a time, and its events in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from msgspec import ValidationError

from reconciler.hosts import wire
from reconciler.model.errors import HostUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable


class Channel(Protocol):
    """A two-way stream of lines to a running agent. Its methods raise HostUnreachableError when it is broken."""

    async def send(self, line: bytes) -> None:
        """Send one line, its newline included."""
        ...

    async def receive(self) -> bytes:
        """The next line."""
        ...

    async def close(self) -> None:
        """End the agent. Never raises."""
        ...


class Conversation:
    """Over one channel, which ends with it. `noticed` is called for each event of the agent, and once when the channel
    breaks while idle. `greet` comes first. Every method raises HostUnreachableError for a broken channel and for a
    violation of the protocol; then only `close` may follow.
    """

    def __init__(self, host: str, channel: Channel, noticed: Callable[[], None]) -> None:
        self._host = host
        self._channel = channel
        self._noticed = noticed
        self._waiting: asyncio.Future[wire.Line] | None = None
        self._broken: Exception | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def is_broken(self) -> bool:
        """Whether the channel is known to have ended."""
        return self._broken is not None

    async def greet(self, protocol: int) -> None:
        """Read the agent's hello. Raises HostUnreachableError, also for another protocol than this."""
        hello = _decode(self._host, await self._channel.receive()).hello
        if hello is None or hello.protocol != protocol:
            spoken = "no protocol" if hello is None else f"protocol {hello.protocol}"
            raise HostUnreachableError(f"{self._host}: the agent speaks {spoken}, not {protocol}")

    async def ask(self, line: bytes) -> wire.Line:
        """Return the reply to one request. The next may be asked only when it has come."""
        if self._broken is not None:
            raise self._broken
        reply: asyncio.Future[wire.Line] = asyncio.get_running_loop().create_future()
        self._waiting = reply
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
        """End the agent. Never raises."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.wait([reader])
        await self._channel.close()

    async def _read(self) -> None:
        try:
            while True:
                received = _decode(self._host, await self._channel.receive())
                if received.event is not None:
                    self._noticed()
                elif self._waiting is None or self._waiting.done():
                    raise HostUnreachableError(f"{self._host}: the agent answered though nothing was asked")
                else:
                    self._waiting.set_result(received)
        except Exception as error:  # of the channel, or a bug: the pending request must fail with it
            self._broken = error
            if self._waiting is None or self._waiting.done():
                self._noticed()
            else:
                self._waiting.set_exception(error)


def _decode(host: str, line: bytes) -> wire.Line:
    try:
        return wire.line(line)
    except wire.NONSENSE as error:
        wrong = f"what its protocol says ({error})" if isinstance(error, ValidationError) else "JSON"
        raise HostUnreachableError(f"{host}: the agent's answer is not {wrong}: {line[:80]!r}") from None
