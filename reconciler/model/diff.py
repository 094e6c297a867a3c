"""Diff: object by object, how the world differs from the manifests, why, and what would be done about it."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from reconciler.model.actions import Action
from reconciler.model.base import Strict
from reconciler.model.refs import ObjectRef
from reconciler.model.risk import Risk

if TYPE_CHECKING:
    Value: TypeAlias = "str | int | bool | Mapping[str, Value] | Sequence[Value] | None"
else:
    Value = Any  # msgspec knows no recursive aliases


class Op(StrEnum):
    """What a Change is. The last three are never applied."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    KEEP = "keep"
    BLOCKED = "blocked"
    UNMANAGED = "unmanaged"
    UNKNOWN = "unknown"


class FieldChange(Strict, frozen=True):
    """One field: its path in the manifest (`access[SHARED-Datastore].volumeTotalSize`), and its value before and after.

    Values are as a manifest spells them. `before` None: not there yet; `after` None: goes away.
    """

    path: str
    before: Value
    after: Value


class RightsChange(Strict, frozen=True):
    """What a change means in rights: what `who` may do on `where` (words for people), before and after.

    None: nothing. `gains`: something becomes possible that was not. `releases` names the releases of vDVS for which
    this holds; empty: for all.
    """

    who: str
    where: str
    before: str | None
    after: str | None
    gains: bool
    releases: str = ""


class Change(Strict, frozen=True):
    """One object. `reason` is never empty, not even for KEEP. `notes` are what a reader must not overlook;
    `held` says what of it must not be done now, and why, while the rest may.

    `actions` are what would make it so: empty unless `op` is CREATE, UPDATE or DELETE, and then possibly empty too
    when another object's action does it (the old vmgroup of a VM that moves). `tied` names the objects that must be
    written together with this one. `risk` is the worst of its actions; `rights` says what they mean to whom. `claim`:
    what applying writes down of who applied it, where that is worth a word; it makes no
    difference to vDVS, so KEEP may have the action that does it.
    """

    ref: ObjectRef
    op: Op
    reason: str
    fields: tuple[FieldChange, ...] = ()
    actions: tuple[Action, ...] = ()
    risk: Risk = Risk.SAFE
    notes: tuple[str, ...] = ()
    tied: frozenset[ObjectRef] = frozenset()
    held: tuple[str, ...] = ()
    rights: tuple[RightsChange, ...] = ()
    claim: str = ""


class Diff(Strict, frozen=True):
    """All changes, one an object, in the order of `ObjectRef.sort_key`."""

    changes: tuple[Change, ...]

    def of(self, objects: Container[ObjectRef] | None) -> Diff:
        """Return the part of it about these objects (None: all)."""
        return self if objects is None else Diff(tuple(change for change in self.changes if change.ref in objects))

    def count(self, op: Op) -> int:
        """How many objects have this op."""
        return sum(change.op is op for change in self.changes)

    @property
    def in_sync(self) -> bool:
        """Whether there is nothing to do, nothing in the way and nothing unknown."""
        return all(change.op in (Op.KEEP, Op.UNMANAGED) for change in self.changes)
