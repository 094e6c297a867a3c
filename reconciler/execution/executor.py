"""Plan -> ActionResults: config DBs concurrently, then their hosts concurrently; no failure stops the others.

Files on datastores, which depend on nothing, come before. A config DB that moves is copied first,
and its old file is retired when all of its hosts have been led to the copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from reconciler.execution.gather import gather_all, gather_told
from reconciler.execution.on_hosts import failure, in_turns, on_host
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.kinds.vmgroup import CreateVMGroup, LinkAction, RenameVMGroup
from reconciler.model.outcome import ActionResult, BackupMade
from reconciler.model.ownership import ForgetObject, RecordObject
from reconciler.model.plan import DBPlan, FilePlan, MovePlan, Plan
from reconciler.model.refs import ObjectRef
from reconciler.ports import HostAgent, MaintenanceMode, Observer

FindAgent = Callable[[str], HostAgent]


class Execution(Struct, frozen=True):
    """The results of a plan, and the backups made on the way."""

    results: tuple[ActionResult, ...]
    backups: tuple[BackupMade, ...]


async def execute(
    plan: Plan, agent: FindAgent, now: datetime, observer: Observer, maintenance: MaintenanceMode | None = None
) -> Execution:
    """Carry out `plan`. A failure of a host, a config DB or a vCenter is a result, and never raises.

    Source: docs/domain.md#moving-a-config-db
    """
    results = await gather_told(observer, "writing files", [_file(step, agent) for step in plan.files])
    # A record must not claim a file that was not written.
    undone = {result.ref for result in results if not result.ok}
    results += await gather_told(observer, "copying config DBs", [_copy(step, agent, now) for step in plan.moves])
    writing = [_config_db(_without(step, undone)[0], agent, now) for step in plan.config_dbs]
    written = await gather_told(observer, "writing config DBs", writing)
    results += [result for found, _ in written for result in found]
    # A DB that was to be made and was not: its hosts must not be pointed at nothing.
    failed = {result.ref: result for result in results if not result.ok}
    made = [*(step.ref for step in plan.config_dbs if step.create), *(step.ref for step in plan.moves)]
    not_made = {ref for ref in made if ref in failed}
    joining = [step for step in plan.hosts if step.config_db not in not_made]
    for step in plan.hosts:
        if step.config_db in not_made:
            results.append(ActionResult(step.ref, False, "Skipped", f"{step.config_db} was not made"))
    results += await in_turns(joining, lambda step: on_host(step, agent(step.host), maintenance), observer)
    # A host that still uses the old place must not find it empty: the next apply leads it on, and ends the move.
    lagging = {result.ref for result in results if not result.ok}
    used = {step.config_db for step in plan.hosts if step.ref in lagging}
    ending = [_retire(step, agent, now) for step in plan.moves if step.ref not in used | not_made]
    ended = await gather_told(observer, "retiring moved config DBs", ending)
    results += [result for result, _ in ended]
    copies = zip(plan.config_dbs, written, strict=True)
    kept = [BackupMade(step.ref, name) for step, (_, name) in copies if name]
    kept += [BackupMade(result.ref, name) for result, name in ended if name]
    return Execution(tuple(results), tuple(kept))


async def _file(step: FilePlan, agent: FindAgent) -> ActionResult:
    try:
        results = await agent(step.host).apply_files(step.actions)
    except (HostUnreachableError, AgentRefusedError) as error:
        return failure(step.ref, error)
    return next((result for result in results if not result.ok), ActionResult(step.ref, True))


async def _copy(step: MovePlan, agent: FindAgent, now: datetime) -> ActionResult:
    if step.move.copies:
        try:
            await agent(step.writer).copy_db(step, now)
        except (HostUnreachableError, AgentRefusedError) as error:
            return failure(step.ref, error)
    return ActionResult(step.ref, True)


async def _retire(step: MovePlan, agent: FindAgent, now: datetime) -> tuple[ActionResult, str | None]:
    try:
        return ActionResult(step.ref, True), await agent(step.writer).retire_db(step, now)
    except (HostUnreachableError, AgentRefusedError) as error:
        return failure(step.ref, error), None


async def _config_db(step: DBPlan, agent: FindAgent, now: datetime) -> tuple[list[ActionResult], str | None]:
    """Wrong name links go first, new ones come last: at no moment does a link lead to a vmgroup that it should not.

    Source: docs/domain.md#layout-of-dockvols
    """
    results = await _links(step.clear_links, agent)
    # Where a wrong link stays, the vmgroup of that name must not be written as if it were gone; a later pass will.
    step, held_back = _without(step, {result.ref for result in results if not result.ok})
    results += held_back
    backup = None
    if step.groups or step.create or step.recover:
        try:
            answer = await agent(step.writer).apply_db(step, now)
        except (HostUnreachableError, AgentRefusedError) as error:
            return results + [failure(ref, error) for ref in _changed(step)], None
        results += [ActionResult(step.ref, True), *answer.results]
        backup = answer.backup
    not_named = {result.ref for result in results if not result.ok} & _named(step)
    links = [(host, link) for host, link in step.make_links if link.ref not in not_named]
    return results + await _links(links, agent), backup


def _changed(step: DBPlan) -> dict[ObjectRef, None]:
    """Return the config DB, and the objects of which more than a record is written: those that fail with it."""
    actions = (action for group in step.groups for action in group)
    return dict.fromkeys([step.ref, *(a.ref for a in actions if not isinstance(a, RecordObject | ForgetObject))])


def _without(step: DBPlan, failed: set[ObjectRef]) -> tuple[DBPlan, list[ActionResult]]:
    """Return the step without these objects and those in a savepoint with them, and results for the latter."""
    groups = []
    held_back = dict.fromkeys(failed)
    results = []
    for group in step.groups:
        cause = next((action.ref for action in group if action.ref in failed), None)
        if cause is None:
            groups.append(group)
            continue
        message = f"it is written together with {cause}, which failed"
        others = dict.fromkeys(action.ref for action in group if action.ref not in failed)
        results += [ActionResult(ref, False, "Skipped", message) for ref in others]
        held_back |= others
    links = tuple((host, link) for host, link in step.make_links if link.ref not in held_back)
    return replace(step, groups=tuple(groups), make_links=links), results


def _named(step: DBPlan) -> set[ObjectRef]:
    """Return the vmgroups that get their name in this step: if they fail, a link of that name would hand out volumes of
    others. Source: docs/domain.md#layout-of-dockvols
    """
    naming = (CreateVMGroup, RenameVMGroup)
    return {action.ref for group in step.groups for action in group if isinstance(action, naming)}


async def _links(links: Sequence[tuple[str, LinkAction]], agent: FindAgent) -> list[ActionResult]:
    by_host: dict[str, list[LinkAction]] = {}
    for host, link in links:
        by_host.setdefault(host, []).append(link)

    async def on(host: str, actions: list[LinkAction]) -> tuple[ActionResult, ...]:
        try:
            return await agent(host).apply_links(actions)
        except (HostUnreachableError, AgentRefusedError) as error:
            return tuple(failure(action.ref, error) for action in actions)

    found = await gather_all(on(host, actions) for host, actions in by_host.items())
    return [result for results in found for result in results]
