"""The rollback journal beside a DB: whether a writer is at work, or was interrupted.

A journal is *hot* when its first byte is not zero and no writer holds SQLite's lock. Opening the DB for writing rolls
a hot journal back; reading must not.
"""

import errno

from .. import programs
from ..compat import PY2
from ..wire import Refused
from .sqlite import of_system

RESERVED_BYTE = 0x40000001  # where SQLite's writers lock, in the DB file

_IS_SOMEBODY_WRITING = (
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


def journal_bytes(real):
    # type: (str) -> bytes
    """The first byte of the journal of the DB at the real path; empty if there is no journal, or if it is one that was
    finished (cut to nothing, or its header zeroed). Raises Refused when it cannot be read: on VMFS the journal of a
    writer on another host cannot even be opened."""
    try:
        with open(real + "-journal", "rb") as stream:
            first = stream.read(1)
    except EnvironmentError as error:
        if error.errno == errno.ENOENT:
            return b""
        refused = of_system(error)
        raise Refused(refused.reason, "the journal %s-journal cannot be read: %s" % (real, refused.message))
    return b"" if first == b"\0" else first


def look_before_reading(real):
    # type: (str) -> None
    """On Python 2, which cannot open read-only: raises Refused `HotJournal` if reading would roll back a journal.
    On Python 3 SQLite itself refuses, so nothing is looked at."""
    if PY2 and journal_bytes(real) and not somebody_is_writing(real) and journal_bytes(real):
        raise Refused("HotJournal", "an interrupted writer left %s half-written (its journal is there)" % real)


def somebody_is_writing(real):
    # type: (str) -> bool
    """Whether a live writer holds SQLite's lock on the DB at the real path. Asked in a child process."""
    return programs.run_python(_IS_SOMEBODY_WRITING, real)[0] == 3
