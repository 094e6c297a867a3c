"""Ownership: what an apply records, and what counts as approved because it was applied.

Source: docs/domain.md#who-applied-what
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Change, Op
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB, ResolvedConfigDB
from reconciler.model.ownership import Applying, Declared, ForgetObject, Kept, Record, RecordObject
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
    """The records of one config DB, by object and (vmgroups only) by UUID. `kept`: what this side keeps, by object."""

    by_object: Mapping[str, Record]
    by_uid: Mapping[str, Record]
    kept: Mapping[str, Record]

    def of(self, name: str, uid: str | None) -> Record | None:
        """The record of an object, even if it was applied under another name."""
        return (self.by_uid.get(uid) if uid else None) or self.by_object.get(name)

    def of_vmgroup(self, name: str, uuid: str) -> Record | None:
        """The record of exactly this vmgroup: another one of the same name, or one renamed since, has none."""
        record = self.by_object.get(object_name(Kind.VMGROUP, name))
        return record if record is not None and record.uid == uuid else None

    def kept_set(self, name: str, uid: str | None) -> str | None:
        """The set that applied an object last, as far as this side knows; None: it does not."""
        own = self.kept.get(name)
        return own.set if own is not None and own.uid == uid else None


def ledger(db: ResolvedConfigDB, seen: ObservedConfigDB, kept: Mapping[str, Kept]) -> Ledger | None:
    """Return the records of a config DB; None: who applied what is unknown. `kept`: what this side keeps.

    Source: docs/domain.md#who-applied-what
    """
    if seen.records is None or seen.state is DBState.UNKNOWN:
        return None
    known = kept[db.ref.name].records if db.ref.name in kept else {}
    records = [attested(record, known) for record in seen.records]
    return Ledger(
        {record.object: record for record in records},
        {record.uid: record for record in records if record.uid is not None},
        kept_at(db, kept),
    )


def kept_at(db: ResolvedConfigDB, kept: Mapping[str, Kept]) -> Mapping[str, Record]:
    """Return what this side keeps of applies to a config DB, by object: nothing of what it knows of another place."""
    known = kept.get(db.ref.name)
    return known.records if known is not None and known.location == str(db.location) else {}


def declared_last(kept: Kept, name: str) -> Declared | None:
    """Return the declaration of the last apply of an object, if this side knows it."""
    last, own = kept.declared.get(name), kept.records.get(name)
    return last if last is not None and own is not None and last.digest == own.digest else None


def attested(record: Record, kept: Mapping[str, Record]) -> Record:
    """Return a record of a config DB, as a fact if this side made that very apply."""
    own = kept.get(record.object)
    return own if own is not None and not own.claimed and not differs(record, own) else record


def differs(record: Record, own: Record) -> bool:
    """Return whether a record of a config DB differs from the one that this side keeps."""
    return replace(record, claimed=own.claimed) != own


def object_name(kind: Kind, name: str) -> str:
    """Return the name of an object in records: of vmgroups the name in vDVS, which is unique in their config DB."""
    return f"{kind.lower()}/{name}"


def recorded(change: Change, place: Place, digest: str | None, known: Ledger | None, applying: Applying) -> Change:
    """Add to `change` the action that records who applies it, unless the record (in `known`) is up to date.

    An apply without a set leaves an object in its set. A record that somebody changed since this side wrote it is
    written anew.
    """
    if known is None or digest is None or place.db is None or change.op not in _RECORDED:
        return change
    name, uid = place.name, place.uid
    last = known.of(name, uid)
    of = applying.set or known.kept_set(name, uid) or (last.set if last is not None else "")
    if last is not None and (last.object, last.uid, last.set, last.digest) == (name, uid, of, digest):
        own = known.kept.get(name)
        if own is None or own.claimed or not differs(last, own):
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


def unproven(of: str, kept: str | None, applying: Applying) -> str:
    """Return why an object must not be pruned as one of the set `of` on the word of the config DB; empty: it may be.

    `kept`: the set that applied it last, as far as this side knows (None: it does not).
    """
    if kept == of or applying.trust_records:
        return ""
    return (
        f"only the config DB claims that set {of} applied it, and that is not known here; look at it, then give"
        " --trust-records"
    )


def spell(record: Record) -> str:
    """Spell who applied an object last, and from which commit: `git 4f2c1ab, by ann@ws`."""
    return ", ".join(([f"git {record.revision}"] if record.commit else []) + [f"by {record.author}"])
