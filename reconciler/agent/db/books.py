"""The open transaction of a config DB, as the actions use it."""

import operator

from ..wire import Refused
from . import objects, rows
from .sqlite import execute, execute_many

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Dict, List, Optional, Tuple  # novm

_IDENTITIES = (
    ("id", "tenants"),
    ("name", "tenants"),
    ("vm_id", "vms"),
    ("tenant_id", "vms"),
    ("tenant_id", "privileges"),
)
_first = operator.itemgetter(0)
_AT_ONCE = 500  # values in one statement: SQLite before 3.32 takes 999 at most


def unmet(message):
    # type: (str) -> Refused
    return Refused("Precondition", message)


class Statements(object):
    """The statements of an open transaction. Rows that are inserted wait, and are written together before anything else
    is asked or changed: of thousands of new vmgroups, one statement for each row is most of the time."""

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


class Books(Statements):
    """The open transaction. `stamp`: what is recorded of whoever applies this (in `objects`). `odd` maps the
    lower-case form of VM ids that are not in lower case to what they are; `orphaned` holds the vmgroup ids of VM rows
    whose vmgroup is gone. Both are looked up once: they only ever shrink, and `vms` has no index by vmgroup.
    `met`: every id of a vmgroup or a VM and every name of a vmgroup that is in a row, or was in this transaction. What
    is not among them need not be asked for, and of thousands that are new that is most of the time."""

    def __init__(self, connection, stamp):
        # type: (sqlite3.Connection, Dict[str, Any]) -> None
        super(Books, self).__init__(connection)
        self.objects = objects.Objects(self, stamp)
        query = "SELECT lower(vm_id), vm_id FROM vms WHERE vm_id <> lower(vm_id) AND typeof(vm_id) = 'text'"
        self.odd = dict(rows.tolerantly(connection, query))  # type: Dict[Any, Any]
        query = "SELECT DISTINCT tenant_id FROM vms WHERE tenant_id NOT IN (SELECT id FROM tenants)"
        self.orphaned = {row[0] for row in rows.tolerantly(connection, query)}
        self.met = set()  # type: set[Any]
        for column, table in _IDENTITIES:
            query = "SELECT DISTINCT %s FROM %s WHERE typeof(%s) = 'text'" % (column, table, column)
            self.met.update(row[0] for row in rows.tolerantly(connection, query))

    def any_vm(self, uuids):
        # type: (List[Any]) -> bool
        """Whether one of these BIOS UUIDs is in a vmgroup, in whatever case, or stands here twice."""
        if len(set(uuids)) < len(uuids) or not set(self.odd).isdisjoint(uuids):
            return True
        if self.met.isdisjoint(uuids):
            return False
        for start in range(0, len(uuids), _AT_ONCE):
            part = uuids[start : start + _AT_ONCE]
            marks = ", ".join("?" for _ in part)
            if self.one("SELECT 1 FROM vms WHERE vm_id IN (%s)" % marks, *part):
                return True
        return False

    def tenant_name(self, uuid):
        # type: (str) -> Any
        """The name of the vmgroup with this id. Raises Refused `Precondition` if there is none."""
        row = self.one("SELECT name FROM tenants WHERE id = ?", uuid)
        if row is None:
            raise unmet("there is no vmgroup with the id %s" % uuid)
        return rows.plain(row[0])

    def vm(self, uuid):
        # type: (str) -> Optional[Tuple[Any, Any]]
        """(vm_id as it is written, vmgroup id) of the VM with this BIOS UUID, in whatever case; None: in no vmgroup."""
        for spelling in (uuid, self.odd.get(uuid)):
            row = None if spelling is None else self.one("SELECT tenant_id FROM vms WHERE vm_id = ?", spelling)
            if row is not None:
                return spelling, row[0]
        return None
