"""Annotations by which an object asks to be left alone: they count once they were applied.

Source: docs/domain.md#who-applied-what
"""

from __future__ import annotations

from msgspec.structs import replace

from reconciler.model.refs import ObjectRef
from reconciler.model.state import Observed, Reconcile, Resolved
from reconciler.planning.kinds import places
from reconciler.planning.ownership import ledger


def in_force(resolved: Resolved, observed: Observed) -> dict[ObjectRef, Reconcile]:
    """Return the objects that a watch treats otherwise now: those whose manifest was applied with its annotation, and
    those of which nothing can say what was applied."""
    if not resolved.treatments:
        return {}
    recorded = places(resolved, observed)
    ledgers = {db.ref: ledger(observed.config_dbs[db.location]) for db in resolved.config_dbs}
    found = {}
    for asked in resolved.treatments:
        place = recorded.get(asked.ref)
        known = ledgers.get(place.db) if place is not None and place.db is not None else None
        record = known.by_object.get(place.name) if known is not None and place is not None else None
        nowhere = place is None or place.db is None
        if nowhere or (record is not None and record.digest == resolved.digests.get(asked.ref)):
            found[asked.ref] = asked.mode
    return found


def as_applied(resolved: Resolved, observed: Observed) -> Resolved:
    """Return `resolved` with the digests of its manifests as they are without the annotations that do not count yet."""
    counting = in_force(resolved, observed)
    others = {asked.ref: asked.digest for asked in resolved.treatments if asked.ref not in counting}
    return replace(resolved, digests={**resolved.digests, **others}) if others else resolved
