"""Inspection of a config DB before a row is read: whoever can write the datastore may have written anything there.

A view, a trigger or an expression in the schema would run inside our transaction, and could show us other rows than
vDVS. So only tables are accepted that vDVS, or we, make, by their SQL. Size is bounded before anything is fetched.
Source: docs/domain.md#an-untrusted-file
"""

import posixpath
import re

from ...wire import Refused
from .. import objects, rows, schema
from ..sqlite import execute

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Dict, List, Optional, Tuple  # novm

LARGEST_FILE = 128 * 1024 * 1024
LARGEST_CELL = 64 * 1024  # bytes
MOST_BYTES = 32 * 1024 * 1024  # of all cells
MOST_ROWS = 200000  # of one table
_LONGEST_SQL = 5000
_MOST_ENTRIES = 100
_MOST_NAMED = 5
_LONGEST_PART = 100  # of SQL that is shown

_BLANKS = re.compile("(?:[ \\t\\n\\f\\r]|--[^\\n\\0]*(?:\\n|$))+")
_AROUND = re.compile(" ?([(),]) ?")
_QUOTED = re.compile('"(tenants|vms|privileges|volumes|versions|vdvs_[a-z_]+)"')  # as ALTER TABLE RENAME leaves names


def _plain(sql):
    # type: (Any) -> Any
    """Return SQL without comments and needless blanks. What SQLite takes for a string or a comment of C stays in it.

    Source: docs/domain.md#an-untrusted-file
    """
    return _AROUND.sub("\\1", _BLANKS.sub(" ", _QUOTED.sub(" \\1 ", sql))).strip()


_MOVED = "CREATE TABLE vdvs_moved_volumes(tenant_id TEXT, datastore_url TEXT, volume_name TEXT, volume_size INT)"
_BY_SQLITE = (  # ANALYZE and AUTOINCREMENT make these, and nothing removes them
    "CREATE TABLE sqlite_sequence(name,seq)",
    "CREATE TABLE sqlite_stat1(tbl,idx,stat)",
    "CREATE TABLE sqlite_stat2(tbl,idx,sampleno,sample)",
    "CREATE TABLE sqlite_stat3(tbl,idx,neq,nlt,ndlt,sample)",
    "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)",
)
# Of vDVS 0.10 to 0.13, and the same after ALTER TABLE, which adds the column at the end.
_NAMELESS = schema.TABLES[1].replace("    vm_name TEXT,\n", "")
_KNOWN = {}  # type: Dict[Any, set[Any]]
for _sql in (
    schema.TABLES + (_NAMELESS, _NAMELESS[:-1] + ", vm_name TEXT)") + (schema.META, objects.CREATE, _MOVED) + _BY_SQLITE
):
    _sql = _plain(_sql).replace(" IF NOT EXISTS", "")
    _KNOWN.setdefault(_sql[len("CREATE TABLE ") : _sql.index("(")], set()).add(_sql)


def inspect(connection, of="main"):
    # type: (sqlite3.Connection, str) -> int
    """Check the DB `of` a connection inside its transaction, and return the bytes in all of its cells.

    Raises Refused `Tampered`, `TooLarge`, `Damaged`, `Incomplete` or `NoBooks` where a table is missing, or
    `WrongVersion` for a file that is no config DB.
    Source: docs/domain.md#an-untrusted-file
    """
    tables = _check_schema(connection, of)
    _check_integrity(connection, of)
    _check_tables(tables)
    sizes = [_check_size(connection, of, table) for table in tables if not table.startswith("sqlite_")]
    if sum(sizes) > MOST_BYTES:
        raise Refused("TooLarge", "it is too large: its rows hold %s, at most %s" % (mb(sum(sizes)), mb(MOST_BYTES)))
    return sum(sizes)


def _check_integrity(connection, of):
    # type: (sqlite3.Connection, str) -> None
    """Raise Refused `Damaged` for what SQLite finds wrong: vDVS, which does not look for it, may be served still."""
    try:
        answer = execute(connection, "PRAGMA %s.integrity_check(1)" % of).fetchone()
    except Refused as refused:
        raise Refused("Damaged" if refused.reason == "Corrupt" else refused.reason, refused.message)
    if answer is None or answer[0] != "ok":
        raise Refused("Damaged", "the file is damaged: %s" % (answer[0] if answer else "SQLite gives no details"))


def _check_tables(tables):
    # type: (List[Any]) -> None
    """Raise Refused unless all tables are there. Without `volumes` vDVS creates none, and goes on mounting.

    Source: docs/domain.md#who-may-do-what
    """
    missing = [table for table, _ in schema.COLUMNS if table not in tables]
    if missing:
        reason = "NoBooks" if missing == ["volumes"] else "Incomplete"
        raise Refused(reason, "it has no table %s" % ", ".join(missing))


def _check_schema(connection, of):
    # type: (sqlite3.Connection, str) -> List[Any]
    """Return the names of the tables. Raises Refused `Tampered` for anything that neither vDVS nor we make."""
    query = (
        "SELECT type, name, tbl_name, CASE WHEN length(CAST(sql AS BLOB)) <= %d OR sql IS NULL THEN sql ELSE '' END"
        " FROM %s.sqlite_master LIMIT %d" % (_LONGEST_SQL, of, _MOST_ENTRIES + 1)
    )
    entries = rows.fetch_all(connection, query)
    tables = [entry[1] for entry in entries if entry[0] == "table"]
    if "versions" not in [rows.as_text(entry[1] or entry[0]).lower() for entry in entries]:
        raise Refused("WrongVersion", _WITHOUT_VERSIONS[any(table in tables for table, _ in schema.COLUMNS)])
    strange = [what for what in (_strange(*entry) for entry in entries) if what is not None]
    strange += ["two tables %s" % table for table in sorted(set(tables)) if tables.count(table) > 1]
    if strange or len(entries) > _MOST_ENTRIES:
        more = " and more" if len(strange) > _MOST_NAMED or len(entries) > _MOST_ENTRIES else ""
        named = ", ".join(strange[:_MOST_NAMED])
        raise Refused("Tampered", "its schema has what neither vDVS nor vdvs makes: %s%s" % (named, more))
    return tables


_WITHOUT_VERSIONS = {
    True: "it has no table versions, so it is older than vDVS 0.10 and cannot be upgraded: keep a copy,"
    " delete it and apply again",
    False: "it has neither a table versions nor any other table of vDVS, so it is no config DB: find out what it is",
}


def _strange(kind, name, table, sql):
    # type: (Any, Any, Any, Any) -> Optional[str]
    """Return the name of an entry of sqlite_master that neither vDVS nor we make; None: it is as we know it.

    Source: docs/domain.md#an-untrusted-file
    """
    if kind == "table" and name == table and name in _KNOWN:
        if rows.is_text(sql) and _plain(sql) in _KNOWN[name]:
            return None
        return "another table %s%s" % (name, _difference(_plain(sql), _KNOWN[name]) if rows.is_text(sql) else "")
    if kind == "index" and sql is None and table in _KNOWN and re.match("sqlite_autoindex_%s_[12]$" % table, name):
        return None
    kind, name, table = [rows.as_text(value)[:100] if value is not None else "NULL" for value in (kind, name, table)]
    return "%s %s%s" % (kind, name, "" if name == table else " on %s" % table)


def _difference(sql, known):
    # type: (Any, set[Any]) -> str
    """Return where a definition first differs from the nearest one that is known, in words."""
    nearest = max(known, key=lambda usual: len(posixpath.commonprefix([sql, usual])))
    found, usual = [text[text.find("(") + 1 : -1].split(",") for text in (sql, nearest)]
    for number, want in enumerate(usual):
        have = found[number] if number < len(found) else "nothing"
        if have != want:
            return " (with `%s` in place of `%s`)" % (rows.as_text(have)[:_LONGEST_PART], want)
    return " (with `%s` besides)" % rows.as_text(",".join(found[len(usual) :]))[:_LONGEST_PART]


def _check_size(connection, of, table):
    # type: (sqlite3.Connection, str, str) -> int
    """Return the bytes in the cells of a table. Raises Refused `TooLarge`.

    length() of text stops at a NUL, that of a blob does not.
    """
    columns = [column[0] for column in execute(connection, "SELECT * FROM %s.%s LIMIT 0" % (of, table)).description]
    sizes = ["length(CAST(%s AS BLOB))" % column for column in columns]
    wanted = ["count(*)"] + ["max(%s)" % size for size in sizes] + ["total(%s)" % size for size in sizes]
    found = execute(connection, "SELECT %s FROM %s.%s NOT INDEXED" % (", ".join(wanted), of, table)).fetchone()
    if found[0] > MOST_ROWS:
        raise Refused("TooLarge", "it is too large: table %s has %d rows, at most %d" % (table, found[0], MOST_ROWS))
    for column, size, largest in zip(columns, sizes, found[1:]):
        if largest is not None and largest > LARGEST_CELL:
            query = "SELECT rowid, substr(CAST(%s AS BLOB), 1, 100) FROM %s.%s WHERE %s > %d LIMIT 1"
            row = execute(connection, query % (columns[0], of, table, size, LARGEST_CELL)).fetchone()
            key = bytes(row[1] or b"").decode("utf-8", "replace")
            words = (table, row[0], key, column, mb(largest), mb(LARGEST_CELL))
            raise Refused("TooLarge", "it is too large: table %s, row %d (%s): %s holds %s, at most %s" % words)
    return int(sum(found[1 + len(columns) :]))


def mb(size):
    # type: (float) -> str
    """Return a number of bytes in words."""
    return "%.1f MB" % (size / 1e6) if size >= 1e6 else "%d kB" % (size / 1e3)
