"""Plan -> ActionResults: config DBs side by side, then their hosts side by side; nobody's failure stops the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.model.actions import LinkAction
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.outcome import ActionResult
from reconciler.model.plan import DBPlan, HostPlan, Plan
from reconciler.ports import HostAgent, Observer

FindAgent = Callable[[str], HostAgent]


@dataclass(frozen=True, slots=True)
class Execution:
    """What came of a plan: the results, and the names of the backups made on the way."""

    results: tuple[ActionResult, ...]
    backups: tuple[str, ...]


async def execute(plan: Plan, agent: FindAgent, now: datetime, observer: Observer) -> Execution:
    """Carry out `plan`. Never raises for what a host or a config DB does: that is a result."""
    total = len(plan.config_dbs) + len(plan.hosts)
    done = 0

    def finished() -> None:
        nonlocal done
        done += 1
        observer.progress("applying", done, total)

    async def one_db(step: DBPlan) -> tuple[list[ActionResult], str | None]:
        try:
            return await _config_db(step, agent, now)
        finally:
            finished()

    async def one_host(step: HostPlan) -> list[ActionResult]:
        try:
            return await _host(step, agent)
        finally:
            finished()

    written = await asyncio.gather(*(one_db(step) for step in plan.config_dbs))
    results = [result for found, _ in written for result in found]
    # A DB that was to be made and was not: its hosts must not be pointed at nothing.
    failed = {result.ref: result for result in results if not result.ok}
    not_made = {step.ref for step in plan.config_dbs if step.create and step.ref in failed}
    joining = [step for step in plan.hosts if step.config_db not in not_made]
    for step in plan.hosts:
        if step.config_db in not_made:
            results.append(ActionResult(step.ref, False, "Skipped", f"{step.config_db} was not made"))
    for found in await asyncio.gather(*(one_host(step) for step in joining)):
        results += found
    return Execution(tuple(results), tuple(backup for _, backup in written if backup))


async def _config_db(step: DBPlan, agent: FindAgent, now: datetime) -> tuple[list[ActionResult], str | None]:
    """Wrong name links go first, new ones come last: at no moment does a link lead to a vmgroup that it should not."""
    results = await _links(step.clear_links, agent)
    astray = {result.ref for result in results if not result.ok}
    if astray:
        # The transaction must not go on as if the link were gone; a later pass will.
        return results + _skipped(step, "a name link could not be removed"), None
    backup = None
    if step.groups or step.create or step.recover:
        try:
            answer = await agent(step.writer).apply_db(step, now)
        except (HostUnreachableError, AgentRefusedError) as error:
            reason = error.reason if isinstance(error, AgentRefusedError) else "Unreachable"
            return results + _skipped(step, str(error), reason), None
        results += [ActionResult(step.ref, True), *answer.results]
        backup = answer.backup
    return results + await _links(step.make_links, agent), backup


def _skipped(step: DBPlan, message: str, reason: str = "Skipped") -> list[ActionResult]:
    refs = dict.fromkeys([step.ref, *(action.ref for group in step.groups for action in group)])
    return [ActionResult(ref, False, reason, message) for ref in refs]


async def _links(links: Sequence[tuple[str, LinkAction]], agent: FindAgent) -> list[ActionResult]:
    by_host: dict[str, list[LinkAction]] = {}
    for host, link in links:
        by_host.setdefault(host, []).append(link)

    async def on(host: str, actions: list[LinkAction]) -> tuple[ActionResult, ...]:
        try:
            return await agent(host).apply_links(actions)
        except (HostUnreachableError, AgentRefusedError) as error:
            return tuple(ActionResult(action.ref, False, "Unreachable", str(error)) for action in actions)

    found = await asyncio.gather(*(on(host, actions) for host, actions in by_host.items()))
    return [result for results in found for result in results]


async def _host(step: HostPlan, agent: FindAgent) -> list[ActionResult]:
    try:
        results = await agent(step.host).apply_host(step.actions)
    except (HostUnreachableError, AgentRefusedError) as error:
        return [ActionResult(step.ref, False, "Unreachable", str(error))]
    # The first failure tells why; those after it were only skipped.
    return [next((result for result in results if not result.ok), ActionResult(step.ref, True))]
