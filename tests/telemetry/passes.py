"""Passes as a watch reports them, made from the sites of the rendering tests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from reconciler.model.diff import Change, Diff, FieldChange, Op
from reconciler.model.events import Event, EventKind, Lasting, Pass, ReportedEvent, Revision, Trigger
from reconciler.model.outcome import Outcome
from reconciler.model.plan import Plan
from reconciler.model.refs import Kind, ObjectRef
from tests.render import sites

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOST = ObjectRef(Kind.HOST, "esxiz10")
REVISION = Revision("4f2c1ab0" * 5, dirty=True)


def drift(value: str = "running") -> Change:
    return Change(HOST, Op.UPDATE, "differs from its manifest", (FieldChange("service", "stopped", value),))


def kept() -> Change:
    return Change(HOST, Op.KEEP, "as its manifest says")


def told(kind: EventKind, change: Change | None = None, minute: int = 0, message: str = "") -> ReportedEvent:
    ref = HOST if change is not None or kind in (EventKind.HEALED, EventKind.IN_SYNC, EventKind.GONE) else None
    event = Event(kind, ref, message or (change.reason if change else "why"), change)
    return ReportedEvent(NOON + timedelta(minutes=minute), event, f"pass-{minute}", REVISION)


def made(
    *changes: Change,
    minute: int = 0,
    failure: str = "",
    events: tuple[ReportedEvent, ...] = (),
    lasting: Mapping[ObjectRef, Lasting] = {},
) -> Pass:
    """A pass that finds the site in sync but for `changes`."""
    at = NOON + timedelta(minutes=minute)
    look = sites.in_sync()
    whole = {change.ref: change for change in (*look.diff.changes, *changes)}
    look = replace(look, diff=Diff(tuple(whole.values())))
    outcome = None if failure else Outcome(look, Plan((), ()), (), None, ())
    ended = at + timedelta(seconds=1.5)
    return Pass(f"pass-{minute}", Trigger.RESYNC, at, ended, REVISION, outcome, failure, events, lasting)
