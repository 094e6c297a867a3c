"""Tables of the history, and their migrations."""

from __future__ import annotations

import sqlite3
from typing import Final

from reconciler.model.errors import UsageError

# Each raises the version by one. A published migration is never changed; only new ones are added.
MIGRATIONS: Final = (
    """
    CREATE TABLE passes (
        id TEXT PRIMARY KEY, "trigger" TEXT NOT NULL, started TEXT NOT NULL, ended TEXT NOT NULL,
        git_commit TEXT, dirty INTEGER NOT NULL, failure TEXT NOT NULL, told INTEGER NOT NULL, written INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX passes_started ON passes (started);
    CREATE TABLE events (
        number INTEGER PRIMARY KEY, at TEXT NOT NULL, pass TEXT, event TEXT NOT NULL, object TEXT,
        message TEXT NOT NULL, change TEXT, git_commit TEXT, dirty INTEGER NOT NULL
    );
    CREATE INDEX events_object ON events (object);
    CREATE TABLE drifts (
        number INTEGER PRIMARY KEY, object TEXT NOT NULL, reason TEXT NOT NULL, fields TEXT NOT NULL,
        first_seen TEXT NOT NULL, last_seen TEXT NOT NULL, first_pass TEXT, last_pass TEXT,
        ended TEXT, how TEXT, git_commit TEXT, dirty INTEGER NOT NULL
    );
    CREATE INDEX drifts_object ON drifts (object);
    CREATE UNIQUE INDEX drifts_open ON drifts (object) WHERE ended IS NULL;
    """,
    # Whether a drift was seen to begin, at `first_seen`; the state of the object, and since when it is in that one.
    """
    ALTER TABLE drifts ADD COLUMN began INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE drifts ADD COLUMN standing TEXT;
    ALTER TABLE drifts ADD COLUMN stands_since TEXT;
    ALTER TABLE drifts ADD COLUMN stands_began INTEGER NOT NULL DEFAULT 0;
    """,
    # Counts for each quarter of an hour: they outlast the events and passes themselves. `at`: seconds since 1970.
    """
    CREATE TABLE quarters (
        at INTEGER PRIMARY KEY, drifts INTEGER NOT NULL DEFAULT 0, healed INTEGER NOT NULL DEFAULT 0,
        applied INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
        passes INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0
    );
    INSERT INTO quarters (at, drifts, healed, applied, failed)
        SELECT CAST(strftime('%s', at) AS INTEGER) / 900 * 900, sum(event IN ('drifted', 'blocked')),
            sum(event = 'healed'), sum(event = 'in sync'), sum(event IN ('failed', 'pass failed'))
        FROM events WHERE julianday(at) IS NOT NULL GROUP BY 1;
    INSERT INTO quarters (at, passes, seconds)
        SELECT CAST(strftime('%s', ended) AS INTEGER) / 900 * 900, count(*),
            total((julianday(ended) - julianday(started)) * 86400)
        FROM passes WHERE julianday(ended) IS NOT NULL GROUP BY 1
        ON CONFLICT (at) DO UPDATE SET passes = excluded.passes, seconds = excluded.seconds;
    CREATE INDEX drifts_ended ON drifts (ended);
    """,
)
VERSION: Final = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Create the tables, or apply missing migrations.

    Raises UsageError for the file of a newer vdvs or another program.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise UsageError(
            f"{path} is the history of a newer vdvs (version {version}, but this one supports {VERSION});"
            " use a newer vdvs or give another --history FILE"
        )
    if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise UsageError(f"{path} is an SQLite file of another program; give another --history FILE")
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {statements} PRAGMA user_version = {number}; COMMIT;")
