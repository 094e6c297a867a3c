"""What happens to the file of a config DB."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

from reconciler.lab.breakage.drift import Drift
from reconciler.lab.breakage.place import Place
from reconciler.model.errors import UsageError

_TABLES = ("tenants", "vms", "privileges", "volumes", "versions")
DEFAULT = "11111111-1111-1111-1111-111111111111"
# Killed in the middle of its commit: what is on disk is half-written, and its journal says how to undo it.
_KILLED = """
import os, signal, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA cache_size = 1")
c.execute("PRAGMA cache_spill = 1")
c.execute("BEGIN IMMEDIATE")
c.execute("CREATE TABLE ballast (x)")
c.executemany("INSERT INTO ballast VALUES (?)", (("x" * 4000,) for _ in range(200)))
c.execute("UPDATE privileges SET usage_quota = 1")
os.kill(os.getpid(), signal.SIGKILL)
"""


def _removed(place: Place) -> None:
    place.db.unlink()


def _truncated(place: Place) -> None:
    os.truncate(place.db, place.db.stat().st_size // 2)


def _empty(place: Place) -> None:
    os.truncate(place.db, 0)


def _garbage(place: Place) -> None:
    place.db.write_bytes(b"not a database, whatever it is" * 100)


def _newer(place: Place) -> None:
    place.sql("UPDATE versions SET major_ver = 2")


def _older(place: Place) -> None:
    place.sql("UPDATE versions SET minor_ver = 0")


def _no_version(place: Place) -> None:
    place.sql("DELETE FROM versions")


def _no_table(place: Place) -> None:
    place.sql("DROP TABLE privileges")


def _hot_journal(place: Place) -> None:
    subprocess.run([sys.executable, "-c", _KILLED, str(place.db)], check=False)  # noqa: S603 - our own program


def _wal(place: Place) -> None:
    place.sql("PRAGMA journal_mode = WAL")


def _old_copy(place: Place) -> None:
    db = place.db
    backups = sorted(entry for entry in db.parent.iterdir() if entry.name.startswith(db.name + ".bak-"))
    if not backups:
        raise UsageError("there is no backup of the config DB yet; apply a change first")
    beside = db.with_name("copied-by-hand")
    beside.write_bytes(backups[0].read_bytes())
    beside.replace(db)


def _made_anew(place: Place) -> None:
    db = place.db
    statements = [place.sql("SELECT sql FROM sqlite_master WHERE name = ?", table)[0][0] for table in _TABLES]
    db.unlink()
    with closing(sqlite3.connect(db)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute("INSERT INTO versions VALUES (0, 1, 2, 1, 0)")
        connection.execute(
            "INSERT INTO tenants VALUES (?, '_DEFAULT', 'This is a default vmgroup', '_VM_DS://')", (DEFAULT,)
        )
        for url in ("_ALL_DS://", "_VM_DS://"):
            connection.execute("INSERT INTO privileges VALUES (?, ?, 1, 0, 0)", (DEFAULT, url))


DRIFTS = (
    Drift("db-removed", "the config DB is gone", _removed, 987),
    Drift("db-truncated", "the config DB is cut in half", _truncated),
    Drift("db-empty", "the config DB has 0 bytes, as an interrupted `config init` leaves it", _empty),
    Drift("db-garbage", "the config DB is no database", _garbage),
    Drift("db-newer-version", "the config DB says that its schema is 2.2", _newer, 981),
    Drift("db-older-version", "the config DB says that its schema is 1.0", _older, 865),
    Drift("db-no-version", "the config DB does not say its schema", _no_version),
    Drift("db-no-table", "a table of the config DB is gone", _no_table),
    Drift("db-hot-journal", "a writer was killed in the middle of its commit", _hot_journal),
    Drift("db-wal", "the config DB was put into WAL mode, which does not work between hosts", _wal),
    Drift("db-old-copy", "the config DB was replaced by its oldest backup", _old_copy, 1362),
    Drift(
        "db-made-anew", "somebody removed the config DB and ran `config init`: only _DEFAULT is left", _made_anew, 987
    ),
)
