"""Diff: how each object differs from the manifests, why, and the actions that would change it. All actions are here."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from reconciler.model.base import Risk, Strict
from reconciler.model.kinds import FileAction
from reconciler.model.kinds.configdb import DeleteRow, MoveDB, RecoverDB, UpgradeDB
from reconciler.model.kinds.host import HostAction, MaintenanceAction
from reconciler.model.kinds.vmgroup import (
    AddMember,
    CreateVMGroup,
    DeleteVMGroup,
    LinkAction,
    MoveMember,
    NameMember,
    RemoveAccess,
    RemoveMember,
    RenameVMGroup,
    SetAccess,
    UpdateVMGroup,
)
from reconciler.model.ownership import ForgetObject, RecordObject
from reconciler.model.refs import ObjectRef

if TYPE_CHECKING:
    Value: TypeAlias = "str | int | bool | Mapping[str, Value] | Sequence[Value] | None"
else:
    Value = Any  # msgspec knows no recursive aliases


DBAction = (
    CreateVMGroup
    | UpdateVMGroup
    | RenameVMGroup
    | SetAccess
    | RemoveAccess
    | AddMember
    | MoveMember
    | NameMember
    | RemoveMember
    | DeleteVMGroup
    | RecordObject
    | ForgetObject
    | DeleteRow
    | UpgradeDB
)


Action = DBAction | LinkAction | FileAction | HostAction | MaintenanceAction | RecoverDB | MoveDB


class Op(StrEnum):
    """Kind of a Change. The last four are never applied. UNMANAGED: nobody here ever declared it; REMOVED: the set of
    manifests applied it last, and declares it no longer."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    KEEP = "keep"
    BLOCKED = "blocked"
    UNMANAGED = "unmanaged"
    REMOVED = "removed"
    UNKNOWN = "unknown"


class Effect(StrEnum):
    """Rights that are live, measured by those that are declared; whatever a repair would do."""

    GAVE = "gave"
    TOOK = "took"
    BOTH = "gave and took"
    NEITHER = "neither"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, *, gave: bool, took: bool) -> Effect:
        """Combine both directions."""
        return cls.BOTH if gave and took else cls.GAVE if gave else cls.TOOK if took else cls.NEITHER


class Cause(StrEnum):
    """The side of a difference that changed since the last apply. MANIFEST: the site did not, as far as is known."""

    SITE = "site"
    MANIFEST = "manifest"
    BOTH = "both"
    UNKNOWN = "unknown"


class Standing(StrEnum):
    """The word for the state of an object, the most urgent first. Text, JSON, page and events have no other."""

    OPEN = "OPEN"
    UNREACHABLE = "unreachable"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"
    DRIFTED = "drifted"
    MISSING = "missing"
    NOT_APPLIED = "not applied"
    REMOVED = "removed from the manifests"
    UNMANAGED = "unmanaged"
    IN_SYNC = "in sync"


_STANDINGS = {
    Op.CREATE: Standing.MISSING,
    Op.UPDATE: Standing.DRIFTED,
    Op.DELETE: Standing.DRIFTED,
    Op.KEEP: Standing.IN_SYNC,
    Op.BLOCKED: Standing.BLOCKED,
    Op.UNMANAGED: Standing.UNMANAGED,
    Op.REMOVED: Standing.REMOVED,
    Op.UNKNOWN: Standing.UNKNOWN,
}


class FieldChange(Strict, frozen=True):
    """One field: its path in the manifest (`access[SHARED-Datastore].volumeTotalSize`), and its value before and after.

    Values are spelled as in a manifest. `before` None: does not exist yet; `after` None: is removed.
    """

    path: str
    before: Value
    after: Value


class RightsChange(Strict, frozen=True):
    """Effect of a change on rights: what `who` may do on `where` (words for people), before and after.

    None: nothing. `gains`: something becomes possible; `loses`: something becomes impossible. `releases`: names of the
    releases of vDVS with this effect; empty: all. Source: docs/domain.md#who-may-do-what
    """

    who: str
    where: str
    before: str | None
    after: str | None
    gains: bool
    releases: str = ""
    loses: bool = False


class Part(Strict, frozen=True):
    """A part of a change that can be made alone: see `Change.taking_back`. `applied`: it is measured by what was
    applied last, not by the manifest, which is not applied yet."""

    reason: str
    fields: tuple[FieldChange, ...]
    actions: tuple[Action, ...]
    rights: tuple[RightsChange, ...] = ()
    applied: bool = False


class Change(Strict, frozen=True):
    """One object.

    `reason` is never empty, not even for KEEP. `notes` are important remarks; `held`: parts of the change that must not
    be made now, and why, while the rest may. `actions` would make the change: empty unless `op` is CREATE, UPDATE or
    DELETE, and then too if the action of another object does it (the former vmgroup of a VM that moves). `tied`:
    objects that must be written together with this one. `risk`: the worst of its actions; `rights`: their effect on
    rights; of an UNMANAGED or REMOVED object: the rights that nobody declares. `claim`: what applying records about who
    applied it, or overwrites, if worth mentioning; it makes no difference to vDVS, so KEEP may have the action for it.

    `taking_back`: the part of a change, also of a blocked one, that only takes back what was added to what is declared.
    It ties nothing and can be made alone, while the rest waits. None: there is none, or the whole change is no more.
    `pending`: the manifest is not applied yet, and nothing was added to what was applied last. `formerly`: the name in
    the config DB of an undeclared vmgroup that this one, which is not there yet, may be.

    `effect`: of the difference on rights; `cause`: of the difference, as far as records tell. `host_state`: of a host
    that is open, or does not answer.
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
    taking_back: Part | None = None
    pending: bool = False
    formerly: str = ""
    effect: Effect = Effect.NEITHER
    cause: Cause = Cause.UNKNOWN
    host_state: Standing | None = None

    @property
    def standing(self) -> Standing:
        """The word for its state."""
        return self.host_state or self.sync

    @property
    def sync(self) -> Standing:
        """The word for its state against its manifest alone."""
        added = self.taking_back is not None and self.taking_back.applied
        if self.op is Op.DELETE and self.cause is Cause.MANIFEST:
            return Standing.REMOVED
        if self.op is Op.UPDATE and self.cause is Cause.MANIFEST and not added:
            return Standing.NOT_APPLIED
        return _STANDINGS[self.op]

    @property
    def is_drift(self) -> bool:
        """Whether it is certain that the site was changed."""
        return self.op not in (Op.KEEP, Op.UNKNOWN) and self.cause in (Cause.SITE, Cause.BOTH)

    @property
    def counts(self) -> bool:
        """Whether it keeps the site from being in sync."""
        return self.op not in (Op.KEEP, Op.UNMANAGED) or (self.op is Op.UNMANAGED and bool(self.rights))

    @property
    def undeclared(self) -> bool:
        """Whether no manifest declares the object, and nothing is to be done about it."""
        return self.op in (Op.UNMANAGED, Op.REMOVED)

    @property
    def alone(self) -> Change | None:
        """The part that only takes back, as a change of its own."""
        part = self.taking_back
        if part is None:
            return None
        return Change(self.ref, Op.UPDATE, part.reason, part.fields, part.actions, Risk.RESTRICTS, rights=part.rights)

    def as_part(self) -> Part:
        """Return what it does, as a part of another change."""
        return Part(self.reason, self.fields, self.actions, self.rights)

    @property
    def adds(self) -> Change | None:
        """The part that takes back what somebody has in excess of what is declared; None: there is no such excess."""
        if self.taking_back is not None or (self.op is Op.UNMANAGED and self.rights):
            return self.alone or self
        taken_away = self.op is Op.CREATE and self.is_drift  # what served its VMs less; else it is new
        restricts = (self.op in (Op.UPDATE, Op.DELETE) or taken_away) and self.risk is Risk.RESTRICTS
        return self if restricts and not self.pending else None


class Diff(Strict, frozen=True):
    """All changes, one per object, in the order of `ObjectRef.sort_key`."""

    changes: tuple[Change, ...]

    def of(self, objects: Container[ObjectRef] | None) -> Diff:
        """Return the part of it about these objects (None: all)."""
        return self if objects is None else Diff(tuple(change for change in self.changes if change.ref in objects))

    def count(self, op: Op) -> int:
        """Number of objects with this op."""
        return sum(change.op is op for change in self.changes)

    @property
    def settled(self) -> bool:
        """Return whether nothing that is declared is to be changed, blocked or unknown."""
        return all(change.op is Op.KEEP or change.undeclared for change in self.changes)

    @property
    def in_sync(self) -> bool:
        """Return whether nothing that is declared is to be changed, blocked or unknown, no undeclared object holds
        rights, and none was removed from the manifests."""
        return not any(change.counts for change in self.changes)
