"""How long to wait after failures in a row: twice as long each time, up to a limit; no two keys quite alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable


class Backoff:
    """Counts failures by key. `chance` gives numbers from 0 to 1: hosts that failed together shall not all be tried
    again at the same moment."""

    def __init__(self, chance: Callable[[], float], first: float = 1.0, longest: float = 300.0) -> None:
        self._chance = chance
        self._first = first
        self._longest = longest
        self._failures: dict[Hashable, int] = {}

    def failed(self, key: Hashable) -> float:
        """One more failure; the seconds to wait: half to all of what is due."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        due = min(self._longest, self._first * 2.0 ** min(failures - 1, 60))
        return due * (0.5 + 0.5 * self._chance())

    def worked(self, key: Hashable) -> None:
        """It begins anew."""
        self._failures.pop(key, None)
