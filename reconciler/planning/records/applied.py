"""Additions to what was applied last, of objects whose manifest here is another one: whoever can push, but not
apply, neither grants anything nor keeps it from being taken back.

Source: docs/domain.md#who-applied-what
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Change, Diff, Effect, Op, Part
from reconciler.model.kinds.configdb import ResolvedConfigDB, Unmanaged
from reconciler.model.kinds.vmgroup import ResolvedVMGroup
from reconciler.model.ownership import Kept
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.differ import diff
from reconciler.planning.kinds import places
from reconciler.planning.records.history import not_applied
from reconciler.planning.records.ownership import Ledger, Places, declared_last, differs, ledger, object_name
from reconciler.planning.records.treatment import as_applied
from reconciler.planning.scope import vmgroup_ref
from reconciler.planning.vmgroup.taking_back import HARMLESS

_ADDED = "it grants more than what was applied last"


def measured(found: Diff, resolved: Resolved, observed: Observed, fresh: Mapping[ObjectRef, str]) -> Diff:
    """Return `found` for somebody who heals: what may be taken back of an object whose manifest is not applied, or is
    gone, is what was added to what was applied last. What is not known to have been applied stays as it is in `found`.
    """
    counting = as_applied(resolved, observed)
    pending = not_applied(counting, observed)
    then, refs = _as_it_was(counting, observed, pending)
    if not refs and (then.config_dbs, then.vmgroups) == (counting.config_dbs, counting.vmgroups):
        return found
    changes = {change.ref: change for change in found.changes}
    # What was applied as it is may be blocked by a manifest that was not.
    blocked = (change.ref for change in found.changes if change.op is Op.BLOCKED and change.ref.kind is Kind.VMGROUP)
    refs |= {ref for ref in blocked if ref not in pending}
    claimed = _claimed(pending, counting, observed)
    for change in diff(then, observed, fresh).changes:
        ref, part = change.ref, _added(change)
        if part is not None and ref in claimed and ref in changes:
            by_claim = _added(changes[ref])  # an apply from elsewhere stands: only what exceeds both goes
            if by_claim is None or all(action.risk in HARMLESS for action in by_claim.actions):
                part = by_claim  # else, in place of a row that nobody can read, a claim would give what it says
        if part is not None and ref in refs:
            changes[ref] = _with(changes.get(ref), ref, part)
        elif ref in refs & pending.keys() and ref in changes:
            changes[ref] = replace(changes[ref], pending=True)
    return Diff(tuple(sorted(changes.values(), key=lambda change: change.ref.sort_key)))


def _added(change: Change) -> Part | None:
    part = change.taking_back
    if part is None and change.op is Op.UPDATE and change.risk is Risk.RESTRICTS and not change.tied:
        part = change.as_part()
    return None if part is None else replace(part, reason=_ADDED, applied=True)


def _with(change: Change | None, ref: ObjectRef, part: Part) -> Change:
    if change is None or change.undeclared:
        why = f"no manifest declares it any more, and {_ADDED}"
        return Change(ref, Op.BLOCKED, why, part.fields, rights=part.rights, taking_back=part, effect=Effect.GAVE)
    why = f"its manifest is not applied yet, and {_ADDED}"
    if change.op is Op.KEEP:
        return Change(
            ref, Op.BLOCKED, why, part.fields, notes=change.notes, rights=part.rights, taking_back=part,
            effect=Effect.GAVE, host_state=change.host_state,
        )  # fmt: skip
    vmgroup = change.op is Op.UPDATE and ref.kind is Kind.VMGROUP  # that of a config DB may be a repair of its rows
    return replace(change, reason=why if vmgroup else change.reason, taking_back=part)


def _as_it_was(
    resolved: Resolved, observed: Observed, pending: Mapping[ObjectRef, str]
) -> tuple[Resolved, set[ObjectRef]]:
    """Return `resolved` with what was applied last in place of manifests that are not, and the refs of the objects that
    can be measured by it."""
    recorded = places(resolved, observed)
    refs: set[ObjectRef] = set()
    databases, groups = [], []
    for db in resolved.config_dbs:
        known, kept = ledger(db, observed.config_dbs[db.location], observed.kept), observed.kept.get(db.ref.name)
        mine = [group for group in resolved.vmgroups if group.config_db == db.ref]
        if kept is None or kept.location != str(db.location):
            databases.append(db)
            groups += mine
            continue
        last = declared_last(kept, recorded[db.ref].name)
        if db.ref in pending and last is not None:
            refs.add(db.ref)
            db = replace(db, default_vmgroup=last.default_vmgroup)
        databases.append(db)
        valid = [group for group in mine if group.ref not in pending]
        others = list(_others(db, mine, valid, kept, known, recorded, resolved, observed))
        groups += [*valid, *others]
        refs |= {group.ref for group in others}
    groups.sort(key=lambda group: group.ref.sort_key)
    unresolved = tuple(failed for failed in resolved.unresolved if failed.ref not in refs)
    return replace(resolved, config_dbs=tuple(databases), vmgroups=tuple(groups), unresolved=unresolved), refs


def _claimed(pending: Mapping[ObjectRef, str], resolved: Resolved, observed: Observed) -> set[ObjectRef]:
    """The objects of which only their config DB says that the manifest here was applied."""
    ledgers = {db.ref: ledger(db, observed.config_dbs[db.location], observed.kept) for db in resolved.config_dbs}
    found = set()
    for ref, place in places(resolved, observed).items():
        known = ledgers.get(place.db) if place.db is not None else None
        if known is None or ref not in pending:
            continue
        digest, record, own = resolved.digests.get(ref), known.by_object.get(place.name), known.kept.get(place.name)
        if record is not None and record.digest == digest and (own is None or own.digest != digest):
            found.add(ref)
    return found


def _others(
    db: ResolvedConfigDB,
    mine: list[ResolvedVMGroup],
    valid: list[ResolvedVMGroup],
    kept: Kept,
    known: Ledger | None,
    recorded: Places,
    resolved: Resolved,
    observed: Observed,
) -> Iterator[ResolvedVMGroup]:
    """The vmgroups that are there, as they were applied last, whose manifests are others now, or gone."""
    rows = observed.config_dbs[db.location].tenants
    by_uuid = {row.id: row for row in rows}
    by_name = {object_name(Kind.VMGROUP, row.name): row for row in rows}
    taken = {recorded[group.ref].uid for group in valid}
    now = {recorded[group.ref].uid: group.ref for group in mine}
    unresolved = {failed.ref for failed in resolved.unresolved}
    for name, own in kept.records.items():
        last, row = declared_last(kept, name), by_uuid.get(own.uid or "") or by_name.get(name)
        if last is None or last.vmgroup is None or row is None or row.id in taken:
            continue
        taken.add(row.id)
        ref = now.get(row.id) or vmgroup_ref(db.ref, row.name, resolved)
        if ref not in now.values() and ref not in unresolved:
            record = known.of_vmgroup(row.name, row.id) if known is not None else None
            if db.unmanaged is Unmanaged.IGNORE or (record is not None and differs(record, own)):
                continue  # it is left alone, or somebody else's now
        # Under another UUID it is found by its name, and is told to be another one.
        yield replace(last.vmgroup, ref=ref, config_db=db.ref, uuid=row.id if row.id == own.uid else None)
