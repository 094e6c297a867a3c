"""The one use case: look, compare, plan, apply what the policy allows, look again. `diff`, `apply` and `watch` call it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.model.desired import Desired
from reconciler.model.outcome import Assessment, Outcome
from reconciler.model.policy import APPLY, APPLY_AND_DESTROY, REPORT_ONLY, Policy
from reconciler.ports import Clock, Hosts, InventorySource, Observer


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside: where names come from, the way to the hosts, the time, fresh UUIDs, and who listens."""

    inventory: InventorySource
    hosts: Hosts
    clock: Clock
    new_uuid: Callable[[], str]
    observer: Observer


async def reconcile(desired: Desired, world: World, policy: Policy) -> Outcome:
    """One pass. With `REPORT_ONLY` nothing is written and `Outcome.before` holds the answer.

    Raises InventoryError when the inventory cannot be read at all; everything else is a fact of one object.
    """
    raise NotImplementedError


async def assess(desired: Desired, world: World) -> Assessment:
    """Look at the world and compare; write nothing."""
    raise NotImplementedError
