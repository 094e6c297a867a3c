"""The table `vdvs_objects`: who applied what. vDVS ignores it.

It is not part of the fingerprint. Rows that another program wrote there are not trusted: then nothing is read from it.
Source: docs/domain.md#who-applied-what
"""

from ..wire import Refused
from . import rows
from .sqlite import execute

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Dict, List, Optional, Tuple  # novm

    from .open_transaction import Statements

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
    """Return all rows, columns in the order of COLUMNS, sorted by object; [] without the table.

    None if the table or a row of it is not as we make it, or if there are more rows than we ever write.

    Source: docs/domain.md#who-applied-what
    """
    try:
        if not _exists(connection):
            return []
        statement = "SELECT %s FROM vdvs_objects ORDER BY object LIMIT %d" % (", ".join(COLUMNS), MOST_ROWS + 1)
        found = [list(row) for row in rows.fetch_all(connection, statement)]
    except Refused as refused:
        if refused.reason not in ("Corrupt", "Incomplete", "ReadError"):
            raise
        return None
    return found if len(found) <= MOST_ROWS and _are_rows(found) else None


def _exists(connection):
    # type: (sqlite3.Connection) -> bool
    return bool(execute(connection, "SELECT 1 FROM sqlite_master WHERE lower(name) = 'vdvs_objects'").fetchall())


def _is_row(row):
    # type: (Tuple[Any, ...]) -> bool
    texts = []
    for name, value in zip(COLUMNS, row):
        if name == "dirty":
            if not isinstance(value, int) or value not in (0, 1):
                return False
        elif value is not None:
            texts.append(value)
        elif name not in _NULLABLE:
            return False
    return _are_texts(texts)


def _are_rows(found):
    # type: (List[List[Any]]) -> bool
    return all(_is_column(name, values) for name, values in zip(COLUMNS, zip(*found)))


def _is_column(name, values):
    # type: (str, Tuple[Any, ...]) -> bool
    """Return whether these values can be in a column of ours.

    A whole column is checked at once because many of its values are equal.
    """
    if name == "dirty":
        return all(isinstance(value, int) and value in (0, 1) for value in values)
    texts = [value for value in values if value is not None]
    if len(texts) < len(values) and name not in _NULLABLE:
        return False
    return _are_texts(texts)


def _are_texts(values):
    # type: (List[Any]) -> bool
    if not {type(value) for value in values} <= {_TEXT} or any(size > LONGEST for size in set(map(len, values))):
        return False
    return rows.are_text(values) or all(rows.as_text(value) == value for value in values)


def row(action, stamp):
    # type: (Dict[str, Any], Dict[str, Any]) -> Tuple[Any, ...]
    """Return the row that records an action; `stamp`: who applies it, when and why."""
    dirty, by, reason = int(bool(stamp.get("dirty"))), stamp.get("by") or _TEXT(), stamp.get("reason") or _TEXT()
    what = (action["object"], action["uid"], action["set"], action["digest"])
    return what + (stamp.get("commit"), dirty, by, stamp["time"], reason)


class Objects(object):
    """The table inside an open transaction.

    Lookups that are needed for every object are cached: `uid` has no index, and rolling back a savepoint removes
    nothing that was there before.

    Source: docs/domain.md#who-applied-what
    """

    def __init__(self, statements, stamp):
        # type: (Statements, Dict[str, Any]) -> None
        self._statements = statements
        self._stamp = stamp
        self._known = None  # type: Optional[Dict[Any, set[Any]]]
        self._readable = None  # type: Optional[bool]

    def prepare(self):
        # type: () -> None
        """Create the table if it does not exist."""
        execute(self._statements.flush(), CREATE)

    def record(self, action):
        # type: (Dict[str, Any]) -> None
        """Record that an object was applied: one row for the object, and no other row with the same uid.

        Raises Refused `BadRequest` if the values do not fit the columns.

        Source: docs/domain.md#who-applied-what
        """
        uid, values = action["uid"], row(action, self._stamp)
        if not _is_row(values):
            raise Refused("BadRequest", "the record of who applied %s does not follow the protocol" % action["object"])
        names = self._names()
        if uid is not None:
            self.forget_uid(uid)
            names.setdefault(uid, set()).add(action["object"])
        self._statements.insert("OR REPLACE INTO vdvs_objects(%s)" % ", ".join(COLUMNS), [values])

    def forget(self, name):
        # type: (str) -> None
        """Delete the row of one object, if there is one."""
        if _exists(self._statements.flush()):
            self._statements.change("DELETE FROM vdvs_objects WHERE object = ?", name)

    def forget_uid(self, uid):
        # type: (str) -> None
        """Delete the row of the vmgroup with this id, if there is one."""
        for name in self._names().get(uid, ()):
            self._statements.change("DELETE FROM vdvs_objects WHERE object = ? AND uid = ?", name, uid)

    def set_of(self, name, uid):
        # type: (str, str) -> Optional[Any]
        """Return the set that applied this object with this id last; '' if none did.

        None: the table cannot be trusted.

        Source: docs/domain.md#who-applied-what
        """
        if self._readable is None:
            self._readable = read(self._statements.flush()) is not None
        if not self._readable:
            return None
        if not _exists(self._statements.flush()):
            return ""
        query = "SELECT set_name FROM vdvs_objects WHERE object = ? AND uid = ?"
        found = self._statements.first(query, name, uid)
        return found[0] if found else ""

    def _names(self):
        # type: () -> Dict[Any, set[Any]]
        """Return, by id, every name that has a row, or had one in this transaction."""
        if self._known is None:
            self._known = {}
            query = "SELECT uid, object FROM vdvs_objects WHERE uid IS NOT NULL"
            connection = self._statements.flush()
            for uid, name in rows.fetch_all(connection, query) if _exists(connection) else ():
                self._known.setdefault(uid, set()).add(name)
        return self._known
