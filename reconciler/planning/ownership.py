"""Who applied what: what an apply writes down, and what counts as approved because it was applied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.actions import DBAction
from reconciler.model.diff import Change, Op
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.model.kinds.host import ResolvedHost
from reconciler.model.ownership import Applying, ForgetObject, Record, RecordObject
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.risk import Risk

_RECORDED = (Op.CREATE, Op.UPDATE, Op.KEEP)


class Ledger(Struct, frozen=True):
    """The records of one config DB, by object and (vmgroups only) by UUID."""

    by_object: Mapping[str, Record]
    by_uid: Mapping[str, Record]

    def of(self, name: str, uid: str | None) -> Record | None:
        """The record of an object, even if it was called otherwise when it was applied."""
        return (self.by_uid.get(uid) if uid else None) or self.by_object.get(name)

    def of_vmgroup(self, name: str, uuid: str) -> Record | None:
        """The record of exactly this vmgroup: another one of the same name, or one renamed since, has none."""
        record = self.by_object.get(object_name(Kind.VMGROUP, name))
        return record if record is not None and record.uid == uuid else None


def ledger(seen: ObservedConfigDB) -> Ledger | None:
    """The records of a config DB; None: nobody can say who applied what."""
    if seen.records is None or seen.state is DBState.UNKNOWN:
        return None
    return Ledger(
        {record.object: record for record in seen.records},
        {record.uid: record for record in seen.records if record.uid is not None},
    )


def object_name(kind: Kind, name: str) -> str:
    """What a record calls an object: of vmgroups the name in vDVS, which is unique in their config DB."""
    return f"{kind.lower()}/{name}"


def recorded(
    change: Change, name: str, uid: str | None, digest: str | None, known: Ledger | None, applying: Applying | None
) -> Change:
    """`change` with the action that writes down who applies it, unless the record says so already.

    An apply without a set leaves an object in the set that it is in.
    """
    if applying is None or known is None or digest is None or change.op not in _RECORDED:
        return change
    last = known.of(name, uid)
    of = applying.set or (last.set if last is not None else "")
    if last is not None and (last.object, last.uid, last.set, last.digest) == (name, uid, of, digest):
        return change
    action = RecordObject(change.ref, Risk.SAFE, name, uid, of, digest)
    taken_over = last is not None and last.set and last.set != of
    claim = f"taken over from set {last.set} ({spell(last)})" if last is not None and taken_over else ""
    return replace(change, actions=(*change.actions, action), claim=claim)


def spell(record: Record) -> str:
    """`git 4f2c1ab, by ann@ws`: when an object was applied last, and by whom."""
    return ", ".join(([f"git {record.revision}"] if record.commit else []) + [f"by {record.by or 'nobody known'}"])


def forgotten(
    db: ObjectRef, hosts: Iterable[ResolvedHost], known: Ledger | None, applying: Applying | None
) -> tuple[DBAction, ...]:
    """What drops the records of hosts that use another config DB by now: only one may say what was applied last."""
    if applying is None or known is None:
        return ()
    names = ((host, object_name(Kind.HOST, host.ref.name)) for host in hosts if host.config_db != db)
    return tuple(ForgetObject(db, Risk.SAFE, name) for _, name in names if name in known.by_object)
