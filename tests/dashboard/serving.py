"""The server on a port of loopback, in a loop of its own, asked over real HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from reconciler.dashboard.board import Board
from reconciler.dashboard.listening import Listen
from reconciler.dashboard.server import Server, Shown
from reconciler.dashboard.snapshots import LastLook
from reconciler.model.events import Pulse
from reconciler.render.page.commands import Commands
from tests.execution.test_snapshots import SITE
from tests.telemetry.passes import NOON

SOON = 20.0


class Served:
    """`later` moves the clocks by which the board judges its age. A pass is due every 20 s. `about`: for the board."""

    def __init__(self, where: Listen, **about: Any) -> None:
        self.now = NOON
        self.stuck = ""
        self.url = ""
        self.pulse = Pulse(lambda: (self.now - NOON).total_seconds(), 20.0)
        about = {"commands": Commands(("-f", "manifests/")), **about}
        self.board = Board("lab", "reporting only", self.pulse, lambda: self.now, **about)
        self.last = LastLook(SITE)
        self.sites = {"": Shown(self.board, self.last)}
        self._where = where
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        if left := asyncio.all_tasks(self._loop):  # which `asyncio.run` would end
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.wait(left))

    async def _serve(self) -> None:
        words = iter(f"word-{number}" for number in range(10_000))
        server = Server(
            self._where,
            self.sites,
            (lambda: b"vdvs_up 1\n", "text/plain"),
            lambda: self.stuck or self.pulse.stuck(),
            self.board.ready,
            lambda: next(words),
        )
        async with server.running() as url:
            self.url = url
            self._ready.set()
            await self._stop.wait()

    @property
    def loop_thread(self) -> int | None:
        return self._thread.ident

    def do(self, what: Any, *arguments: Any) -> None:
        """Have the board told something, in its own loop; of a pass the pulse is told as well."""
        if what == self.board.on_pass:
            self.pulse.on_pass(*arguments)
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (what(*arguments), done.set()))
        assert done.wait(SOON)

    def later(self, **more: float) -> None:
        self.now = NOON + timedelta(**more)
        self.pulse.beat()

    def fetch(self, path: str, **headers: str) -> bytes:
        """The body of an answer that is no text."""
        with urlopen(Request(self.url.rstrip("/") + path, headers=headers), timeout=SOON) as answer:  # noqa: S310
            return bytes(answer.read())

    def ask(self, method: str, path: str, *, tls: Any = None, body: str | None = None, **headers: str) -> HTTPResponse:
        """An answer, its body read: `.text`."""
        to = urlsplit(self.url)
        host, port = to.hostname or "", to.port
        connection = (
            HTTPSConnection(host, port, timeout=SOON, context=tls) if tls else HTTPConnection(host, port, timeout=SOON)
        )
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            answer.text = answer.read().decode()  # type: ignore[attr-defined]
            return answer
        finally:
            connection.close()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(SOON)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(SOON)
        self._loop.close()


@contextmanager
def served(where: Listen | None = None, **about: Any) -> Iterator[Served]:
    made = Served(where or Listen("127.0.0.1", 0, names=frozenset({"127.0.0.1", "localhost"})), **about)
    made.start()
    try:
        yield made
    finally:
        made.stop()
