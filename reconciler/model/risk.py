"""Risk of an action."""

from __future__ import annotations

from enum import Enum


class Risk(Enum):
    """Possible effect of an action on users of vDVS, from harmless to irreversible. Compared by severity."""

    SAFE = "safe"
    RESTRICTS = "restricts"
    WIDENS = "widens"
    DISRUPTS = "disrupts"
    DESTROYS = "destroys"

    @property
    def severity(self) -> int:
        """0 for SAFE, rising."""
        return list(Risk).index(self)

    def __lt__(self, other: Risk) -> bool:
        return self.severity < other.severity


def worst(risks: list[Risk]) -> Risk:
    """Return the most severe of `risks`; SAFE if empty."""
    return max(risks, default=Risk.SAFE)
