"""The rows that a config DB must hold after a transaction, from those before and the actions, worked out without SQL.

Compared with what the tables hold just before COMMIT: whatever else a statement of ours set off is rolled back.
Source: docs/domain.md#an-untrusted-file
"""

import binascii

from ...compat import PY2
from ...wire import Refused
from .. import objects, rows, schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Callable, Dict, List, Tuple  # novm

    Row = Tuple[Any, ...]

_KEYS = {
    "tenants": 1,
    "vms": 1,
    "privileges": 2,
    "volumes": 3,
    "versions": 1,
    "vdvs_meta": 1,
    "vdvs_objects": 1,
    "vdvs_moved_volumes": 3,
}  # columns of the primary key, which come first


class Tables(dict):  # type: ignore[type-arg] # Python 2 has no other way
    """Rows by table and primary key; `granted`, `named`: keys of access rows and records by the id of a vmgroup."""

    def index(self):
        # type: () -> None
        """Fill `granted` and `named`."""
        self.granted = {}  # type: Dict[Any, set[Row]]
        self.named = {}  # type: Dict[Any, set[Row]]
        for key in self["privileges"]:
            self.granted.setdefault(key[0], set()).add(key)
        for key, row in self["vdvs_objects"].items():
            self.named.setdefault(row[1], set()).add(key)


def read(connection):
    # type: (sqlite3.Connection) -> Tables
    """Return all columns of all rows of the tables that there are. Raises Refused."""
    names = rows.fetch_all(connection, "SELECT name FROM sqlite_master WHERE type = 'table'")
    tables = Tables((name, {}) for name in _KEYS)
    for (name,) in names:
        if name in _KEYS:
            tables[name] = _by_key(_rows(connection, name), _KEYS[name])
    return tables


def _rows(connection, table):
    # type: (sqlite3.Connection, str) -> List[Row]
    found = rows.fetch_all(connection, "SELECT * FROM %s NOT INDEXED" % table)
    return list(map(_hashable, found)) if PY2 else found


def _hashable(row):
    # type: (Row) -> Row
    return tuple(bytes(cell) if type(cell).__name__ == "buffer" else cell for cell in row)


def _by_key(found, columns):
    # type: (List[Row], int) -> Dict[Row, Row]
    """Return rows by their key. Where several have the same one, with NULL in it, the row and a number are added."""
    table = {row[:columns]: row for row in found}
    if len(table) < len(found):
        table = {}
        times = {}  # type: Dict[Row, int]
        for row in found:
            key = row[:columns]
            times[row] = times.get(row, 0) + 1
            table[key + (row, times[row]) if None in key else key] = row
    return table


def expect(connection, tables):
    # type: (sqlite3.Connection, Tables) -> None
    """Raise Refused `Unexpected` unless the DB holds exactly these rows."""
    found = read(connection)
    for table in sorted(_KEYS):
        wanted, there = tables[table], found[table]
        if wanted != there:
            key = next(key for key in list(wanted) + list(there) if wanted.get(key) != there.get(key))
            which = ", ".join(rows.as_text(cell) or "NULL" for cell in key)[:200]
            message = "table %s would not hold what the plan says (%s), so nothing was changed" % (table, which)
            raise Refused("Unexpected", message)


def after(before, groups, results, stamp, writer):
    # type: (Tables, List[List[Dict[str, Any]]], List[Dict[str, Any]], Dict[str, Any], Any) -> Tables
    """Return the rows after the groups that succeeded. Changes `before`, the rows before them."""
    before.index()
    for group, result in zip(groups, results):
        for action in group if result["ok"] else ():
            if action["action"] == "RecordObject":
                _record(before, action, stamp)
            else:
                _MEANING[action["action"]](before, action)
    key = rows.text("writer")
    before["vdvs_meta"][(key,)] = (key, writer)
    return before


def _create(tables, action):
    # type: (Tables, Dict[str, Any]) -> None
    uuid = action["uuid"]
    tables["tenants"][(uuid,)] = (uuid, action["name"], action["description"], action["default_url"])
    for access in action["access"]:
        _set_access(tables, {"uuid": uuid, "access": access})
    for member in action["members"]:
        _add(tables, {"uuid": uuid, "member": member})


def _update(tables, action):
    # type: (Tables, Dict[str, Any]) -> None
    uuid, name, description, url = tables["tenants"][(action["uuid"],)]
    given, default = action.get("description"), action.get("default_url")
    after = (uuid, name, description if given is None else given, url if default is None else default)
    tables["tenants"][(uuid,)] = after


def _rename(tables, action):
    # type: (Tables, Dict[str, Any]) -> None
    uuid, _, description, url = tables["tenants"][(action["uuid"],)]
    tables["tenants"][(uuid,)] = (uuid, action["name"], description, url)


def _set_access(tables, action):
    # type: (Tables, Dict[str, Any]) -> None
    key = (action["uuid"], action["access"]["url"])
    tables.granted.setdefault(key[0], set()).add(key)
    tables["privileges"][key] = key + tuple(int(action["access"][name]) for _, name, _, _ in schema.ACCESS)


def _remove_access(tables, action):
    # type: (Tables, Dict[str, Any]) -> None
    del tables["privileges"][(action["uuid"], action["url"])]


def _add(tables, action):
    # type: (Tables, Dict[str, Any]) -> None
    vm = action["member"]["uuid"]
    tables["vms"][(vm,)] = (vm, action["uuid"], action["member"]["name"])


def _move(tables, action):
    # type: (Tables, Dict[str, Any]) -> None
    was = _take(tables, action)
    vm, name = action["member"]["uuid"], action["member"]["name"]
    tables["vms"][(vm,)] = (vm, action["uuid"], was[2] if name is None else name)


def _name_member(tables, action):
    # type: (Tables, Dict[str, Any]) -> None
    was = _take(tables, action)
    tables["vms"][was[:1]] = was[:2] + (action["member"]["name"],)


def _take(tables, action):
    # type: (Tables, Dict[str, Any]) -> Row
    """Remove the row of a VM, whose id may be written in capitals, and return it."""
    vms, vm = tables["vms"], action["member"]["uuid"]
    if (vm,) not in vms:
        vm = next(key for (key,) in vms if rows.is_text(key) and key.lower() == vm)
    return vms.pop((vm,))  # type: ignore[no-any-return] # see Tables: Python 2 cannot say what is in it


def _delete(tables, action):
    # type: (Tables, Dict[str, Any]) -> None
    uuid = action["uuid"]
    del tables["tenants"][(uuid,)]
    for key in tables.granted.pop(uuid, ()):
        tables["privileges"].pop(key, None)
    _forget_uid(tables, uuid)


def _forget_uid(tables, uid):
    # type: (Tables, Any) -> None
    known = tables["vdvs_objects"]
    for key in tables.named.pop(uid, ()):
        if key in known and known[key][1] == uid:
            del known[key]


def _record(tables, action, stamp):
    # type: (Tables, Dict[str, Any], Dict[str, Any]) -> None
    if action["uid"] is not None:
        _forget_uid(tables, action["uid"])
    key = (action["object"],)
    tables["vdvs_objects"][key] = objects.row(action, stamp)
    tables.named.setdefault(action["uid"], set()).add(key)


def _forget(tables, action):
    # type: (Tables, Dict[str, Any]) -> None
    tables["vdvs_objects"].pop((action["object"],), None)


def _delete_row(tables, action):
    # type: (Tables, Dict[str, Any]) -> None
    table = tables[action["table"]]
    columns = _KEYS[action["table"]]
    for key in [key for key in table if [_exact(cell) for cell in key[:columns]] == action["key"]]:
        del table[key]


def _exact(cell):
    # type: (Any) -> str
    """Return `typeof(cell) || ':' || hex(cell)` of SQLite."""
    if isinstance(cell, float):
        return "real"  # no row that can be deleted has such a key
    is_text, is_blob = rows.is_text(cell), isinstance(cell, bytes)
    kind = "text" if is_text else "blob" if is_blob else "null" if cell is None else "integer"
    raw = rows.as_bytes(cell) if is_text else cell if is_blob else b"" if cell is None else str(cell).encode("ascii")
    return "%s:%s" % (kind, binascii.hexlify(raw).decode("ascii").upper())


def _upgrade(tables, action):
    # type: (Tables, Dict[str, Any]) -> None
    names = {member["uuid"]: member["name"] for member in action["names"]}
    for key, row in tables["vms"].items():
        name = row[2] if len(row) > 2 else None
        tables["vms"][key] = row[:2] + (names.get(key[0]) if name is None else name,)
    for key, row in tables["versions"].items():
        tables["versions"][key] = row[:1] + schema.VERSION + row[3:]


# Beside the table of what carries them out, on purpose: what is expected must not come from the code that is checked.
_MEANING = {
    "CreateVMGroup": _create,
    "UpdateVMGroup": _update,
    "RenameVMGroup": _rename,
    "SetAccess": _set_access,
    "RemoveAccess": _remove_access,
    "AddMember": _add,
    "MoveMember": _move,
    "NameMember": _name_member,
    "RemoveMember": _take,
    "DeleteVMGroup": _delete,
    "ForgetObject": _forget,
    "DeleteRow": _delete_row,
    "UpgradeDB": _upgrade,
}  # type: Dict[str, Callable[[Tables, Dict[str, Any]], Any]]
