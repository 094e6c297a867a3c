"""The history file: what is kept, for how long, and what happens when a watch is killed or replaced."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler.history import store
from reconciler.history.schema import MIGRATIONS, VERSION
from reconciler.history.store import UNSEEN, HistoryReader, HistoryWriter
from reconciler.model.diff import Change, Op, Standing
from reconciler.model.errors import UsageError
from reconciler.model.events import Event, EventKind, Lasting, Since
from reconciler.model.refs import Kind, ObjectRef
from tests.telemetry.passes import HOST, NOON, drift, kept, made, told

VERSIONS = sorted(Path(__file__).parent.glob("version-*.sql"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "below" / "history.sqlite"


@pytest.fixture
def history(path: Path) -> Iterator[HistoryWriter]:
    made_ = HistoryWriter(path)
    yield made_
    made_.close()


def read(path: Path) -> HistoryReader:
    return HistoryReader(path)


def drifts(path: Path) -> list[tuple[object, ...]]:
    reader = HistoryReader(path)
    found = reader.drifts()
    reader.close()
    return [(one["object"], one["fields"], _time(one["first_seen"]), _time(one["ended"]), one["how"]) for one in found]


def _time(stamp: str | None) -> str | None:
    return stamp and stamp[11:16]


def test_a_drift_is_kept_from_its_beginning_to_its_end(history: HistoryWriter, path: Path) -> None:
    history.on_event(told(EventKind.DRIFTED, drift(), 1))
    history.on_pass(made(drift(), minute=1))
    history.on_pass(made(drift(), minute=2))
    assert drifts(path) == [("host/esxiz10", ["service"], "12:01", None, None)]
    history.on_event(told(EventKind.HEALED, minute=3))
    history.on_pass(made(kept(), minute=3))
    assert drifts(path) == [("host/esxiz10", ["service"], "12:01", "12:03", "healed")]
    reader = HistoryReader(path)
    assert [event["event"] for event in reader.events()] == ["healed", "drifted"]
    assert [done["id"] for done in reader.passes()] == ["pass-3", "pass-2", "pass-1"]
    (event,) = reader.events(most=1, names=["host/esxiz10"])
    assert (event["git_commit"], event["dirty"], event["pass"]) == ("4f2c1ab0" * 5, 1, "pass-3")
    reader.close()


def test_a_watch_that_starts_anew_knows_since_when(path: Path) -> None:
    began, opened = (Since(NOON + timedelta(minutes=minute), seen=minute == 0) for minute in (0, 7))
    lasting = {HOST: Lasting(Standing.OPEN, opened, began)}
    history = HistoryWriter(path)
    assert history.lasting() == {}
    history.on_event(told(EventKind.DRIFTED, drift(), 1))
    history.on_pass(made(drift(), minute=1, lasting=lasting))
    history.close()
    history = HistoryWriter(path)
    assert history.lasting() == lasting
    assert drifts(path) == [("host/esxiz10", ["service"], "12:00", None, None)]
    history.on_event(told(EventKind.HEALED, minute=9))
    assert history.lasting() == {}
    history.close()


def test_what_drifts_on_while_no_watch_runs_is_one_drift(path: Path) -> None:
    for minute in (1, 5):  # the second watch tells it anew, for it has not seen it before
        history = HistoryWriter(path)
        history.on_event(told(EventKind.DRIFTED, drift(), minute))
        history.on_pass(made(drift(), minute=minute))
        history.close()
    assert drifts(path) == [("host/esxiz10", ["service"], "12:01", None, None)]


def test_what_came_back_while_no_watch_ran_has_ended(path: Path) -> None:
    history = HistoryWriter(path)
    history.on_event(told(EventKind.DRIFTED, drift(), 1))
    history.close()
    history = HistoryWriter(path)
    history.on_pass(made(kept(), minute=9))
    history.close()
    assert drifts(path) == [("host/esxiz10", ["service"], "12:01", "12:09", UNSEEN)]


def test_what_vanished_while_no_watch_ran_has_ended(path: Path) -> None:
    one = ObjectRef(Kind.VMGROUP, "one")
    since = Since(NOON, seen=False)
    removed = Change(one, Op.REMOVED, "no longer declared")
    history = HistoryWriter(path)
    history.on_event(replace(told(EventKind.DRIFTED, removed), event=Event(EventKind.DRIFTED, one, "x", removed)))
    history.on_pass(made(minute=1, lasting={one: Lasting(None, since, since)}))
    assert drifts(path)[0][3] is None, "its config DB could not be read, so it may be there"
    history.on_pass(made(minute=9))
    history.close()
    assert drifts(path) == [("vmgroup/one", [], "12:00", "12:09", "gone")]


def test_what_a_pass_could_not_judge_has_not_ended(history: HistoryWriter, path: Path) -> None:
    history.on_event(told(EventKind.DRIFTED, drift(), 1))
    history.on_pass(made(minute=2, failure="vCenter does not answer"))
    assert drifts(path)[0][3] is None
    reader = HistoryReader(path)
    assert reader.passes()[0]["failure"] == "vCenter does not answer"
    reader.close()


def test_its_size_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOST_EVENTS", "MOST_PASSES", "MOST_DRIFTS"):
        monkeypatch.setattr(store, name, 50)
    history = HistoryWriter(path)
    for minute in range(600):
        history.on_event(told(EventKind.DRIFTED, drift(), minute))
        history.on_event(told(EventKind.IN_SYNC, minute=minute))
        history.on_pass(made(kept(), minute=minute))
    history.on_event(told(EventKind.DRIFTED, drift(), 601))
    reader = HistoryReader(path)
    counts = [len(reader.events(most=9999)), len(reader.drifts(most=9999)), len(reader.passes(most=9999))]
    assert all(50 <= count <= 50 + store._PRUNE_EVERY for count in counts)
    assert reader.drifts(most=1)[0]["ended"] is None
    reader.close()
    history.close()


def test_two_watches_may_write_it_and_others_read_it_meanwhile(path: Path) -> None:
    first, second, reader = HistoryWriter(path), HistoryWriter(path), HistoryReader(path)
    first.on_event(told(EventKind.DRIFTED, drift(), 1))
    second.on_event(told(EventKind.DRIFTED, drift("other"), 2))
    assert len(reader.events()) == 2
    assert len(reader.drifts()) == 1
    for each in (first, second, reader):
        each.close()


def test_a_huge_change_is_cut(history: HistoryWriter, path: Path) -> None:
    change = drift("x" * 20_000)
    history.on_event(told(EventKind.DRIFTED, change))
    reader = HistoryReader(path)
    (event,) = reader.events()
    assert event["change"]["object"] == "host/esxiz10"
    reader.close()


def test_files_that_are_no_history_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    sqlite3.connect(other).executescript("CREATE TABLE mine (x); PRAGMA user_version = 0;")
    garbage = tmp_path / "garbage"
    garbage.write_text("no database" * 100)
    newer = tmp_path / "newer.sqlite"
    sqlite3.connect(newer).executescript(f"PRAGMA user_version = {VERSION + 1}")
    for path, why in (
        (other, "another program"),
        (garbage, "cannot be used"),
        (newer, "newer vdvs"),
        (tmp_path, "cannot be used"),
    ):
        with pytest.raises(UsageError, match=why):
            HistoryWriter(path)
    with pytest.raises(UsageError, match="cannot be read"):
        HistoryReader(tmp_path / "missing")


@pytest.mark.parametrize("dump", VERSIONS, ids=lambda path: path.stem)
def test_a_file_of_an_earlier_version_is_brought_up_to_date(dump: Path, tmp_path: Path) -> None:
    """Each published version has a dump here, with a drift that has not ended."""
    path = tmp_path / "old.sqlite"
    old = sqlite3.connect(path)
    old.executescript(dump.read_text())
    old.close()
    history = HistoryWriter(path)
    assert [ref.name for ref in history.lasting()] == ["esxiz10"]
    history.on_event(told(EventKind.HEALED, minute=30))
    history.close()
    reader = HistoryReader(path)
    assert [(one["object"], one["how"]) for one in reader.drifts()] == [("host/esxiz10", "healed")]
    assert [event["event"] for event in reader.events()] == ["healed", "drifted"]
    past = reader.past(NOON, None, 10)
    assert [(each.drifts, each.healed, each.passes, round(each.seconds, 3)) for each in past.quarters] == [
        (1, 0, 1, 1.5), (0, 1, 0, 0.0),
    ]  # fmt: skip
    assert past.ends == pytest.approx([29 * 60])
    reader.close()


def test_every_version_has_its_dump() -> None:
    assert [dump.stem for dump in VERSIONS] == [f"version-{number}" for number in range(1, len(MIGRATIONS) + 1)]


def test_nothing_is_half_written(history: HistoryWriter, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure in the middle of an event leaves neither its line nor its drift."""
    monkeypatch.setattr(history, "_end", lambda *_: 1 / 0)
    history.on_event(told(EventKind.DRIFTED, drift(), 1))
    with pytest.raises(ZeroDivisionError):
        history.on_event(told(EventKind.HEALED, minute=2))
    reader = HistoryReader(path)
    assert [event["event"] for event in reader.events()] == ["drifted"]
    assert reader.drifts()[0]["ended"] is None
    reader.close()


def test_a_full_disk_is_complained_of_once_and_ends_nothing(
    history: HistoryWriter, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pages = history._connection.execute("PRAGMA page_count").fetchone()[0]
    history._connection.execute(f"PRAGMA max_page_count = {pages}")
    for minute in range(60):
        history.on_event(told(EventKind.DRIFTED, drift("x" * 4000), minute))
    assert len(caplog.records) == 1
    assert "cannot be written" in caplog.text
    history._connection.execute("PRAGMA max_page_count = 1000000")
    history.on_event(told(EventKind.IN_SYNC, minute=61))
    reader = HistoryReader(path)
    assert reader.events(most=1)[0]["event"] == "in sync"
    reader.close()
