"""The command that connects to a host in place of TCP: ProxyCommand and ProxyJump of `~/.ssh/config`.

It is run here, and not by asyncssh, which takes what such a command says on its standard error for data of the host.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import threading
from typing import Final

from reconciler.hosts.ssh_config import ProxyWay

_KEPT: Final = 1000  # bytes of what it said last
_SHOWN: Final = 300  # characters of that
_LAST_WORDS: Final = 1.0  # seconds for it to say why it ended
_DYING: Final = 0.1  # seconds, for which everything waits


class Proxy:
    """A running command, in a session of its own. `socket`: the way to the host, which whoever uses it closes."""

    def __init__(self, way: ProxyWay) -> None:
        self._way = way
        self._loop = asyncio.get_running_loop()
        self._said = b""
        self._ended = False
        self._silent = asyncio.Event()
        self.socket, theirs = socket.socketpair()
        self._errors, errors = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own
                way.command, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=errors, start_new_session=True
            )
        except OSError:
            self.socket.close()
            os.close(self._errors)
            raise
        finally:
            theirs.close()
            os.close(errors)
        os.set_blocking(self._errors, False)
        self._loop.add_reader(self._errors, self._listen)

    def __str__(self) -> str:
        return f"{self._way.named} of ~/.ssh/config"

    async def failure(self) -> str:
        """End it, and return how it failed; empty: it did not, as far as it says."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._silent.wait()
        self.end()
        code = self._process.returncode
        if not self.said and code in (None, 0, -signal.SIGKILL):
            return ""
        return f"{self} failed: {self.said or f'exit code {code}'}"

    @property
    def said(self) -> str:
        """What it said last, which may be a greeting."""
        lines = (line.strip("@ \t") for line in self._said.decode(errors="replace").splitlines())
        return " ".join(line for line in lines if line)[-_SHOWN:]

    def end(self) -> None:
        """End it, and whatever it started."""
        if self._ended:
            return
        self._ended = True
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            try:
                self._process.wait(_DYING)
            except subprocess.TimeoutExpired:  # as by sudo, it is of another user, and ends when its connection does
                threading.Thread(target=self._process.wait, daemon=True).start()
        self._hang_up()

    def _listen(self) -> None:
        try:
            said = os.read(self._errors, 2**16)
        except BlockingIOError:
            return
        self._said = (self._said + said)[-_KEPT:]
        if not said:
            self._hang_up()

    def _hang_up(self) -> None:
        if not self._silent.is_set():
            self._silent.set()
            self._loop.remove_reader(self._errors)
            os.close(self._errors)
