"""Adopted: manifests of what is there, and what of it no manifest can say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from reconciler.model.diff import Value
from reconciler.model.frozen import dataclass
from reconciler.model.refs import ObjectRef

Place = tuple[str | int, ...]
"""A place inside a manifest: keys and list positions from its top."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as a manifest says it. `comments`: what a reader wants to know beside some of its values."""

    ref: ObjectRef
    data: Mapping[str, Value]
    comments: Mapping[Place, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that is there, or may be, and in no manifest; `why` is for people. `unread`: nobody could look."""

    ref: ObjectRef
    why: str
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Adopted:
    """All manifests in the order of `ObjectRef.sort_key`, and all that is left out."""

    manifests: tuple[Manifest, ...]
    left_out: tuple[LeftOut, ...]
