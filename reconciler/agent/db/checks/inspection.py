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
    # type: (sqlite3.Connection, str) -> None
    """Check the DB `of` a connection inside its transaction.

    Raises Refused `Tampered`, `TooLarge`, `Damaged`, `Incomplete` or `NoBooks` where a table is missing, or
    `WrongVersion` for a file that is no config DB.
    Source: docs/domain.md#an-untrusted-file
    """
    tables = _check_schema(connection, of)
    _check_integrity(connection, of)
    _check_tables(tables)
    tables = [table for table in tables if not table.startswith("sqlite_")]
    for table in tables:
        _check_size(connection, of, table)
    pages = execute(connection, "PRAGMA %s.page_count" % of).fetchone()[0]
    # A smaller file cannot hold as much: no two cells share a byte of it.
    if pages * execute(connection, "PRAGMA %s.page_size" % of).fetchone()[0] > MOST_BYTES:
        total = sum(_total(connection, of, table) for table in tables)
        if total > MOST_BYTES:
            raise Refused("TooLarge", "it is too large: its rows hold %s, at most %s" % (mb(total), mb(MOST_BYTES)))


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
    names = [rows.as_text(entry[1] or entry[0]).lower() for entry in entries]
    if "versions" not in names and len(entries) <= _MOST_ENTRIES:
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
    # type: (sqlite3.Connection, str, str) -> None
    """Check the rows of a table, and their cells. Raises Refused `TooLarge`."""
    rows_of = "FROM %s.%s NOT INDEXED" % (of, table)
    number = execute(connection, "SELECT count(*) %s" % rows_of).fetchone()[0]
    if number > MOST_ROWS:
        raise Refused("TooLarge", "it is too large: table %s has %d rows, at most %d" % (table, number, MOST_ROWS))
    columns = _columns(connection, of, table)
    large = " OR ".join("%s > %d" % (_size(column), LARGEST_CELL) for column in columns)
    found = execute(connection, "SELECT rowid %s WHERE %s LIMIT 1" % (rows_of, large)).fetchone()
    if found is not None:
        wanted = ", ".join(["substr(CAST(%s AS BLOB), 1, 100)" % columns[0]] + [_size(column) for column in columns])
        row = execute(connection, "SELECT %s %s WHERE rowid = ?" % (wanted, rows_of), found[0]).fetchone()
        largest = max(size or 0 for size in row[1:])
        key, column = bytes(row[0] or b"").decode("utf-8", "replace"), columns[row.index(largest, 1) - 1]
        words = (table, found[0], key, column, mb(largest), mb(LARGEST_CELL))
        raise Refused("TooLarge", "it is too large: table %s, row %d (%s): %s holds %s, at most %s" % words)


def _total(connection, of, table):
    # type: (sqlite3.Connection, str, str) -> int
    """Return the bytes in all cells of a table."""
    sizes = " + ".join("ifnull(%s, 0)" % _size(column) for column in _columns(connection, of, table))
    return int(execute(connection, "SELECT total(%s) FROM %s.%s NOT INDEXED" % (sizes, of, table)).fetchone()[0])


def _columns(connection, of, table):
    # type: (sqlite3.Connection, str, str) -> List[str]
    return [column[0] for column in execute(connection, "SELECT * FROM %s.%s LIMIT 0" % (of, table)).description]


def _size(column):
    # type: (str) -> str
    """Return the SQL for the bytes in a cell: length() of text stops at a NUL, that of a blob does not."""
    return "length(CAST(%s AS BLOB))" % column


def mb(size):
    # type: (float) -> str
    """Return a number of bytes in words."""
    return "%.1f MB" % (size / 1e6) if size >= 1e6 else "%d kB" % (size / 1e3)
