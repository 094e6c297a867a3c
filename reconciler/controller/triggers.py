"""Triggers of a watch from outside: changed manifests, and signals."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence

from reconciler.controller.debounce import Debounce
from reconciler.controller.files import ManifestFiles

_ENDING = (signal.SIGINT, signal.SIGTERM)


class Triggers:
    """Events for a loop, besides its own work. `something` is set whenever there is a reason to check the other
    members; whoever notices a change calls `changed`, `hang_up` or `stop`, in the event loop. `debounce`: how long to
    wait for further changes.
    """

    def __init__(self, debounce: Debounce | None = None) -> None:
        self.something = asyncio.Event()
        self.stopped = False
        self._hung_up = False
        self._debounce = debounce or Debounce()
        self._loop = asyncio.get_running_loop()

    def manifests_due(self) -> float | None:
        """Return when to read the manifests again, because they changed; None if they did not."""
        return self._debounce.due()

    def manifests_read(self) -> None:
        """Clear the pending trigger."""
        self._debounce.reset()

    def was_hung_up(self) -> bool:
        """Return whether everything was to be read again since the last call."""
        came, self._hung_up = self._hung_up, False
        return came

    def rearm(self) -> None:
        """Look after whatever notices changes; called regularly."""

    def changed(self) -> None:
        """Note that the manifests changed."""
        self._debounce.seen(self._loop.time())
        self.something.set()

    def hang_up(self) -> None:
        """Have everything read again."""
        self._hung_up = True
        self.something.set()

    def stop(self) -> None:
        """Have the loop end after the running pass."""
        self.stopped = True
        self.something.set()


class FileTriggers(Triggers):
    """An async context that catches signals and file events.

    SIGHUP hangs up. A second SIGINT or SIGTERM ends the process. `tell`: see `ManifestFiles`.
    """

    def __init__(self, paths: Sequence[str], tell: Callable[[str], None] = lambda _: None) -> None:
        super().__init__()
        self._files = ManifestFiles(paths, self._from_thread, tell)

    async def __aenter__(self) -> FileTriggers:
        handlers: dict[signal.Signals, Callable[[], None]] = dict.fromkeys(_ENDING, self.stop)
        for number, handler in (handlers | {signal.SIGHUP: self.hang_up}).items():
            self._loop.add_signal_handler(number, handler)
        self._files.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._files.stop()
        for number in (*_ENDING, signal.SIGHUP):
            self._loop.remove_signal_handler(number)

    def rearm(self) -> None:
        """Watch folders that were created since."""
        self._files.rearm()

    def stop(self) -> None:
        """See `Triggers`."""
        super().stop()
        for number in _ENDING:
            self._loop.remove_signal_handler(number)

    def _from_thread(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.changed)
