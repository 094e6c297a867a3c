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


def precondition_failed(message):
    # type: (str) -> Refused
    """Return a Refused `Precondition` with this message."""
    return Refused("Precondition", message)


class Statements(object):
    """SQL statements inside an open transaction.

    Inserted rows are buffered and written together before the next query or change: with thousands of new vmgroups, one
    statement a row would take most of the time.
    """

    def __init__(self, connection):
        # type: (sqlite3.Connection) -> None
        self._connection = connection
        self._pending = {}  # type: Dict[str, List[Any]]

    def first(self, statement, *values):
        # type: (str, Any) -> Optional[Tuple[Any, ...]]
        """Return the first row of a query, or None."""
        return next(iter(rows.fetch_all(self.flush(), statement, *values)), None)

    def change(self, statement, *values):
        # type: (str, Any) -> int
        """Run a statement that writes, and return the number of rows that it touched."""
        return execute(self.flush(), statement, *values).rowcount

    def insert(self, into, values):
        # type: (str, List[Any]) -> None
        """Buffer rows for insertion.

        `into`: the text between INSERT and VALUES; the first value of a row is its key.
        """
        self._pending.setdefault(into, []).extend(values)

    def flush(self):
        # type: () -> sqlite3.Connection
        """Write the buffered rows and return the connection. Raises Refused, which may be due to any earlier action."""
        waiting, self._pending = self._pending, {}
        for into, values in waiting.items():
            if values:
                marks = ", ".join("?" for _ in values[0])
                in_order = sorted(values, key=_first)  # indexes grow fastest at their end
                execute_many(self._connection, "INSERT %s VALUES (%s)" % (into, marks), in_order)
        return self._connection

    def discard_pending(self):
        # type: () -> sqlite3.Connection
        """Drop the buffered rows and return the connection."""
        self._pending = {}
        return self._connection


class OpenTransaction(Statements):
    """The open transaction, with what the actions look up again and again.

    `stamp`: who applies the change, for `objects`. `mixed_case_vms`: the lower-case form of each VM id that is not in
    lower case, mapped to the id as written. `orphaned_vmgroups`: the vmgroup ids of VM rows whose vmgroup is gone. Both
    are read once: they only shrink, and `vms` has no index by vmgroup.
    `known_ids`: every vmgroup id, vmgroup name and VM id that is in a row, or was in this transaction. What is not
    among them needs no query, which saves most of the time when thousands of objects are new.

    Source: docs/domain.md#rules-for-rows
    """

    def __init__(self, connection, stamp):
        # type: (sqlite3.Connection, Dict[str, Any]) -> None
        super(OpenTransaction, self).__init__(connection)
        self.objects = objects.Objects(self, stamp)
        query = "SELECT lower(vm_id), vm_id FROM vms WHERE vm_id <> lower(vm_id) AND typeof(vm_id) = 'text'"
        self.mixed_case_vms = dict(rows.fetch_all(connection, query))  # type: Dict[Any, Any]
        query = "SELECT DISTINCT tenant_id FROM vms WHERE tenant_id NOT IN (SELECT id FROM tenants)"
        self.orphaned_vmgroups = {row[0] for row in rows.fetch_all(connection, query)}
        self.known_ids = set()  # type: set[Any]
        for column, table in _IDENTITIES:
            query = "SELECT DISTINCT %s FROM %s WHERE typeof(%s) = 'text'" % (column, table, column)
            self.known_ids.update(row[0] for row in rows.fetch_all(connection, query))

    def has_any_vm(self, uuids):
        # type: (List[Any]) -> bool
        """Return whether one of these BIOS UUIDs is in a vmgroup, in any case, or is listed twice here.

        Source: docs/domain.md#identity-of-vms-and-datastores
        """
        if len(set(uuids)) < len(uuids) or not set(self.mixed_case_vms).isdisjoint(uuids):
            return True
        if self.known_ids.isdisjoint(uuids):
            return False
        for start in range(0, len(uuids), _AT_ONCE):
            part = uuids[start : start + _AT_ONCE]
            marks = ", ".join("?" for _ in part)
            if self.first("SELECT 1 FROM vms WHERE vm_id IN (%s)" % marks, *part):
                return True
        return False

    def tenant_name(self, uuid):
        # type: (str) -> Any
        """Return the name of the vmgroup with this id. Raises Refused `Precondition` if there is none."""
        row = self.first("SELECT name FROM tenants WHERE id = ?", uuid)
        if row is None:
            raise precondition_failed("there is no vmgroup with the id %s" % uuid)
        return rows.as_text(row[0])

    def vm(self, uuid):
        # type: (str) -> Optional[Tuple[Any, Any]]
        """Return (vm_id as written, vmgroup id) of the VM with this BIOS UUID in any case; None if it has no vmgroup.

        Source: docs/domain.md#identity-of-vms-and-datastores
        """
        for spelling in (uuid, self.mixed_case_vms.get(uuid)):
            row = None if spelling is None else self.first("SELECT tenant_id FROM vms WHERE vm_id = ?", spelling)
            if row is not None:
                return spelling, row[0]
        return None
