"""SQLite connections to a config DB, with our own retries, and the meaning of SQLite's errors.

Python's own waiting (`timeout`) is off: it cannot be bounded over several statements, and a lock on VMFS shows as
"unable to open" as well as "locked". A connection is opened for one short transaction and closed.
Source: docs/domain.md#locks-and-journal
"""

import os
import sys
import time

from .. import channel
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
READING_SECONDS = 10  # after which what was begun on a connection is ended: its lock keeps vDVS from writing
WRITING_SECONDS = 60
_STEPS = 100000  # of SQLite's machine between two looks at the clock
_PRAGMAS = (
    # Else the journal of each savepoint is a temporary file: tens of thousands of writes, on ESXi into a ramdisk.
    "temp_store = MEMORY",
    # The file may be made to mislead SQLite. An older SQLite ignores what it does not know.
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "mmap_size = 0",
    # Each check goes through the whole file: it is read from the datastore once, unless it is larger than this (KiB).
    "cache_size = -8192",
)
# The Python 2 of ESXi has no sqlite3; the driver ships one.
DRIVER_SQLITE = "/usr/lib/vmware/vmdkops/Python/2"


def load(root):
    # type: (Root) -> Any
    """Return the module sqlite3 of this Python, else the one that the driver ships; None if there is neither.

    Source: docs/domain.md#driver-and-service
    """
    try:
        import sqlite3
    except ImportError:
        sys.path.insert(0, root.real(DRIVER_SQLITE))
        try:
            import sqlite3
        except ImportError:
            return None
        finally:
            del sys.path[0]
    return sqlite3


def version(root):
    # type: (Root) -> Optional[str]
    """Return the version of SQLite; None without SQLite."""
    module = load(root)
    return None if module is None else module.sqlite_version


def can_write(root):
    # type: (Root) -> bool
    """Return whether SQLite is new enough to write a shared DB safely: 3.7.16 (the driver ships 3.3.6 for Python 2).

    Source: docs/domain.md#locks-and-journal
    """
    known = version(root)
    return known is not None and tuple(map(int, known.split("."))) >= OLDEST_THAT_WRITES


def open_reading(root, real):
    # type: (Root, str) -> sqlite3.Connection
    """Return a read-only connection: it neither creates a file nor rolls back a journal.

    Python 2 cannot request that of SQLite; there the caller must have checked the journal (`refuse_hot_journal`).

    Source: docs/domain.md#locks-and-journal
    """
    connection = _connect(root, real, False) if PY2 else _connect(root, _uri(real, "ro"), True)
    connection.execute("PRAGMA query_only = ON")
    return connection


def open_writing(root, real):
    # type: (Root, str) -> sqlite3.Connection
    """Return a connection for writing. Its first statement rolls back a hot journal.

    Source: docs/domain.md#locks-and-journal
    """
    return (
        _connect(root, real, False, WRITING_SECONDS) if PY2 else _connect(root, _uri(real, "rw"), True, WRITING_SECONDS)
    )


def open_creating(root, real):
    # type: (Root, str) -> sqlite3.Connection
    """Return a connection to a file that does not exist yet."""
    if PY2:
        return _connect(root, real, False, WRITING_SECONDS)
    return _connect(root, _uri(real, "rwc"), True, WRITING_SECONDS)


def attach_reading(connection, real, name):
    # type: (sqlite3.Connection, str, str) -> None
    """Attach another DB read-only as `name`. Call it before the transaction begins."""
    execute(connection, "ATTACH DATABASE ? AS %s" % name, native(real) if PY2 else _uri(real, "ro"))


def _connect(root, name, is_uri, seconds=None):
    # type: (Root, str, bool, Optional[float]) -> sqlite3.Connection
    """Return a connection on which every statement fails (`Timeout`) once `seconds` are over or the channel is gone."""
    module = load(root)
    if module is None:
        raise Refused(
            "ReadError", "the Python of this host has no sqlite3, and no driver that includes one is installed"
        )
    if is_uri:
        connection = module.connect(name, timeout=0, isolation_level=None, uri=True)  # novm
    else:
        connection = module.connect(native(name), timeout=0, isolation_level=None)
    for pragma in _PRAGMAS:
        connection.execute("PRAGMA " + pragma)
    until = monotonic() + (READING_SECONDS if seconds is None else seconds)
    connection.set_progress_handler(lambda: int(channel.is_abandoned() or monotonic() > until), _STEPS)
    return connection  # type: ignore[no-any-return] # the driver may bring its own module


def _uri(real, mode):
    # type: (str, str) -> str
    """Return an SQLite URI. urllib could build it, but takes longer to import than the DB takes to read."""
    raw = bytearray(os.fsencode(real))  # novm
    quoted = [chr(byte) if 32 < byte < 127 and chr(byte) not in "%?#" else "%%%02X" % byte for byte in raw]
    return "file:%s?mode=%s" % ("".join(quoted), mode)


def retry_while_locked(until, what):
    # type: (float, Callable[[], Value]) -> Value
    """Return `what()`, retried while it raises Refused `Locked`, up to the moment `until` (of `monotonic`).

    Makes at least one attempt.

    Source: docs/domain.md#locks-and-journal
    """
    pause = 0.002
    while True:
        try:
            return what()
        except Refused as refused:
            left = until - monotonic()
            if refused.reason != "Locked" or left <= 0 or channel.is_abandoned():
                raise
        time.sleep(min(pause, left))
        pause = min(pause * 2, 0.25)


def execute(connection, statement, *values):
    # type: (sqlite3.Connection, str, Any) -> sqlite3.Cursor
    """Run one statement. SQLite's errors are raised as Refused, see `as_refused`."""
    try:
        return connection.execute(statement, values)
    except Exception as error:
        raise as_refused(error)


def execute_many(connection, statement, rows):
    # type: (sqlite3.Connection, str, List[Any]) -> None
    """Run one statement for each row of values. SQLite's errors are raised as Refused."""
    try:
        connection.executemany(statement, rows)
    except Exception as error:
        raise as_refused(error)


def close(connection):
    # type: (sqlite3.Connection) -> None
    """Close the connection, which rolls back what is uncommitted and releases every lock."""
    try:
        connection.close()
    except Exception:
        pass


_REASONS = (
    ("interrupted", "Timeout", "what it takes to read or write it did not end in time"),
    ("malformed database schema", "Tampered", None),
    ("locked", "Locked", "another writer holds the lock"),
    ("disk is full", "DiskFull", "no space is left on the datastore"),
    ("readonly", "ReadOnly", "it cannot be written"),
    ("not a database", "Corrupt", "the file is not an SQLite database"),
    ("malformed", "Corrupt", "the file is damaged or truncated"),
    ("unable to open", "Locked", "it cannot be opened: it is locked by another host, or permission is missing"),
    ("no such table", "Incomplete", None),
    ("no such column", "Incomplete", None),
    ("unsupported file format", "Corrupt", None),
    ("disk i/o error", "ReadError", None),
    ("binding parameter", "BadRequest", None),
)  # the first match counts


def as_refused(error):
    # type: (Exception) -> Exception
    """Convert an exception of SQLite or of the operating system to a Refused.

    Any other exception is a bug of ours and is returned unchanged.

    Source: docs/domain.md#locks-and-journal
    """
    if isinstance(error, EnvironmentError):
        return os_error_as_refused(error)
    if isinstance(error, UnicodeDecodeError):  # SQLite names in its message what it stumbles over
        return Refused("Corrupt", "the file is damaged: its schema holds what is no text")
    sqlite3 = sys.modules.get("sqlite3")  # type: Any # see `load`
    if sqlite3 is None or not isinstance(error, (sqlite3.Error, sqlite3.Warning)):
        return error
    text = str(error)
    if isinstance(error, sqlite3.IntegrityError):
        return Refused("Precondition", "SQLite error: %s" % text)
    for words, reason, explanation in _REASONS:
        if words in text.lower():
            return Refused(reason, explanation or "SQLite error: %s" % text)
    return Refused("ReadError", "SQLite error: %s" % text)


def os_error_as_refused(error):
    # type: (EnvironmentError) -> Refused
    """Convert an OS error on the files of a DB to a Refused; on VMFS EBUSY is a lock of another host.

    Source: docs/domain.md#locks-and-journal
    """
    number = error.errno
    if number in BUSY:
        return Refused("Locked", "it cannot be opened: it is locked by another host")
    return Refused("DiskFull" if number in FULL else "ReadError", error.strerror or str(error))
