"""Rules of vDVS for the rows of a config DB, which vDVS itself does not check. Schema 1.1 has fewer than 1.2.

Each rule, when broken, is known to break the service or its tools for every VM, or to grant or deny access silently.
Source: docs/domain.md#rules-for-rows
"""

import re
from collections import namedtuple

from ..rows import as_text, fetch_all
from ..schema import ACCESS, COLUMNS, DEFAULT_NAME, DEFAULT_UUID, OLDER, VERSION
from ..sqlite import execute

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, List  # novm

# `tenant`: id of the vmgroup to blame; `vm`: id of the VM to blame (None: no single one). `key`: the same before and
# after whoever breaks the rule is called, or a VM is spelled, otherwise.
Violation = namedtuple("Violation", ["sentence", "tenant", "vm", "key"])

_CAPITALS = re.compile("[A-Z]+")
_HEX = "[0-9a-f]"
_UUID = "-".join(_HEX * count for count in (8, 4, 4, 4, 12))

# Each query gives (tenant id, vm id, words to fill in...) for each row that breaks the rule; the first word names the
# vmgroup or the VM.
_SINCE_1_2 = (
    (
        "vmgroup %s: there is no default datastore, which breaks the listing of all vmgroups",
        "SELECT id, NULL, name FROM tenants WHERE default_datastore_url IS NULL OR default_datastore_url = ''",
    ),
    (
        "vmgroup %s: there is no access row for its default datastore %s, so every short volume name is refused",
        "SELECT id, NULL, name, default_datastore_url FROM tenants AS t WHERE default_datastore_url <> ''"
        " AND NOT EXISTS (SELECT 1 FROM privileges WHERE tenant_id = t.id AND datastore_url = t.default_datastore_url)",
    ),
)
_ACCESS = tuple(
    (
        "vmgroup with id %s: " + why,
        "SELECT tenant_id, NULL, tenant_id, datastore_url, quote({0}) FROM privileges"
        " WHERE typeof({0}) <> 'integer' OR NOT {0} {1}".format(column, condition),
    )
    for column, _, condition, why in ACCESS
)
_RULES = (
    (
        "vmgroup %s: the description is NULL, which breaks the listing of all vmgroups",
        "SELECT id, NULL, name FROM tenants WHERE description IS NULL",
    ),
    (
        "vmgroup with id %s: the datastore of an access row is %s, which is not text",
        "SELECT tenant_id, NULL, tenant_id, quote(datastore_url) FROM privileges WHERE typeof(datastore_url) <> 'text'",
    ),
    (
        "vmgroup with id %s: it does not exist, but has an access row for %s,"
        " which the next vmgroup with this id would inherit",
        "SELECT tenant_id, NULL, tenant_id, datastore_url FROM privileges"
        " WHERE tenant_id NOT IN (SELECT id FROM tenants)",
    ),
    (
        "vmgroup with id %s: the booked size of volume %s on %s is %s, not an integer of at least 0,"
        " so its quota counts less than there is",
        "SELECT tenant_id, NULL, tenant_id, volume_name, datastore_url, quote(volume_size) FROM volumes"
        " WHERE typeof(volume_size) <> 'integer' OR volume_size < 0",
    ),
    (
        "VM %s: this is not a BIOS UUID in lower case, so it matches no VM",
        "SELECT tenant_id, vm_id, vm_id FROM vms WHERE typeof(vm_id) <> 'text' OR vm_id NOT GLOB '%s'" % _UUID,
    ),
    (
        "VM %s: it is in a vmgroup that does not exist (id %s), so all its requests fail",
        "SELECT tenant_id, vm_id, vm_id, tenant_id FROM vms WHERE tenant_id NOT IN (SELECT id FROM tenants)",
    ),
    (
        "VM %s: it is listed in _DEFAULT, which has no list",
        "SELECT tenant_id, vm_id, vm_id FROM vms WHERE tenant_id = '%s'"
        " OR tenant_id IN (SELECT id FROM tenants WHERE name = '%s')" % (DEFAULT_UUID, DEFAULT_NAME),
    ),
)


_VERSION = "SELECT major_ver, minor_ver FROM versions WHERE id = 0"


def violations(connection):
    # type: (sqlite3.Connection) -> List[Violation]
    """Return every violated rule, in a fixed order, as seen inside the transaction of `connection`.

    Raises Refused when a table is missing.
    Source: docs/domain.md#rules-for-rows
    """
    old = execute(connection, _VERSION).fetchall() == [OLDER]
    found = _of_schema(connection, old)
    for sentence, query in _RULES + _ACCESS if old else _RULES + _ACCESS + _SINCE_1_2:
        for row in fetch_all(connection, query + " ORDER BY 1, 2, 3"):
            tenant, vm = as_text(row[0]), as_text(row[1])
            words = tuple(as_text(word) for word in row[2:])
            key = (sentence, tenant, vm and _CAPITALS.sub(_in_small_letters, vm)) + words[1:]
            found.append(Violation(sentence % words, tenant, vm, key))
    return found


def _in_small_letters(capitals):
    # type: (Any) -> Any
    return capitals.group().lower()


def _of_table(sentence):
    # type: (str) -> Violation
    return Violation(sentence, None, None, (sentence,))


def _of_schema(connection, old):
    # type: (sqlite3.Connection, bool) -> List[Violation]
    """Check the tables: columns are read by position, `privileges` has no more, the version is 1.2 (1.1 if `old`).

    Source: docs/domain.md#rules-for-rows
    """
    found = []
    for table, needed in COLUMNS:
        expected = tuple(needed[:2]) if old and table == "vms" else tuple(needed)
        columns = tuple(row[1] for row in execute(connection, "PRAGMA table_info(%s)" % table))
        exact = table == "privileges"
        if (columns if exact else columns[: len(expected)]) != expected:
            words = (table, ", ".join(str(column) for column in columns), ", ".join(expected))
            found.append(_of_table("table %s: its columns are %s; vDVS needs %s" % words))
    versions = execute(connection, _VERSION).fetchall()
    if versions != [OLDER if old else VERSION]:
        found.append(_of_table("table versions: its row 0 does not say 1.2, so vDVS refuses every request"))
    journal = execute(connection, "PRAGMA journal_mode").fetchone()
    if journal[0] == "wal":
        found.append(_of_table("the journal is a write-ahead log, which does not work between hosts"))
    return found
