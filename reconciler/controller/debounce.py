"""When to act on a burst of events: once it has been quiet for a moment, but not later than a limit."""

from __future__ import annotations

QUIET = 0.3
LONGEST = 3.0


class Debounce:
    """Pure but for its memory: the caller says what time it is."""

    def __init__(self, quiet: float = QUIET, longest: float = LONGEST) -> None:
        self._quiet = quiet
        self._longest = longest
        self._first: float | None = None
        self._last = 0.0

    def seen(self, now: float) -> None:
        """An event came in."""
        if self._first is None:
            self._first = now
        self._last = now

    def due(self) -> float | None:
        """When to act; None: nothing came in."""
        if self._first is None:
            return None
        return min(self._last + self._quiet, self._first + self._longest)

    def reset(self) -> None:
        """It was acted upon."""
        self._first = None
