"""A token bucket: how often something may happen, with bursts."""

from __future__ import annotations


class Bucket:
    """Allows `burst` at once, and `rate` a second in the long run. The caller passes the time, in seconds."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Take one token; False if there is none."""
        passed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._left, self._at = min(float(self._burst), self._left + passed * self._rate), now
        if self._left < 1:
            return False
        self._left -= 1
        return True
