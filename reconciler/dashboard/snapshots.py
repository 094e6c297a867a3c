"""The snapshot of the last look, for `--against`. Made on request, in a thread, and once a look."""

from __future__ import annotations

import asyncio

from reconciler import snapshot
from reconciler.model.events import Pass, ReportedEvent
from reconciler.model.kinds.site import Site
from reconciler.model.outcome import Assessment


class LastLook:
    """Observations of the last pass over a site; a `ports.Listener`."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._seen: Assessment | None = None
        self._making = asyncio.Lock()
        self._made: tuple[Assessment, bytes] | None = None

    def on_event(self, _reported: ReportedEvent) -> None:
        """See `ports.Listener`."""

    def on_pass(self, done: Pass) -> None:
        """See `ports.Listener`."""
        if done.outcome is not None:
            self._seen = done.outcome.after or done.outcome.before

    async def snapshot(self) -> bytes | None:
        """Return the file of the snapshot; None: no pass has ended yet."""
        async with self._making:
            if (seen := self._seen) is None:
                return None
            if self._made is None or self._made[0] is not seen:
                self._made = seen, await asyncio.to_thread(_packed, self._site, seen)
            return self._made[1]


def _packed(site: Site, seen: Assessment) -> bytes:
    return snapshot.to_bytes(snapshot.of(site, seen))
