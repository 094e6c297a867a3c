"""Events of `vdvs watch`: as text, a line each (a drift is followed by its fields), or as data."""

from __future__ import annotations

from datetime import datetime

from reconciler.model.events import EventKind, ReportedEvent
from reconciler.render.data import change_data
from reconciler.render.diff import change_body, meaning
from reconciler.render.text import Data, Paint, clean, lines, pad, plain
from reconciler.render.words import event_word

_WORD_COLUMNS = 11
_REF_COLUMNS = 24
_PASS = 8  # characters at the end of the id of a pass, enough to distinguish passes


def event_text(reported: ReportedEvent, paint: Paint = plain) -> str:
    """Write `2026-11-23T20:15:00Z  drifted      vmgroup/MYVMGROUP   widens access`, and the differences below it."""
    event = reported.event
    word = paint(pad(event_word(event), _WORD_COLUMNS), event_word(event))
    about = pad(clean(str(event.ref)), _REF_COLUMNS) if event.ref else ""
    what = meaning(event.change) if event.change and event.kind is not EventKind.EXPOSED else event.message
    head, *more = what.split("\n")
    of = f"(pass {reported.pass_id[-_PASS:]})" if reported.pass_id else ""
    line = "  ".join(part for part in (_stamp(reported.at), word, about, clean(head), of) if part).rstrip()
    body = change_body(event.change, happened=True) if event.change else [f"    {clean(part)}" for part in more]
    return lines([line, *body])


def event_data(reported: ReportedEvent) -> Data:
    """An event as described by schemas/output/event.json."""
    event = reported.event
    return {
        "time": _stamp(reported.at),
        "event": event.kind.value,
        "word": event_word(event),
        "object": str(event.ref) if event.ref else None,
        "message": event.message,
        "change": change_data(event.change) if event.change else None,
        "since": _stamp(event.since.at) if event.since else None,
        "sinceKind": event.since.kind if event.since else None,
        "pass": reported.pass_id or None,
        "git": {"commit": reported.revision.commit, "dirty": reported.revision.dirty}
        if reported.revision.commit
        else None,
    }


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
