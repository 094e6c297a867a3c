"""The stream of bytes from a host, cut into lines. Nothing is kept beyond the limit of one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from reconciler.model.errors import HostUnreachableError

CHUNK = 2**18  # bytes that a channel reads at once
READ_AHEAD = 2**20  # bytes that a channel keeps before it makes the host wait


class ProtocolViolationError(HostUnreachableError):
    """A breach of the protocol by a host: the host is in trouble, not the way to it."""


class Channel(Protocol):
    """A two-way stream to a running agent. Its methods raise HostUnreachableError when it is broken. It keeps no more
    than about READ_AHEAD bytes that nobody has received yet; the host waits then."""

    async def send(self, line: bytes) -> None:
        """Send one line, its newline included."""
        ...

    async def receive(self) -> bytes:
        """Return the next bytes, at least one."""
        ...

    async def close(self) -> None:
        """End the agent. Never raises."""
        ...


class Lines:
    """The lines that come through `channel` from `host`."""

    def __init__(self, host: str, channel: Channel) -> None:
        self._host = host
        self._channel = channel
        self._chunk = b""
        self._at = 0  # where the next line begins in it

    @property
    def waiting(self) -> bool:
        """Return whether more than the last line has come already."""
        return self._at < len(self._chunk)

    async def next(self, most: Callable[[], int]) -> bytes:
        """Return the next line, its newline included. `most`: the limit for its bytes, asked again while it comes.

        Raises HostUnreachableError for a broken channel, ProtocolViolationError for a line that is too long.
        """
        parts: list[bytes] = []
        size = 0
        while True:
            end = self._chunk.find(b"\n", self._at) + 1
            parts.append(self._chunk[self._at : end or None])
            size += len(parts[-1])
            if size > most():
                raise ProtocolViolationError(f"{self._host}: the agent's answer is too long (over {most()} bytes)")
            if end:
                self._at = end
                return b"".join(parts)
            self._chunk, self._at = await self._channel.receive(), 0
