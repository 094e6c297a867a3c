"""How risky an action is."""

from __future__ import annotations

from enum import Enum


class Risk(Enum):
    """What an action may do to those who work with vDVS, from harmless to irreversible. Compares by severity."""

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
    """The most severe of `risks`; SAFE when there is none."""
    return max(risks, default=Risk.SAFE)
