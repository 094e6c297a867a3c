"""Concurrent applies, by the notes in config DBs: hints, which anyone who can write there can forge.

So a note counts for LIMIT only, whatever it says, and holds nobody up who did not ask to wait.
Source: docs/domain.md#who-applied-what
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from msgspec import DecodeError, Struct, json

from reconciler.model.ownership import Applier

LIMIT: Final = timedelta(minutes=10)
_LONGEST: Final = 200  # characters of a name


class _Note(Struct):
    by: str
    since: datetime
    set: str = ""


def note(applier: Applier) -> str:
    """Return the text of a note."""
    return json.encode(_Note(applier.by[:_LONGEST], applier.since, applier.set[:_LONGEST])).decode()


def going_on(notes: Iterable[tuple[str, str]], now: datetime) -> tuple[Applier, ...]:
    """Return the applies that these notes (run, text) say are going on, the first to begin first. The clocks of two
    machines may differ by LIMIT. Pure."""
    found = (_read(run, text) for run, text in notes)
    live = {each for each in found if each is not None and abs(now - each.since) < LIMIT}
    return tuple(sorted(live, key=lambda each: (each.since, each.run)))


def over(notes: Iterable[tuple[str, str]], now: datetime) -> tuple[str, ...]:
    """Return the runs whose notes count no more, or are none. Pure."""
    notes = tuple(notes)
    live = {each.run for each in going_on(notes, now)}
    return tuple(run for run, _ in notes if run not in live)


def _read(run: str, text: str) -> Applier | None:
    try:
        found = json.decode(text, type=_Note)
    except DecodeError:
        return None
    if found.since.tzinfo is None or max(map(len, (run, found.by, found.set))) > _LONGEST or not found.by:
        return None
    return Applier(run, found.by, found.since, found.set)
