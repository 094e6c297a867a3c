"""Desired + Inventory -> Resolved: names become UUIDs and URLs; what cannot be looked up fails its own object only."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from reconciler.model.inventory import Inventory
from reconciler.model.state import Desired, Resolved
from reconciler.planning.host.resolve import spelled_as_declared
from reconciler.planning.kinds import PLANNED, PlannedKind
from reconciler.planning.lookup import InventoryLookup


def resolve(desired: Desired, inventory: Inventory) -> Resolved:
    """Look up every name of `desired`. Pure; the order of the manifests does not matter."""
    return resolve_rest(desired, resolve_places(desired, inventory))


def resolve_places(desired: Desired, inventory: Inventory) -> Resolved:
    """Look up what has to be known before anything can be observed."""
    spelled = spelled_as_declared(desired, inventory)
    nothing = Resolved(spelled, (), (), (), desired.held, dict(desired.digests), treatments=desired.treatments)
    return _resolved(desired, nothing, (kind for kind in PLANNED if kind.is_place))


def resolve_rest(desired: Desired, places: Resolved) -> Resolved:
    """Look up everything else, given the result of `resolve_places`."""
    return _resolved(desired, places, (kind for kind in PLANNED if not kind.is_place))


def _resolved(desired: Desired, so_far: Resolved, kinds: Iterable[PlannedKind]) -> Resolved:
    names = InventoryLookup(so_far.inventory)
    for kind in kinds:
        so_far = kind.resolve(desired, so_far, names)
    return replace(so_far, unresolved=tuple(sorted(so_far.unresolved, key=lambda failed: failed.ref.sort_key)))
