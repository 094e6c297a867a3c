"""Base classes of values that are stored in plan files and exchanged with hosts, and the risk of an action."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from reconciler.model.refs import ObjectRef


class Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """A value that is decoded strictly: exactly its fields, each of its type."""


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


class Step(Strict, frozen=True, tag_field="is", tag=True):
    """An action: one step that the agent or vCenter can carry out, the object that it is for, and its risk."""

    ref: ObjectRef
    risk: Risk
