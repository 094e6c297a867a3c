"""Whoever can push: an event stays small, whatever was pushed, and so does everything that is made of events."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from msgspec.json import encode
from msgspec.structs import replace

from reconciler.dashboard.board import page_json
from reconciler.model.diff import Cause, Change, Diff, Effect, FieldChange, Op, Standing
from reconciler.model.events import LARGEST_EVENT, Event, EventKind, ReportedEvent, bounded, cut_change
from reconciler.model.refs import Kind, ObjectRef
from reconciler.render.events import event_data
from reconciler.render.page.commands import NO_COMMANDS
from reconciler.render.page.look import Look
from reconciler.wiring import state
from tests.render import sites
from tests.telemetry.passes import NOON

GROUP = ObjectRef(Kind.VMGROUP, "G1")
MEMBERS = tuple(f"vm-{number}" for number in range(200_000))
HUGE = Change(GROUP, Op.UPDATE, "differs", (FieldChange("vms", (), MEMBERS),), notes=("n" * 100_000,))


def test_a_change_of_megabytes_becomes_one_line_and_a_file(tmp_path: Path) -> None:
    kept = state.LargeEvents(tmp_path / "events", lambda: NOON)
    event = bounded(Event(EventKind.DRIFTED, GROUP, "widens access", HUGE), kept.keep)
    assert len(json.dumps(event_data(ReportedEvent(NOON, event)))) < LARGEST_EVENT
    assert event.change is not None
    (note,) = event.change.notes
    (file,) = (tmp_path / "events").iterdir()
    assert str(file) in note
    assert json.loads(file.read_text())["change"]["fields"][0]["after"] == list(MEMBERS)
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)


def test_a_message_of_megabytes_is_its_first_lines_and_a_file(tmp_path: Path) -> None:
    message = "the last good manifests stay in force\n" + "\n".join(f"docs.yaml:{n}:1: no kind" for n in range(250_000))
    event = bounded(Event(EventKind.INVALID, None, message), state.LargeEvents(tmp_path, lambda: NOON).keep)
    assert event.message.startswith("the last good manifests stay in force\ndocs.yaml:0:1: no kind\n")
    assert f"and 249990 more lines; all of it is in {tmp_path}" in event.message
    assert len(event.message) < LARGEST_EVENT


def test_one_line_of_megabytes_is_cut() -> None:
    event = bounded(Event(EventKind.FAULT, None, "x" * 3_000_000), lambda _: "a file")
    assert len(encode(event)) < LARGEST_EVENT


def test_a_small_event_is_left_as_it_is() -> None:
    event = Event(EventKind.DRIFTED, GROUP, "differs", replace(HUGE, fields=(), notes=("as it is",)))
    assert bounded(event, lambda _: "never") is event


def test_the_page_shows_a_huge_change_as_one_line() -> None:
    seen = sites.in_sync()
    text = page_json({"site": "lab"}, Look(replace(seen, diff=Diff((HUGE,))), None, NO_COMMANDS))
    assert len(encode(json.loads(text)["changes"])) < LARGEST_EVENT
    assert cut_change(HUGE, "it").op is Op.UPDATE


def test_a_huge_change_is_still_called_what_it_is() -> None:
    opened = replace(HUGE, host_state=Standing.OPEN, effect=Effect.GAVE, cause=Cause.SITE)
    added = replace(HUGE, cause=Cause.MANIFEST, taking_back=replace(HUGE.as_part(), applied=True))
    for change in (opened, added, replace(HUGE, cause=Cause.MANIFEST)):
        cut = cut_change(change, "it")
        assert (cut.standing, cut.effect, cut.cause) == (change.standing, change.effect, change.cause)
        assert len(encode(cut)) < LARGEST_EVENT


def test_large_events_do_not_fill_the_disk(tmp_path: Path) -> None:
    hours = iter(range(1000))
    kept = state.LargeEvents(tmp_path, lambda: NOON.replace(hour=next(hours) // 60, minute=0, microsecond=next(hours)))
    for _ in range(state.MOST_KEPT + 5):
        kept.keep(Event(EventKind.FAULT, None, "x"))
    assert len(list(tmp_path.iterdir())) == state.MOST_KEPT


def test_a_folder_that_cannot_be_written_costs_the_file_only(tmp_path: Path) -> None:
    (tmp_path / "events").write_text("no folder")
    said = state.LargeEvents(tmp_path / "events", lambda: NOON).keep(Event(EventKind.FAULT, None, "x"))
    assert "cannot be written" in said
