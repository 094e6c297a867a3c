"""Conditions, which last; events, which happened; and the passes of the watch that report them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from msgspec.json import encode
from msgspec.structs import replace

from reconciler.model.base import Strict, clip
from reconciler.model.diff import Change, Part, Standing
from reconciler.model.outcome import Outcome
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Desired


class Truth(StrEnum):
    """Status of a condition. Unknown is not False."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Strict, frozen=True):
    """A judgement about an object: `type` is what is judged (`InSync`, `Enforced` ...), `reason` one CamelCase word,
    `message` a sentence.

    `since`: when this status was first seen; None: not known, for example because there is no history.
    """

    ref: ObjectRef
    type: str
    status: Truth
    reason: str
    message: str
    since: datetime | None = None


class EventKind(StrEnum):
    """Kind of an event."""

    DRIFTED = "drifted"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"
    UNMANAGED = "unmanaged"
    HEALED = "healed"
    FAILED = "failed"
    IN_SYNC = "in sync"
    GONE = "gone"
    STARTED = "started"
    INVALID = "invalid"  # the manifests; the last good ones stay in force
    VALID = "valid"
    FAULT = "pass failed"
    RECOVERED = "pass works"
    EXPOSED = "access stays widened"  # something was added to what was applied, and it is not taken back
    NARROWED = "watches less"  # something is no longer looked after, or less than before
    RECORDS = "records"  # those in a config DB contradict what this side keeps, or do so no more
    REMARK = "remark"  # what could not be told for certain
    BRAKED = "braked"  # it keeps drifting back, and is not restored for a while
    STOPPED = "stopped"


class Since(Strict, frozen=True):
    """When a state began. `seen`: it was there already when it was first seen, then."""

    at: datetime
    seen: bool

    @property
    def kind(self) -> str:
        """`began`, or `first seen`."""
        return "first seen" if self.seen else "began"


class Lasting(Strict, frozen=True):
    """Since when an object is in its present state, and since when it differs, in whatever way (None: not known to)."""

    standing: Standing | None
    stands: Since
    differs: Since | None


class Event(Strict, frozen=True):
    """`ref` None: about the whole site. `change`: how the object differs, if the event is about that, and `since` when
    it is in that state."""

    kind: EventKind
    ref: ObjectRef | None
    message: str
    change: Change | None = None
    since: Since | None = None


LARGEST_EVENT: Final = 16384  # bytes
_LINES, _LINE = 10, 500  # of a message that is too large: how many are kept, and characters of each


def bounded(event: Event, keep: Callable[[Event], str]) -> Event:
    """Return the event, cut to a size that every listener can take. `keep` is given one that is too large, and returns
    where all of it can be read.
    """
    change = event.change
    told = event.message, None if change is None else _told(change)
    if len(encode(told)) <= LARGEST_EVENT:
        return event
    where = keep(event)
    return replace(event, message=_cut(event.message, where), change=change and cut_change(change, where))


def cut_change(change: Change, where: str) -> Change:
    """Return a change as one line, and where all of it can be read."""
    if len(encode(_told(change))) <= LARGEST_EVENT:
        return change
    note = f"{len(change.fields)} fields differ, too much to show here; all of it is in {where}"
    part = change.taking_back
    return replace(
        change,
        reason=clip(change.reason, _LINE),
        fields=(),
        actions=(),
        notes=(note,),
        tied=frozenset(),
        held=(),
        rights=(),
        claim=clip(change.claim, _LINE),
        taking_back=part and Part(clip(part.reason, _LINE), (), (), applied=part.applied),
    )


def _told(change: Change) -> tuple[object, ...]:
    return change.reason, change.fields, change.notes, change.held, change.rights, change.claim


def _cut(message: str, where: str) -> str:
    first, *more = message.splitlines() or [""]
    kept = [clip(line, _LINE) for line in (first, *more[:_LINES])]
    if len(kept) <= len(more):
        kept.append(f"and {len(more) + 1 - len(kept)} more lines; all of it is in {where}")
    return "\n".join(kept)


class Revision(Strict, frozen=True):
    """Commit of the manifests (None: not known), and whether they differ from it."""

    commit: str | None = None
    dirty: bool = False


class ReportedEvent(Strict, frozen=True):
    """An event, when it was reported, in which pass ("": none), and the revision of the manifests in force."""

    at: datetime
    event: Event
    pass_id: str = ""
    revision: Revision = Revision()


class Trigger(StrEnum):
    """Reason for a pass."""

    START = "start"
    RESYNC = "resync"
    MANIFESTS = "manifests"
    INVENTORY = "inventory"
    HOST = "host"  # an agent noticed that its host, or a config DB, changed
    RETRY = "retry"
    SIGNAL = "signal"


class Pass(Strict, frozen=True):
    """One pass of the watch. `id` is globally unique.

    `outcome` None: it failed, and `failure` is the reason, a sentence. `events` are those of this pass, in order.
    `lasting`: of each object that differed, or could not be looked at, when a pass looked last. `desired`: the
    manifests in force.
    """

    id: str
    trigger: Trigger
    started: datetime
    ended: datetime
    revision: Revision
    outcome: Outcome | None
    failure: str
    events: tuple[ReportedEvent, ...]
    lasting: Mapping[ObjectRef, Lasting] = {}
    desired: Desired | None = None

    @property
    def seconds(self) -> float:
        """Duration."""
        return (self.ended - self.started).total_seconds()


QUARTER: Final = 900  # seconds


class Quarter(Strict, frozen=True):
    """Counts of events in a quarter of an hour, which begins at `at` (seconds since 1970): the events that tell of a
    difference, of one that was healed, of one that ended otherwise (by `vdvs apply`, or by hand), and of a failure.
    `seconds`: of all its `passes` together."""

    at: int
    drifts: int = 0
    healed: int = 0
    applied: int = 0
    failed: int = 0
    passes: int = 0
    seconds: float = 0.0


COUNTED: Final = {
    EventKind.DRIFTED: "drifts",
    EventKind.BLOCKED: "drifts",
    EventKind.HEALED: "healed",
    EventKind.IN_SYNC: "applied",
    EventKind.FAILED: "failed",
    EventKind.FAULT: "failed",
}
"""The fields of `Quarter` that count events."""


class Past(Strict, frozen=True):
    """Knowledge of the time from some moment on.

    `events`: the newest first, as rows of the history; `more`: there were older ones. `ends`: how long each difference
    lasted that was brought back in sync, in seconds. `kept`: it is from a history, which outlives the watch.
    """

    quarters: tuple[Quarter, ...]
    events: Sequence[Mapping[str, Any]]
    more: bool
    ends: tuple[float, ...]
    kept: bool


class Bucket:
    """Allows `burst` at once, and `rate` a second in the long run. The caller passes the time, in seconds."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Take one token; False if there is none."""
        passed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._left, self._at = min(float(self._burst), self._left + passed * self._rate), now
        if self._left < 1:
            return False
        self._left -= 1
        return True


_LOOP: Final = 60.0  # seconds without a beat of the loop
_INTERVALS: Final = 3  # without a pass that ended


class Pulse:
    """Whether the loop of a watch turns, and its passes end; a `ports.Listener`.

    `monotonic`: seconds that never go back; `interval`: seconds between passes.
    """

    def __init__(self, monotonic: Callable[[], float], interval: float) -> None:
        self._monotonic = monotonic
        self.interval = interval
        self._last_beat = self._last_pass = monotonic()

    @property
    def stuck_after(self) -> float:
        """Seconds without a pass that ended, be it by failing, after which the watch hangs."""
        return _INTERVALS * self.interval

    @property
    def stale_after(self) -> float:
        """Seconds after which the last successful pass says nothing about now."""
        return self.stuck_after + _LOOP

    @property
    def age(self) -> float:
        """Seconds since the last pass ended, or since the start."""
        return self._monotonic() - self._last_pass

    def beat(self) -> None:
        """Note that the loop turns."""
        self._last_beat = self._monotonic()

    def on_event(self, reported: ReportedEvent) -> None:
        """See `ports.Listener`."""

    def on_pass(self, done: Pass) -> None:  # noqa: ARG002 - that it ended is enough
        """See `ports.Listener`."""
        self._last_pass = self._monotonic()

    def stuck(self) -> str:
        """Return why the watch makes no progress; empty: it does."""
        silent = self._monotonic() - self._last_beat
        if silent > _LOOP:
            return f"the loop has not turned for {silent:.0f} s"
        if self.age > self.stuck_after:
            return f"no pass has ended for {self.age:.0f} s, and one is due every {self.interval:g} s"
        return ""
