"""Debouncing of a burst of events: act once it has been quiet for a moment, but not later than a limit."""

from __future__ import annotations

QUIET = 0.3
LONGEST = 3.0


class Debounce:
    """Pure except for its memory: the caller passes the time, in seconds."""

    def __init__(self, quiet: float = QUIET, longest: float = LONGEST) -> None:
        self._quiet = quiet
        self._longest = longest
        self._first: float | None = None
        self._last = 0.0

    def seen(self, now: float) -> None:
        """Note an event."""
        if self._first is None:
            self._first = now
        self._last = now

    def due(self) -> float | None:
        """Return when to act; None if there was no event."""
        if self._first is None:
            return None
        return min(self._last + self._quiet, self._first + self._longest)

    def reset(self) -> None:
        """Forget the events; call it when acting."""
        self._first = None
