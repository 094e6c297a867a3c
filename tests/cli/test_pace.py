"""The estimate of what is left, against stages whose end is known: it must never be far off, and be there in time."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator

import pytest

from reconciler.cli.underway.pace import Pace, about

BEGAN = 1000.0


def ends(durations: list[float], at_once: int | None) -> list[float]:
    """When each step ends, in order, if so many run at once."""
    running: list[float] = []
    found = []
    for duration in durations:
        start = BEGAN if at_once is None or len(running) < at_once else heapq.heappop(running)
        heapq.heappush(running, start + duration)
        found.append(start + duration)
    return sorted(found)


def estimates(found: list[float], at_once: int | None, step: float) -> Iterator[tuple[float, float | None]]:
    """What is left in truth and by the estimate, from the first look to the last."""
    pace = Pace(BEGAN)
    pace.total, pace.at_once = len(found), at_once
    now, last = BEGAN, found[-1]
    while now < last:
        pace.finished(sum(end <= now for end in found), now)
        yield last - now, pace.left(now)
        now += step


def spread(least: float, most: float) -> Callable[[random.Random], float]:
    return lambda chance: chance.uniform(least, most)


def some_fail_at_once(chance: random.Random) -> float:
    """One in ten refuses the connection."""
    return 0.01 if chance.random() < 0.1 else chance.uniform(8, 12)


STAGES = {
    "waves of equal steps": (500, 50, spread(1, 1)),
    "waves of long steps": (500, 50, spread(60, 60)),
    "waves of unequal steps": (500, 50, spread(0.5, 1.5)),
    "all at once, the first after half of the time": (500, None, spread(20, 40)),
    "a rollout, one by one": (12, 1, spread(250, 350)),
    "a rollout, two at once": (30, 2, spread(250, 350)),
    "few hosts": (20, None, spread(5, 6)),
    "some fail at once, the others in waves": (500, 50, some_fail_at_once),
    "some fail at once, all begin at once": (500, None, some_fail_at_once),
}


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_said_is_never_far_from_the_truth(stage: str) -> None:
    number, at_once, duration = STAGES[stage]
    chance = random.Random(7)
    found = ends([duration(chance) for _ in range(number)], at_once)
    whole = found[-1] - BEGAN
    said = [(truth, left) for truth, left in estimates(found, at_once, whole / 997) if left is not None]
    wrong = [(truth, left) for truth, left in said if max(truth, left) > whole / 50]  # at the end nothing is far off
    assert wrong
    assert max(max(left, 0.5) / max(truth, 0.5) for truth, left in wrong) < 5
    assert max(max(truth, 0.5) / max(left, 0.5) for truth, left in wrong) < 5
    assert len(said) > 997 / 12  # most of the time something is said, unless all begin at once and end close together


def test_steps_that_share_the_machine_end_one_after_the_other() -> None:
    """All began at once, and each takes its turn."""
    found = [BEGAN + 0.3 + 0.05 * n for n in range(500)]
    for truth, left in estimates(found, None, 0.5):
        assert left is None or 0.5 < max(truth, 1) / max(left, 1) < 2


def test_the_first_of_a_wave_say_nothing() -> None:
    pace = Pace(BEGAN)
    pace.total, pace.at_once = 500, 50
    assert pace.left(BEGAN) is None
    pace.finished(24, BEGAN + 1)
    assert pace.left(BEGAN + 1) is None
    pace.finished(25, BEGAN + 1)
    assert pace.left(BEGAN + 1) == pytest.approx(9.5)


def test_what_began_before_the_total_was_known_counts_from_its_beginning() -> None:
    """Hosts are connected to while manifests are read, and some have answered when their number is known."""
    pace = Pace(BEGAN)
    assert pace.left(BEGAN + 1) is None
    pace.total, pace.at_once = 500, 50
    pace.finished(50, BEGAN + 1)
    assert pace.left(BEGAN + 1) == pytest.approx(9)


def test_nothing_is_said_while_all_that_run_hang() -> None:
    pace = Pace(BEGAN)
    pace.total, pace.at_once = 500, 50
    pace.finished(100, BEGAN + 2)
    assert pace.left(BEGAN + 2) is not None
    assert pace.left(BEGAN + 30) is None


def test_one_that_hangs_is_not_guessed_at() -> None:
    pace = Pace(BEGAN)
    pace.total, pace.at_once = 3, 1
    pace.finished(1, BEGAN + 10)
    pace.finished(2, BEGAN + 20)
    assert pace.left(BEGAN + 25) == pytest.approx(5)
    assert pace.left(BEGAN + 31) is None
    pace.finished(3, BEGAN + 60)
    assert pace.left(BEGAN + 60) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.01, "about 1 s"), (40.2, "about 40 s"), (89, "about 89 s"), (170, "about 3 min"), (7300, "about 2 h")],
)
def test_times_are_rounded(seconds: float, text: str) -> None:
    assert about(seconds) == text
