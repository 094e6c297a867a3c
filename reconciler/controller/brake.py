"""The brake: an object that keeps drifting back is not restored for a while, because something else keeps changing it.

What was added to it is taken back all the same (`Policy.braked`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from reconciler.model.refs import ObjectRef

HEALS = 3  # this many within the window turn the brake on
WINDOW = 600.0  # seconds
REST = 3600.0  # seconds that the brake stays on


class Brake:
    """Remembers when each object was healed. `now` is always in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._healed: dict[ObjectRef, deque[float]] = {}
        self._until: dict[ObjectRef, float] = {}
        self._digests: dict[ObjectRef, str] = {}

    def healed(self, ref: ObjectRef, now: float, digest: str) -> bool:
        """Count a heal to a manifest of this digest. Returns True if this turns the brake on."""
        if ref in self._until:
            return False
        times = self._healed.setdefault(ref, deque(maxlen=HEALS))
        times.append(now)
        if len(times) < HEALS or now - times[0] > WINDOW:
            return False
        times.clear()
        self._until[ref], self._digests[ref] = now + REST, digest
        return True

    def braked(self, now: float, digests: Mapping[ObjectRef, str]) -> Iterable[ObjectRef]:
        """Return the objects for which it is on now. A change of its manifest releases an object."""
        self._healed = {ref: times for ref, times in self._healed.items() if times and now - times[-1] <= WINDOW}
        for ref, until in tuple(self._until.items()):
            if now >= until or digests.get(ref, "") != self._digests[ref]:
                del self._until[ref], self._digests[ref]
        return tuple(self._until)
