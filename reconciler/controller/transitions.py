"""The events between one pass and the next. Pure; a state is reported once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.diff import Change, Op
from reconciler.model.events import Event, EventKind, Lasting, Since
from reconciler.model.outcome import ObjectResult, Outcome, Status
from reconciler.model.refs import Kind, ObjectRef
from reconciler.render.words import told

_EVENTS = {
    Op.CREATE: EventKind.DRIFTED,
    Op.UPDATE: EventKind.DRIFTED,
    Op.DELETE: EventKind.DRIFTED,
    Op.BLOCKED: EventKind.BLOCKED,
    Op.UNKNOWN: EventKind.UNKNOWN,
    Op.UNMANAGED: EventKind.UNMANAGED,
    Op.REMOVED: EventKind.DRIFTED,
}

_HEALABLE = frozenset({Op.CREATE, Op.UPDATE, Op.DELETE})
_RIGHTS_SHOWN = 3
MOST_UNDECLARED = 100  # events of one pass about objects that no manifest declares
_NOT_HEALED = {Status.FAILED: EventKind.FAILED, Status.BLOCKED: EventKind.BLOCKED}


class Seen(Struct, frozen=True):
    """The last report on an object. `change` None: in sync, or not reported yet. `failure`: why it is not healed.
    `lasting`: since when it differs, also while it is unknown."""

    change: Change | None = None
    failure: str = ""
    lasting: Lasting | None = None

    @property
    def since(self) -> Since | None:
        """When the state that was reported began."""
        return None if self.lasting is None else self.lasting.stands


State = Mapping[ObjectRef, Seen]


class Look(Struct, frozen=True):
    """When a pass looked. `first`: what it sees may be older than that, as nobody looked shortly before."""

    at: datetime
    first: bool


def transitions(previous: State, outcome: Outcome, look: Look, *, healing: bool) -> tuple[tuple[Event, ...], State]:
    """Return the events between the last reported state and this outcome, and the state reported after them.

    What a pass held back is reported only if it was `healing`.
    """
    results = {result.ref: result for result in outcome.objects} if healing else {}
    after = {change.ref: change for change in (outcome.after or outcome.before).diff.changes}
    before = {change.ref: change for change in outcome.found.changes}
    events: list[Event] = []
    state: dict[ObjectRef, Seen] = {}
    for ref in sorted(before.keys() | after.keys(), key=lambda ref: ref.sort_key):
        seen = previous.get(ref, Seen())
        found, state[ref] = _of_object(seen, before.get(ref), after.get(ref), results.get(ref), look)
        events += found
    absent = previous.keys() - state.keys()
    state |= {ref: previous[ref] for ref in absent if _unreadable(previous[ref], (*before.values(), *after.values()))}
    gone = sorted(absent - state.keys(), key=lambda ref: ref.sort_key)
    events += [
        Event(EventKind.GONE, ref, "no longer declared, and no longer there") for ref in gone if previous[ref].change
    ]
    return tuple(_bounded(events, previous)), state


def _bounded(events: list[Event], previous: State) -> list[Event]:
    """Count the events about objects that no manifest declares beyond the first MOST_UNDECLARED, those with rights
    first: whoever writes a config DB can put any number of them there, and events are kept, sent and read."""
    about = [event for event in events if _undeclared(event, previous)]
    if len(about) <= MOST_UNDECLARED:
        return events
    about.sort(key=lambda event: event.change is None or not event.change.rights)
    left_out = set(map(id, about[MOST_UNDECLARED:]))
    with_rights = sum(event.change is not None and bool(event.change.rights) for event in about[MOST_UNDECLARED:])
    rest = (
        f"{len(left_out)} more objects that no manifest declares appeared or went, {with_rights} of which hold rights;"
        " `vdvs diff --full` shows all that are there"
    )
    kept = [event for event in events if id(event) not in left_out]
    return [*kept, Event(EventKind.REMARK, None, rest)]


def _undeclared(event: Event, previous: State) -> bool:
    if event.ref is None or event.kind is EventKind.HEALED:
        return False
    change = event.change or previous.get(event.ref, Seen()).change
    return change is not None and change.op is Op.UNMANAGED


def _of_object(
    seen: Seen, before: Change | None, after: Change | None, result: ObjectResult | None, look: Look
) -> tuple[list[Event], Seen]:
    events: list[Event] = []
    first = before or after
    if first is not None and not _is_well(first) and not _same(first, seen.change):
        seen = _reported(seen, first, look)
        events.append(Event(_kind(first), first.ref, told(first), first, seen.since))
    if after is None or _is_well(after):
        if seen.change is not None:
            events.append(_settled(seen.change, result))
        return events, Seen()
    if result is not None and result.status is Status.BLOCKED and result.fields:
        what = ", ".join(dict.fromkeys(field.path for field in result.fields))
        events.append(Event(EventKind.HEALED, after.ref, f"what was added is taken back ({what}); the rest waits"))
    if result is not None and result.status in _NOT_HEALED and after.op in _HEALABLE and result.detail != seen.failure:
        events.append(_not_healed(after, result))
        seen = replace(seen, failure=result.detail)
    if not _same(after, seen.change):
        seen = replace(_reported(seen, after, look), failure=seen.failure)
        events.append(Event(_kind(after), after.ref, told(after), after, seen.since))
    return events, seen


def _reported(seen: Seen, change: Change, look: Look) -> Seen:
    """Return the state of an object after a report that it differs, or is unknown."""
    was_unknown = seen.change is not None and seen.change.op is Op.UNKNOWN
    now, before = Since(look.at, look.first or was_unknown), seen.lasting
    stands = now if before is None or before.standing not in (None, change.standing) else before.stands
    differs = None if before is None else before.differs
    if change.op is not Op.UNKNOWN:
        differs = differs or now
    return Seen(change, "", Lasting(change.standing, stands, differs))


def _not_healed(after: Change, result: ObjectResult) -> Event:
    """The event of an object that stays as it is; loud where somebody keeps what nobody gave."""
    if after.adds is None:
        return Event(_NOT_HEALED[result.status], after.ref, f"not healed: {result.detail}")
    kept = [right for right in after.adds.rights if not right.gains]
    shown = [
        f"{right.who} may {right.before}{f' on {right.where}' if right.where else ''}" for right in kept[:_RIGHTS_SHOWN]
    ]
    what = "; ".join(shown) or ", ".join(dict.fromkeys(field.path for field in after.adds.fields))
    return Event(EventKind.EXPOSED, after.ref, f"ACCESS STAYS WIDENED ({what}); not healed: {result.detail}", after)


def _is_well(change: Change) -> bool:
    return change.op is Op.KEEP and change.host_state is None


def _kind(change: Change) -> EventKind:
    """The event of a difference. An undeclared object that holds rights is drift, and so is a host that is open though
    its manifest says nothing else, as no ConfigDB selects it."""
    is_drift = change.op is Op.KEEP or (change.op is Op.UNMANAGED and change.rights)
    return EventKind.DRIFTED if is_drift else _EVENTS[change.op]


def _unreadable(seen: Seen, changes: Iterable[Change]) -> bool:
    """Return whether an object may be missing from this pass only because its config DB could not be read."""
    if seen.lasting is None or (seen.change is not None and not seen.change.undeclared):
        return False
    return any(change.ref.kind is Kind.CONFIG_DB and change.op in (Op.UNKNOWN, Op.BLOCKED) for change in changes)


def _settled(drift: Change, result: ObjectResult | None) -> Event:
    if result is not None and result.status in (Status.CREATED, Status.CONFIGURED, Status.PRUNED):
        return Event(EventKind.HEALED, drift.ref, result.detail)
    return Event(EventKind.IN_SYNC, drift.ref, "it matches its manifest again")


def _same(change: Change, reported: Change | None) -> bool:
    """Return whether a reader would see no difference: new random UUIDs in each plan do not count."""
    return reported is not None and _seen_of(change) == _seen_of(reported)


def _seen_of(change: Change) -> tuple[object, ...]:
    return change.op, change.standing, change.reason, change.fields, change.notes, change.held
