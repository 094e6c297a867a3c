"""File operations that must not end half-done, and stamps that reveal changes of a file."""

import binascii
import errno
import fcntl
import os
import re
import time

from .folders import NO_FOLLOW
from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, Optional  # novm

    from .folders import Folder

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BUSY = (errno.EBUSY, errno.EAGAIN)  # on VMFS: another host has it open
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
SQLITE_LOCK_BYTES = (0x40000000, 512)
COARSE = 2.0  # seconds in which a time stamp without a fraction may hide a second change
_TEMPORARY = re.compile(r"\.new-[0-9a-f]{16}(-journal)?$")


def refusal(error, doing):
    # type: (EnvironmentError, str) -> Refused
    """Convert an OS error to a Refused; `doing` says what was attempted."""
    reason = "ReadError"
    if error.errno in FULL:
        reason = "DiskFull"
    elif error.errno in READ_ONLY:
        reason = "ReadOnly"
    return Refused(reason, "%s: %s" % (doing, error.strerror or error))


def temporary(name):
    # type: (str) -> str
    """Return a new name for a file that will be renamed to `name`: `<name>.new-<random>`."""
    return "%s.new-%016x" % (name, int(binascii.hexlify(os.urandom(8)), 16))


def is_temporary(name):
    # type: (str) -> bool
    """Return whether a file name was made by `temporary`."""
    return _TEMPORARY.search(name) is not None


def replace(folder, name, content, mode=0o644, like=None, last_look=None):
    # type: (Folder, str, bytes, int, Optional[os.stat_result], Optional[Callable[[], None]]) -> None
    """Write a file beside its name and rename it in one step. `like`: see `Folder.write_new`.

    `last_look` is called just before the rename, and may raise.
    """
    beside = temporary(name)
    try:
        folder.write_new(beside, content, mode, like)
        if last_look is not None:
            last_look()
        folder.rename(beside, name)
    finally:
        folder.discard(beside)
    folder.sync()
    remove_leftovers(folder, name)


def replace_link(folder, name, target):
    # type: (Folder, str, str) -> None
    """Point the link `name` to `target` in one step, so that there is no moment without it."""
    beside = temporary(name)
    try:
        folder.link(beside, target)
        folder.rename(beside, name)
    except EnvironmentError:
        folder.discard(beside)
        raise
    remove_leftovers(folder, name)
    folder.sync()


def publish(folder, finished, name, over_empty=False):
    # type: (Folder, str, str, bool) -> bool
    """Rename the file `finished` to `name` if nothing is there, or (`over_empty`) if an empty file is there.

    Returns False if another file is there, or is being put there.
    ESXi's file systems have no hard links, so the name is first claimed with an empty file of our own. Only the holder
    of the lock on an empty file may rename over it, and SQLite uses the same lock.
    """
    flags = os.O_RDWR if over_empty else os.O_RDWR | os.O_CREAT | os.O_EXCL
    try:
        claim = folder.open(name, flags)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOENT):
            return False
        raise
    try:
        if not (_still_empty(claim, folder, name) and _lock(claim) and _still_empty(claim, folder, name)):
            return False
        try:
            folder.rename(finished, name)
        except OSError:
            if not over_empty and _still_empty(claim, folder, name):
                folder.discard(name)
            raise
    finally:
        os.close(claim)
    folder.sync()
    return True


def _lock(handle):
    # type: (int) -> bool
    """Lock the bytes that SQLite locks. Returns True also where the file system has no such locks."""
    start, length = SQLITE_LOCK_BYTES
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
    except EnvironmentError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True


def _still_empty(handle, folder, name):
    # type: (int, Folder, str) -> bool
    """Return whether the name still leads to the open file, and that file is still empty."""
    mine, there = os.fstat(handle), folder.look(name)
    return there is not None and mine.st_size == 0 and (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def leftovers(folder, name, older_than=None):
    # type: (Folder, str, Optional[int]) -> List[str]
    """Return the names of unfinished files of writers of `name`, as `temporary` made them.

    `older_than`: only those of at least this age in seconds.
    """
    try:
        names = sorted(folder.names())
        found = [each for each in names if _TEMPORARY.search(each) and _TEMPORARY.sub("", each) == name]
        return [each for each in found if older_than is None or _age(folder, each) > older_than]
    except (EnvironmentError, Refused):
        return []


def remove_leftovers(folder, name, older_than=3600):
    # type: (Folder, str, Optional[int]) -> None
    """Remove the `leftovers` of `name`. Pass no age only while holding a lock that keeps others from making any."""
    for each in leftovers(folder, name, older_than):
        folder.discard(each)


def _age(folder, name):
    # type: (Folder, str) -> float
    found = folder.look(name)
    return 0.0 if found is None else time.time() - found.st_mtime


def stamp(real, look=os.stat):
    # type: (str, Callable[[str], os.stat_result]) -> Any
    """Return a value that differs after every change of the file; an error number if it cannot be examined.

    A file changed a moment ago on a file system that counts whole seconds may change again within the same second; its
    stamp differs once that moment is over.
    """
    try:
        found = look(real)
    except OSError as error:
        return error.errno
    changed = found.st_mtime
    unsettled = changed == int(changed) and abs(time.time() - changed) < COARSE
    return (unsettled, found.st_ino, found.st_mode, found.st_size, changed, found.st_ctime)


def stat_through_open(real):
    # type: (str) -> os.stat_result
    """Stat a file through an open descriptor, which asks the file server. Pass it to `stamp` as `look`.

    On NFS a plain `stat` may be answered from a cache that is a minute old. Not to be used while this process has the
    file open through SQLite: closing the descriptor would drop SQLite's locks.
    """
    descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | NO_FOLLOW)
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def is_settled(stamp):
    # type: (Any) -> bool
    """Return whether the stamp is of a file, and old enough that every change would alter it.

    Fractions of a second do not help: they come from a clock that ticks every few milliseconds.
    """
    return isinstance(stamp, tuple) and abs(time.time() - stamp[4]) >= COARSE
