"""Triggers of a watch from outside: changed manifests, and signals."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence

from reconciler.controller.debounce import Debounce
from reconciler.controller.files import ManifestFiles

_ENDING = (signal.SIGINT, signal.SIGTERM)


class Triggers:
    """An async context that catches signals and file events.

    `something` is set whenever there is a reason to check the other members. A second SIGINT or SIGTERM ends the
    process. `tell`: see `ManifestFiles`.
    """

    def __init__(self, paths: Sequence[str], tell: Callable[[str], None] = lambda _: None) -> None:
        self.something = asyncio.Event()
        self.stopped = False
        self._hung_up = False
        self._debounce = Debounce()
        self._loop = asyncio.get_running_loop()
        self._files = ManifestFiles(paths, self._from_thread, tell)

    async def __aenter__(self) -> Triggers:
        handlers: dict[signal.Signals, Callable[[], None]] = dict.fromkeys(_ENDING, self._stop)
        for number, handler in (handlers | {signal.SIGHUP: self._hang_up}).items():
            self._loop.add_signal_handler(number, handler)
        self._files.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._files.stop()
        for number in (*_ENDING, signal.SIGHUP):
            self._loop.remove_signal_handler(number)

    def manifests_due(self) -> float | None:
        """Return when to read the manifests again, because they changed; None if they did not."""
        return self._debounce.due()

    def rearm(self) -> None:
        """Watch folders that were created since."""
        self._files.rearm()

    def manifests_read(self) -> None:
        """Clear the pending trigger."""
        self._debounce.reset()

    def was_hung_up(self) -> bool:
        """Return whether SIGHUP came since the last call: everything must be read again."""
        came, self._hung_up = self._hung_up, False
        return came

    def _from_thread(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed)

    def _changed(self) -> None:
        self._debounce.seen(self._loop.time())
        self.something.set()

    def _hang_up(self) -> None:
        self._hung_up = True
        self.something.set()

    def _stop(self) -> None:
        self.stopped = True
        self.something.set()
        for number in _ENDING:
            self._loop.remove_signal_handler(number)
