"""The open transaction of a config DB, as the actions use it."""

from . import objects, rows
from .statements import Statements
from .wire import Refused

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
_AT_ONCE = 500  # values in one statement: SQLite before 3.32 takes 999 at most


def unmet(message):
    # type: (str) -> Refused
    return Refused("Precondition", message)


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
