"""Status of each object after a pass: its conditions by the rules of kstatus, and what differs. Pure.

What each condition means to whoever waits is in docs/kubernetes-status.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from msgspec import Struct

from reconciler.controller.mode import Mode
from reconciler.loader.kinds.vmgroup import vm_ref
from reconciler.model.base import clip
from reconciler.model.diff import Change, FieldChange, Op, RightsChange, Standing
from reconciler.model.errors import Refusal
from reconciler.model.events import Condition, Truth
from reconciler.model.kinds.vmgroup import Joining, VMRef
from reconciler.model.outcome import Outcome, Status
from reconciler.model.ownership import Record
from reconciler.model.plan import HEALING
from reconciler.model.refs import RECONCILED, Kind, ObjectRef
from reconciler.model.state import RECONCILE, Reconcile
from reconciler.operator.approval import APPROVE, Proposal, Proposals
from reconciler.operator.connection.objects import reason_of
from reconciler.operator.deletion import Obstacle, is_going
from reconciler.operator.keys import ObjectKey
from reconciler.operator.source import NO_SITE, Held, SiteObjects, claimed_name
from reconciler.planning.conditions import conditions
from reconciler.planning.joined import Joined
from reconciler.planning.lookup import InventoryLookup
from reconciler.planning.records.history import not_applied
from reconciler.planning.records.treatment import as_applied
from reconciler.planning.vmgroup.resolve import outside_of
from reconciler.render.diff import rights_lines
from reconciler.render.kinds import VIEWS
from reconciler.render.status import sentence
from reconciler.render.text import show
from reconciler.render.words import RISKS, told

StatusData = dict[str, Any]
MOST_PENDING: Final = 20
_MESSAGE, _VALUE = 1024, 256  # characters
_NOT_OBSERVED: Final = "the site could not be looked at; the status of its Site says why"
_OFF: Final = f"the annotation {RECONCILE} of its Site is {Reconcile.DISABLED}"


BESIDE: Final = ("Reconciling", "Stalled")
"""Conditions of kstatus that are there only while they are True; never both."""

CONDITIONS: Final = frozenset(
    {
        "Ready", *BESIDE, "InSync", "Resolved", "Watched",
        "Readable", "Valid", "RecordsKept", "NoOrphans",
        "Reachable", "Enforced", "Persistent", "ServiceStarts", "Connected", "Maintenance", "Lockdown",
        "BooksMatch", "LimitsFit", "NoLeftovers", "InventoryComplete",
    }
)  # fmt: skip
"""Types of all conditions that are ours."""
_SEVERITY: Final = {"True": 0, "Unknown": 1, "False": 2}  # of Ready


class Terms(Struct, frozen=True):
    """Input of a pass besides the objects, and what came of it besides its outcome.

    `mode`: what the site permits; `waiting`: the plans that wait for approval; `refused`: why approvals are not carried
    out, the Site's included; `obstacles`: why objects that are being deleted are still there. `off`: the Site asks that
    nothing is looked at.
    """

    mode: Mode
    waiting: Proposals = Proposals()
    refused: Mapping[ObjectRef, str] = {}
    obstacles: Mapping[ObjectKey, Obstacle] = {}
    off: bool = False


class Verdict(Struct, frozen=True):
    """The condition Ready, and the one beside it that is True: `Reconciling`, `Stalled`, or neither (empty)."""

    ready: Truth
    reason: str
    message: str
    beside: str = ""


_GOING: Final = Verdict(Truth.UNKNOWN, "Deleting", "it is being deleted")


def statuses(
    objects: SiteObjects,
    outcome: Outcome | None,
    failure: str,
    previous: Mapping[ObjectKey, Mapping[str, Any]],
    now: datetime,
    terms: Terms,
) -> dict[ObjectKey, StatusData]:
    """Return the status of each object of a site after a pass, the Site included.

    `outcome` None: the pass failed because of `failure`; without one, there was no pass, and only objects that are held
    have a status. `objects`: those that the pass saw. `previous`: the statuses of last time, for their times.
    """
    writer = _Writer(objects, previous, now)
    made: dict[ObjectKey, StatusData] = {}
    if outcome is not None:
        found = _Found(outcome, terms)
        made |= {key: writer.observed(key, ref, found) for key, ref in objects.refs.items()}
    elif failure or terms.off:
        why = ("Paused", _OFF) if terms.off else ("SiteNotObserved", _NOT_OBSERVED)
        others = (key for key in objects.seen if key.kind is not Kind.SITE and not writer.stays_refused(key))
        made |= {key: writer.not_observed(key, objects.refs.get(key), *why) for key in others}
    if outcome is not None or failure or terms.off:
        site = ObjectKey(Kind.SITE, "", objects.site)
        waits = _plan(None if outcome is None else terms.waiting.whole)
        made[site] = writer.status(site, _of_site(outcome, failure, terms, objects.site), waits)
    stalled: dict[ObjectKey, Held | Obstacle] = {}
    deleted = (key for key in terms.obstacles if key in objects.refs or not writer.stays_refused(key))
    stalled.update((key, terms.obstacles[key]) for key in deleted if key in objects.seen)
    stalled.update(objects.held)
    for key, each in stalled.items():
        verdict = Verdict(Truth.FALSE, str(each.reason), each.message, "Stalled")
        made[key] = writer.status(key, _spelled(verdict), writer.lasting(key), objects.refs.get(key))
    return made


def same(status: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two statuses are the same, whatever the order of their conditions, and whatever others added."""

    def ours(of: Mapping[str, Any]) -> dict[str, Any]:
        found = {each["type"]: each for each in of.get("conditions", ()) if each["type"] in CONDITIONS}
        return {**of, "conditions": found}

    return ours(status) == ours(other)


def severity(status: Mapping[str, Any]) -> int:
    """Rank a status: ready, unknown, not ready, stalled."""
    found = {each["type"]: each["status"] for each in status.get("conditions", ())}
    return 3 if found.get("Stalled") == "True" else _SEVERITY.get(found.get("Ready", "Unknown"), 1)


class _Found:
    """An outcome by object, as its status needs it."""

    def __init__(self, outcome: Outcome, terms: Terms) -> None:
        self.terms = terms
        self._last = outcome.after or outcome.before
        self._joined = Joined(self._last)
        self._results = {result.ref: result for result in outcome.objects}
        self._withheld = {held.ref: held.reason for held in outcome.plan.withheld}
        # Whoever may write the annotation may do without the object, so that it counts before it was applied.
        self._treated = {asked.ref: asked.mode for asked in self._last.resolved.treatments}
        self._new = not_applied(as_applied(self._last.resolved, self._last.observed), self._last.observed)

    def change(self, ref: ObjectRef) -> Change | None:
        """Return how an object differs after the pass; None: it was not looked at."""
        found = self._joined.changes.get(ref)
        return None if found is None or found.undeclared else found

    @cached_property
    def conditions(self) -> Mapping[ObjectRef, tuple[Condition, ...]]:
        """The conditions of planning, by object."""
        found: dict[ObjectRef, list[Condition]] = {}
        for condition in conditions(self._last, self._joined):
            found.setdefault(condition.ref, []).append(condition)
        return {ref: tuple(of) for ref, of in found.items()}

    @cached_property
    def records(self) -> Mapping[ObjectRef, Record]:
        """The last apply of each object."""
        items = (item for kind in RECONCILED for item in VIEWS[kind].items(self._joined))
        return {item.change.ref: item.record for item in items if item.record is not None}

    def uuid(self, ref: ObjectRef) -> str:
        """Return the UUID of a vmgroup; empty: it has none, or the object is none."""
        found = self._joined.vmgroups.get(ref)
        return "" if found is None or found.tenant is None else found.tenant.id

    def refused(self, ref: ObjectRef) -> bool:
        """Return whether the Site does not allow what an object has, as far as only the inventory tells."""
        return self._joined.unresolved_why.get(ref) == Refusal.NOT_ALLOWED

    def outside(self, joining: Iterable[Joining]) -> str:
        """Return why the VM of a Membership does not join its vmgroup; empty: it does, or cannot be looked up."""
        return next(filter(None, (outside_of(each, self._names) for each in joining)), "")

    @cached_property
    def _names(self) -> InventoryLookup:
        return InventoryLookup(self._last.resolved.inventory)

    def verdict(self, ref: ObjectRef) -> Verdict:
        """Judge an object."""
        change, treated = self.change(ref), self._treated.get(ref)
        if self.refused(ref):  # also while it is paused or deleted: else it would count as one that was accepted
            return Verdict(Truth.FALSE, Refusal.NOT_ALLOWED, self._joined.unresolved[ref], "Stalled")
        if treated is not None:
            return _paused(change, treated)
        if change is None:
            return Verdict(Truth.UNKNOWN, "NotObserved", "the last pass did not look at it")
        if change.op is Op.KEEP:
            return Verdict(Truth.TRUE, "InSync", change.reason)
        if change.op is Op.UNKNOWN:
            return Verdict(Truth.UNKNOWN, _word(change.standing), change.reason)
        if change.op is Op.BLOCKED:
            why = self._joined.unresolved_why.get(ref)
            if ref in self._joined.unresolved:  # it may be there in a moment
                return Verdict(Truth.FALSE, "NotFound", change.reason)
            return Verdict(Truth.FALSE, why or _word(change.standing), change.reason, "Stalled")
        return self._differs(change)

    def _differs(self, change: Change) -> Verdict:
        result = self._results.get(change.ref)
        if result is not None and result.status is Status.FAILED:
            return Verdict(Truth.FALSE, "Failed", result.detail, "Reconciling")
        if change.ref not in self._withheld:
            why = result.detail if result is not None and result.status is Status.BLOCKED else told(change)
            return Verdict(Truth.FALSE, _word(change.standing), why, "Reconciling")
        mode, withheld = self.terms.mode, self._withheld[change.ref]
        waits, refused = self.terms.waiting.by_object.get(change.ref), self.terms.refused.get(change.ref)
        how = f"approve it by the annotation {APPROVE}: {waits.id}" if waits else withheld

        def because(what: str, *more: str) -> str:
            return "; ".join([what, *more, *([refused] if refused else [])])

        if change.ref in self._new:
            what = f"{change.reason}: to apply it {RISKS[change.risk]}"
            return Verdict(Truth.FALSE, "AwaitingApproval", because(what, how))
        if change.risk not in mode.auto_apply and not (mode.heal and change.risk in HEALING):
            what = f"{told(change)}; to heal it {RISKS[change.risk]}, which this site does not allow ({mode})"
            return Verdict(Truth.FALSE, "NotAllowedToHeal", because(what, *([how] if waits else [])), "Stalled")
        return Verdict(Truth.FALSE, "HeldBack", because(withheld, *([how] if waits else [])))


def _paused(change: Change | None, treated: Reconcile) -> Verdict:
    why = f"its annotation {RECONCILE} is {treated}"
    if change is None:
        return Verdict(Truth.UNKNOWN, "Paused", f"{why}: it is not looked at")
    if change.op is Op.KEEP:
        return Verdict(Truth.TRUE, "Paused", f"{why}; it is in sync")
    if change.op is Op.UNKNOWN:
        return Verdict(Truth.UNKNOWN, "Paused", f"{why}; {change.reason}")
    return Verdict(Truth.FALSE, "Paused", f"{why}, so that it is not put right: {told(change)}", "Stalled")


def _of_site(outcome: Outcome | None, failure: str, terms: Terms, name: str) -> list[_Spelled]:
    """The conditions of a Site: whether it can be looked at, and whether all that is declared there is in sync."""
    if terms.off:
        return _spelled(Verdict(Truth.UNKNOWN, "Paused", _OFF))
    if outcome is None:
        return [
            *_spelled(Verdict(Truth.FALSE, "PassFailed", failure, "Reconciling")),
            _Spelled("InSync", Truth.UNKNOWN, "PassFailed", "it could not be looked at"),
        ]
    last = outcome.after or outcome.before
    in_sync, gaps = last.diff.in_sync, last.resolved.inventory.gaps
    parts = (f"its inventory and its hosts are looked at: {terms.mode}", terms.refused.get(ObjectRef(Kind.SITE, name)))
    return [
        *_spelled(Verdict(Truth.TRUE, "Observed", "; ".join(filter(None, parts)))),
        _Spelled("InSync", Truth(str(in_sync)), "InSync" if in_sync else "Differs", sentence(last)),
        _Spelled(
            "InventoryComplete",
            Truth(str(not gaps)),
            "Gaps" if gaps else "Complete",
            "; ".join(gaps) or "everything in it could be read",
        ),
    ]


class _Spelled(Struct, frozen=True):
    """A condition, before it has times."""

    type: str
    status: Truth
    reason: str
    message: str


def _spelled(verdict: Verdict) -> list[_Spelled]:
    found = [_Spelled("Ready", verdict.ready, verdict.reason, verdict.message)]
    if verdict.beside:
        found.append(_Spelled(verdict.beside, Truth.TRUE, verdict.reason, verdict.message))
    return found


class _Writer:
    """Puts statuses together, with the times of the previous ones where nothing changed."""

    def __init__(self, objects: SiteObjects, previous: Mapping[ObjectKey, Mapping[str, Any]], now: datetime) -> None:
        self._objects, self._previous = objects, previous
        self._digests = dict(objects.loaded.desired.digests)
        self._joining: dict[tuple[ObjectRef, VMRef | None], list[Joining]] = {}
        for group in objects.loaded.desired.vmgroups:
            for each in group.joining:
                self._joining.setdefault((group.ref, each.vm), []).append(each)
        self._now = _moment(now)

    def observed(self, key: ObjectKey, ref: ObjectRef, found: _Found) -> StatusData:
        """The status of an object that a pass looked at."""
        others = (_Spelled(each.type, each.status, each.reason, each.message) for each in found.conditions.get(ref, ()))
        more: StatusData = {}
        if (change := found.change(ref)) is not None and change.op is Op.BLOCKED:  # it may be that of somebody else
            more |= {name: value for name, value in self.lasting(key).items() if name != "lastApplied"}
        elif key.kind in (Kind.VMGROUP, Kind.CONFIG_DB):
            more["name"] = claimed_name(self._objects.seen[key])
            if uuid := found.uuid(ref):
                more["uuid"] = uuid
        if (record := found.records.get(ref)) is not None:
            more["lastApplied"] = _applied(record)
        if change is not None and change.op is not Op.KEEP and change.fields:
            more["pending"] = [_pending(change, field) for field in change.fields[:MOST_PENDING]]
            more["pendingTotal"] = len(change.fields)
        more |= _plan(found.terms.waiting.by_object.get(ref))
        verdict = found.verdict(ref)
        if outside := self._outside(key, ref, found):
            verdict = Verdict(Truth.FALSE, Refusal.NOT_ALLOWED, outside, "Stalled")
        elif is_going(self._objects.seen[key]) and not found.refused(ref):
            verdict = _GOING
        return self.status(key, [*_spelled(verdict), *others], more, ref)

    def _outside(self, key: ObjectKey, ref: ObjectRef, found: _Found) -> str:
        """Return why the VM of a Membership may not join its vmgroup, whose status says nothing of that."""
        if key.kind is not Kind.MEMBERSHIP:
            return ""
        return found.outside(self._joining.get((ref, vm_ref(self._objects.seen[key].spec["vm"])), ()))

    def not_observed(self, key: ObjectKey, ref: ObjectRef | None, reason: str, message: str) -> StatusData:
        """The status of an object whose site is not looked at: nothing is known of it now."""
        types = dict.fromkeys(["Ready", "InSync", *(old["type"] for old in self._conditions(key))])
        unknown = [
            _Spelled(each, Truth.UNKNOWN, reason, message) for each in types if each in CONDITIONS.difference(BESIDE)
        ]
        return self.status(key, unknown, self.lasting(key), ref)

    def stays_refused(self, key: ObjectKey) -> bool:
        """Return whether an object was refused last, and nobody looks whether it still would be: of what only the
        inventory tells, nobody does without a look; of anything, where the Site cannot be used."""
        reason = reason_of(self._previous.get(key, {}))
        return reason == Refusal.NOT_ALLOWED or (reason in set(Refusal) and self._is_unchecked(key))

    def _is_unchecked(self, key: ObjectKey) -> bool:
        """Return whether an object was not even looked at as a manifest: its Site cannot be used."""
        return key.kind is not Kind.SITE and key not in self._objects.refs and key not in self._objects.held

    def lasting(self, key: ObjectKey) -> StatusData:
        """Return what is true of an object whether or not it is looked at."""
        previous = self._previous.get(key, {})
        return {name: previous[name] for name in ("name", "uuid", "lastApplied") if name in previous}

    def status(
        self, key: ObjectKey, judged: Iterable[_Spelled], more: StatusData | None = None, ref: ObjectRef | None = None
    ) -> StatusData:
        """A status with these conditions. What it says of a manifest that nobody has checked stays as it was: nothing
        new may count as accepted afterwards."""
        generation = self._objects.seen[key].metadata.generation
        since = {(old["type"], old["status"]): old["lastTransitionTime"] for old in self._conditions(key)}
        made: StatusData = {"observedGeneration": generation}
        if self._objects.site != NO_SITE:
            made["site"] = self._objects.site
        if self._is_unchecked(key):
            previous = self._previous.get(key, {})
            made = {"observedGeneration": previous.get("observedGeneration", -1)}  # as the server has it without one
            made |= {"site": previous["site"]} if "site" in previous else {}
        if ref is not None and ref in self._digests:
            made["observedDigest"] = self._digests[ref]
        made["conditions"] = [
            {
                "type": each.type,
                "status": each.status.value,
                "reason": each.reason,
                "message": clip(each.message, _MESSAGE),
                "lastTransitionTime": since.get((each.type, each.status.value), self._now),
                "observedGeneration": generation,
            }
            for each in judged
        ]
        return made | (more or {})

    def _conditions(self, key: ObjectKey) -> Iterator[Mapping[str, Any]]:
        yield from self._previous.get(key, {}).get("conditions", ())


def _plan(waits: Proposal | None) -> StatusData:
    return {} if waits is None else {"plan": {"id": waits.id, "summary": clip(waits.summary, _MESSAGE)}}


def _applied(record: Record) -> StatusData:
    found = {
        "digest": record.digest,
        "commit": record.revision,
        "by": clip(record.author, _VALUE),
        "at": "" if record.when is None else _moment(record.when),
    }
    return {name: value for name, value in found.items() if value}


def _pending(change: Change, field: FieldChange) -> StatusData:
    """One field that differs, and what it would mean to put it right."""
    effect = "; ".join(rights_lines(_rights(change, field)))
    found = {
        "field": clip(field.path, _VALUE),
        "from": "" if field.before is None else clip(show(field.before), _VALUE),
        "to": "" if field.after is None else clip(show(field.after), _VALUE),
        "risk": change.risk.value,
        "effect": clip(effect, _MESSAGE),
    }
    return {name: value for name, value in found.items() if value}


def _rights(change: Change, field: FieldChange) -> tuple[RightsChange, ...]:
    """The rights that a field is about: those on its datastore, if it names one."""
    named = [right for right in change.rights if right.where and f"[{right.where}]" in field.path]
    return tuple(named) or change.rights


def _word(standing: Standing) -> str:
    """Return a state as one word: `NotApplied`."""
    return "".join(part.capitalize() for part in standing.split())


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
