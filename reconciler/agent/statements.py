"""The statements of an open transaction. Rows that are inserted wait, and are written together before anything else is
asked or changed: of thousands of new vmgroups, one statement for each row is most of the time."""

import operator

from . import rows
from .sqlite import execute, execute_many

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Dict, List, Optional, Tuple  # novm

_first = operator.itemgetter(0)


class Statements(object):
    def __init__(self, connection):
        # type: (sqlite3.Connection) -> None
        self._connection = connection
        self._waiting = {}  # type: Dict[str, List[Any]]

    def one(self, statement, *values):
        # type: (str, Any) -> Optional[Tuple[Any, ...]]
        """The first row, or None."""
        return next(iter(rows.tolerantly(self.settled(), statement, *values)), None)

    def change(self, statement, *values):
        # type: (str, Any) -> int
        """Run a statement that writes; the number of rows that it touched."""
        return execute(self.settled(), statement, *values).rowcount

    def insert(self, into, values):
        # type: (str, List[Any]) -> None
        """Insert rows, now or later. `into`: what comes between INSERT and VALUES; the key is the first column."""
        self._waiting.setdefault(into, []).extend(values)

    def settled(self):
        # type: () -> sqlite3.Connection
        """The connection, when no row waits any more. Raises Refused, which may be the fault of any action before."""
        waiting, self._waiting = self._waiting, {}
        for into, values in waiting.items():
            if values:
                marks = ", ".join("?" for _ in values[0])
                in_order = sorted(values, key=_first)  # an index takes best what comes at its end
                execute_many(self._connection, "INSERT %s VALUES (%s)" % (into, marks), in_order)
        return self._connection

    def undone(self):
        # type: () -> sqlite3.Connection
        """The connection, the rows that wait being given up."""
        self._waiting = {}
        return self._connection
