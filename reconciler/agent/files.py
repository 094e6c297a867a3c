"""File operations that must not end half-done, and stamps that reveal changes of a file."""

import binascii
import errno
import fcntl
import os
import re
import time

from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, Optional  # novm

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


def temporary(real):
    # type: (str) -> str
    """Return a new name beside `real` for a file that will be renamed: `<real>.new-<random>`."""
    return "%s.new-%016x" % (real, int(binascii.hexlify(os.urandom(8)), 16))


def is_temporary(name):
    # type: (str) -> bool
    """Return whether a file name was made by `temporary`."""
    return _TEMPORARY.search(name) is not None


def make_folders(real):
    # type: (str) -> None
    """Make the folder `real` and its parents, if missing."""
    try:
        os.makedirs(real)
    except OSError as error:
        if error.errno != errno.EEXIST or not os.path.isdir(real):
            raise


def sync_folder(real):
    # type: (str) -> None
    """Make the names in a folder durable, where the file system supports that."""
    try:
        handle = os.open(real, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def sync_file(real):
    # type: (str) -> None
    """Make the content of a file durable."""
    handle = os.open(real, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(real):
    # type: (str) -> None
    """Remove a file if it is there and can be removed."""
    try:
        os.remove(real)
    except OSError:
        pass


def replace_link(real, target):
    # type: (str, str) -> None
    """Point the link `real` to `target` in one step, so that there is no moment without it."""
    beside = temporary(real)
    try:
        os.symlink(target, beside)
        os.rename(beside, real)
    except OSError:
        remove(beside)
        raise
    remove_leftovers(real)
    sync_folder(os.path.dirname(real))


def publish(finished, real, over_empty=False):
    # type: (str, str, bool) -> bool
    """Rename the file `finished` to `real` if nothing is there, or (`over_empty`) if an empty file is there.

    Returns False if another file is there, or is being put there.
    ESXi's file systems have no hard links, so the name is first claimed with an empty file of our own. Only the holder
    of the lock on an empty file may rename over it, and SQLite uses the same lock.
    """
    flags = os.O_RDWR if over_empty else os.O_RDWR | os.O_CREAT | os.O_EXCL
    try:
        claim = os.open(real, flags, 0o600)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOENT):
            return False
        raise
    try:
        if not (_still_empty(claim, real) and _lock(claim) and _still_empty(claim, real)):
            return False
        try:
            os.rename(finished, real)
        except OSError:
            if not over_empty and _still_empty(claim, real):
                remove(real)
            raise
    finally:
        os.close(claim)
    sync_folder(os.path.dirname(real))
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


def _still_empty(handle, real):
    # type: (int, str) -> bool
    """Return whether the name still leads to the open file, and that file is still empty."""
    mine = os.fstat(handle)
    try:
        there = os.lstat(real)
    except OSError:
        return False
    return mine.st_size == 0 and (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def leftovers(real, older_than=None):
    # type: (str, Optional[int]) -> List[str]
    """Return the names of unfinished files of writers of `real`, as `temporary` made them.

    `older_than`: only those of at least this age in seconds.
    """
    folder, wanted = os.path.split(real)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    found = [name for name in names if _TEMPORARY.search(name) and _TEMPORARY.sub("", name) == wanted]
    return [name for name in found if older_than is None or _age(os.path.join(folder, name)) > older_than]


def remove_leftovers(real, older_than=3600):
    # type: (str, Optional[int]) -> None
    """Remove the `leftovers` of `real`. Pass no age only while holding a lock that keeps others from making any."""
    for name in leftovers(real, older_than):
        remove(os.path.join(os.path.dirname(real), name))


def _age(real):
    # type: (str) -> float
    try:
        return time.time() - os.lstat(real).st_mtime
    except OSError:
        return 0.0


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
    descriptor = os.open(real, os.O_RDONLY)
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
