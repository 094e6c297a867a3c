"""The base classes of what travels: into plan files, and to and from hosts."""

from __future__ import annotations

from msgspec import Struct

from reconciler.model.refs import ObjectRef
from reconciler.model.risk import Risk


class Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """A value that, decoded, has exactly its fields, each of its type."""


class Step(Strict, frozen=True, tag_field="is", tag=True):
    """An action: one step that the agent or vCenter can do, for which object, and how risky it is."""

    ref: ObjectRef
    risk: Risk
