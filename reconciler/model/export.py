"""Export: manifests of the existing objects, and what no manifest can express."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import field

from reconciler.model.base import Strict
from reconciler.model.diff import Value
from reconciler.model.refs import ObjectRef

FieldPath = tuple[str | int, ...]
"""A place inside a manifest: keys and list positions from its top."""


class Manifest(Strict, frozen=True):
    """Manifest of one object. `comments`: remarks for the reader beside some of its values."""

    ref: ObjectRef
    data: Mapping[str, Value]
    comments: Mapping[FieldPath, str] = field(default_factory=dict)


class LeftOut(Strict, frozen=True):
    """Something that (possibly) exists and is in no manifest; `why` is for people. `unread`: it could not be read."""

    ref: ObjectRef
    why: str
    unread: bool = False


class Export(Strict, frozen=True):
    """All manifests in the order of `ObjectRef.sort_key`, and everything left out."""

    manifests: tuple[Manifest, ...]
    left_out: tuple[LeftOut, ...]
