"""Conditions: lasting judgements on each object, derived from an assessment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.model.diff import Change, Op
from reconciler.model.events import Condition, Truth
from reconciler.model.outcome import Assessment
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Reconcile
from reconciler.planning.joined import Joined
from reconciler.planning.kinds import PLANNED
from reconciler.planning.records.treatment import in_force

_KINDS = {kind.kind: kind for kind in PLANNED}
_IN_SYNC = {
    Op.KEEP: (Truth.TRUE, "InSync"),
    Op.UNMANAGED: (Truth.TRUE, "Unmanaged"),
    Op.REMOVED: (Truth.FALSE, "RemovedFromManifests"),
    Op.BLOCKED: (Truth.FALSE, "Blocked"),
    Op.UNKNOWN: (Truth.UNKNOWN, "Unknown"),
}


def conditions(assessment: Assessment, joined: Joined | None = None) -> tuple[Condition, ...]:
    """The conditions of every object of the diff, ordered by object and type. Pure. `joined`: if it is there already.

    Every object: `InSync`; where a watch leaves it alone, `Watched` (False);
    of most kinds, where declared, `Resolved`; and those of its kind (see `kinds`).
    """
    joined = joined or Joined(assessment)
    treated = in_force(assessment.resolved, assessment.observed)
    found = [condition for change in assessment.diff.changes for condition in conditions_of(change, joined, treated)]
    seen = joined.changes.keys()
    found += [_watched(ref, mode) for ref, mode in treated.items() if ref not in seen]
    return tuple(sorted(found, key=lambda condition: (condition.ref.sort_key, condition.type)))


def conditions_of(change: Change, joined: Joined, treated: Mapping[ObjectRef, Reconcile]) -> tuple[Condition, ...]:
    """The conditions of one object, by type. `treated`: the objects that a watch leaves alone. Pure."""
    kind = _KINDS.get(change.ref.kind)
    found = [] if kind is None else [_in_sync(change), *kind.conditions(change, joined)]
    if kind is not None and kind.has_names:
        found += _resolved(change, joined)
    if change.ref in treated:
        found.append(_watched(change.ref, treated[change.ref]))
    return tuple(sorted(found, key=lambda condition: condition.type))


def remarks(assessment: Assessment) -> tuple[str, ...]:
    """Return remarks on what could not be determined for certain, though nothing is known to be wrong."""
    seen, declared = assessment.observed.config_dbs, assessment.resolved.config_dbs
    return tuple(
        f"{db.ref} was read through {seen[db.location].read_from} only: no other host could confirm what it shows"
        for db in declared
        if seen[db.location].unconfirmed
    )


def undeclared(assessment: Assessment) -> tuple[str, ...]:
    """The undeclared objects that count as a difference, though an apply does not touch them. Pure."""
    found = assessment.diff.changes
    left = (change for change in found if change.op is Op.REMOVED or (change.op is Op.UNMANAGED and change.rights))
    return tuple(f"{change.ref} stays: {change.reason}" for change in left)


def _watched(ref: ObjectRef, mode: Reconcile) -> Condition:
    message = f"its annotation vdvs.io/reconcile is {mode}"
    return Condition(ref, "Watched", Truth.FALSE, mode.capitalize(), message)


def _in_sync(change: Change) -> Condition:
    status, reason = _IN_SYNC.get(change.op, (Truth.FALSE, "Drifted"))
    if change.op is Op.UNMANAGED and change.rights:
        status, reason = Truth.FALSE, "NotDeclared"
    return Condition(change.ref, "InSync", status, reason, change.reason)


def _resolved(change: Change, joined: Joined) -> Iterator[Condition]:
    if change.undeclared:
        return
    if (reason := joined.unresolved.get(change.ref)) is None:
        yield Condition(change.ref, "Resolved", Truth.TRUE, "Found", "every name is in the inventory")
    else:
        yield Condition(change.ref, "Resolved", Truth.FALSE, joined.unresolved_why.get(change.ref, "NotFound"), reason)
