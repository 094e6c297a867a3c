"""Ownership: what an apply records, and what counts as approved because it was applied.

Source: docs/domain.md#who-applied-what
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Change, Op
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.model.ownership import Applying, ForgetObject, Record, RecordObject
from reconciler.model.refs import Kind, ObjectRef

_RECORDED = (Op.CREATE, Op.UPDATE, Op.KEEP)


class Place(Struct, frozen=True):
    """Where it is recorded who applied an object: in `db` (None: nowhere, and `why`), as `name`.

    `uid`: the UUID of a vmgroup, by which it is found even if it was applied under another name.
    """

    db: ObjectRef | None
    name: str = ""
    uid: str | None = None
    why: str = ""


Places = Mapping[ObjectRef, Place]


class Ledger(Struct, frozen=True):
    """The records of one config DB, by object and (vmgroups only) by UUID."""

    by_object: Mapping[str, Record]
    by_uid: Mapping[str, Record]

    def of(self, name: str, uid: str | None) -> Record | None:
        """The record of an object, even if it was applied under another name."""
        return (self.by_uid.get(uid) if uid else None) or self.by_object.get(name)

    def of_vmgroup(self, name: str, uuid: str) -> Record | None:
        """The record of exactly this vmgroup: another one of the same name, or one renamed since, has none."""
        record = self.by_object.get(object_name(Kind.VMGROUP, name))
        return record if record is not None and record.uid == uuid else None


def ledger(seen: ObservedConfigDB) -> Ledger | None:
    """Return the records of a config DB; None: who applied what is unknown."""
    if seen.records is None or seen.state is DBState.UNKNOWN:
        return None
    return Ledger(
        {record.object: record for record in seen.records},
        {record.uid: record for record in seen.records if record.uid is not None},
    )


def object_name(kind: Kind, name: str) -> str:
    """Return the name of an object in records: of vmgroups the name in vDVS, which is unique in their config DB."""
    return f"{kind.lower()}/{name}"


def recorded(change: Change, place: Place, digest: str | None, known: Ledger | None, applying: Applying) -> Change:
    """Add to `change` the action that records who applies it, unless the record (in `known`) is up to date.

    An apply without a set leaves an object in its set.
    """
    if known is None or digest is None or place.db is None or change.op not in _RECORDED:
        return change
    name, uid = place.name, place.uid
    last = known.of(name, uid)
    of = applying.set or (last.set if last is not None else "")
    if last is not None and (last.object, last.uid, last.set, last.digest) == (name, uid, of, digest):
        return change
    action = RecordObject(change.ref, Risk.SAFE, name, uid, of, digest)
    taken_over = last is not None and last.set and last.set != of
    claim = f"taken over from set {last.set} ({spell(last)})" if last is not None and taken_over else ""
    return replace(change, actions=(*change.actions, action), claim=claim)


def forgotten(change: Change, names: Iterable[str]) -> Change:
    """Add to the change of a config DB the actions that drop the records with these names."""
    if change.op not in _RECORDED:
        return change
    return replace(change, actions=(*change.actions, *(ForgetObject(change.ref, Risk.SAFE, name) for name in names)))


def spell(record: Record) -> str:
    """Spell who applied an object last, and from which commit: `git 4f2c1ab, by ann@ws`."""
    return ", ".join(([f"git {record.revision}"] if record.commit else []) + [f"by {record.by or 'an unknown user'}"])
