"""Who applied what: a table of our own in the config DB, which the service does not look at.

It is no part of the fingerprint, and nothing of the service depends on it. Where somebody else has made or filled it,
nobody can say who applied what: then nothing is read from it and nothing written to it.
"""

from . import rows
from .sqlite import execute
from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Dict, List, Optional  # novm

# `uid`: the id of a vmgroup; `applied_at` in UTC, as 20261123T201500Z; `dirty` 1: with changes that `commit_id` lacks.
COLUMNS = ("object", "uid", "set_name", "digest", "commit_id", "dirty", "applied_by", "applied_at", "reason")
CREATE = """CREATE TABLE IF NOT EXISTS vdvs_objects(
    object TEXT PRIMARY KEY NOT NULL,
    uid TEXT,
    set_name TEXT NOT NULL,
    digest TEXT NOT NULL,
    commit_id TEXT,
    dirty INTEGER NOT NULL,
    applied_by TEXT NOT NULL,
    applied_at TEXT NOT NULL,
    reason TEXT NOT NULL
)"""
_NULLABLE = ("uid", "commit_id")
MOST_ROWS = 100000
LONGEST = 1000  # characters of one value
_TEXT = type("".encode("ascii").decode("ascii"))  # `unicode` on Python 2


def read(connection):
    # type: (sqlite3.Connection) -> Optional[List[List[Any]]]
    """Every row, in the order of the columns, sorted by object; [] without the table. None: the table, or a row of it,
    is not as we make it, or there are more rows than we ever write."""
    try:
        if not _is_there(connection):
            return []
        if not _is_ours(connection):
            return None
        statement = "SELECT %s FROM vdvs_objects ORDER BY object LIMIT %d" % (", ".join(COLUMNS), MOST_ROWS + 1)
        found = [list(row) for row in rows.tolerantly(connection, statement)]
    except Refused as refused:
        if refused.reason not in ("Corrupt", "ReadError"):
            raise
        return None
    return found if len(found) <= MOST_ROWS and all(_is_row(row) for row in found) else None


def _is_there(connection):
    # type: (sqlite3.Connection) -> bool
    return bool(execute(connection, "SELECT 1 FROM sqlite_master WHERE lower(name) = 'vdvs_objects'").fetchall())


def _is_ours(connection):
    # type: (sqlite3.Connection) -> bool
    kinds = execute(connection, "SELECT type FROM sqlite_master WHERE lower(name) = 'vdvs_objects'").fetchall()
    columns = execute(connection, "PRAGMA table_info(vdvs_objects)").fetchall()
    key = [column[1] for column in columns if column[5]]
    return kinds == [("table",)] and tuple(column[1] for column in columns) == COLUMNS and key == ["object"]


def _is_row(row):
    # type: (List[Any]) -> bool
    for name, value in zip(COLUMNS, row):
        if name == "dirty":
            if value not in (0, 1) or not isinstance(value, int):
                return False
        elif value is None:
            if name not in _NULLABLE:
                return False
        elif not isinstance(value, _TEXT) or len(value) > LONGEST or rows.plain(value) != value:
            return False
    return True


def record(connection, action, stamp):
    # type: (sqlite3.Connection, Dict[str, Any], Dict[str, Any]) -> None
    """Write down that an object was applied: one row for the object, and none beside it with the same uid."""
    if _is_there(connection) and not _is_ours(connection):
        return
    values = [action["object"], action["uid"], action["set"], action["digest"], stamp.get("commit")]
    values += [int(bool(stamp.get("dirty"))), stamp.get("by") or "", stamp["time"], stamp.get("reason") or ""]
    if not _is_row(values):
        raise Refused("BadRequest", "who applied %s is not told as the protocol says" % action["object"])
    execute(connection, CREATE)
    if action["uid"] is not None:
        execute(connection, "DELETE FROM vdvs_objects WHERE uid = ?", action["uid"])
    marks = ", ".join("?" for _ in COLUMNS)
    statement = "INSERT OR REPLACE INTO vdvs_objects(%s) VALUES (%s)" % (", ".join(COLUMNS), marks)
    execute(connection, statement, *values)


def forget(connection, name):
    # type: (sqlite3.Connection, str) -> None
    """Drop the row of one object, if there is one."""
    if _is_there(connection) and _is_ours(connection):
        execute(connection, "DELETE FROM vdvs_objects WHERE object = ?", name)


def forget_uid(connection, uid):
    # type: (sqlite3.Connection, str) -> None
    """Drop the row of the vmgroup with this id, if there is one."""
    if _is_there(connection) and _is_ours(connection):
        execute(connection, "DELETE FROM vdvs_objects WHERE uid = ?", uid)


def set_of(connection, name, uid):
    # type: (sqlite3.Connection, str, str) -> Optional[Any]
    """The set that applied this object with this id last: '' if none did. None: nobody can say."""
    found = read(connection)
    if found is None:
        return None
    return next((row[2] for row in found if row[0] == name and row[1] == uid), "")
