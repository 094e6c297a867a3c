"""What `stat` says of a file, in a form of which one can tell later whether the file was changed since."""

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable  # novm

COARSE = 2.0  # seconds in which a time stamp without a fraction may hide a second change


def of(real, look=os.stat):
    # type: (str, Callable[[str], os.stat_result]) -> Any
    """What a change changes. A file that was changed a moment ago on a file system that counts whole seconds may be
    changed again within the same one; so it counts as another when the moment is over."""
    try:
        found = look(real)
    except OSError as error:
        return error.errno
    stamp = found.st_mtime
    unsettled = stamp == int(stamp) and abs(time.time() - stamp) < COARSE
    return (unsettled, found.st_ino, found.st_mode, found.st_size, stamp, found.st_ctime)


def through_open(real):
    # type: (str) -> os.stat_result
    """For `look`: what the file server says now. On NFS a bare `stat` may be answered from what was heard a minute ago.
    Not while this process has the file open through SQLite: closing it here would drop SQLite's locks."""
    descriptor = os.open(real, os.O_RDONLY)
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def is_settled(stamp):
    # type: (Any) -> bool
    """Whether there is a file, and every change of it would give it another stamp: it was not changed just now. (Where
    fractions are counted, they still come from a clock that ticks every few milliseconds.)"""
    return isinstance(stamp, tuple) and abs(time.time() - stamp[4]) >= COARSE
