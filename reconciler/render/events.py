"""Events of `watch`: a line each as text (a drift is followed by its fields), or one JSON object a line."""

from __future__ import annotations

from datetime import datetime

from reconciler.model.events import ReportedEvent
from reconciler.render.data import change_data
from reconciler.render.diff import change_body, meaning
from reconciler.render.text import Data, Paint, clean, lines, pad, plain

_WORD_COLUMNS = 11
_REF_COLUMNS = 24
_PASS = 8  # characters at the end of a pass's id that tell it from others


def event_text(told: ReportedEvent, paint: Paint = plain) -> str:
    """`2026-11-23T20:15:00Z  drifted      vmgroup/MYVMGROUP   widens access`, and below it what differs."""
    event = told.event
    word = paint(pad(event.kind.value, _WORD_COLUMNS), event.kind.value)
    about = pad(clean(str(event.ref)), _REF_COLUMNS) if event.ref else ""
    what = meaning(event.change) if event.change else event.message
    head, *more = what.split("\n")
    of = f"(pass {told.pass_id[-_PASS:]})" if told.pass_id else ""
    line = "  ".join(part for part in (_stamp(told.at), word, about, clean(head), of) if part).rstrip()
    body = change_body(event.change) if event.change else [f"    {clean(part)}" for part in more]
    return lines([line, *body])


def event_data(told: ReportedEvent) -> Data:
    """schemas/output/event.json"""
    event = told.event
    return {
        "time": _stamp(told.at),
        "event": event.kind.value,
        "object": str(event.ref) if event.ref else None,
        "message": event.message,
        "change": change_data(event.change) if event.change else None,
        "pass": told.pass_id or None,
        "git": {"commit": told.revision.commit, "dirty": told.revision.dirty} if told.revision.commit else None,
    }


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
