"""Applies that this side keeps: those that it made, and those that it saw to correspond to the manifests here.

Source: docs/domain.md#who-applied-what
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from msgspec.structs import replace

from reconciler.model.diff import Op
from reconciler.model.kinds.configdb import ResolvedConfigDB
from reconciler.model.kinds.vmgroup import CreateVMGroup, ResolvedVMGroup
from reconciler.model.outcome import ActionResult, Assessment
from reconciler.model.ownership import Declared, Kept, Record, RecordObject, Stamp
from reconciler.model.plan import DBPlan, Plan
from reconciler.model.refs import Kind, ObjectRef
from reconciler.planning.kinds import places
from reconciler.planning.records.ownership import Place, kept_at, ledger, object_name


def about_to_make(found: Assessment, steps: Plan) -> Mapping[str, Kept]:
    """Return what this side keeps before `steps` are carried out: the UUIDs of vmgroups that they make in place of
    those that had the name. Whoever is killed as soon as they are made must not take them for somebody else's."""
    kept = dict(found.observed.kept)
    databases = {db.ref: db for db in found.resolved.config_dbs}
    for step in steps.config_dbs:
        made = {object_name(Kind.VMGROUP, a.name): a.uuid for a in step.actions if isinstance(a, CreateVMGroup)}
        before = kept_at(databases[step.ref], kept) if step.ref in databases else {}
        if again := {name: replace(before[name], uid=uuid) for name, uuid in made.items() if name in before}:
            kept[step.ref.name] = replace(kept[step.ref.name], records={**before, **again})
    return kept


def written(found: Assessment, steps: Plan, results: Iterable[ActionResult], now: datetime) -> Mapping[str, Kept]:
    """Return what this side keeps once `steps` were carried out at `now`. `found`: what they were planned from."""
    results = list(results)
    failed = {result.ref for result in results if not result.ok}
    done = {result.ref for result in results if result.ok}
    kept = dict(found.observed.kept)
    databases = {db.ref: db for db in found.resolved.config_dbs}
    for move in steps.moves:  # the rows go along, and so does what is known of them
        if move.ref in done - failed and move.ref.name in kept:
            kept[move.ref.name] = replace(kept[move.ref.name], location=str(databases[move.ref].location))
    for step in steps.config_dbs:
        if step.ref in done and step.stamp is not None:
            news = {record.object: record for record in _records(step, step.stamp, failed, now)}
            if news:
                db = databases[step.ref]
                uids = {record.uid for record in news.values()} - {None}
                before = {name: own for name, own in kept_at(db, kept).items() if own.uid not in uids}
                now_declared = _declared(found, db, {**before, **news}, lambda ref, _: ref not in failed)
                kept[step.ref.name] = Kept(str(db.location), {**before, **news}, now_declared)
    return kept


def _records(step: DBPlan, stamp: Stamp, failed: set[ObjectRef], now: datetime) -> Iterable[Record]:
    when = now.replace(microsecond=0)  # as the agent writes it
    for action in step.actions:
        if isinstance(action, RecordObject) and action.ref not in failed:
            made = (stamp.commit, stamp.dirty, stamp.by, when, stamp.reason)
            yield Record(action.object, action.uid, action.set, action.digest, *made, claimed=False)


def learned(found: Assessment) -> Mapping[str, Kept]:
    """Return what this side keeps after a look: more than before where a record in a config DB corresponds to the
    manifest here. Of a config DB that it knows already, only objects that are in sync count.
    """
    resolved, observed = found.resolved, found.observed
    in_sync = {change.ref for change in found.diff.changes if change.op is Op.KEEP}
    placed: dict[ObjectRef, list[tuple[ObjectRef, Place]]] = {}
    for ref, place in places(resolved, observed).items():
        if place.db is not None:
            placed.setdefault(place.db, []).append((ref, place))
    kept = dict(observed.kept)
    for db in resolved.config_dbs:
        now = _learned(db, found, placed.get(db.ref, []), in_sync)
        if now is not None:
            declared = _declared(found, db, now, lambda ref, last: last is None or ref in in_sync)
            news = Kept(str(db.location), now, declared)
            if now != kept_at(db, observed.kept) or (now and news != kept.get(db.ref.name)):
                kept[db.ref.name] = news
    return kept


def _declared(
    found: Assessment,
    db: ResolvedConfigDB,
    records: Mapping[str, Record],
    current: Callable[[ObjectRef, Declared | None], bool],
) -> dict[str, Declared]:
    """Return what the applies in `records` declared. Where the manifest here is the one that was applied, it says so,
    if it is `current` (given what is known already): names are looked up anew in each pass. One that asks to be left
    alone is not kept.
    """
    resolved, kept = found.resolved, found.observed.kept.get(db.ref.name)
    before = kept.declared if kept is not None else {}
    declared = {name: last for name, own in records.items() if (last := before.get(name)) and last.digest == own.digest}
    alone = {asked.ref for asked in resolved.treatments}
    groups = [group for group in resolved.vmgroups if group.config_db == db.ref]
    news = [(db.ref, object_name(db.ref.kind, db.ref.name), Declared("", default_vmgroup=db.default_vmgroup))]
    news += [(group.ref, object_name(group.ref.kind, group.name), Declared("", vmgroup=group)) for group in groups]
    for ref, name, new in news:
        own, digest = records.get(name), resolved.digests.get(ref)
        if own is None or own.digest != digest:
            continue
        if ref in alone:
            declared.pop(name, None)
        elif current(ref, declared.get(name)):
            declared[name] = replace(new, digest=digest)
    return declared


def _learned(
    db: ResolvedConfigDB, found: Assessment, placed: list[tuple[ObjectRef, Place]], in_sync: set[ObjectRef]
) -> dict[str, Record] | None:
    """Return what is kept of one config DB, by object; None: it could not be read."""
    seen = found.observed.config_dbs[db.location]
    known = ledger(db, seen, found.observed.kept)
    if known is None:
        return None
    there = {object_name(Kind.VMGROUP, row.name) for row in seen.tenants}
    there |= known.by_object.keys() | {place.name for _, place in placed}
    uuids = {row.id for row in seen.tenants}
    now = {name: own for name, own in known.kept.items() if name in there or own.uid in uuids}
    groups = {group.ref: group for group in found.resolved.vmgroups}
    for ref, place in placed:
        name = place.name
        record, own, digest = known.by_object.get(name), known.kept.get(name), found.resolved.digests.get(ref)
        if record is None or record.digest != digest or (own is not None and own.digest == digest):
            continue
        if record.uid != place.uid:  # it is of another vmgroup that had the name
            continue
        if not known.kept or ref in in_sync:
            earlier = _earlier(groups[ref], record, now) if ref in groups else []
            now = {other: own for other, own in now.items() if other not in earlier}
            now[name] = record
    return now


def _earlier(group: ResolvedVMGroup, record: Record, kept: Mapping[str, Record]) -> list[str]:
    """Return the names of a vmgroup from before it was renamed elsewhere, which a new one may have; what whoever writes
    the config DB calls a rename does not count.
    """
    names = {object_name(Kind.VMGROUP, name) for name in group.previous_names}
    same = [name for name, own in kept.items() if own.uid == record.uid and name != record.object]
    return [name for name in same if name in names or group.uuid == record.uid]
