"""Opening a config DB with SQLite: for reading or for writing, with our own patience, and what its errors mean.

Python's own waiting (`timeout`) is off: it cannot be bounded over several statements, and a lock on VMFS shows as
"unable to open" as well as "locked". A connection is opened for one short transaction and closed.
"""

import os
import sys
import time

from ..compat import PY2, monotonic, native
from ..files import BUSY, FULL
from ..wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Callable, List, Optional, TypeVar  # novm

    from ..paths import Root

    Value = TypeVar("Value")

OLDEST_THAT_WRITES = (3, 7, 16)
# Python 2 of ESXi has no sqlite3; the driver brings one along.
DRIVERS_OWN = "/usr/lib/vmware/vmdkops/Python/2"


def load(root):
    # type: (Root) -> Any
    """The module sqlite3 of this Python, else the driver's own; None if there is neither."""
    try:
        import sqlite3
    except ImportError:
        sys.path.insert(0, root.real(DRIVERS_OWN))
        try:
            import sqlite3
        except ImportError:
            return None
        finally:
            del sys.path[0]
    return sqlite3


def version(root):
    # type: (Root) -> Optional[str]
    """The version of SQLite; None without SQLite."""
    module = load(root)
    return None if module is None else module.sqlite_version


def can_write(root):
    # type: (Root) -> bool
    """Whether SQLite is new enough to write a shared DB safely (3.7.16; the driver's own for Python 2 is 3.3.6)."""
    known = version(root)
    return known is not None and tuple(map(int, known.split("."))) >= OLDEST_THAT_WRITES


def open_reading(root, real):
    # type: (Root, str) -> sqlite3.Connection
    """A connection that cannot write: it neither creates a file nor rolls back a journal.

    Python 2 has no way to say so to SQLite; there the caller has looked at the journal before."""
    if PY2:
        return _connect(root, real, False)
    return _connect(root, _uri(real, "ro"), True)


def open_writing(root, real):
    # type: (Root, str) -> sqlite3.Connection
    """A connection for writing. A hot journal is rolled back by the first statement."""
    if PY2:
        return _connect(root, real, False)
    return _connect(root, _uri(real, "rw"), True)


def open_creating(root, real):
    # type: (Root, str) -> sqlite3.Connection
    """A connection to a file that does not exist yet."""
    if PY2:
        return _connect(root, real, False)
    return _connect(root, _uri(real, "rwc"), True)


def attach_reading(connection, real, name):
    # type: (sqlite3.Connection, str, str) -> None
    """Let a connection see another DB, for reading, as `name`. To be called before its transaction begins."""
    execute(connection, "ATTACH DATABASE ? AS %s" % name, native(real) if PY2 else _uri(real, "ro"))


def _connect(root, name, is_uri):
    # type: (Root, str, bool) -> sqlite3.Connection
    module = load(root)
    if module is None:
        raise Refused("ReadError", "the Python of this host has no sqlite3, and no driver that brings one is installed")
    if is_uri:
        connection = module.connect(name, timeout=0, isolation_level=None, uri=True)  # novm
    else:
        connection = module.connect(native(name), timeout=0, isolation_level=None)
    # Else the journal of each savepoint is a temporary file: tens of thousands of writes, on ESXi into a ramdisk.
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection  # type: ignore[no-any-return] # the module is one of two


def _uri(real, mode):
    # type: (str, str) -> str
    """By the rules of SQLite's URIs. What urllib has for that takes longer to import than the DB to read."""
    raw = bytearray(os.fsencode(real))  # novm
    quoted = [chr(byte) if 32 < byte < 127 and chr(byte) not in "%?#" else "%%%02X" % byte for byte in raw]
    return "file:%s?mode=%s" % ("".join(quoted), mode)


def patiently(until, what):
    # type: (float, Callable[[], Value]) -> Value
    """The value of `what()`, tried again while it says `Locked`, up to the moment `until` (of `monotonic`).
    It is tried at least once."""
    pause = 0.002
    while True:
        try:
            return what()
        except Refused as refused:
            left = until - monotonic()
            if refused.reason != "Locked" or left <= 0:
                raise
        time.sleep(min(pause, left))
        pause = min(pause * 2, 0.25)


def execute(connection, statement, *values):
    # type: (sqlite3.Connection, str, Any) -> sqlite3.Cursor
    """Run one statement. SQLite's errors come out as Refused, see `meaning`."""
    try:
        return connection.execute(statement, values)
    except Exception as error:
        raise meaning(error)


def execute_many(connection, statement, rows):
    # type: (sqlite3.Connection, str, List[Any]) -> None
    """Run one statement for each row of values."""
    try:
        connection.executemany(statement, rows)
    except Exception as error:
        raise meaning(error)


def close(connection):
    # type: (sqlite3.Connection) -> None
    """Give up whatever is uncommitted, and every lock."""
    try:
        connection.close()
    except Exception:
        pass


_MEANINGS = (
    ("locked", "Locked", "another writer holds the lock"),
    ("disk is full", "DiskFull", "no space is left on the datastore"),
    ("readonly", "ReadOnly", "it cannot be written"),
    ("not a database", "Corrupt", "the file is not an SQLite database"),
    ("malformed", "Corrupt", "the file is damaged or cut off"),
    ("unable to open", "Locked", "it cannot be opened: it is locked by another host, or permission is missing"),
    ("no such table", "Incomplete", None),
    ("no such column", "Incomplete", None),
    ("unsupported file format", "Corrupt", None),
    ("disk i/o error", "ReadError", None),
    ("binding parameter", "BadRequest", None),
)  # in the order in which they are looked for


def meaning(error):
    # type: (Exception) -> Exception
    """What an exception of SQLite or of the operating system means in the protocol, as Refused. Any other exception
    is a mistake of ours, and given back as it is."""
    if isinstance(error, EnvironmentError):
        return of_system(error)
    sqlite3 = sys.modules.get("sqlite3")  # type: Any # see `load`
    if sqlite3 is None or not isinstance(error, (sqlite3.Error, sqlite3.Warning)):
        return error
    text = str(error)
    if isinstance(error, sqlite3.IntegrityError):
        return Refused("Precondition", "SQLite says: %s" % text)
    for words, reason, explanation in _MEANINGS:
        if words in text.lower():
            return Refused(reason, explanation or "SQLite says: %s" % text)
    return Refused("ReadError", "SQLite says: %s" % text)


def of_system(error):
    # type: (EnvironmentError) -> Refused
    """What an error of the operating system on the DB's files means; on VMFS EBUSY is another host's lock."""
    number = error.errno
    if number in BUSY:
        return Refused("Locked", "it cannot be opened: it is locked by another host")
    return Refused("DiskFull" if number in FULL else "ReadError", error.strerror or str(error))
