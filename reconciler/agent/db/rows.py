"""The rows of a config DB inside one transaction, and the fingerprint over them.

Rows are read whatever they hold: NULL, blobs and text that is not UTF-8 must not prevent a diagnosis.
"""

import binascii
import json
import re

from ..wire import Refused
from .schema import COLUMNS, OLDER, RETIRED, VERSION
from .sqlite import as_refused, execute

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Dict, List, Optional, Tuple  # novm

    Row = Tuple[Any, ...]

_TEXT = type("".encode("ascii").decode("ascii"))  # `unicode` on Python 2
# An invalid byte as `_decode` returns it, but not half of a surrogate pair (narrow Python 2).
_WRONG_BYTES = re.compile(b"(?<![\\ud800-\\udbff])[\\udc80-\\udcff]".decode("unicode_escape"))
_REPLACEMENT = b"\\ufffd".decode("unicode_escape")
_COLUMNS = dict(COLUMNS)
MOST_BOOKED = 5000
ORIGIN = ("moved_from", "moved_from_host", "moved_rows")  # keys of vdvs_meta
FINGERPRINTED = ("tenants", "vms", "privileges", "versions")


def read(connection):
    # type: (sqlite3.Connection) -> Dict[str, List[Row]]
    """Return the rows of the tables that hold configuration, each table sorted by its columns.

    Raises Refused `Incomplete` when a table or a column is missing.
    Source: docs/domain.md#the-config-db-schema-12
    """
    return {table: _table(connection, table) for table in FINGERPRINTED}


def fingerprint(tables):
    # type: (Dict[str, List[Row]]) -> str
    """Return the SHA-256 of the rows from `read`, in hex.

    Equal on every Python and for every order in which rows were written. NULL, '', 1 and '1' all differ.
    Source: docs/domain.md#the-config-db-schema-12
    """
    import hashlib  # slow: it loads OpenSSL, and most looks at a host need no digest

    digest = hashlib.sha256()
    for table in FINGERPRINTED:
        line = json.dumps([table, tables[table]], separators=(",", ":"), default=_blob, allow_nan=True)
        digest.update(line.encode("ascii"))
    return digest.hexdigest()


def _table(connection, table):
    # type: (sqlite3.Connection, str) -> List[Row]
    columns = list(_COLUMNS[table])
    if table == "vms" and not has_names(connection):
        columns[-1] = "NULL"
    order = ", ".join(str(position + 1) for position in range(len(columns)))
    statement = "SELECT %s FROM %s ORDER BY %s" % (", ".join(columns), table, order)
    return fetch_all(connection, statement)


def fetch_all(connection, statement, *values):
    # type: (sqlite3.Connection, str, Any) -> List[Row]
    """Return all rows of a query, even if they hold text that is not UTF-8. Raises Refused."""
    try:
        return connection.execute(statement, values).fetchall()
    except Exception as error:
        if "decode" not in str(error):
            raise as_refused(error)
    usual = connection.text_factory
    connection.text_factory = _decode
    try:
        return execute(connection, statement, *values).fetchall()
    finally:
        connection.text_factory = usual


def _decode(raw):
    # type: (bytes) -> Any
    """Decode UTF-8; wrong bytes 0x80-0xFF become U+DC80-U+DCFF on every Python."""
    try:
        return raw.decode("utf-8", "surrogateescape")
    except LookupError:  # Python 2 has no such error handler
        return _decode_py2(raw)


def _decode_py2(raw):
    # type: (bytes) -> Any
    text, rest = raw[:0].decode("ascii"), raw
    while True:
        try:
            return text + rest.decode("utf-8")
        except UnicodeDecodeError as error:
            wrong = bytearray(rest)[error.start]
            text += rest[: error.start].decode("utf-8") + ("\\udc%02x" % wrong).encode("ascii").decode("unicode_escape")
            rest = rest[error.start + 1 :]


def _blob(value):
    # type: (Any) -> Dict[str, str]
    return {"blob": binascii.hexlify(bytes(value)).decode("ascii")}


def has_names(connection):
    # type: (sqlite3.Connection) -> bool
    """Return whether VM rows have a name: schema 1.1 has no such column.

    Source: docs/domain.md#older-schemas
    """
    return "vm_name" in [row[1] for row in execute(connection, "PRAGMA table_info(vms)")]


def schema(connection):
    # type: (sqlite3.Connection) -> str
    """Return the schema as the protocol names it: vDVS looks at the row 0 of `versions` alone.

    Raises Refused `Retired` for a DB that was moved away, and `WrongVersion` for an unknown one, with what was found
    and what to do. Source: docs/domain.md#older-schemas
    """
    found = [tuple(row[1:3]) for row in _table(connection, "versions") if row[0] == 0]
    if found == [VERSION]:
        return "1.2" if has_names(connection) else "1.2 without vm_name"
    if found == [OLDER]:
        return "1.1"
    if is_retired(connection):
        raise Refused("Retired", "it is marked as moved away")
    raise Refused("WrongVersion", _wrong_version(found))


def is_retired(connection):
    # type: (sqlite3.Connection) -> bool
    """Return whether a DB was moved away, and is refused by vDVS since. Source: docs/domain.md#moving-a-config-db"""
    return [tuple(row[1:4]) for row in _table(connection, "versions") if row[0] == 0] == [RETIRED]


def _wrong_version(found):
    # type: (List[Tuple[Any, ...]]) -> str
    versions = ", ".join("%s.%s" % version for version in found) or "missing"
    if found == [(1, 0)]:
        return (
            "its schema version is 1.0, that of vDVS 0.10 and 0.11: with vDVS 0.11.2 or 0.12 installed, run"
            " /usr/lib/vmware/vmdkops/bin/vmdkops_post_update.11.1.py on its host to upgrade it to 1.1"
        )
    if len(found) == 1 and all(isinstance(part, int) for part in found[0]) and found[0] > VERSION:
        return "its schema version is %s, newer than the 1.2 that this vdvs supports: use a newer vdvs" % versions
    return "its schema version is %s, but vdvs supports only 1.1 and 1.2: restore it from a backup" % versions


def volume_use(connection):
    # type: (sqlite3.Connection) -> List[Row]
    """Return (vmgroup id, URL, MB, number of volumes) from the table `volumes`, sorted.

    Source: docs/domain.md#quotas
    """
    statement = (
        "SELECT tenant_id, datastore_url, CAST(TOTAL(volume_size) AS INTEGER), COUNT(*) "
        "FROM volumes GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return fetch_all(connection, statement)


def volume_rows(connection):
    # type: (sqlite3.Connection) -> Optional[List[Row]]
    """Return (vmgroup id, URL, volume, MB) of each booked volume, sorted; None if there are more than MOST_BOOKED.

    Source: docs/domain.md#quotas
    """
    statement = "SELECT tenant_id, datastore_url, volume_name, volume_size FROM volumes ORDER BY 1, 2, 3 LIMIT %d"
    found = fetch_all(connection, statement % (MOST_BOOKED + 1))
    return found if len(found) <= MOST_BOOKED else None


def _meta(connection):
    # type: (sqlite3.Connection) -> Dict[Any, Any]
    """Return our records about the DB as a whole."""
    if not execute(connection, "SELECT name FROM main.sqlite_master WHERE name = 'vdvs_meta'").fetchall():
        return {}
    return {
        as_text(key): as_text(value) for key, value in fetch_all(connection, "SELECT key, value FROM main.vdvs_meta")
    }


def writer(connection):
    # type: (sqlite3.Connection) -> Optional[Any]
    """Return the host that wrote last, as recorded; None if vdvs never wrote."""
    return _meta(connection).get("writer")


def origin(connection):
    # type: (sqlite3.Connection) -> Optional[Tuple[Any, Any, Any]]
    """Return where a copy was copied from: (path, host that owns it or '', fingerprint).

    None if it is no copy any more.
    Source: docs/domain.md#moving-a-config-db
    """
    found = _meta(connection)
    path, host, copied = (found.get(key) for key in ORIGIN)
    return None if None in (path, host, copied) else (path, host, copied)


def as_text(value):
    # type: (Any) -> Any
    """Return a cell as text that the protocol can carry (None for NULL).

    A blob becomes X'..', a number its digits, bytes that are not UTF-8 become U+FFFD.
    """
    if value is None:
        return None
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, _TEXT):
        return "X'%s'" % binascii.hexlify(bytes(value)).decode("ascii")
    return _WRONG_BYTES.sub(_REPLACEMENT, value)


def is_text(value):
    # type: (Any) -> bool
    """Return whether a cell is text."""
    return isinstance(value, _TEXT)


def text(value):
    # type: (str) -> Any
    """Return an ASCII literal as the text that SQLite returns."""
    return _TEXT(value)


def as_bytes(value):
    # type: (Any) -> bytes
    """Return the bytes of a text cell: `_decode` the other way round."""
    parts = [part.encode("utf-8") for part in _WRONG_BYTES.split(value)]
    wrong = [bytearray((ord(found) - 0xDC00,)) for found in _WRONG_BYTES.findall(value)]
    return parts[0] + b"".join(bytes(byte) + part for byte, part in zip(wrong, parts[1:]))


def rows_as_text(table):
    # type: (List[Row]) -> List[Any]
    """Apply `as_text` to every cell. Checks the whole table first: nearly always all of it is plain text already."""
    return (
        list(table) if are_text([cell for row in table for cell in row]) else [list(map(as_text, row)) for row in table]
    )


def are_text(cells):
    # type: (List[Any]) -> bool
    """Return True only if `as_text` would change none of these cells. False is not a proof of the opposite."""
    texts = [cell for cell in cells if cell is not None]
    if not {type(cell) for cell in texts} <= {_TEXT}:
        return False
    try:
        "".join(texts).encode("ascii")
    except UnicodeError:
        return False
    return True


def cell(value):
    # type: (Any) -> Any
    """Return a cell of an access row as the protocol carries it: an integer or NULL as it is, anything else as text.

    The text is empty exactly if the value counts as false. Source: docs/domain.md#rules-for-rows
    """
    if value is None or integer(value) is not None:
        return value
    return as_text(value) if value else ""


def integer(value):
    # type: (Any) -> Optional[Any]
    """Return the cell if it is an integer, else None."""
    return value if isinstance(value, int) or type(value).__name__ == "long" else None
