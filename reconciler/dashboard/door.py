"""The way to the page: how many connections there may be, and how long each may take to say what it wants.

Nobody has shown a token yet, so whoever comes is bounded, and nobody shuts the others out: where there are too many
connections, the one that has waited longest without being a stream of events makes room.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from resource import RLIMIT_NOFILE, getrlimit
from typing import Final

MOST_CONNECTIONS: Final = 200
BACKLOG: Final = 32  # connections that are accepted at once, and exist before they are counted
FIRST_REQUEST: Final = 10.0  # seconds for a TLS handshake and the head of the first request
ONE_REQUEST: Final = 60.0  # seconds from the head of a request to that of the next


class Door:
    """The connections that there are. `most`: how many there may be, and half of that from one address."""

    def __init__(self, most: int = 0) -> None:
        self.most = most or max(8, min(MOST_CONNECTIONS, getrlimit(RLIMIT_NOFILE)[0] // 4))
        self._open: dict[Visitor, None] = {}  # the longest there first

    def enter(self, visitor: Visitor) -> bool:
        """Let a connection in, if there is room or room can be made."""
        near = [other for other in self._open if other.address == visitor.address]
        crowd = near if len(near) >= self.most // 2 else list(self._open)
        if crowd is near or len(crowd) >= self.most:
            idle = next((other for other in crowd if not other.streams), None)
            if idle is None:
                return False
            idle.leave()
        self._open[visitor] = None
        return True

    def left(self, visitor: Visitor) -> None:
        """Forget a connection."""
        self._open.pop(visitor, None)

    def at(self, transport: asyncio.BaseTransport | None) -> Visitor | None:
        """Return the connection with this transport."""
        return next((visitor for visitor in self._open if visitor.transport is transport), None)


class Visitor(asyncio.Protocol):
    """One connection, before `inner`, which serves it once it was let in and has spoken TLS, if it has to."""

    def __init__(self, door: Door, inner: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None) -> None:
        self._door = door
        self._make = inner
        self._tls = tls
        self._inner: asyncio.Protocol | None = None
        self._early = b""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._greeting: asyncio.Task[None] | None = None
        self.address = ""
        self.transport: asyncio.Transport | None = None
        self.streams = False

    def begins(self, *, stream: bool = False) -> None:
        """Note that the head of a request has come; a stream has no end."""
        self.streams = stream
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if stream else self._loop.call_later(ONE_REQUEST, self.leave)

    def leave(self) -> None:
        """End the connection at once."""
        self._door.left(self)
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a server has two-way connections")
        self.transport = transport
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        if not self._door.enter(self):
            transport.abort()
            return
        self._timer = self._loop.call_later(FIRST_REQUEST, self.leave)
        if self._tls is None:
            self._serve()
        else:
            transport.pause_reading()
            self._greeting = self._loop.create_task(self._greet(transport, self._tls))

    async def _greet(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        try:
            spoken = await self._loop.start_tls(
                transport, self, tls, server_side=True, ssl_handshake_timeout=FIRST_REQUEST
            )
        except (OSError, ValueError, RuntimeError):  # no TLS, or gone
            self.leave()
            return
        if spoken is None or self.transport is None:
            self.leave()
            return
        self.transport = spoken
        self._serve()

    def _serve(self) -> None:
        self._inner = self._make()
        if self.transport is not None:
            self._inner.connection_made(self.transport)
        if self._early:
            self._inner.data_received(self._early)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._inner is None:
            self._early += data
        else:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """See asyncio."""
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        """See asyncio."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio."""
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._door.left(self)
        self.transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self._greeting is not None and self._inner is None:
            self._greeting.cancel()
        if self._inner is not None:
            self._inner.connection_lost(exc)
