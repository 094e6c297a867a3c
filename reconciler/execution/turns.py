"""Turns: which host is believed in a run, where several can tell the same.

In every second run it is the first one, so that it can be asked before it is known which others there are.
"""

from __future__ import annotations

from collections.abc import Sequence


def is_of_first(turn: int) -> bool:
    """Return whether the first of any hosts has this turn."""
    return turn % 2 == 0


def in_turn(names: Sequence[str], turn: int) -> list[str]:
    """Return the hosts, first the one whose turn it is."""
    start = 0 if is_of_first(turn) or len(names) < 2 else 1 + turn // 2 % (len(names) - 1)
    return [*names[start:], *names[:start]]
