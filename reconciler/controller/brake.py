"""The brake: an object that keeps drifting back is left alone for a while, for somebody else is at work on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from reconciler.model.refs import ObjectRef

HEALS = 3  # so often within the window, and the brake is on
WINDOW = 600.0  # seconds
REST = 3600.0  # seconds for which it stays on


class Brake:
    """Remembers what was healed when. Tells no time itself: `now` is in seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._healed: dict[ObjectRef, deque[float]] = {}
        self._until: dict[ObjectRef, float] = {}
        self._digests: dict[ObjectRef, str] = {}

    def healed(self, ref: ObjectRef, now: float, digest: str) -> bool:
        """It was brought back once more, to a manifest of this digest. True: the brake is on from now on."""
        times = self._healed.setdefault(ref, deque(maxlen=HEALS))
        times.append(now)
        if len(times) < HEALS or now - times[0] > WINDOW:
            return False
        times.clear()
        self._until[ref], self._digests[ref] = now + REST, digest
        return True

    def on(self, now: float, digests: Mapping[ObjectRef, str]) -> Iterable[ObjectRef]:
        """The objects that are left alone now. A manifest that somebody changed meanwhile releases it."""
        for ref, until in tuple(self._until.items()):
            if now >= until or digests.get(ref) != self._digests[ref]:
                del self._until[ref]
        return tuple(self._until)
