"""Sleeping until there is a reason to look again: manifests changed, the interval is over, or a signal to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence

from reconciler.controller.debounce import Debounce
from reconciler.controller.files import ManifestFiles
from reconciler.controller.watch import Wake

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Waiting:
    """An async context: inside it, signals and file events are caught, and `wait` says when to go on."""

    def __init__(self, paths: Sequence[str], interval: float) -> None:
        self._interval = interval
        self._debounce = Debounce()
        self._something = asyncio.Event()
        self._stopped = False
        self._loop = asyncio.get_running_loop()
        self._files = ManifestFiles(paths, self._from_thread)

    async def __aenter__(self) -> Waiting:
        for number in _SIGNALS:
            self._loop.add_signal_handler(number, self._stop)
        self._files.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._files.stop()
        for number in _SIGNALS:
            self._loop.remove_signal_handler(number)

    async def wait(self) -> Wake:
        """The next reason to look again."""
        now: Callable[[], float] = self._loop.time
        resync = now() + self._interval
        while not self._stopped:
            self._files.rearm()
            due = self._debounce.due()
            if due is not None and due <= now():
                self._debounce.reset()
                return Wake.CHANGED
            if resync <= now():
                return Wake.RESYNC
            await self._sleep_until(resync if due is None else min(due, resync))
        return Wake.STOP

    async def _sleep_until(self, when: float) -> None:
        try:
            async with asyncio.timeout_at(when):
                await self._something.wait()
        except TimeoutError:
            return
        self._something.clear()

    def _from_thread(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed)

    def _changed(self) -> None:
        self._debounce.seen(self._loop.time())
        self._something.set()

    def _stop(self) -> None:
        self._stopped = True
        self._something.set()
        for number in _SIGNALS:
            self._loop.remove_signal_handler(number)  # a second one ends us at once
