"""Deleting an object: what becomes of it in vDVS, and when the API may forget it. Pure.

An object that was applied has a finalizer, so that its deletion is seen. Only a deletion that is seen can remove
anything from vDVS, and only one that says so and is confirmed: an object that is not there any more, of a namespace or
a definition that was deleted, or whose finalizer somebody removed, is not declared any more, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Op
from reconciler.model.outcome import Assessment, Outcome, Status
from reconciler.model.ownership import Applying
from reconciler.model.plan import Policy
from reconciler.model.refs import FILE_KINDS, Kind, ObjectRef
from reconciler.model.state import RECONCILE, Desired
from reconciler.operator.connection.objects import KubeObject
from reconciler.planning.records.history import history
from reconciler.planning.scope import vmgroup_ref
from reconciler.planning.vmgroup.state import observed_states
from reconciler.planning.vmgroup.undeclared import mentioned

FINALIZER: Final = "vdvs.io/config-db"
POLICY: Final = "vdvs.io/deletion-policy"
CONFIRMED: Final = "vdvs.io/confirm-delete"
_REMOVED: Final = frozenset({Kind.VMGROUP, *FILE_KINDS})
_WAY_OUT: Final = f"the annotation {POLICY}: Retain lets it go and leaves it in vDVS"


class DeletionPolicy(StrEnum):
    """Fate of an object in vDVS when its object of the API is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class Obstacle(Struct, frozen=True):
    """Why an object that is being deleted is still there: one word, and a sentence."""

    reason: str
    message: str


NOT_OBSERVED: Final = Obstacle("NotObserved", f"the site cannot be looked at; {_WAY_OUT}")
PAUSED: Final = Obstacle("Paused", f"its Site is paused by the annotation {RECONCILE}; {_WAY_OUT}")


def is_finalized(found: KubeObject) -> bool:
    """Return whether the object has our finalizer."""
    return FINALIZER in (found.metadata.finalizers or ())


def is_going(found: KubeObject) -> bool:
    """Return whether the object is being deleted."""
    return found.metadata.deletion_timestamp is not None


def is_awaited(found: KubeObject) -> bool:
    """Return whether the API keeps an object that is being deleted until we remove our finalizer."""
    return is_going(found) and is_finalized(found)


def policy(kind: Kind, found: KubeObject, default: DeletionPolicy, *, namespace_going: bool) -> DeletionPolicy:
    """Return what becomes of an object that is being deleted. `default`: of its Site.

    Delete must be confirmed, by an annotation with the object's name. The default of the Site does not count where
    the whole namespace goes. Config DBs and hosts are there whatever is declared.
    """
    if kind not in _REMOVED:
        return DeletionPolicy.RETAIN
    annotations = found.metadata.annotations or {}
    if annotations.get(CONFIRMED) != found.metadata.name:
        return DeletionPolicy.RETAIN
    asked = annotations.get(POLICY, DeletionPolicy.RETAIN if namespace_going else default)
    return DeletionPolicy.DELETE if asked == DeletionPolicy.DELETE else DeletionPolicy.RETAIN


def without(desired: Desired, refs: frozenset[ObjectRef]) -> Desired:
    """Return what is declared without these objects, which are of kinds that are removed."""
    if not refs:
        return desired
    return replace(
        desired,
        vmgroups=tuple(each for each in desired.vmgroups if each.ref not in refs),
        files=tuple(each for each in desired.files if refs.isdisjoint((each.ref, getattr(each, "vmgroup", each.ref)))),
        digests=tuple((ref, digest) for ref, digest in desired.digests if ref not in refs),
        treatments=tuple(each for each in desired.treatments if each.ref not in refs),
    )


def removing(refs: frozenset[ObjectRef], applying: Applying) -> tuple[Policy, Applying]:
    """Return how to remove these objects, and nothing else: as `vdvs apply --prune --allow-destroy` does, which takes
    what the set applied last and declares no longer.

    The records in config DBs are believed: somebody has named each of these objects.
    """
    allowed = Policy(frozenset(Risk), config_db_lifecycle=False, objects=refs, prunes=True)
    return allowed, replace(applying, prune=True, trust_records=True, records=True)


def applied(found: Assessment, of: str) -> frozenset[ObjectRef]:
    """Return the objects that the set `of` applied last and that are as declared: those that get the finalizer."""
    mine = {each.object for each in history(found.resolved, found.observed) if each.record.set == of}
    return frozenset(c.ref for c in found.diff.changes if c.op is Op.KEEP and str(c.ref) in mine)


def obstacles(
    outcome: Outcome, refs: Iterable[ObjectRef], places: Mapping[ObjectRef, ObjectRef]
) -> dict[ObjectRef, Obstacle]:
    """Return which of the objects could not be removed, and why; the others are gone, or were not the set's to remove.

    `places`: the config DB of each vmgroup.
    """
    last = outcome.after or outcome.before
    changes = {change.ref: change for change in last.diff.changes}
    results = {result.ref: result for result in outcome.objects}
    claims = _claimed(last)
    unread = {ref: c for ref, c in changes.items() if ref.kind is Kind.CONFIG_DB and c.op is Op.UNKNOWN}
    found: dict[ObjectRef, Obstacle] = {}
    for ref in refs:
        place, change, result = places.get(ref), changes.get(ref), results.get(ref)
        unknown = [c for db, c in unread.items() if place in (None, db)]
        if unknown:
            why = f"{unknown[0].ref} cannot be looked at: {unknown[0].reason}"
            found[ref] = Obstacle("NotObserved", f"{why}; {_WAY_OUT}")
        elif change is None and (
            why := next((of[ref] for db, of in claims.items() if place in (None, db) and ref in of), "")
        ):
            found[ref] = Obstacle("DeletionBlocked", f"{why}; {_WAY_OUT}")
        elif change is None or change.op in (Op.KEEP, Op.UNMANAGED):
            continue
        elif result is not None and result.status is Status.FAILED:
            found[ref] = Obstacle("DeletionFailed", f"{result.detail}; {_WAY_OUT}")
        elif change.op is Op.BLOCKED and "volume" in change.reason:
            found[ref] = Obstacle("HoldsVolumes", f"{change.reason}; or {_WAY_OUT}")
        else:
            why = next((held.reason for held in outcome.plan.withheld if held.ref == ref), change.reason)
            found[ref] = Obstacle("DeletionBlocked", f"{why}; {_WAY_OUT}")
    return found


def _claimed(last: Assessment) -> dict[ObjectRef, dict[ObjectRef, str]]:
    """Return, by config DB, why vmgroups that are there may be no difference: another object may be about them."""
    found: dict[ObjectRef, dict[ObjectRef, str]] = {}
    for db in last.resolved.config_dbs:
        states = observed_states(last.observed.config_dbs[db.location]).values()
        groups = (each for each in last.resolved.vmgroups if each.config_db == db.ref)
        others = mentioned(db, states, groups, last.resolved)
        found[db.ref] = {
            vmgroup_ref(db.ref, state.name, last.resolved): (
                f"another object names the vmgroup {state.name}, by a previous name or its uuid {state.uuid}"
            )
            for state in states
            if not others.isdisjoint((state.name, state.uuid))
        }
    return found
