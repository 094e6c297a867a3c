"""The rollback journal beside a DB: whether a writer is active, or was interrupted.

A journal is *hot* when its first byte is not zero and no writer holds SQLite's lock. Opening the DB for writing rolls a
hot journal back; reading must not.
Source: docs/domain.md#locks-and-journal
"""

import errno
import os
import stat

from .. import programs
from ..compat import PY2
from ..files import BUSY
from ..paths import mode_of
from ..wire import Refused
from .sqlite import os_error_as_refused

_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"  # of a journal
RESERVED_BYTE = 0x40000001  # where SQLite's writers lock, in the DB file

_CHECK_WRITER_LOCK = (
    """
import fcntl, sys
with open(sys.argv[1], "rb") as stream:
    try:
        fcntl.lockf(stream, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, %d)
    except EnvironmentError:
        sys.exit(3)
"""
    % RESERVED_BYTE
)


def journal_header(real):
    # type: (str) -> bytes
    """Return the first byte of the journal of the DB at the real path; b"" if there is none or it is finished.

    A finished journal is truncated, or its header is zeroed. Raises Refused if the journal cannot be read: on VMFS the
    journal of a writer on another host cannot even be opened.

    Source: docs/domain.md#locks-and-journal
    """
    try:
        first = read_start(real + "-journal", 1)
    except EnvironmentError as error:
        if error.errno == errno.ENOENT:
            return b""
        refused = os_error_as_refused(error)
        raise Refused(refused.reason, "the journal %s-journal cannot be read: %s" % (real, refused.message))
    return b"" if first == b"\0" else first


def read_start(real, count):
    # type: (str, int) -> bytes
    """Return the first bytes of a regular file. Raises Refused `Tampered` for anything else there, or OSError.

    Not to be used while this process has a DB open there through SQLite: closing it would drop SQLite's locks.
    """
    try:
        handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused("Tampered", "%s is a symbolic link" % real)
        raise
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Refused("Tampered", "%s is no regular file" % real)
        return os.read(handle, count)
    finally:
        os.close(handle)


def refuse_companions(real):
    # type: (str) -> None
    """Raise Refused `Tampered` for files beside a DB that SQLite would follow, or take rows from in place of the DB's.

    Source: docs/domain.md#an-untrusted-file
    """
    mode = mode_of(real + "-journal")
    if mode is not None and not stat.S_ISREG(mode):
        raise Refused("Tampered", "%s-journal is no regular file, and SQLite would write through it" % real)
    if mode is not None and _names_another(real + "-journal"):
        raise Refused("Tampered", "%s-journal names another file, which SQLite would delete" % real)
    if mode_of(real + "-wal") is not None:
        raise Refused("Tampered", "%s-wal lies beside it, from which SQLite would read other rows" % real)


def _names_another(real):
    # type: (str) -> bool
    """Return whether a journal ends with the name of a super-journal. Neither vDVS nor we write to two DBs at once."""
    try:
        handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            os.lseek(handle, max(os.fstat(handle).st_size - len(_MAGIC), 0), os.SEEK_SET)
            return os.read(handle, len(_MAGIC)) == _MAGIC
        finally:
            os.close(handle)
    except EnvironmentError as error:
        if error.errno == errno.ENOENT or error.errno in BUSY:  # its writer has finished, or is alive
            return False
        raise


def refuse_hot_journal(real):
    # type: (str) -> None
    """On Python 2, raise Refused `HotJournal` if reading would roll back a journal.

    Python 2 cannot open a DB read-only. On Python 3 SQLite itself refuses, so nothing is checked here.

    Source: docs/domain.md#locks-and-journal
    """
    if PY2 and journal_header(real) and not writer_is_active(real) and journal_header(real):
        raise Refused(
            "HotJournal", "%s is half-written: its writer was interrupted, and its journal is still there" % real
        )


def writer_is_active(real):
    # type: (str) -> bool
    """Return whether a live writer holds SQLite's lock on the DB at the real path. Runs a child process.

    Source: docs/domain.md#locks-and-journal
    """
    return programs.run_python(_CHECK_WRITER_LOCK, real)[0] == 3
