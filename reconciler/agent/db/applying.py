"""Notes of applies that are going on, so that people who apply at the same moment learn of each other.

They are rows of `vdvs_meta` whose keys begin with PREFIX: hints, which vDVS ignores, and no part of the fingerprint.
Source: docs/domain.md#who-applied-what
"""

from ..wire import Refused
from . import database, rows, schema, sqlite, transaction
from .journal import refuse_companions

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Dict, List  # novm

    from .database import DBFile

PREFIX = "applying:"
MOST = 20
LONGEST = 1000  # characters of one note
_NOTED = "SELECT key, value FROM vdvs_meta WHERE key LIKE '%s%%' ORDER BY rowid DESC LIMIT %d"


def announce(db, request, until):
    # type: (DBFile, Dict[str, Any], float) -> Dict[str, Any]
    """Note `put` ([run, text], or null) and drop the notes of the runs `drop`, in one transaction; return the others.

    Nothing is written if both are empty, nor to a DB that is absent or of an older schema. Raises Refused.
    """
    if not db.size():
        return {"others": []}
    put, drop = request.get("put"), request.get("drop") or []
    if put is not None and (len(put) != 2 or max(map(len, put)) > LONGEST):
        raise Refused("BadRequest", "a note is a run and a text of at most %d characters" % LONGEST)
    if put is None and not drop:
        return {"others": sqlite.retry_while_locked(until, lambda: database.reading(db, _noted))}
    connection = sqlite.retry_while_locked(until, lambda: transaction.begin(db))
    try:
        others = _noted(connection)
        if rows.schema(connection) == "1.2":
            _write(connection, put, drop)
            refuse_companions(db.real)
            db.expect_opened("-journal")
            transaction.commit(connection, until)
    except Exception as error:
        raise transaction.writing_error(error, db)
    finally:
        sqlite.close(connection)
    return {"others": [note for note in others if note[0] not in drop]}


def _write(connection, put, drop):
    # type: (sqlite3.Connection, Any, List[Any]) -> None
    sqlite.execute(connection, schema.META)
    for run in drop:
        sqlite.execute(connection, "DELETE FROM vdvs_meta WHERE key = ?", PREFIX + run)
    if put is not None:
        statement = "INSERT OR REPLACE INTO vdvs_meta(key, value) VALUES (?, ?)"
        connection.execute(statement, (PREFIX + put[0], put[1]))


def _noted(connection):
    # type: (sqlite3.Connection) -> List[List[Any]]
    """Return [run, text] of the newest notes. What is not as we write it is left out."""
    exists = "SELECT 1 FROM sqlite_master WHERE name = 'vdvs_meta'"
    if not sqlite.execute(connection, exists).fetchall():
        return []
    found = []
    for key, value in rows.fetch_all(connection, _NOTED % (PREFIX, MOST)):
        run, text = rows.as_text(key), rows.as_text(value)
        if run and text and max(len(run), len(text)) <= LONGEST:
            found.append([run[len(PREFIX) :], text])
    return found
