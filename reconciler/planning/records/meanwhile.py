"""Changes that an apply overwrites: those made between the look and the write of the plan before it, and those of a
commit that was not expected.

Source: docs/domain.md#who-applied-what
"""

from __future__ import annotations

from collections.abc import Set

from msgspec.structs import replace

from reconciler.model.diff import Change, Diff, Op
from reconciler.model.outcome import Assessment
from reconciler.model.ownership import Expected, Record
from reconciler.model.plan import Plan, Withheld
from reconciler.model.refs import ObjectRef
from reconciler.planning.kinds import places
from reconciler.planning.records.ownership import Place, ledger, spell

_WRITABLE = (Op.CREATE, Op.UPDATE, Op.DELETE)


def attributed(now: Assessment, before: Assessment, moved: Set[ObjectRef]) -> Diff:
    """Return the diff of `now`, whose changes say whose change they overwrite: one that was made since `before`, in the
    config DBs in `moved`. Pure."""
    earlier = {change.ref: change for change in before.diff.changes}
    recorded = places(now.resolved, now.observed)

    def told(change: Change) -> Change:
        place, old = recorded.get(change.ref), earlier.get(change.ref)
        if change.op not in _WRITABLE or place is None or place.db not in moved:
            return change
        if old is not None and (old.op, old.fields) == (change.op, change.fields):
            return change
        whose = f"overwrites what {_author(place, now, before)} since the first look"
        return replace(change, claim=f"{whose}; {change.claim}" if change.claim else whose)

    return Diff(tuple(map(told, now.diff.changes)))


def unexpected(steps: Plan, now: Assessment, expect: Expected) -> tuple[Withheld, ...]:
    """Return why nothing of `steps` may be done: an object in it was not applied last as this commit has it. Empty: it
    may be, as all were, or never applied. Pure."""
    refs = sorted({action.ref for step in steps.steps for action in step.actions}, key=lambda ref: ref.sort_key)
    recorded = places(now.resolved, now.observed)
    found = {ref: why for ref in refs if (why := _not_from(expect, recorded.get(ref), now))}
    cause = next(iter(found), None)
    rest = f"not written: {cause} was not applied last from git {expect.commit}"
    return tuple(Withheld(ref, found.get(ref, rest)) for ref in refs) if cause is not None else ()


def _not_from(expect: Expected, place: Place | None, now: Assessment) -> str:
    """Return why an object is not as this commit has it: recorded with it, or with a manifest that it has. A commit
    that left a manifest as it was makes no new record."""
    if place is None or place.db is None:
        return ""
    db = next(db for db in now.resolved.config_dbs if db.ref == place.db)
    known = ledger(db, now.observed.config_dbs[db.location], now.observed.kept)
    if known is None:
        return f"who applied what in {db.ref} is unknown, so whether it was git {expect.commit} is, too (--expect)"
    last = known.of(place.name, place.uid) or known.kept.get(place.name)
    if last is None or last.digest in expect.digests:
        return ""
    if last.commit and last.commit.startswith(expect.commit) and not last.dirty:
        return ""
    whence = spell(last) if last.commit else f"from no commit, {spell(last)}"
    return f"it was applied last {whence}, not from git {expect.commit} (--expect)"


def _author(place: Place, now: Assessment, before: Assessment) -> str:
    last, old = _record(place, now), _record(place, before)
    if last is None or last == old:
        return "somebody changed by hand, or from elsewhere without a record,"
    at = f" at {last.when:%H:%M:%S} UTC" if last.when else ""
    return f"was applied{at} ({spell(last)})"


def _record(place: Place, seen: Assessment) -> Record | None:
    for db in seen.resolved.config_dbs:
        if db.ref == place.db:
            known = ledger(db, seen.observed.config_dbs[db.location], seen.observed.kept)
            return None if known is None else known.of(place.name, place.uid)
    return None
