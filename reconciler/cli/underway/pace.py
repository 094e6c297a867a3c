"""How long a stage of a pass still takes, estimated from when its steps were finished. Pure: the time is given."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

_FEW = 5  # steps that must have ended
_OF_WAVES, _OF_ALL = 2, 10  # and of those that run at once: a half, or if all do, a tenth


class Pace:
    """The pace of one stage of `total` steps, `at_once` of which run at the same time (None: all of them).

    Times are seconds of any one clock. Steps are taken to end in the order in which they began, so each begins when
    the one `at_once` places before it ends.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._ends: list[float] = []
        self._spent = 0.0  # seconds, all finished steps together
        self.total = 0
        self.at_once: int | None = None

    @property
    def done(self) -> int:
        """Number of steps that are finished."""
        return len(self._ends)

    def finished(self, done: int, now: float) -> None:
        """Note that so many steps are finished."""
        for _ in range(done - self.done):
            self._spent += now - self._start(self.done)
            self._ends.append(now)

    def left(self, now: float) -> float | None:
        """Return the seconds until the end; None: not known.

        It is not known before enough steps have ended: the first of a wave may be those that failed. Nor is it when
        those that run take longer than usual, and none ends.
        """
        rest = self.total - self.done
        places = min(self.at_once or self.total, self.total)
        share = _OF_WAVES if places < self.total else _OF_ALL
        if rest <= 0 or self.done < min(places, max(_FEW, places // share)):
            return None
        running = min(places, rest)
        usual = self._spent / self.done
        last_began = self._start(self.done + running - 1)
        if (more := last_began + usual - now) > 0:
            return (rest - running) * usual / places + more
        if rest > running:
            return (rest - running) * usual / places if -more < usual else None
        return self._of_last_wave(running, bisect_right(self._ends, last_began), now)

    def _of_last_wave(self, running: int, first: int, now: float) -> float | None:
        """Return how long those take that still run, at the pace of the last that ended since they began; without those
        before a long pause, which may have failed."""
        ends = [*self._ends[max(first, self.done - running - 1) :], now]
        if len(ends) < 3:
            return None
        gap, after = max((later - earlier, place) for place, (earlier, later) in enumerate(pairwise(ends), start=1))
        if gap > (now - ends[0]) / 2:
            ends = ends[after:]
        known = len(ends) - 2  # steps that ended after the first of these, up to now
        return (now - ends[0]) * running / known if known >= min(_FEW, running) else None

    def _start(self, step: int) -> float:
        if self.at_once is None or step < self.at_once:
            return self._began
        return self._ends[step - self.at_once]


def about(seconds: float) -> str:
    """Round a time for people: `about 40 s`, `about 3 min`, `about 2 h`."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} min"
    return f"about {round(seconds / 3600)} h"
