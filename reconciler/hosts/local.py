"""Hosts that are folders of this machine (the lab): the agent runs in a process here and takes the folder for `/`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Container
from pathlib import Path
from typing import Final

from reconciler.hosts.bundle import BOOTSTRAP, ship
from reconciler.hosts.client import AgentClient, AgentPool
from reconciler.hosts.lines import CHUNK, READ_AHEAD, Channel
from reconciler.model.errors import HostUnreachableError
from reconciler.ports import HostAgent

_UMASK = 0o022  # as on ESXi, whatever that of this process is
_PATIENCE = 5.0  # seconds for an agent to end by itself once its input has ended


class LocalHosts:
    """Implements `ports.Hosts`. `root_of` gives the folder of a host, or raises HostUnreachableError; `first_on` a
    Python program that is run in the agent's process before the agent, because that host differs from this machine."""

    at_once: Final = None

    def __init__(
        self,
        root_of: Callable[[str], Path],
        interpreter: str = sys.executable,
        first_on: Callable[[str], str] = lambda name: "",  # noqa: ARG005 - nothing, whatever the host
    ) -> None:
        self._root_of = root_of
        self._interpreter = interpreter
        self._first_on = first_on
        self._agents = AgentPool()

    def agent(self, name: str, address: str) -> HostAgent:  # noqa: ARG002 - folders go by name
        """See `ports.Hosts`."""
        return self._agents.agent(name, "", lambda: AgentClient(name, lambda: self._open(name)))

    def keep_only(self, names: Container[str]) -> None:
        """See `ports.Hosts`."""
        self._agents.keep_only(names)

    async def close(self) -> None:
        """See `ports.Hosts`."""
        await self._agents.close()

    async def _open(self, name: str) -> Channel:
        root = self._root_of(name)
        try:
            # A session of its own: an interrupt at the keyboard must not kill an agent in the middle of a write.
            process = await asyncio.create_subprocess_exec(
                self._interpreter, "-I", "-S", "-c", BOOTSTRAP, str(root),
                stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=READ_AHEAD // 2, start_new_session=True, umask=_UMASK,
            )  # fmt: skip
        except OSError as error:
            raise HostUnreachableError(f"{name}: the agent cannot be started: {error.strerror}") from error
        channel = _ProcessChannel(name, process)
        try:
            await ship(name, channel, self._first_on(name))
        except BaseException:
            await channel.close()
            raise
        return channel


class _ProcessChannel:
    """The standard streams of an agent's process."""

    def __init__(self, host: str, process: Process) -> None:
        self._host = host
        self._process = process
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process must have been started with pipes")
        self._stdin = process.stdin
        self._stdout = process.stdout

    async def send(self, line: bytes) -> None:
        try:
            self._stdin.write(line)
            await self._stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise HostUnreachableError(f"{self._host}: the agent ended unexpectedly") from error

    async def receive(self) -> bytes:
        received = await self._stdout.read(CHUNK)
        if not received:
            raise HostUnreachableError(f"{self._host}: the agent ended unexpectedly")
        return received

    async def close(self) -> None:
        self._stdin.close()
        try:
            await asyncio.wait_for(self._end(), _PATIENCE)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._end(), _PATIENCE)
        with contextlib.suppress(OSError, TimeoutError):  # a failed write has been reported already
            await asyncio.wait_for(self._stdin.wait_closed(), _PATIENCE)

    async def _end(self) -> None:
        """Wait for the end of the process, reading its remaining output: a full pipe would block it."""
        with contextlib.suppress(RuntimeError):  # a pending request is reading it
            while await self._stdout.read(2**16):
                pass
        await self._process.wait()
