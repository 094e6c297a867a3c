"""The words for states, events, effects and risks, and how each looks. Text, JSON, page and events read them here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from reconciler.model.base import Risk
from reconciler.model.diff import Cause, Change, Effect, FieldChange, Op, Standing
from reconciler.model.events import Event, EventKind
from reconciler.planning.host.diff import OPEN_NOTE
from reconciler.render.text import Data, show


class Look(Struct, frozen=True):
    """The look of a word: one of `good`, `drift`, `bad` and `unknown`, and a mark for those who see no colours."""

    kind: str
    mark: str


_GOOD, _DRIFT, _BAD, _UNKNOWN = "good", "drift", "bad", "unknown"

STANDINGS: Final[Mapping[Standing, Look]] = {
    Standing.OPEN: Look(_BAD, "!"),
    Standing.UNREACHABLE: Look(_UNKNOWN, "?"),
    Standing.BLOCKED: Look(_BAD, "x"),
    Standing.UNKNOWN: Look(_UNKNOWN, "?"),
    Standing.DRIFTED: Look(_DRIFT, "~"),
    Standing.MISSING: Look(_DRIFT, "~"),
    Standing.NOT_APPLIED: Look(_DRIFT, "~"),
    Standing.REMOVED: Look(_DRIFT, "?"),
    Standing.UNMANAGED: Look(_UNKNOWN, "+"),
    Standing.IN_SYNC: Look(_GOOD, "\u00b7"),
}
"""The most urgent first."""

EVENTS: Final[Mapping[EventKind, Look]] = {
    EventKind.DRIFTED: STANDINGS[Standing.DRIFTED],
    EventKind.BLOCKED: STANDINGS[Standing.BLOCKED],
    EventKind.UNKNOWN: STANDINGS[Standing.UNKNOWN],
    EventKind.UNMANAGED: STANDINGS[Standing.UNMANAGED],
    EventKind.HEALED: Look(_GOOD, "="),
    EventKind.FAILED: Look(_BAD, "x"),
    EventKind.IN_SYNC: STANDINGS[Standing.IN_SYNC],
    EventKind.GONE: Look(_UNKNOWN, "-"),
    EventKind.INVALID: Look(_BAD, "!"),
    EventKind.VALID: Look(_GOOD, "="),
    EventKind.FAULT: Look(_BAD, "!"),
    EventKind.RECOVERED: Look(_GOOD, "="),
    EventKind.EXPOSED: Look(_BAD, "x"),
    EventKind.NARROWED: Look(_BAD, "!"),
    EventKind.RECORDS: Look(_BAD, "!"),
    EventKind.REMARK: Look(_UNKNOWN, "?"),
    EventKind.BRAKED: Look(_BAD, "x"),
}
"""Events that report a state are shown with its word: see `event_word`."""

EFFECTS: Final[Mapping[Effect, str]] = {
    Effect.GAVE: "gave access",
    Effect.TOOK: "took access",
    Effect.BOTH: "gave and took access",
    Effect.NEITHER: "changed no access",
    Effect.UNKNOWN: "effect on access unknown",
}
RISKS: Final[Mapping[Risk, str]] = {
    Risk.SAFE: "disrupts nothing",
    Risk.RESTRICTS: "restricts access",
    Risk.WIDENS: "widens access",
    Risk.DISRUPTS: "disrupts running work",
    Risk.DESTROYS: "destroys",
}
_TELL_A_STATE: Final = (EventKind.DRIFTED, EventKind.BLOCKED, EventKind.UNKNOWN, EventKind.UNMANAGED)


def event_word(event: Event) -> str:
    """The word for an event: that of the state, if it has one."""
    return event.change.standing if event.change and event.kind in _TELL_A_STATE else event.kind.value


def told_as(event: str, change: Mapping[str, Any] | None) -> str:
    """The word for an event that was kept as data."""
    return str(change["standing"]) if change and event in _TELL_A_STATE and "standing" in change else event


def told(change: Change) -> str:
    """Return what happened to an object, if it is certain that its site was changed; else how it differs."""
    if change.op is Op.KEEP and change.standing is Standing.OPEN:
        return OPEN_NOTE
    if not change.is_drift:
        return change.reason
    if change.standing is Standing.OPEN:
        return _opened(change)
    what = "it is no longer there" if change.op is Op.CREATE else "the site was changed"
    what += ", and its manifest is not applied yet" if change.cause is Cause.BOTH else ""
    return f"{what}: {EFFECTS[change.effect]}" + (f"; {change.reason}" if change.op is Op.BLOCKED else "")


def remarks(change: Change) -> tuple[str, ...]:
    """The notes on a change. A host that was closed when it was last applied was opened since."""
    return tuple(_opened(change) if note == OPEN_NOTE and change.is_drift else note for note in change.notes)


def _opened(change: Change) -> str:
    return f"OPENED: every VM may create volumes without limit on {change.ref.name}"


def sides(field: FieldChange) -> str:
    """Return one field with both sides named: `live 10GB, declared 5GB`."""
    if field.before is None:
        return f"declared {show(field.after)}, not live"
    if field.after is None:
        return f"live {show(field.before)}, not declared"
    return f"live {show(field.before)}, declared {show(field.after)}"


def words_data() -> Data:
    """All words with their looks, the states by urgency, for the page."""
    return {
        "standings": {word.value: [look.kind, look.mark] for word, look in STANDINGS.items()},
        "events": {kind.value: [look.kind, look.mark] for kind, look in EVENTS.items()},
        "effects": {effect.value: text for effect, text in EFFECTS.items()},
        "risks": {risk.value: text for risk, text in RISKS.items()},
    }
