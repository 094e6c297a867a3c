"""Connections to the hosts of one command, and the event loop that serves them from its beginning to its end.

Logging in and starting an agent take time. So each host is connected to, and observed, as soon as its manifest is read,
while other manifests are still being read. Nothing is written before all of them are known to be valid.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from io import BytesIO
from types import TracebackType
from typing import IO, TYPE_CHECKING, TypeVar

from reconciler import loader
from reconciler.execution.turns import is_of_first
from reconciler.model.errors import VdvsError
from reconciler.model.kinds.host import DesiredHost
from reconciler.model.kinds.site import Site
from reconciler.ports import Hosts, Observer, Question
from reconciler.wiring import world
from reconciler.wiring.books import SiteBooks
from reconciler.wiring.clock_and_chance import SystemClock, new_uuid
from reconciler.wiring.state import looks_file, read_number

if TYPE_CHECKING:
    from reconciler.reconcile import World

_Value = TypeVar("_Value")


class Connections:
    """Connections of the running command. A context manager: leaving it ends every connection."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._hosts: Hosts | None = None

    def __enter__(self) -> Connections:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._runner as runner:
            if self._hosts is not None:
                runner.run(self._hosts.close())

    def load(
        self,
        paths: Sequence[str],
        site: str | None,
        stdin: IO[bytes] | None,
        *,
        early: bool = True,
        keep_documents: bool = False,
    ) -> loader.Loaded:
        """Load the manifests, see `loader.load`, and connect to their hosts in parallel, if their site exists.

        `early` False: connect to none before all of them are read.
        """
        loop = self._runner.get_loop()
        if stdin is not None:  # read here: a thread that waits for input could not be interrupted
            stdin = BytesIO(stdin.read(loader.LARGEST + 1))

        def on_host(site: Site, host: DesiredHost) -> None:
            loop.call_soon_threadsafe(self._connect, site, host)

        begin = on_host if early else None
        read = partial(loader.load, paths, site=site, stdin=stdin, on_host=begin, keep_documents=keep_documents)
        return self.run(lambda: asyncio.to_thread(read))

    def _connect(self, site: Site, host: DesiredHost) -> None:
        # A guess: the first host of a config DB reads it for the others, if it has the turn, see `prefetch`.
        reads = self._hosts is None and is_of_first(read_number(looks_file(site)))
        with suppress(OSError, VdvsError):  # it is tried again, and told, once the manifests are read
            if self._hosts is None and world.exists(site):
                self._hosts = world.open_hosts(site)
        if self._hosts is not None:
            self._hosts.agent(host.ref.name, host.address).connect(Question(linked=reads))

    @asynccontextmanager
    async def world(self, site: Site, observer: Observer, audit: str | None = None) -> AsyncIterator[World]:
        """Open the world of a site. `audit`: the file of the audit log (None: the default one)."""
        self._hosts = self._hosts or world.open_hosts(site)
        books = SiteBooks(site, SystemClock(), new_uuid, audit)
        async with world.world_of(site, self._hosts, observer, books) as opened:
            yield opened

    def run(self, do: Callable[[], Awaitable[_Value]]) -> _Value:
        """Run `do` in the event loop and return its result."""
        found: list[_Value] = []

        async def keep() -> None:
            # Not returned: when asyncio restores the interrupt handler, it renders the repr of what a task returned.
            found.append(await do())

        self._runner.run(keep())
        return found[0]
