"""Faults of the file of a config DB.

Source: docs/domain.md#locks-and-journal
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

from reconciler.lab.breakage.drift import Drift
from reconciler.lab.breakage.target import Target
from reconciler.model.errors import UsageError

_TABLES = ("tenants", "vms", "privileges", "volumes", "versions")
DEFAULT = "11111111-1111-1111-1111-111111111111"
# Killed in the middle of its commit: the file is half-written, and the journal holds what is needed to roll it back.
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


def _removed(target: Target) -> None:
    target.db.unlink()


def _truncated(target: Target) -> None:
    os.truncate(target.db, target.db.stat().st_size // 2)


def _empty(target: Target) -> None:
    os.truncate(target.db, 0)


def _garbage(target: Target) -> None:
    target.db.write_bytes(b"not a database, whatever it is" * 100)


def _newer(target: Target) -> None:
    target.sql("UPDATE versions SET major_ver = 2")


def _older(target: Target) -> None:
    target.sql("UPDATE versions SET minor_ver = 0")


def _no_version(target: Target) -> None:
    target.sql("DELETE FROM versions")


def _no_table(target: Target) -> None:
    target.sql("DROP TABLE privileges")


def _hot_journal(target: Target) -> None:
    subprocess.run([sys.executable, "-c", _KILLED, str(target.db)], check=False)  # noqa: S603 - our own program


def _wal(target: Target) -> None:
    target.sql("PRAGMA journal_mode = WAL")


def _old_copy(target: Target) -> None:
    db = target.db
    backups = sorted(entry for entry in db.parent.iterdir() if entry.name.startswith(db.name + ".bak-"))
    if not backups:
        raise UsageError("there is no backup of the config DB yet; apply a change first")
    beside = db.with_name("copied-by-hand")
    beside.write_bytes(backups[0].read_bytes())
    beside.replace(db)


def _made_anew(target: Target) -> None:
    db = target.db
    statements = [target.sql("SELECT sql FROM sqlite_master WHERE name = ?", table)[0][0] for table in _TABLES]
    db.unlink()
    with closing(sqlite3.connect(db)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute("INSERT INTO versions VALUES (0, 1, 2, 1, 0)")
        connection.execute(
            "INSERT INTO tenants VALUES (?, '_DEFAULT', 'This is a default vmgroup', '_VM_DS://')", (DEFAULT,)
        )
    for url in ("_ALL_DS://", "_VM_DS://"):
        target.allow_all(DEFAULT, url)


DRIFTS = (
    Drift("db-removed", "the config DB is gone", _removed, 987),
    Drift("db-truncated", "the config DB is truncated to half its size", _truncated),
    Drift("db-empty", "the config DB has 0 bytes, as an interrupted `config init` leaves it", _empty),
    Drift("db-garbage", "the config DB is not a database", _garbage),
    Drift("db-newer-version", "the version in the config DB is 2.2", _newer, 981),
    Drift("db-older-version", "the version in the config DB is 1.0", _older, 865),
    Drift("db-no-version", "the version is missing in the config DB", _no_version),
    Drift("db-no-table", "a table of the config DB is missing", _no_table),
    Drift("db-hot-journal", "a writer was killed in the middle of its commit", _hot_journal),
    Drift("db-wal", "the config DB was put into WAL mode, which does not work between hosts", _wal),
    Drift("db-old-copy", "the config DB was replaced by its oldest backup", _old_copy, 1362),
    Drift("db-made-anew", "the config DB was removed and `config init` run: only _DEFAULT is left", _made_anew, 987),
)
