"""The one use case: look, compare, plan, apply what the policy allows, look again. Every command goes through it.

`prepare` stops before the writing; `ask_again` and `carry_out` go on from there, later, if nothing has changed since.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler import __version__
from reconciler.execution.announcing import announced
from reconciler.execution.executor import Execution, execute
from reconciler.execution.gather import gather_both, gather_told
from reconciler.execution.observe import observe
from reconciler.execution.prefetch import Prefetched, prefetch
from reconciler.execution.survey import observe_undeclared_hosts
from reconciler.execution.verdicts import verdicts
from reconciler.execution.witness import Witnesses
from reconciler.model.base import Risk
from reconciler.model.diff import Change, Diff
from reconciler.model.errors import UsageError
from reconciler.model.kinds.host import DBMode, MaintenanceAction, ObservedHost
from reconciler.model.memo import Memo
from reconciler.model.outcome import ActionResult, Assessment, BackupMade, Outcome, first_differences
from reconciler.model.ownership import Applier, Applying, Kept
from reconciler.model.plan import APPLY, APPLY_AND_DESTROY, REPORT_ONLY, Plan, Policy, Question, SavedPlan
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Desired, Observed, Resolved
from reconciler.planning.differ import diff, without_uuid
from reconciler.planning.host.undeclared import undeclared_hosts
from reconciler.planning.invalidated import invalidated, only_planned
from reconciler.planning.planner import plan
from reconciler.planning.records.applied import measured
from reconciler.planning.records.kept import about_to_make, learned, written
from reconciler.planning.records.meanwhile import attributed, unexpected
from reconciler.planning.resolve import resolve_places, resolve_rest
from reconciler.ports import Books, Clock, HostAgent, Hosts, InventorySource, MaintenanceMode, Observer

__all__ = [
    "APPLY",
    "APPLY_AND_DESTROY",
    "LONGEST_PLAN",
    "REPORT_ONLY",
    "Answer",
    "Approval",
    "Policy",
    "Preview",
    "World",
    "ask_again",
    "assess",
    "carry_out",
    "carry_out_exactly",
    "check_consent",
    "prepare",
    "preview",
    "reconcile",
]

_log = logging.getLogger(__name__)
_REPLANS = 3
_READING: Final = "reading the inventory"
LONGEST_PLAN: Final = timedelta(days=30)
_CLOCKS_APART: Final = timedelta(hours=1)  # between the machine that made a plan and ours


class Memory:
    """Inputs and results of the last look, reused while the inputs are unchanged. `observed`: the state seen then;
    `learned`: the comparison from which the books were kept last."""

    def __init__(self, witnesses: Witnesses | None = None) -> None:
        self.observed: Observed | None = None
        self.learned: Diff | None = None
        self.witnesses = witnesses or Witnesses()
        self.places: Memo[Resolved] = Memo()
        self.resolved: Memo[Resolved] = Memo()
        self.diff: Memo[Diff] = Memo()


class NoBooks:
    """Implements `ports.Books` in memory, and logs nothing. `kept`: at the beginning."""

    def __init__(self, kept: Mapping[str, Kept] | None = None) -> None:
        self._kept: Mapping[str, Kept] = kept or {}

    def kept(self) -> Mapping[str, Kept]:
        """See `ports.Books`."""
        return self._kept

    def looks(self) -> int:
        """See `ports.Books`."""
        return 0

    def count_looks(self, _number: int) -> None:
        """See `ports.Books`."""

    def keep(self, _before: Mapping[str, Kept], now: Mapping[str, Kept]) -> None:
        """See `ports.Books`."""
        self._kept = now

    def begin(self, _found: Assessment, _steps: Plan, _behalf: Applying | None, _how: str, _plan: str = "") -> None:
        """See `ports.Books`."""

    def end(self, _results: Sequence[ActionResult], _backups: Sequence[BackupMade], _after: Assessment) -> None:
        """See `ports.Books`."""


class World(Struct, frozen=True):
    """Everything outside: where names come from, the way to the hosts, the time, fresh UUIDs, the observer, maintenance
    mode (None: it cannot be changed), the books; and the memory from one pass to the next.
    """

    inventory: InventorySource
    hosts: Hosts
    clock: Clock
    new_uuid: Callable[[], str]
    observer: Observer
    maintenance: MaintenanceMode | None = None
    books: Books = field(default_factory=NoBooks)
    memory: Memory = field(default_factory=Memory)


async def assess(
    desired: Desired,
    world: World,
    applying: Applying | None = None,
    drawn: dict[ObjectRef, str] | None = None,
    avoid: Iterable[str] = (),
    takes_back: bool = False,
) -> Assessment:
    """Look at the world and compare; write nothing. Hosts are connected to while the inventory is read, and observed
    while vmgroups are looked up.

    `applying`: on whose behalf (None: nobody's, so nothing would be recorded). `drawn` remembers the UUIDs of new
    vmgroups from one look to the next; `avoid` names the hosts that wrote, so that a config DB is read back through
    another. `takes_back`: see `Policy`. Raises InventoryError when the inventory cannot be read at all.
    """
    avoid = tuple(avoid)
    witnesses = world.memory.witnesses
    turn, folders_turn = witnesses.turn(world.books), witnesses.folders_turn(world.books)
    (places, resolving), foreseen = await gather_both(
        _looked_up(desired, world), _foreseen(desired, world, avoid, turn)
    )
    observed, others = await gather_both(
        observe(places, world.hosts, world.observer, avoid, foreseen, turn=turn, folders_turn=folders_turn),
        observe_undeclared_hosts(undeclared_hosts(desired, places.inventory), world.hosts),
    )
    observed = await witnesses.confirm(places, observed, world.hosts, world.books)
    observed = replace(observed, undeclared_hosts=others, kept=await asyncio.to_thread(world.books.kept))
    world.memory.observed = observed
    resolved = await resolving
    return await _compared(resolved, observed, world, applying, {} if drawn is None else drawn, takes_back)


async def _looked_up(desired: Desired, world: World) -> tuple[Resolved, asyncio.Task[Resolved]]:
    """Look up where things are, then everything else that the manifests name."""
    (inventory,), memory = await gather_told(world.observer, _READING, [world.inventory.snapshot()]), world.memory
    places = await asyncio.to_thread(memory.places, (desired, inventory), partial(resolve_places, desired, inventory))
    rest = partial(resolve_rest, desired, places)
    return places, asyncio.create_task(asyncio.to_thread(memory.resolved, (desired, places), rest))


async def _foreseen(desired: Desired, world: World, avoid: tuple[str, ...], turn: int) -> Prefetched:
    """Observe ahead of look-up; nothing where hosts are to be avoided: the readers depend on the look-up then."""
    return {} if avoid else await prefetch(desired, world.hosts, world.observer, world.memory.observed, turn)


async def _verify(
    steps: Plan,
    desired: Desired,
    done: Assessment,
    world: World,
    applying: Applying | None,
    drawn: dict[ObjectRef, str],
    takes_back: bool = False,
    watched: bool = False,
) -> Assessment:
    """Look again at what was written, with the names as they were looked up before, unless vCenter wrote, too.

    `watched`: agents report changes of their hosts, so that not all need to be asked.
    """
    if any(isinstance(action, MaintenanceAction) for step in steps.hosts for action in step.actions):
        return await assess(desired, world, applying, drawn, _writers(steps), takes_back)
    avoid, known = _writers(steps), _unchanged(steps, done.observed) if watched else {}
    observed = await observe(done.resolved, world.hosts, world.observer, avoid, stage="verifying", known=known)
    observed = world.memory.witnesses.carried(observed)  # it was read through another host than the one that wrote
    others = done.observed.undeclared_hosts  # nothing was written there
    observed = replace(observed, undeclared_hosts=others, kept=await asyncio.to_thread(world.books.kept))
    return await _compared(done.resolved, observed, world, applying, drawn, takes_back)


async def _compared(
    resolved: Resolved,
    observed: Observed,
    world: World,
    applying: Applying | None,
    drawn: dict[ObjectRef, str],
    takes_back: bool,
) -> Assessment:
    """Compare, in a thread: it takes a second for 2,000 vmgroups, and leases are to be renewed meanwhile."""
    for ref in without_uuid(resolved, observed):
        if ref not in drawn:
            drawn[ref] = world.new_uuid()

    def compare() -> Diff:
        found = diff(resolved, observed, drawn, applying)
        return measured(found, resolved, observed, drawn) if takes_back else found

    arguments = (resolved, observed.content, dict(drawn), applying, takes_back)
    found = await asyncio.to_thread(world.memory.diff, arguments, compare)
    return Assessment(resolved, observed, found, world.clock.now())


async def _planned(found: Assessment, policy: Policy, applying: Applying | None) -> Plan:
    return await asyncio.to_thread(_plan_of, found, policy, applying)


def _plan_of(found: Assessment, policy: Policy, applying: Applying | None) -> Plan:
    stamp = applying.stamp if applying is not None and applying.records else None
    steps = plan(found.diff, found.resolved, found.observed, policy, stamp)
    if applying is not None and applying.expect and (refused := unexpected(steps, found, applying.expect)):
        known = {held.ref for held in refused}
        return Plan((), (), (*refused, *(held for held in steps.withheld if held.ref not in known)))
    return steps


async def reconcile(
    desired: Desired,
    world: World,
    policy: Policy,
    applying: Applying | None = None,
    wait: float = 0,
    drawn: dict[ObjectRef, str] | None = None,
) -> Outcome:
    """One pass. With `REPORT_ONLY` nothing is written and `Outcome.before` holds the answer.

    Where the site changed between the look and the write, nothing is written and a new plan is made, three times at
    most. `wait`: seconds until others who apply have ended; `drawn`: see `assess`. Raises InventoryError when the
    inventory cannot be read at all; everything else is a fact of one object.
    """
    drawn = {} if drawn is None else drawn

    async def look() -> tuple[Assessment, Plan]:
        found = await assess(desired, world, applying, drawn, takes_back=policy.takes_back)
        return found, await _planned(found, policy, applying)

    before, steps = await look()
    async with AsyncExitStack() as stack:
        announces = policy.config_db_lifecycle and applying is not None and not steps.empty
        if announces and await stack.enter_async_context(_announced(steps, before, world, applying, wait)):
            first, (before, steps) = before, await look()
            before = replace(before, diff=attributed(before, first, {step.ref for step in steps.config_dbs}))
        if steps.empty:
            if policy.risks:
                await learn(world, before)
            return Outcome(before, steps, (), None, verdicts(before.diff, steps, (), None))
        return await _carried_out(desired, world, policy, applying, before, steps, drawn)


def _announced(
    steps: Plan, found: Assessment, world: World, applying: Applying | None, wait: float
) -> AbstractAsyncContextManager[bool]:
    of, by = ("", "") if applying is None else (applying.set, applying.stamp.by)
    applier = Applier(world.new_uuid(), by, world.clock.now(), of)
    return announced(steps, _agents(world, found), applier, world.clock, world.observer, wait)


async def _carried_out(
    desired: Desired,
    world: World,
    policy: Policy,
    applying: Applying | None,
    before: Assessment,
    steps: Plan,
    drawn: dict[ObjectRef, str],
) -> Outcome:
    """Carry out `steps`, and those of new plans where the site changed under them; then verify."""
    takes_back, now = policy.takes_back, before
    replanned: list[Diff] = []
    carried = _Carried()
    rounds = 0
    backups: list[BackupMade] = []
    results: tuple[ActionResult, ...] = ()
    while not steps.empty:
        found = first_differences([before.diff, *replanned])
        await world.observer.about_to_write(replace(now, diff=found))
        done = await _execute(steps, now, world, applying, _how(policy, applying))
        backups += done.backups
        carried.note(now.diff, steps, done.results)
        if rounds == _REPLANS or not _goes_on(steps, done, applying):
            # Of those who write, only a watch may not make or move config DBs, and agents report to it alone.
            watched, results = not policy.config_db_lifecycle, done.results
            now = await _verify(steps, desired, now, world, applying, drawn, takes_back, watched)
            await asyncio.to_thread(world.books.end, results, done.backups, now)
            break
        earlier, now = now, await assess(desired, world, applying, drawn, _writers(steps), takes_back)
        if moved := {result.ref for result in done.results if result.reason == "Moved"}:
            now = replace(now, diff=attributed(now, earlier, moved))
        await asyncio.to_thread(world.books.end, done.results, done.backups, now)
        steps = await _planned(now, policy, applying)
        rounds += 1
        if not steps.empty and not now.diff.settled:  # else it only records what has been done
            _log.info("the site changed under the plan: planned again (%d of %d)", rounds, _REPLANS)
            world.observer.planned_again((replanned or [before.diff])[-1], now.diff)
            replanned.append(now.diff)
    await learn(world, now)
    told = carried.in_place(first_differences([before.diff, *replanned]))
    objects = verdicts(told, steps, results, now.diff)
    return Outcome(before, steps, results, now, objects, tuple(replanned), tuple(backups), _readers(now))


class _Carried:
    """The changes as they were written: of an object, by the first plan that succeeded, or by the last one that did
    not."""

    def __init__(self) -> None:
        self._changes: dict[ObjectRef, Change] = {}
        self._done: set[ObjectRef] = set()

    def note(self, found: Diff, steps: Plan, results: Iterable[ActionResult]) -> None:
        """Note what was done of `steps`, which were planned from `found`."""
        changes = {change.ref: change for change in found.changes}
        failed = {result.ref for result in results if not result.ok}
        for ref in {action.ref for step in steps.steps for action in step.actions} - self._done:
            if ref in changes:
                self._changes[ref] = changes[ref]
            if ref not in failed:
                self._done.add(ref)

    def in_place(self, found: Diff) -> Diff:
        """Return `found` with these changes in place of what was found of them."""
        return Diff(tuple(self._changes.get(change.ref, change) for change in found.changes))


class Preview(Struct, frozen=True):
    """The outcome of a dry run: the differences `found`, and the `steps` that a pass would carry out."""

    found: Assessment
    steps: Plan


async def preview(desired: Desired, world: World, policy: Policy, applying: Applying | None = None) -> Preview:
    """Look, compare and plan as `reconcile` does, and write nothing. Raises InventoryError."""
    found = await assess(desired, world, applying)
    return Preview(found, await _planned(found, policy, applying))


async def prepare(question: Question, desired: Desired, world: World, lasting: timedelta) -> SavedPlan:
    """Look, compare and plan; write nothing. The plan may be applied for as long as `lasting`.

    `desired`: what the question declares. Raises InventoryError.
    """
    drawn: dict[ObjectRef, str] = {}
    found = await assess(desired, world, question.applying, drawn)
    return SavedPlan(
        made_at=found.observed_at,
        expires_at=found.observed_at + lasting,
        made_by=f"vdvs {__version__}",
        question=replace(question, drawn=tuple(sorted(drawn.items(), key=lambda item: item[0]))),
        diff=found.diff.of(question.objects),
        plan=await _planned(found, question.policy, question.applying),
    )


class Approval(Struct, frozen=True):
    """Consent to a saved plan: `by` (`user@host`) applies it, with actions of these risks. `digest`: of its file."""

    by: str
    risks: frozenset[Risk]
    digest: str = ""


class Answer(Struct, frozen=True):
    """The present answer to a saved plan: only `steps` may be done. `steps.withheld` has the reason where nothing,
    or not everything, may be. `done`: nothing is left to do."""

    saved: SavedPlan
    desired: Desired
    before: Assessment
    steps: Plan
    done: bool = False

    @property
    def refused(self) -> bool:
        """Return whether the site, or the plan itself, is not what it was: nothing may be written."""
        return self.steps.empty and not self.done and not self.saved.plan.empty


async def ask_again(saved: SavedPlan, desired: Desired, world: World, by: str) -> Answer:
    """Plan again what the plan was made from, and compare. Nothing that the plan says of its own answer is believed:
    whatever is shown or done comes from the new one.

    `desired`: what the question declares, at the site that is reached. Raises UsageError for a plan that has expired,
    and InventoryError.
    """
    _check_times(saved, world.clock.now())
    saved = _signed(saved, by)
    question = saved.question
    before = await assess(desired, world, question.applying, dict(question.drawn))
    steps = await _planned(before, question.policy, question.applying)
    if steps.empty and before.diff.of(question.objects).settled:  # done already, by this very plan or otherwise
        return Answer(saved, desired, before, steps, done=True)
    if refused := invalidated(saved, before.diff, steps):
        return Answer(saved, desired, before, Plan((), (), refused))
    return Answer(saved, desired, before, only_planned(saved, before.diff, steps))


async def carry_out(answer: Answer, world: World, approval: Approval, wait: float = 0) -> Outcome:
    """Carry out exactly what was planned, or nothing at all: a new plan is never made. `wait`: see `reconcile`.

    Raises UsageError for a risk that is not approved, and InventoryError.
    """
    before, steps = answer.before, answer.steps
    check_consent(steps, approval)
    if steps.empty:
        return Outcome(before, steps, (), None, verdicts(before.diff, steps, (), None))
    question = answer.saved.question
    drawn = dict(question.drawn)
    return await carry_out_exactly(
        steps, before, answer.desired, world, question.applying, drawn, approval.digest, wait
    )


async def carry_out_exactly(
    steps: Plan,
    before: Assessment,
    desired: Desired,
    world: World,
    applying: Applying,
    drawn: dict[ObjectRef, str],
    plan: str,
    wait: float = 0,
) -> Outcome:
    """Carry out `steps`, which were planned from `before`, as far as the site is still as it was then.

    `drawn`: the UUIDs of new vmgroups in it; `plan`: by which name it was approved; `wait`: see `reconcile`.
    """
    async with _announced(steps, before, world, applying, wait):
        done = await _execute(steps, before, world, applying, "saved plan", plan)
        after = await _verify(steps, desired, before, world, applying, drawn)
    await asyncio.to_thread(world.books.end, done.results, done.backups, after)
    await learn(world, after)
    objects = verdicts(before.diff, steps, done.results, after.diff)
    return Outcome(before, steps, done.results, after, objects, (), done.backups, _readers(after))


async def learn(world: World, found: Assessment) -> None:
    """Keep what a look taught: records in config DBs that correspond to the manifests."""
    if world.memory.learned is not found.diff:
        await asyncio.to_thread(lambda: world.books.keep(found.observed.kept, learned(found)))
        world.memory.learned = found.diff


async def _execute(
    steps: Plan, found: Assessment, world: World, applying: Applying | None, how: str, digest: str = ""
) -> Execution:
    """Carry out `steps`, once the log says so, and keep what was applied."""
    await asyncio.to_thread(world.books.begin, found, steps, applying, how, digest)
    if (making := about_to_make(found, steps)) != found.observed.kept:
        await asyncio.to_thread(world.books.keep, found.observed.kept, making)
    now = world.clock.now()
    done = await execute(steps, _agents(world, found), now, world.observer, world.maintenance)
    await asyncio.to_thread(lambda: world.books.keep(found.observed.kept, written(found, steps, done.results, now)))
    return done


def _how(policy: Policy, applying: Applying | None) -> str:
    """Name what writes, for the log."""
    if applying is not None and applying.backup is not None:
        return "rollback"
    return "apply" if policy.config_db_lifecycle else "watch"


def _check_times(saved: SavedPlan, now: datetime) -> None:
    if now >= saved.expires_at:
        raise UsageError(
            f"the plan expired at {saved.expires_at:%Y-%m-%d %H:%M:%S} UTC; make a new one with `vdvs plan`"
        )
    if saved.expires_at - saved.made_at > LONGEST_PLAN or saved.made_at > now + _CLOCKS_APART:
        raise UsageError(
            f"the plan says that it was made at {saved.made_at:%Y-%m-%d %H:%M:%S} UTC and holds until "
            f"{saved.expires_at:%Y-%m-%d %H:%M:%S} UTC, which cannot be: a plan is made in the past and holds "
            f"{LONGEST_PLAN.days} days at most; make a new one with `vdvs plan`"
        )


def check_consent(steps: Plan, approval: Approval) -> None:
    """Raise UsageError if these steps have a risk that is not approved."""
    more = steps.risks - approval.risks
    if Risk.DESTROYS in more:
        raise UsageError("the plan destroys something; look at it with --dry-run, then give --allow-destroy")
    if more:
        raise UsageError(f"the plan has risks that are not approved: {', '.join(sorted(risk.value for risk in more))}")


def _signed(saved: SavedPlan, by: str) -> SavedPlan:
    """Return the plan as `by` applies it, who need not have made it."""
    stamp = saved.question.applying.stamp
    if stamp.by != by:
        stamp = replace(stamp, by=f"{by}, planned by {stamp.by}")
    steps = tuple(replace(step, stamp=stamp) for step in saved.plan.config_dbs)
    question = replace(saved.question, applying=replace(saved.question.applying, stamp=stamp))
    return replace(saved, question=question, plan=replace(saved.plan, config_dbs=steps))


def _readers(seen: Assessment) -> tuple[str, ...]:
    return tuple(sorted({db.read_from for db in seen.observed.config_dbs.values() if db.read_from}))


def _writers(steps: Plan) -> frozenset[str]:
    """Return the hosts that wrote: what they wrote is read back through another."""
    databases = {step.writer for step in steps.config_dbs} | {step.writer for step in steps.moves}
    return frozenset(databases | {step.host for step in steps.files})


def _unchanged(steps: Plan, seen: Observed) -> Mapping[str, ObservedHost]:
    """Return the hosts whose state need not be read again: none, if more than rows and files was written; not those
    that wrote, as their agents report no change from before that."""
    if steps.hosts or steps.moves or any(step.changes_hosts for step in steps.config_dbs):
        return {}
    wrote = _writers(steps)
    answered = {name: host for name, host in seen.hosts.items() if isinstance(host, ObservedHost)}
    return {
        name: host for name, host in answered.items() if name not in wrote and host.db_mode is not DBMode.BROKEN_LINK
    }


def _goes_on(steps: Plan, done: Execution, applying: Applying | None) -> bool:
    """Whether a new plan is needed: a DB changed under this one, which is not refused, or was recovered or moved, and
    can only now be changed."""
    failed = {result.ref for result in done.results if not result.ok}
    if any(step.ref not in failed for step in steps.moves):
        return True
    if any(step.recover for step in steps.config_dbs):
        return True
    refuses = applying is not None and applying.expect is not None
    return not refuses and any(result.reason == "Moved" for result in done.results)


def _agents(world: World, now: Assessment) -> Callable[[str], HostAgent]:
    addresses = {host.ref.name: host.address for host in now.resolved.hosts}
    return lambda name: world.hosts.agent(name, addresses[name])
