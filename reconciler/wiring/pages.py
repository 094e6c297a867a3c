"""The server of a watch, or of an operator: pages, snapshots and metrics of sites, and health."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from reconciler.dashboard.board import Board, ReadPast
from reconciler.dashboard.listening import Listen, listen
from reconciler.dashboard.server import Server, Shown
from reconciler.dashboard.snapshots import LastLook
from reconciler.model.events import Past, Pulse
from reconciler.model.kinds.site import Site
from reconciler.ports import Listener
from reconciler.render.page.commands import NO_COMMANDS, Commands
from reconciler.telemetry.metrics import CONTENT_TYPE, Gauges, Metrics, of_sites
from reconciler.wiring.clock_and_chance import SystemClock, new_token
from reconciler.wiring.watch_history import open_history


class ServerOptions(Struct, frozen=True):
    """The options of the server; None: not given."""

    listen: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    token_file: str | None = None
    allow_name: tuple[str, ...] = ()


class Pages:
    """Pages and data of sites, by name; that of the only site of a watch is empty. `gauges`: of no site.

    Raises UsageError for an address that cannot be meant.
    """

    def __init__(self, options: ServerOptions, gauges: Gauges | None = None) -> None:
        self._where: Listen = listen(
            options.listen or "", certificate=options.tls_cert, key=options.tls_key, token_file=options.token_file,
            names=options.allow_name,
        )  # fmt: skip
        self._gauges = gauges or {}
        self._sites: dict[str, Shown] = {}
        self._metrics: dict[str, Metrics] = {}

    def add(
        self,
        name: str,
        site: Site,
        mode: str,
        pulse: Pulse,
        commands: Commands = NO_COMMANDS,
        history: Path | None = None,
    ) -> tuple[Listener, ...]:
        """Serve a site from now on; return the listeners of its watch that know what. `commands`: how `vdvs` is called
        for it; `history`: the file that its watch keeps."""
        board = Board(
            site.name, mode, pulse, SystemClock().now,
            repository_url=site.repository_url, commands=commands, past=None if history is None else read_past(history),
        )  # fmt: skip
        last = LastLook(site)
        metrics = Metrics(pulse.stuck)
        self._sites[name], self._metrics[name] = Shown(board, last), metrics
        return board, metrics, last

    def drop(self, name: str) -> None:
        """Serve a site no longer."""
        self._sites.pop(name).board.dismiss()
        del self._metrics[name]

    def ready(self) -> str:
        """Return why a page says nothing yet; empty: all of them do."""
        return next((why for shown in self._sites.values() if (why := shown.board.ready())), "")

    @asynccontextmanager
    async def running(
        self, stuck: Callable[[], str], ready: Callable[[], str], report: Callable[[str], None]
    ) -> AsyncIterator[None]:
        """Serve inside the context. `stuck`, `ready`: see `Server`; `report` is called with the address."""
        server = Server(self._where, self._sites, (self._text, CONTENT_TYPE), stuck, ready, new_token)
        async with server.running() as url:
            report(f"listening on {url}")
            yield

    def _text(self) -> bytes:
        alone = self._metrics.get("")
        return of_sites(self._metrics, self._gauges) if alone is None else alone.text()


def read_past(file: Path) -> ReadPast:
    """Return what reads the history in `file`, opened anew each time: in whatever thread it is called."""

    def read(begin: datetime, name: str | None, most: int) -> Past:
        with open_history(file) as history:
            return history.past(begin, name, most)

    return read
