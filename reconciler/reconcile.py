"""The one use case: look, compare, plan, apply what the policy allows, look again. Every command goes through it.

`prepare` stops before the writing, and `carry_out` goes on from there, later, if nothing has changed since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler import __version__
from reconciler.execution.executor import Execution, execute
from reconciler.execution.gather import gather_both
from reconciler.execution.observe import observe
from reconciler.execution.prefetch import Prefetched, prefetch
from reconciler.execution.survey import observe_undeclared_hosts
from reconciler.execution.verdicts import verdicts
from reconciler.execution.witness import Witnesses
from reconciler.model.base import Risk
from reconciler.model.diff import Diff
from reconciler.model.errors import UsageError
from reconciler.model.kinds.host import MaintenanceAction
from reconciler.model.kinds.site import Site
from reconciler.model.memo import Memo
from reconciler.model.outcome import ActionResult, Assessment, BackupMade, Outcome, first_differences
from reconciler.model.ownership import Applying, Kept
from reconciler.model.plan import APPLY, APPLY_AND_DESTROY, REPORT_ONLY, Plan, Policy, SavedPlan
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Desired, Observed, Resolved
from reconciler.planning.differ import diff, without_uuid
from reconciler.planning.host.undeclared import undeclared_hosts
from reconciler.planning.invalidated import appeared_since, invalidated
from reconciler.planning.kept import learned, written
from reconciler.planning.planner import plan
from reconciler.planning.resolve import resolve_places, resolve_rest
from reconciler.ports import Books, Clock, HostAgent, Hosts, InventorySource, MaintenanceMode, Observer

__all__ = [
    "APPLY",
    "APPLY_AND_DESTROY",
    "REPORT_ONLY",
    "Approval",
    "Policy",
    "World",
    "assess",
    "carry_out",
    "prepare",
    "reconcile",
]

_REPLANS = 3


class Memory:
    """Inputs and results of the last look, reused while the inputs are unchanged. `observed`: the state seen then;
    `learned`: the comparison from which the books were kept last."""

    def __init__(self) -> None:
        self.observed: Observed | None = None
        self.learned: Diff | None = None
        self.witnesses = Witnesses()
        self.places: Memo[Resolved] = Memo()
        self.resolved: Memo[Resolved] = Memo()
        self.diff: Memo[Diff] = Memo()


class NoBooks:
    """Implements `ports.Books` in memory, and logs nothing."""

    def __init__(self) -> None:
        self._kept: Mapping[str, Kept] = {}

    def kept(self) -> Mapping[str, Kept]:
        """See `ports.Books`."""
        return self._kept

    def keep(self, _before: Mapping[str, Kept], now: Mapping[str, Kept]) -> None:
        """See `ports.Books`."""
        self._kept = now

    def begin(self, _found: Assessment, _steps: Plan, _behalf: Applying | None, _how: str) -> None:
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
) -> Assessment:
    """Look at the world and compare; write nothing. Hosts are connected to while the inventory is read, and observed
    while vmgroups are looked up.

    `applying`: on whose behalf (None: nobody's, so nothing would be recorded). `drawn` remembers the UUIDs of new
    vmgroups from one look to the next; `avoid` names the hosts that wrote, so that a config DB is read back through
    another. Raises InventoryError when the inventory cannot be read at all.
    """
    avoid = tuple(avoid)
    (places, resolving), foreseen = await gather_both(_looked_up(desired, world), _foreseen(desired, world, avoid))
    observed, others = await gather_both(
        observe(places, world.hosts, world.observer, avoid, foreseen),
        observe_undeclared_hosts(undeclared_hosts(desired, places.inventory), world.hosts),
    )
    observed = await world.memory.witnesses.confirm(places, observed, world.hosts)
    observed = replace(observed, undeclared_hosts=others, kept=world.books.kept())
    world.memory.observed = observed
    resolved = await resolving
    return _compared(resolved, observed, world, applying, {} if drawn is None else drawn)


async def _looked_up(desired: Desired, world: World) -> tuple[Resolved, asyncio.Task[Resolved]]:
    """Look up where things are, then everything else that the manifests name."""
    inventory, memory = await world.inventory.snapshot(), world.memory
    places = memory.places((desired, inventory), partial(resolve_places, desired, inventory))
    rest = partial(resolve_rest, desired, places)
    return places, asyncio.create_task(asyncio.to_thread(memory.resolved, (desired, places), rest))


async def _foreseen(desired: Desired, world: World, avoid: tuple[str, ...]) -> Prefetched:
    """Observe ahead of look-up; nothing where hosts are to be avoided: the readers depend on the look-up then."""
    return {} if avoid else await prefetch(desired, world.hosts, world.memory.observed)


async def _verify(
    steps: Plan,
    desired: Desired,
    done: Assessment,
    world: World,
    applying: Applying | None,
    drawn: dict[ObjectRef, str],
) -> Assessment:
    """Look again at what was written, with the names as they were looked up before, unless vCenter wrote, too."""
    if any(isinstance(action, MaintenanceAction) for step in steps.hosts for action in step.actions):
        return await assess(desired, world, applying, drawn, _writers(steps))
    observed = await observe(done.resolved, world.hosts, world.observer, _writers(steps))
    observed = world.memory.witnesses.carried(observed)  # it was read through another host than the one that wrote
    others = done.observed.undeclared_hosts  # nothing was written there
    observed = replace(observed, undeclared_hosts=others, kept=world.books.kept())
    return _compared(done.resolved, observed, world, applying, drawn)


def _compared(
    resolved: Resolved, observed: Observed, world: World, applying: Applying | None, drawn: dict[ObjectRef, str]
) -> Assessment:
    for ref in without_uuid(resolved, observed):
        if ref not in drawn:
            drawn[ref] = world.new_uuid()
    compare = partial(diff, resolved, observed, drawn, applying)
    found = world.memory.diff((resolved, observed, dict(drawn), applying), compare)
    return Assessment(resolved, observed, found, world.clock.now())


def _planned(found: Assessment, policy: Policy, applying: Applying | None) -> Plan:
    return plan(found.diff, found.resolved, found.observed, policy, None if applying is None else applying.stamp)


async def reconcile(desired: Desired, world: World, policy: Policy, applying: Applying | None = None) -> Outcome:
    """One pass. With `REPORT_ONLY` nothing is written and `Outcome.before` holds the answer.

    Where the site changed between the look and the write, nothing is written and a new plan is made, three times at
    most. Raises InventoryError when the inventory cannot be read at all; everything else is a fact of one object.
    """
    drawn: dict[ObjectRef, str] = {}
    before = now = await assess(desired, world, applying, drawn)
    steps = _planned(now, policy, applying)
    if steps.empty:
        if policy.risks:
            learn(world, before)
        return Outcome(before, steps, (), None, verdicts(before.diff, steps, (), None))
    replanned: list[Diff] = []
    rounds = 0
    backups: list[BackupMade] = []
    results: tuple[ActionResult, ...] = ()
    while not steps.empty:
        found = first_differences([before.diff, *replanned])
        world.observer.about_to_write(replace(now, diff=found))
        done = await _execute(steps, now, world, applying, _how(policy, applying))
        backups += done.backups
        if rounds == _REPLANS or not _goes_on(steps, done):
            now, results = await _verify(steps, desired, now, world, applying, drawn), done.results
            world.books.end(results, done.backups, now)
            break
        now = await assess(desired, world, applying, drawn, _writers(steps))
        world.books.end(done.results, done.backups, now)
        steps = _planned(now, policy, applying)
        rounds += 1
        if not steps.empty and not now.diff.settled:  # else it only records what has been done
            world.observer.planned_again((replanned or [before.diff])[-1], now.diff)
            replanned.append(now.diff)
    learn(world, now)
    objects = verdicts(first_differences([before.diff, *replanned]), steps, results, now.diff)
    return Outcome(before, steps, results, now, objects, tuple(replanned), tuple(backups), _readers(now))


async def prepare(desired: Desired, world: World, policy: Policy, applying: Applying, lasting: timedelta) -> SavedPlan:
    """Look, compare and plan; write nothing. The plan may be applied for as long as `lasting`.

    Raises InventoryError.
    """
    drawn: dict[ObjectRef, str] = {}
    found = await assess(desired, world, applying, drawn)
    return SavedPlan(
        made_at=found.observed_at,
        expires_at=found.observed_at + lasting,
        made_by=f"vdvs {__version__}",
        desired=desired,
        policy=policy,
        applying=applying,
        drawn=tuple(sorted(drawn.items(), key=lambda item: item[0])),
        diff=found.diff.of(policy.objects),
        plan=_planned(found, policy, applying),
    )


class Approval(Struct, frozen=True):
    """Consent to a saved plan: `by` (`user@host`) applies it, to `site` (if given), with actions of these risks."""

    by: str
    risks: frozenset[Risk]
    site: Site | None = None


async def carry_out(saved: SavedPlan, world: World, approval: Approval) -> Outcome:
    """Carry out exactly a saved plan, or nothing at all: a new plan is never made.

    First it plans again what the plan was made from. Unless the new plan has every step of the saved one, nothing is
    written anywhere, and the outcome has no step and the reason for each object.

    Raises UsageError for a plan that has expired, was made for another site, or has a risk that is not approved, and
    InventoryError.
    """
    _check(saved, approval, world.clock.now())
    saved = _signed(saved, approval.by)
    before = await assess(saved.desired, world, saved.applying, dict(saved.drawn))
    steps = _planned(before, saved.policy, saved.applying)
    if steps.empty and before.diff.of(saved.policy.objects).settled:  # done already, by this very plan or otherwise
        return Outcome(before, steps, (), None, verdicts(before.diff, steps, (), None))
    refused = invalidated(saved, before.diff, steps)
    if refused:
        nothing = Plan((), (), refused)
        return Outcome(before, nothing, (), None, verdicts(before.diff, nothing, (), None))
    steps = replace(saved.plan, withheld=saved.plan.withheld + appeared_since(saved, before.diff))
    if steps.empty:
        return Outcome(before, steps, (), None, verdicts(before.diff, steps, (), None))
    done = await _execute(steps, before, world, saved.applying, "saved plan")
    after = await _verify(steps, saved.desired, before, world, saved.applying, dict(saved.drawn))
    world.books.end(done.results, done.backups, after)
    learn(world, after)
    objects = verdicts(before.diff, steps, done.results, after.diff)
    return Outcome(before, steps, done.results, after, objects, (), done.backups, _readers(after))


def learn(world: World, found: Assessment) -> None:
    """Keep what a look taught: records in config DBs that correspond to the manifests."""
    if world.memory.learned is not found.diff:
        world.books.keep(found.observed.kept, learned(found))
        world.memory.learned = found.diff


async def _execute(steps: Plan, found: Assessment, world: World, applying: Applying | None, how: str) -> Execution:
    """Carry out `steps`, once the log says so, and keep what was applied."""
    world.books.begin(found, steps, applying, how)
    now = world.clock.now()
    done = await execute(steps, _agents(world, found), now, world.observer, world.maintenance)
    world.books.keep(found.observed.kept, written(found, steps, done.results, now))
    return done


def _how(policy: Policy, applying: Applying | None) -> str:
    """Name what writes, for the log."""
    if applying is not None and applying.backup is not None:
        return "rollback"
    return "apply" if policy.config_db_lifecycle else "watch"


def _check(saved: SavedPlan, approval: Approval, now: datetime) -> None:
    """Raise UsageError if this plan must not be applied now, here, and with this consent."""
    if now >= saved.expires_at:
        raise UsageError(
            f"the plan expired at {saved.expires_at:%Y-%m-%d %H:%M:%S} UTC; make a new one with `vdvs plan`"
        )
    made_for, site = saved.desired.site, approval.site
    if site is not None and (made_for is None or (site.name, site.reach) != (made_for.name, made_for.reach)):
        raise UsageError(f"the plan was made for {made_for or 'no site'}, not for {site}")
    if Risk.DESTROYS in saved.plan.risks - approval.risks:
        raise UsageError("the plan destroys something; look at it with --dry-run, then give --allow-destroy")
    if more := sorted(saved.plan.risks - approval.risks):
        raise UsageError(f"the plan has risks that are not approved: {', '.join(risk.value for risk in more)}")


def _signed(saved: SavedPlan, by: str) -> SavedPlan:
    """Return the plan as `by` applies it, who need not have made it."""
    stamp = saved.applying.stamp
    if stamp.by == by:
        return saved
    stamp = replace(stamp, by=f"{by}, planned by {stamp.by}")
    steps = tuple(replace(step, stamp=stamp) for step in saved.plan.config_dbs)
    return replace(saved, applying=replace(saved.applying, stamp=stamp), plan=replace(saved.plan, config_dbs=steps))


def _readers(seen: Assessment) -> tuple[str, ...]:
    return tuple(sorted({db.read_from for db in seen.observed.config_dbs.values() if db.read_from}))


def _writers(steps: Plan) -> frozenset[str]:
    """Return the hosts that wrote: a commit is read back through another."""
    return frozenset(step.writer for step in steps.config_dbs) | {step.writer for step in steps.moves}


def _goes_on(steps: Plan, done: Execution) -> bool:
    """Whether a new plan is needed: a DB changed under this one, or was recovered or moved, and can only now be
    changed."""
    failed = {result.ref for result in done.results if not result.ok}
    if any(step.ref not in failed for step in steps.moves):
        return True
    return any(step.recover for step in steps.config_dbs) or any(result.reason == "Moved" for result in done.results)


def _agents(world: World, now: Assessment) -> Callable[[str], HostAgent]:
    addresses = {host.ref.name: host.address for host in now.resolved.hosts}
    return lambda name: world.hosts.agent(name, addresses[name])
