"""The hosts of one command, and the event loop in which they are talked to from its beginning to its end.

An agent takes its time to start, and a login takes longer. So every host is called as soon as its manifest is read,
and asked of itself, while the others still are. Nothing is written before all of them are known to be valid.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from types import TracebackType
from typing import IO, TYPE_CHECKING, TypeVar

from reconciler import loader, wiring
from reconciler.model.kinds.host import DesiredHost
from reconciler.model.kinds.site import Site
from reconciler.model.state import Desired
from reconciler.ports import Hosts, Observer, Question

if TYPE_CHECKING:
    from reconciler.reconcile import World

_Value = TypeVar("_Value")


class Calls:
    """To be entered before its first use; on leaving, every connection is ended."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._hosts: Hosts | None = None

    def __enter__(self) -> Calls:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._runner as runner:
            if self._hosts is not None:
                runner.run(self._hosts.close())

    def load(self, paths: Sequence[str], site: str | None, stdin: IO[bytes] | None) -> Desired:
        """The manifests; see `loader.load`. Their hosts are called meanwhile, unless that would be the first that is
        ever done with their site."""
        loop = self._runner.get_loop()
        if stdin is not None:  # read here: a thread that waits for input could not be interrupted
            stdin = BytesIO(stdin.read(loader.LARGEST + 1))

        def on_host(site: Site, host: DesiredHost) -> None:
            loop.call_soon_threadsafe(self._call, site, host)

        async def load() -> Desired:
            return (await asyncio.to_thread(loader.load, paths, site=site, stdin=stdin, on_host=on_host)).desired

        return self.run(load)

    def _call(self, site: Site, host: DesiredHost) -> None:
        reads = self._hosts is None  # a guess: the first host of a config DB reads it for the others, see `foresee`
        if self._hosts is None and wiring.is_there(site):
            self._hosts = wiring.way_to(site)
        if self._hosts is not None:
            self._hosts.agent(host.ref.name, host.address).connect(Question(linked=reads))

    @asynccontextmanager
    async def world(self, site: Site, observer: Observer) -> AsyncIterator[World]:
        """The world of a site."""
        self._hosts = self._hosts or wiring.way_to(site)
        async with wiring.world_of(site, self._hosts, observer) as world:
            yield world

    def run(self, do: Callable[[], Awaitable[_Value]]) -> _Value:
        """What `do` comes to."""
        found: list[_Value] = []

        async def keep() -> None:
            # Not returned: when asyncio restores the interrupt handler, it renders the repr of what a task returned.
            found.append(await do())

        self._runner.run(keep())
        return found[0]
