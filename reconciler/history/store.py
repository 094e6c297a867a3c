"""The history file. Every event is written at once, so that a watch that is killed loses nothing."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from reconciler import private
from reconciler.history.schema import migrate
from reconciler.model.diff import Op, Standing
from reconciler.model.errors import UsageError
from reconciler.model.events import COUNTED, QUARTER, EventKind, Lasting, Pass, Past, Quarter, ReportedEvent, Since
from reconciler.model.outcome import Outcome
from reconciler.model.refs import KINDS, ObjectRef
from reconciler.render.data import change_data

MOST_PASSES: Final = 10_000
MOST_EVENTS: Final = 20_000
MOST_DRIFTS: Final = 10_000  # of ended drifts; open ones are all kept
MOST_QUARTERS: Final = 40 * 96  # 40 days
_LARGEST_CHANGE: Final = 8_192  # characters of one change as JSON
_PRUNE_EVERY: Final = 100  # writes between two prunings
_LOCK_TIMEOUT: Final = 5.0  # seconds to wait for another writing watch

_OPENS: Final = frozenset({EventKind.DRIFTED, EventKind.BLOCKED})
_ENDS: Final = {EventKind.HEALED: "healed", EventKind.IN_SYNC: "in sync", EventKind.GONE: "gone"}
_BY_NAME: Final = {spec.singular: kind for kind, spec in KINDS.items()}
_BESIDE: Final = ("-wal", "-shm", "-journal")
_log = logging.getLogger(__name__)
UNSEEN: Final = "in sync when a watch looked again"


class HistoryWriter:
    """Implements `ports.Listener`: writes events and passes to one file, `path`.

    Raises UsageError if the file cannot be used. Later write errors, such as a full disk, lose records and are logged
    once until a write succeeds again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = 0
        self._failing = False
        try:
            private.new_folders(path.parent)
            for file in (path, *(path.with_name(path.name + beside) for beside in _BESIDE)):
                with suppress(FileNotFoundError):  # what SQLite puts beside it has the mode of the file
                    os.close(private.open_file(file, os.O_RDWR | (os.O_CREAT if file == path else 0)))
            self._connection = sqlite3.connect(path, timeout=_LOCK_TIMEOUT, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            migrate(self._connection, str(path))
        except (OSError, sqlite3.Error) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"the history {path} cannot be used: {why.lower()}; give another --history FILE"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def lasting(self) -> dict[ObjectRef, Lasting]:
        """Return the drifts that had not ended when a watch looked last."""
        rows: list[tuple[Any, ...]] = []
        with self._log_errors():
            rows = self._connection.execute(_OPEN_DRIFTS).fetchall()
        return _all_lasting(rows)

    def on_event(self, reported: ReportedEvent) -> None:
        """See `ports.Listener`."""
        with self._log_errors():
            self._write_event(reported)
            self._prune_regularly()

    def _write_event(self, reported: ReportedEvent) -> None:
        event, ref = reported.event, str(reported.event.ref) if reported.event.ref else None
        change = _as_json(change_data(event.change)) if event.change is not None else None
        of = (reported.revision.commit, reported.revision.dirty)
        with self._transaction() as db:
            db.execute(
                "INSERT INTO events (at, pass, event, object, message, change, git_commit, dirty)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (_stamp(reported.at), reported.pass_id or None, event.kind.value, ref, event.message, change, *of),
            )
            ended = event.kind in _ENDS and self._end(ref, reported.at, reported.pass_id, _ENDS[event.kind])
            # What only could not be looked at did not differ.
            if (counted := COUNTED.get(event.kind)) is not None and (ended or event.kind is not EventKind.IN_SYNC):
                self._count(reported.at, **{counted: 1})
            if event.kind in _OPENS and event.change is not None:
                fields = json.dumps([field.path for field in event.change.fields])
                seen = _stamp(reported.at)
                db.execute(
                    "INSERT INTO drifts (object, reason, fields, first_seen, last_seen, first_pass, last_pass,"
                    " git_commit, dirty) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (object) WHERE ended IS NULL DO UPDATE SET reason = excluded.reason,"
                    " fields = excluded.fields, last_seen = excluded.last_seen, last_pass = excluded.last_pass",
                    (ref, event.change.reason, fields, seen, seen, reported.pass_id, reported.pass_id, *of),
                )

    def on_pass(self, done: Pass) -> None:
        """See `ports.Listener`."""
        with self._log_errors():
            self._write_pass(done)
            self._prune_regularly()

    def _write_pass(self, done: Pass) -> None:
        written = 0 if done.outcome is None else sum(result.ok for result in done.outcome.results)
        row = (done.id, done.trigger.value, _stamp(done.started), _stamp(done.ended), done.revision.commit)
        with self._transaction() as db:
            db.execute(
                'INSERT OR REPLACE INTO passes (id, "trigger", started, ended, git_commit, dirty, failure, told,'
                " written) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, done.revision.dirty, done.failure, len(done.events), written),
            )
            self._count(done.ended, passes=1, seconds=done.seconds)
            if done.outcome is not None:
                self._update_drifts(done, done.outcome)

    def _count(self, at: datetime, **more: float) -> None:
        """Add to the counts of a quarter of an hour."""
        begin = int(at.timestamp()) // QUARTER * QUARTER
        names, marks = ", ".join(more), ", ".join("?" * len(more))
        added = ", ".join(f"{name} = {name} + excluded.{name}" for name in more)
        self._connection.execute(
            f"INSERT INTO quarters (at, {names}) VALUES (?, {marks})"  # noqa: S608 - only our own names
            f" ON CONFLICT (at) DO UPDATE SET {added}",
            (begin, *more.values()),
        )

    def _update_drifts(self, done: Pass, outcome: Outcome) -> None:
        """Extend the drifts that persist; end those that are gone without an event, as happens between two watches."""
        ops = {str(change.ref): change.op for change in (outcome.after or outcome.before).diff.changes}
        lasting = {str(ref) for ref in done.lasting}  # with those that may only not be seen now
        still = self._connection.execute("SELECT object FROM drifts WHERE ended IS NULL").fetchall()
        for (name,) in still:
            op = ops.get(name)
            if op is Op.KEEP:
                self._end(name, done.ended, done.id, UNSEEN)
            elif op is None and name not in lasting:
                self._end(name, done.ended, done.id, _ENDS[EventKind.GONE])
            elif op is not None:
                self._connection.execute(
                    "UPDATE drifts SET last_seen = ?, last_pass = ? WHERE object = ? AND ended IS NULL",
                    (_stamp(done.ended), done.id, name),
                )
        for ref, known in done.lasting.items():
            if (differs := known.differs) is not None:
                stands = known.stands
                self._connection.execute(
                    "UPDATE drifts SET first_seen = ?, began = ?, standing = ?, stands_since = ?, stands_began = ?"
                    " WHERE object = ? AND ended IS NULL",
                    (
                        _stamp(differs.at), not differs.seen, known.standing, _stamp(stands.at), not stands.seen,
                        str(ref),
                    ),
                )  # fmt: skip

    def _end(self, name: str | None, at: datetime, of_pass: str, how: str) -> bool:
        """Return whether there was a drift of this object that had not ended."""
        found = self._connection.execute(
            "UPDATE drifts SET ended = ?, last_pass = ?, how = ? WHERE object = ? AND ended IS NULL",
            (_stamp(at), of_pass, how, name),
        )
        return found.rowcount > 0

    @contextmanager
    def _log_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if not self._failing:
                _log.warning("the history %s cannot be written, so events are lost from it: %s", self.path, error)
            self._failing = True
        else:
            self._failing = False

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            if self._connection.in_transaction:  # SQLite itself rolls back after some errors
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _prune_regularly(self) -> None:
        self._written += 1
        if self._written % _PRUNE_EVERY:
            return
        with self._transaction() as db:
            db.execute("DELETE FROM events WHERE number <= (SELECT max(number) FROM events) - ?", (MOST_EVENTS,))
            db.execute(
                "DELETE FROM drifts WHERE ended IS NOT NULL AND number <= (SELECT max(number) FROM drifts) - ?",
                (MOST_DRIFTS,),
            )
            db.execute(
                "DELETE FROM passes WHERE started <"
                " (SELECT started FROM passes ORDER BY started DESC LIMIT 1 OFFSET ?)",
                (MOST_PASSES,),
            )
            db.execute(
                "DELETE FROM quarters WHERE at <= (SELECT max(at) FROM quarters) - ?", (MOST_QUARTERS * QUARTER,)
            )


class HistoryReader:
    """Reads the same file, also while a watch writes it. Raises UsageError if it cannot be read."""

    def __init__(self, path: Path) -> None:
        try:
            self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=_LOCK_TIMEOUT, uri=True)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("SELECT 1 FROM drifts LIMIT 1")
        except sqlite3.Error as error:
            raise UsageError(f"the history {path} cannot be read: {error}; give another --history FILE") from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def events(self, names: Sequence[str] = (), most: int = 100) -> list[dict[str, Any]]:
        """Return the last events, newest first, as dicts by column; only of these objects if any are named."""
        return self._select("events", names, most)

    def drifts(self, names: Sequence[str] = (), most: int = 100) -> list[dict[str, Any]]:
        """Return the last drifts, newest first, as dicts by column; only of these objects if any are named."""
        return self._select("drifts", names, most)

    def lasting(self) -> dict[ObjectRef, Lasting]:
        """Return the drifts that had not ended when a watch looked last; none from a file of an older vdvs."""
        try:
            return _all_lasting(self._connection.execute(_OPEN_DRIFTS))
        except sqlite3.Error:
            return {}

    def passes(self, most: int = 100) -> list[dict[str, Any]]:
        """Return the last passes, newest first, as dicts by column."""
        found = self._connection.execute("SELECT * FROM passes ORDER BY started DESC, id DESC LIMIT ?", (most,))
        return [dict(row) for row in found]

    def past(self, begin: datetime, name: str | None, most: int) -> Past:
        """Return what happened since then, to one object if one is named, with at most so many events.

        Raises UsageError if it cannot be read.
        """
        try:
            return self._past(begin, name, most)
        except (sqlite3.Error, ValueError) as error:  # a change in it that is no JSON, too
            raise UsageError(f"the history cannot be read: {error}") from error

    def _past(self, begin: datetime, name: str | None, most: int) -> Past:
        since = _stamp(begin)
        of, named = ("", ()) if name is None else (" AND object = ?", (name,))
        if name is None:
            quarters = self._connection.execute(
                "SELECT at, drifts, healed, applied, failed, passes, seconds FROM quarters WHERE at >= ?",
                (int(begin.timestamp()),),
            )
        else:  # how often it happens to one object is known as long as the events are
            quarters = self._connection.execute(
                f"SELECT CAST(strftime('%s', at) AS INTEGER) / {QUARTER} * {QUARTER},"  # noqa: S608 - a number of ours
                " sum(event IN ('drifted', 'blocked')), sum(event = 'healed'),"
                " 0, sum(event = 'failed'), 0, 0.0 FROM events WHERE at >= ? AND object = ? GROUP BY 1"
                f" UNION ALL SELECT CAST(strftime('%s', ended) AS INTEGER) / {QUARTER} * {QUARTER}, 0, 0, 1, 0, 0, 0.0"
                " FROM drifts WHERE ended >= ? AND object = ? AND how = 'in sync'",
                (since, name, since, name),
            )
        found = self._connection.execute(
            f"SELECT * FROM events WHERE at >= ?{of} AND event NOT IN ('started', 'stopped')"  # noqa: S608
            " ORDER BY number DESC LIMIT ?",
            (since, *named, most + 1),
        )
        events = [_decoded(row) for row in found]
        ends = self._connection.execute(
            "SELECT (julianday(ended) - julianday(first_seen)) * 86400 FROM drifts"  # noqa: S608
            f" WHERE ended >= ?{of} AND how IN ('healed', 'in sync')",
            (since, *named),
        )
        return Past(
            tuple(Quarter(*row) for row in quarters if row[0] is not None),
            events[:most],
            len(events) > most,
            tuple(seconds for (seconds,) in ends if seconds is not None),
            kept=True,
        )

    def _select(self, table: str, names: Sequence[str], most: int) -> list[dict[str, Any]]:
        only = f"WHERE object IN ({', '.join('?' * len(names))})" if names else ""
        statement = f"SELECT * FROM {table} {only} ORDER BY number DESC LIMIT ?"  # noqa: S608 - only our own names
        return [_decoded(row) for row in self._connection.execute(statement, (*names, most))]


def _decoded(row: sqlite3.Row) -> dict[str, Any]:
    found = dict(row)
    return found | {key: json.loads(found[key]) for key in ("change", "fields") if found.get(key)}


_OPEN_DRIFTS: Final = (
    "SELECT object, first_seen, began, standing, stands_since, stands_began FROM drifts WHERE ended IS NULL"
)


def _all_lasting(rows: Iterable[Sequence[Any]]) -> dict[ObjectRef, Lasting]:
    return dict(found for row in rows if (found := _lasting(*row)) is not None)


def _lasting(
    name: str, first_seen: str, began: int, standing: str | None, stands_since: str | None, stands_began: int
) -> tuple[ObjectRef, Lasting] | None:
    """Return a row as a value; None: it is not one that we wrote."""
    kind, _, rest = name.partition("/")
    try:
        differs = Since(datetime.fromisoformat(first_seen), not began)
        stands = Since(datetime.fromisoformat(stands_since), not stands_began) if stands_since else differs
        return ObjectRef(_BY_NAME[kind], rest), Lasting(Standing(standing) if standing else None, stands, differs)
    except (KeyError, ValueError):
        return None


def _as_json(change: Any) -> str:
    text = json.dumps(change)
    if len(text) <= _LARGEST_CHANGE:
        return text
    return json.dumps(
        {**change, "fields": change["fields"][:5], "rights": [], "notes": change["notes"][:5], "held": []}
    )


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
