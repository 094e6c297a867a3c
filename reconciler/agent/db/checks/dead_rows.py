"""Rows of a config DB that no request can ever match, and booked volumes of a size that none has.

They are made by hand at an SQL prompt, and can only be addressed there, because vDVS and the other actions search for
text. So they are reported and deleted by exact key. A quota is checked against the sum of the booked sizes, so one
below nothing lifts it.
Source: docs/domain.md#rules-for-rows
"""

from ...wire import Refused
from .. import rows
from ..sqlite import execute

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Dict, List  # novm

_KEYS = {
    "vms": ("vm_id",),
    "privileges": ("tenant_id", "datastore_url"),
    "volumes": ("tenant_id", "datastore_url", "volume_name"),
}
# (table, reason, condition, the column that people know the row by)
_DEAD = (
    ("vms", "the id is not text, so it matches no VM", "typeof(vm_id) <> 'text'", "vm_id"),
    (
        "vms",
        "the same VM has another row, in lower case, and only that one counts",
        "vm_id <> lower(vm_id) AND typeof(vm_id) = 'text' AND lower(vm_id) IN (SELECT vm_id FROM vms)",
        "vm_id",
    ),
    (
        "privileges",
        "the datastore is not text, so it matches none",
        "typeof(datastore_url) <> 'text' AND tenant_id IN (SELECT id FROM tenants)",
        "datastore_url",
    ),
    ("privileges", "its vmgroup does not exist", "tenant_id NOT IN (SELECT id FROM tenants)", "datastore_url"),
    (
        "volumes",
        "its booked size is no number of at least 0, so the quota counts less than there is",
        "typeof(volume_size) <> 'integer' OR volume_size < 0",
        "volume_name",
    ),
)


def find(connection):
    # type: (sqlite3.Connection) -> List[Dict[str, Any]]
    """Return every dead row as a dict.

    `table`; `key`: its primary key, each column as `type:hex`; `tenant`: the vmgroup id in it; `what`: the column that
    people know it by; `why`: the reason. Raises Refused.

    Source: docs/domain.md#rules-for-rows
    """
    found = []
    for table, why, condition, known_by in _DEAD:
        exact = ", ".join(_exact(column) for column in _KEYS[table])
        words = (known_by, exact, table, condition, exact)  # several rows may have one key, with NULL in it
        query = "SELECT DISTINCT tenant_id, %s, %s FROM %s WHERE %s ORDER BY %s" % words
        for row in rows.fetch_all(connection, query):
            dead = {"table": table, "key": list(row[2:]), "why": why}  # type: Dict[str, Any]
            dead.update(tenant=rows.as_text(row[0]), what=rows.as_text(row[1]) or "")
            found.append(dead)
    return found


def without(tables, dead):
    # type: (Dict[str, List[Any]], List[Dict[str, Any]]) -> Dict[str, List[Any]]
    """Return the rows of `rows.read` without the dead ones."""
    if not dead:
        return tables
    vms = {each["what"] for each in dead if each["table"] == "vms"}
    privileges = {(each["tenant"], each["what"]) for each in dead if each["table"] == "privileges"}
    as_text = rows.as_text
    living = dict(tables)
    living["vms"] = [row for row in tables["vms"] if as_text(row[0]) not in vms]
    living["privileges"] = [row for row in tables["privileges"] if (as_text(row[0]), as_text(row[1])) not in privileges]
    return living


def delete(connection, table, key):
    # type: (sqlite3.Connection, str, List[str]) -> None
    """Delete the row with exactly this key. Raises Refused `Precondition` if it is not there, or not dead.

    Source: docs/domain.md#rules-for-rows
    """
    if not any(each["table"] == table and each["key"] == key for each in find(connection)):
        raise Refused("Precondition", "there is no such row in %s, or it is in use" % table)
    condition = " AND ".join("%s = ?" % _exact(column) for column in _KEYS[table])
    execute(connection, "DELETE FROM %s WHERE %s" % (table, condition), *key)


def _exact(column):
    # type: (str) -> str
    return "typeof(%s) || ':' || hex(%s)" % (column, column)
