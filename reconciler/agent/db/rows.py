"""The rows of a config DB inside one transaction, and the fingerprint over them.

Rows are read whatever they hold: NULL, blobs and text that is not UTF-8 must not stop a diagnosis.
"""

import binascii
import json
import re

from ..wire import Refused
from .schema import COLUMNS, OLDER, VERSION
from .sqlite import execute, meaning

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Dict, List, Optional, Tuple  # novm

    Row = Tuple[Any, ...]

_TEXT = type("".encode("ascii").decode("ascii"))  # `unicode` on Python 2
# A wrong byte as `_tolerant` shows it, but not half of a pair (which a narrow Python 2 uses for rare characters).
_WRONG_BYTES = re.compile(b"(?<![\\ud800-\\udbff])[\\udc80-\\udcff]".decode("unicode_escape"))
_REPLACEMENT = b"\\ufffd".decode("unicode_escape")
_COLUMNS = dict(COLUMNS)
MOST_BOOKED = 5000
ORIGIN = ("moved_from", "moved_from_host", "moved_rows")  # keys of vdvs_meta
FINGERPRINTED = ("tenants", "vms", "privileges", "versions")


def read(connection):
    # type: (sqlite3.Connection) -> Dict[str, List[Row]]
    """The rows of the tables that hold configuration, each table sorted by its columns.
    Raises Refused `Incomplete` when a table or a column is missing."""
    return {table: _table(connection, table) for table in FINGERPRINTED}


def fingerprint(tables):
    # type: (Dict[str, List[Row]]) -> str
    """The SHA-256 over what `read` gave: the same on every Python, whatever the order in which rows were written.
    NULL, '', 1 and '1' all differ."""
    import hashlib  # brings OpenSSL with it, and most looks at a host need no digest

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
    return tolerantly(connection, statement)


def tolerantly(connection, statement, *values):
    # type: (sqlite3.Connection, str, Any) -> List[Row]
    """All rows of a query, even if they hold text that is not UTF-8. Raises Refused."""
    try:
        return connection.execute(statement, values).fetchall()
    except Exception as error:
        if "decode" not in str(error):
            raise meaning(error)
    usual = connection.text_factory
    connection.text_factory = _tolerant
    try:
        return execute(connection, statement, *values).fetchall()
    finally:
        connection.text_factory = usual


def _tolerant(raw):
    # type: (bytes) -> Any
    """Text whose wrong bytes 0x80-0xFF appear as U+DC80-U+DCFF, on every Python."""
    try:
        return raw.decode("utf-8", "surrogateescape")
    except LookupError:  # Python 2 has no such error handler
        return _tolerant_2(raw)


def _tolerant_2(raw):
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
    """Whether rows of VMs have a name: schema 1.1 had none."""
    return "vm_name" in [row[1] for row in execute(connection, "PRAGMA table_info(vms)")]


def schema(connection):
    # type: (sqlite3.Connection) -> str
    """The schema, as the protocol says it. Raises Refused `WrongVersion` for one that vdvs does not know, saying what
    was found and what to do."""
    tables = [row[0] for row in tolerantly(connection, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    if "versions" not in tables:
        raise Refused("WrongVersion", _WITHOUT_VERSIONS[any(table in tables for table in _COLUMNS)])
    found = [tuple(row[1:3]) for row in _table(connection, "versions")]
    if found == [VERSION]:
        return "1.2" if has_names(connection) else "1.2 without vm_name"
    if found == [OLDER]:
        return "1.1"
    raise Refused("WrongVersion", _wrong_version(found))


_WITHOUT_VERSIONS = {
    True: "it has no table of versions, so it is from before vDVS 0.10, and nothing upgrades that: keep a copy,"
    " delete it and apply again",
    False: "it has no table of versions nor any other of vDVS, so it is no config DB of vDVS: look what it is",
}


def _wrong_version(found):
    # type: (List[Tuple[Any, ...]]) -> str
    versions = ", ".join("%s.%s" % version for version in found) or "no version"
    if found == [(1, 0)]:
        return (
            "its schema says 1.0, that of vDVS 0.10 and 0.11: with vDVS 0.11.2 or 0.12 installed run"
            " /usr/lib/vmware/vmdkops/bin/vmdkops_post_update.11.1.py on its host, which makes 1.1 of it"
        )
    if len(found) == 1 and all(isinstance(part, int) for part in found[0]) and found[0] > VERSION:
        return "its schema says %s, which is newer than this vdvs knows (1.2): use one that knows it" % versions
    return "its schema says %s, which vdvs does not know (it knows 1.1 and 1.2): bring it back from a backup" % versions


def volume_use(connection):
    # type: (sqlite3.Connection) -> List[Row]
    """What the books of the service say is used: (vmgroup id, URL, MB, number of volumes), sorted."""
    statement = (
        "SELECT tenant_id, datastore_url, CAST(TOTAL(volume_size) AS INTEGER), COUNT(*) "
        "FROM volumes GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return tolerantly(connection, statement)


def booked(connection):
    # type: (sqlite3.Connection) -> Optional[List[Row]]
    """The books themselves: (vmgroup id, URL, volume, MB), sorted; None if there are too many to tell."""
    statement = "SELECT tenant_id, datastore_url, volume_name, volume_size FROM volumes ORDER BY 1, 2, 3 LIMIT %d"
    found = tolerantly(connection, statement % (MOST_BOOKED + 1))
    return found if len(found) <= MOST_BOOKED else None


def writer(connection):
    # type: (sqlite3.Connection) -> Optional[Any]
    """The host that wrote last, as recorded; None if vdvs never wrote."""
    tables = execute(connection, "SELECT name FROM sqlite_master WHERE name = 'vdvs_meta'").fetchall()
    if not tables:
        return None
    found = tolerantly(connection, "SELECT value FROM vdvs_meta WHERE key = 'writer'")
    return plain(found[0][0]) if found else None


def origin(connection):
    # type: (sqlite3.Connection) -> Optional[Tuple[Any, Any, Any]]
    """What a copy says of where it was copied from: (path, the host whose own that is or '', fingerprint); None: it is
    no copy, or the move has ended."""
    if not execute(connection, "SELECT name FROM main.sqlite_master WHERE name = 'vdvs_meta'").fetchall():
        return None
    found = dict(tolerantly(connection, "SELECT key, value FROM main.vdvs_meta"))  # type: Dict[Any, Any]
    path, host, copied = (plain(found.get(key)) for key in ORIGIN)
    return None if None in (path, host, copied) else (path, host, copied)


def plain(value):
    # type: (Any) -> Any
    """A cell that should be text (or NULL) as text that the protocol can carry: a blob as X'..', a number in digits,
    bytes that are not UTF-8 as U+FFFD."""
    if value is None:
        return None
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, _TEXT):
        return "X'%s'" % binascii.hexlify(bytes(value)).decode("ascii")
    return _WRONG_BYTES.sub(_REPLACEMENT, value)


def all_plain(table):
    # type: (List[Row]) -> List[Any]
    """`plain` for every cell. Looks at the whole table first: nearly always all of it is plain already."""
    return (
        list(table) if are_plain([cell for row in table for cell in row]) else [list(map(plain, row)) for row in table]
    )


def are_plain(cells):
    # type: (List[Any]) -> bool
    """Whether `plain` would change none of these cells. Without a doubt, that is; False is no certainty."""
    texts = [cell for cell in cells if cell is not None]
    if not {type(cell) for cell in texts} <= {_TEXT}:
        return False
    try:
        "".join(texts).encode("ascii")
    except UnicodeError:
        return False
    return True


def integer(value):
    # type: (Any) -> Optional[Any]
    """A cell that should be an integer; None if it is none."""
    return value if isinstance(value, int) or type(value).__name__ == "long" else None
