"""Plans of hosts: actions of agents, and of vCenter before and after them for hosts that need maintenance mode."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from itertools import groupby
from typing import Any

from reconciler.execution.gather import gather_all, gather_told
from reconciler.model.errors import AgentRefusedError, HostUnreachableError, RefusedError, VCenterRefusedError
from reconciler.model.kinds.host import EnterMaintenance, ExitMaintenance, HostAction, MaintenanceAction
from reconciler.model.outcome import ActionResult
from reconciler.model.plan import HostPlan, Rollout
from reconciler.model.refs import ObjectRef
from reconciler.ports import HostAgent, MaintenanceMode, Observer


def failure(ref: ObjectRef, error: HostUnreachableError | RefusedError) -> ActionResult:
    """Return the result of a failed action on this object."""
    return ActionResult(ref, False, error.reason if isinstance(error, RefusedError) else "Unreachable", str(error))


async def in_turns(
    steps: Sequence[HostPlan], one: Callable[[HostPlan], Coroutine[Any, Any, ActionResult]], observer: Observer
) -> list[ActionResult]:
    """Run all steps concurrently, those of one rollout a few at once. Return results in the order of `steps`."""
    rollouts: dict[Rollout | None, list[HostPlan]] = {}
    for step in steps:
        rollouts.setdefault(step.rollout, []).append(step)

    async def together(rollout: Rollout | None, steps: Sequence[HostPlan]) -> list[ActionResult]:
        if rollout is None:
            return await gather_told(observer, "changing hosts", [one(step) for step in steps])
        turns = _Turns(rollout)
        stage = f"changing hosts of cluster {rollout.cluster}"
        return await gather_told(observer, stage, [turns.one(step, one) for step in steps], rollout.at_once)

    found = await gather_all(together(rollout, some) for rollout, some in rollouts.items())
    pairs = zip(rollouts.values(), found, strict=True)
    results = {step.ref: result for some, done in pairs for step, result in zip(some, done, strict=True)}
    return [results[step.ref] for step in steps]


class _Turns:
    """One rollout: a few hosts of one cluster at once, and no more after the first failure."""

    def __init__(self, rollout: Rollout) -> None:
        self._cluster = rollout.cluster
        self._room = asyncio.Semaphore(rollout.at_once)
        self._failed: ObjectRef | None = None

    async def one(self, step: HostPlan, do: Callable[[HostPlan], Awaitable[ActionResult]]) -> ActionResult:
        async with self._room:
            if self._failed is not None:
                message = f"{self._failed} failed, so no other host of cluster {self._cluster} is begun"
                return ActionResult(step.ref, False, "Skipped", message)
            result = await do(step)
            if not result.ok:
                self._failed = step.ref
            return result


async def on_host(step: HostPlan, agent: HostAgent, maintenance: MaintenanceMode | None) -> ActionResult:
    """Do the actions of `step` in order, up to the first that fails, whose error is the result."""
    try:
        for by_vcenter, actions in groupby(step.actions, lambda action: isinstance(action, MaintenanceAction)):
            if by_vcenter:
                await _by_vcenter(actions, maintenance)
                continue
            results = await agent.apply_host([action for action in actions if isinstance(action, HostAction)])
            failed = next((result for result in results if not result.ok), None)
            if failed is not None:
                return failed
    except (HostUnreachableError, AgentRefusedError, VCenterRefusedError) as error:
        return failure(step.ref, error)
    return ActionResult(step.ref, True)


async def _by_vcenter(actions: Iterable[HostAction | MaintenanceAction], maintenance: MaintenanceMode | None) -> None:
    if maintenance is None:
        raise VCenterRefusedError("NoVCenter", "only a vCenter changes maintenance mode: give spec.vsphere in the Site")
    for action in actions:
        match action:
            case EnterMaintenance(host=host, seconds=seconds):
                await maintenance.enter(host, seconds)
            case ExitMaintenance(host=host, seconds=seconds):
                await maintenance.exit(host, seconds)
