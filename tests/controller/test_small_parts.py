"""Durations and debouncing."""

from __future__ import annotations

import pytest

from reconciler.controller.debounce import Debounce
from reconciler.model.units import parse_duration


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("10s", 10), ("5m", 300), ("1h", 3600)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "0s", "-1s", "1.5s", "1 s", "1d", "٣s", "1s\n", "9999999999s"])
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write an integer and a unit"):
        parse_duration(text)


def test_a_burst_is_one_change() -> None:
    burst = Debounce(quiet=0.3, longest=3.0)
    assert burst.due() is None
    burst.seen(10.0)
    burst.seen(10.2)
    assert burst.due() == pytest.approx(10.5)
    burst.reset()
    assert burst.due() is None


def test_a_burst_without_end_is_acted_upon_all_the_same() -> None:
    burst = Debounce(quiet=0.3, longest=3.0)
    for tick in range(100):
        burst.seen(tick / 10)
    assert burst.due() == 3.0
