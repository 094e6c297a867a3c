"""Passes, one after the other: load, reconcile, report. No failure of a pass ends the watch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from reconciler.controller.brake import REST, Brake
from reconciler.controller.mode import Mode
from reconciler.controller.narrowing import alone, another_set, narrowed
from reconciler.controller.transitions import Look, Seen, State, transitions
from reconciler.model.base import clip
from reconciler.model.diff import Diff
from reconciler.model.errors import InvalidManifestsError, VdvsError
from reconciler.model.events import Event, EventKind, Lasting, Pass, ReportedEvent, Revision, Trigger, bounded
from reconciler.model.kinds.site import Site
from reconciler.model.outcome import Assessment, Outcome
from reconciler.model.ownership import Applying
from reconciler.model.plan import REPORT_ONLY, Plan, Policy
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Desired, Reconcile
from reconciler.planning.conditions import remarks
from reconciler.planning.records.history import altered_records, history
from reconciler.planning.records.treatment import in_force
from reconciler.ports import Clock, Listener

PASS_SECONDS = 1800.0  # more than installing a driver everywhere takes; a longer pass hangs
_log = logging.getLogger(__name__)


class Loaded(Struct, frozen=True):
    """Manifests, their commit, and on whose behalf they are applied (None: they are not)."""

    desired: Desired
    revision: Revision = Revision()
    applying: Applying | None = None


NOTHING: Final = Loaded(Desired(None, (), (), ()))
"""No manifests: none may be used yet."""


class Edges(Struct, frozen=True):
    """The connections of a watch to the outside.

    `monotonic`: seconds that never go back; `new_id`: a unique text; `load` may be called from another thread. `keep`
    stores an event that is too large for the listeners, and returns where. `lasting`: what an earlier watch knew
    of differences that had not ended; `fresh`: seconds after a look in which what is new began after it. `gate`: a
    context in which each pass runs.
    """

    load: Callable[[], Loaded]
    reconcile: Callable[[Desired, Policy, Applying | None], Awaitable[Outcome]]
    listeners: Sequence[Listener]
    clock: Clock
    monotonic: Callable[[], float]
    new_id: Callable[[], str]
    keep: Callable[[Event], str] = lambda _: "the output of `vdvs diff`"
    lasting: Mapping[ObjectRef, Lasting] = {}
    fresh: float = 150.0
    gate: AbstractAsyncContextManager[object] = nullcontext()


class Watch:
    """Watches one site. `started_with`: the manifests at its start, or NOTHING."""

    def __init__(self, edges: Edges, started_with: Loaded, site: Site, mode: Mode) -> None:
        self._edges = edges
        self._loaded = started_with
        self._site = site
        self._mode = mode
        self._brake = Brake()
        self._state: State = {ref: Seen(lasting=lasting) for ref, lasting in edges.lasting.items()}
        self._looked: datetime | None = None
        self._treated: Mapping[ObjectRef, Reconcile] = {}
        self._last: Diff | None = None
        self._records_of: Diff | None = None
        self._altered: dict[ObjectRef, str] = {}
        self._invalid = ""
        self._failure = ""
        self._remarks: tuple[str, ...] = ()
        self._id = ""
        self._events: list[ReportedEvent] = []
        self._broken: set[int] = set()

    @property
    def desired(self) -> Desired:
        """The manifests in force."""
        return self._loaded.desired

    async def one_pass(self, trigger: Trigger) -> Pass:
        """Look once, and write what the mode allows. Raises nothing."""
        async with self._edges.gate:
            return await self._one_pass(trigger)

    async def _one_pass(self, trigger: Trigger) -> Pass:
        started = self._edges.clock.now()
        self._id, self._events = f"{started:%Y%m%dT%H%M%SZ}-{self._edges.new_id()[:8]}", []
        outcome: Outcome | None = None
        try:
            async with asyncio.timeout(PASS_SECONDS):
                await self._load()
                outcome = await self._reconcile()
        except TimeoutError:
            self._failed(f"the pass took longer than {PASS_SECONDS:.0f} s and was cancelled")
        except Exception as error:
            self._failed(_sentence(error))
        else:
            await self._succeeded(outcome)
        failure, revision = clip(self._failure), self._loaded.revision
        ended = self._edges.clock.now()
        lasting = {ref: seen.lasting for ref, seen in self._state.items() if seen.lasting}
        done = Pass(
            self._id, trigger, started, ended, revision, outcome, failure, tuple(self._events), lasting,
            self._loaded.desired,
        )  # fmt: skip
        self._notify_listeners(lambda listener: listener.on_pass(done))
        self._id = ""
        return done

    async def report_before_heal(self, found: Assessment) -> None:
        """Report differences before they are healed, so that a watch that is killed in between has reported them."""
        look = without(Outcome(found, Plan((), ()), (), None, ()), _ignored(in_force(found.resolved, found.observed)))
        for event in await self._transitions(look, self._look(), healing=False):
            self._report(event)
            await asyncio.sleep(0)

    async def _transitions(self, outcome: Outcome, look: Look, *, healing: bool) -> tuple[Event, ...]:
        events, self._state = await asyncio.to_thread(transitions, self._state, outcome, look, healing=healing)
        return events

    def _look(self) -> Look:
        now = self._edges.clock.now()
        looked = self._looked
        return Look(now, first=looked is None or (now - looked).total_seconds() > self._edges.fresh)

    def say(self, kind: EventKind, message: str, ref: ObjectRef | None = None) -> None:
        """Report something that is not part of a pass."""
        self._report(Event(kind, ref, message))

    async def _load(self) -> None:
        problem = ""
        in_force = "no manifests are in force" if self._loaded is NOTHING else "the last good manifests stay in force"
        try:
            loaded = await asyncio.to_thread(self._edges.load)
        except InvalidManifestsError as invalid:
            problem = f"{in_force}\n{invalid}"
        except Exception as error:
            problem = f"{in_force}: {_sentence(error)}"
        else:
            for event in await asyncio.to_thread(_told_less, self._loaded, loaded):
                self._report(event)
            self._loaded = loaded
            if loaded.desired.site not in (None, self._site):
                problem = (
                    "the Site was changed; this watch keeps the one it started with: restart it to use the new one"
                )
        if problem != self._invalid:
            kind = EventKind.INVALID if problem else EventKind.VALID
            self._report(Event(kind, None, problem or "the manifests are valid again"))
        self._invalid = problem

    async def _reconcile(self) -> Outcome:
        if self._loaded is NOTHING:
            raise VdvsError("nothing is looked at until there are manifests that may be used")
        desired = self._loaded.desired
        braked = self._brake.braked(self._edges.monotonic(), dict(desired.digests))
        policy = self._mode.policy(desired, braked) if self._mode.writes else REPORT_ONLY
        applying = self._loaded.applying
        if applying is not None and not self._mode.auto_apply:
            applying = replace(applying, records=False)
        outcome = await self._edges.reconcile(desired, policy, applying)
        treated = in_force(outcome.before.resolved, outcome.before.observed)
        for event in alone(self._treated, treated):
            self._report(event)
        self._treated = treated
        return without(outcome, _ignored(treated))

    async def _succeeded(self, outcome: Outcome) -> None:
        if self._failure:
            self._report(Event(EventKind.RECOVERED, None, "the site can be looked at again"))
            self._failure = ""
        self._remark(outcome.after or outcome.before)
        look, self._looked = self._look(), self._edges.clock.now()
        if outcome.after is None and outcome.before.diff is self._last and not self._mode.writes:
            return  # the same as in the last pass, which is reported already
        if outcome.before.diff is not self._records_of:
            await self._report_records(outcome.before)
            self._records_of = outcome.before.diff
        events = await self._transitions(outcome, look, healing=self._mode.writes)
        self._last = (outcome.after or outcome.before).diff
        for event in events:
            self._report(event)
            await asyncio.sleep(0)  # there may be thousands, and the loop has other things to do
            if event.kind is EventKind.HEALED and event.ref is not None:
                self._check_brake(event.ref, outcome)

    async def _report_records(self, seen: Assessment) -> None:
        """Report that the records in a config DB contradict what this side keeps, once, and that they do no more."""
        found = await asyncio.to_thread(altered_records, seen.resolved, seen.observed)
        for ref, why in found.items():
            if why != self._altered.get(ref, ""):
                told = f"{why}; what this side keeps is what counts, and `vdvs apply` records it anew"
                self._report(Event(EventKind.RECORDS, ref, told if why else "its records are as this side keeps them"))
            self._altered[ref] = why

    def _remark(self, seen: Assessment) -> None:
        """Report what could not be told for certain, once, and when that has changed."""
        found = remarks(seen)
        for remark in found:
            if remark not in self._remarks:
                self._report(Event(EventKind.REMARK, None, remark))
        self._remarks = found

    def _check_brake(self, ref: ObjectRef, outcome: Outcome) -> None:
        digest = dict(self._loaded.desired.digests).get(ref, "")
        if not self._brake.healed(ref, self._edges.monotonic(), digest):
            return
        fields = next((change.fields for change in outcome.found.changes if change.ref == ref), ())
        what = ", ".join(dict.fromkeys(field.path for field in fields)) or "it"
        message = (
            f"something keeps changing it ({what}); {_last_applied(ref, outcome.before)}; for {REST / 60:.0f} minutes,"
            " or until its manifest changes, it is changed only where something was added to it"
        )
        self._report(Event(EventKind.BRAKED, ref, message))

    def _failed(self, text: str) -> None:
        if text != self._failure:
            self._report(Event(EventKind.FAULT, None, text))
        self._failure = text

    def _report(self, event: Event) -> None:
        event = bounded(event, self._edges.keep)
        reported = ReportedEvent(self._edges.clock.now(), event, self._id, self._loaded.revision)
        self._events.append(reported)
        self._notify_listeners(lambda listener: listener.on_event(reported))

    def _notify_listeners(self, do: Callable[[Listener], None]) -> None:
        for number, listener in enumerate(self._edges.listeners):
            try:
                do(listener)
            except Exception:
                if number not in self._broken:
                    _log.exception("%s failed on an event or pass; this is a bug in vdvs", type(listener).__name__)
                self._broken.add(number)


def _told_less(before: Loaded, now: Loaded) -> list[Event]:
    """Return an event for each object that the watch no longer looks at."""
    if before is NOTHING:
        return []
    sets = [each.applying.set for each in (before, now) if each.applying is not None]
    return [*(another_set(*sets) if len(sets) == 2 else ()), *narrowed(before.desired, now.desired)]


def _ignored(treated: Mapping[ObjectRef, Reconcile]) -> frozenset[ObjectRef]:
    return frozenset(ref for ref, mode in treated.items() if mode is Reconcile.DISABLED)


def without(outcome: Outcome, refs: frozenset[ObjectRef]) -> Outcome:
    """Return the outcome without these objects."""
    if not refs:
        return outcome

    def cut(diff: Diff) -> Diff:
        return Diff(tuple(change for change in diff.changes if change.ref not in refs))

    objects = tuple(result for result in outcome.objects if result.ref not in refs)
    before = replace(outcome.before, diff=cut(outcome.before.diff))
    after = None if outcome.after is None else replace(outcome.after, diff=cut(outcome.after.diff))
    return replace(outcome, before=before, after=after, objects=objects, replanned=tuple(map(cut, outcome.replanned)))


def _last_applied(ref: ObjectRef, seen: Assessment) -> str:
    for applied in history(seen.resolved, seen.observed):
        if applied.object == str(ref):
            record = applied.record
            when = f" on {record.when:%Y-%m-%d %H:%M} UTC" if record.when else ""
            of = f" of git {record.revision}" if record.commit else ""
            return f"the last known apply is by {record.author}{when}{of}"
    return "nothing says who applied it"


def _sentence(error: Exception) -> str:
    if isinstance(error, VdvsError | OSError):
        return str(error)
    return f"this is a bug in vdvs, please report it ({type(error).__name__}: {error})"
