"""Exponential back-off with jitter, by key."""

from __future__ import annotations

from collections.abc import Callable, Hashable


class Backoff:
    """Counts consecutive failures by key.

    `chance` returns numbers from 0 to 1: hosts that failed together must not all be retried at the same moment.
    `first`, `longest`: seconds.
    """

    def __init__(self, chance: Callable[[], float], first: float = 1.0, longest: float = 300.0) -> None:
        self._chance = chance
        self._first = first
        self._longest = longest
        self._failures: dict[Hashable, int] = {}

    def failed(self, key: Hashable) -> float:
        """Count a failure and return the seconds to wait: half to all of the nominal delay."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        due = min(self._longest, self._first * 2.0 ** min(failures - 1, 60))
        return due * (0.5 + 0.5 * self._chance())

    def worked(self, key: Hashable) -> None:
        """Reset the count of the key."""
        self._failures.pop(key, None)
