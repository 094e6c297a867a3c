"""Base classes of values that are stored in plan files and exchanged with hosts, and the risk of an action."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final

from msgspec import Meta, Struct

from reconciler.model.refs import ObjectRef

Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A number that a host reports: what SQLite can hold."""

Text = Annotated[str, Meta(max_length=2**16)]
"""A text that a host reports."""

_CLIPPED: Final = 2000


def clip(text: str, most: int = _CLIPPED) -> str:
    """Cut a text that others wrote, for a message."""
    return text if len(text) <= most else f"{text[:most]} ... ({len(text) - most} more characters)"


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
