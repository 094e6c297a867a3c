"""What the planner makes of changes of storage policies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from reconciler.model.diff import Change
from reconciler.model.host_actions import StoragePolicyAction
from reconciler.model.observed import Observed
from reconciler.model.plan import StoragePolicyPlan
from reconciler.model.refs import ObjectRef
from reconciler.model.resolved import Resolved
from reconciler.planning.policy_places import keeper

_ACTIONS = get_args(StoragePolicyAction)


def policy_plans(permitted: Iterable[Change], observed: Observed) -> tuple[StoragePolicyPlan, ...]:
    """A step for each, through the host that the datastore was read through."""
    plans = []
    for change in permitted:
        actions: tuple[StoragePolicyAction, ...] = tuple(a for a in change.actions if isinstance(a, _ACTIONS))
        host = observed.datastores[actions[0].url].read_from if actions else None
        if host is not None:
            plans.append(StoragePolicyPlan(change.ref, host, actions))
    return tuple(plans)


def keepers(permitted: Iterable[Change], resolved: Resolved) -> dict[ObjectRef, ObjectRef | None]:
    """The config DB that records who applied each."""
    places = {policy.ref: policy.datastore for policy in resolved.storage_policies}
    by_url = {datastore.url: datastore for datastore in resolved.inventory.datastores}
    for change in permitted:
        urls = [action.url for action in change.actions if isinstance(action, _ACTIONS)]
        if urls and urls[0] in by_url:
            places[change.ref] = by_url[urls[0]]
    return {ref: keeper(datastore, resolved) for ref, datastore in places.items()}
