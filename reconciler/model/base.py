"""Base classes of values that are stored in plan files and exchanged with hosts."""

from __future__ import annotations

from msgspec import Struct

from reconciler.model.refs import ObjectRef
from reconciler.model.risk import Risk


class Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """A value that is decoded strictly: exactly its fields, each of its type."""


class Step(Strict, frozen=True, tag_field="is", tag=True):
    """An action: one step that the agent or vCenter can carry out, the object that it is for, and its risk."""

    ref: ObjectRef
    risk: Risk
