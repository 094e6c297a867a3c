"""Steps with files that must not end half-done, and stamps by which a change of a file is noticed."""

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
    """What an error of the operating system means in the protocol; `doing` says what was tried."""
    reason = "ReadError"
    if error.errno in FULL:
        reason = "DiskFull"
    elif error.errno in READ_ONLY:
        reason = "ReadOnly"
    return Refused(reason, "%s: %s" % (doing, error.strerror or error))


def temporary(real):
    # type: (str) -> str
    """A new name beside `real` for a file that will be renamed: `<real>.new-<random>`."""
    return "%s.new-%016x" % (real, int(binascii.hexlify(os.urandom(8)), 16))


def is_temporary(name):
    # type: (str) -> bool
    """Whether a file of this name is one of those of `temporary`."""
    return _TEMPORARY.search(name) is not None


def make_folders(real):
    # type: (str) -> None
    """Make the folder `real` and those above it, if missing."""
    try:
        os.makedirs(real)
    except OSError as error:
        if error.errno != errno.EEXIST or not os.path.isdir(real):
            raise


def sync_folder(real):
    # type: (str) -> None
    """Make the names in a folder durable, where the file system can."""
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
    """Make the link `real` point to `target`, in one step: never is there a moment without it."""
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
    """Rename the file `finished` to `real`, if nothing is there, or (`over_empty`) if an empty file is there.
    False: somebody else's file is there, or is just being put there.

    A file system of ESXi has no hard links, so the name is first claimed with an empty file of our own. Whoever may
    rename over an empty file is the one that holds the lock on it, and SQLite looks at the same lock.
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
    """Take the bytes that SQLite locks; True as well where the file system knows no such locks."""
    start, length = SQLITE_LOCK_BYTES
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
    except EnvironmentError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True


def _still_empty(handle, real):
    # type: (int, str) -> bool
    """Whether the name still leads to the open file, and that still has no byte."""
    mine = os.fstat(handle)
    try:
        there = os.lstat(real)
    except OSError:
        return False
    return mine.st_size == 0 and (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def leftovers(real, older_than=None):
    # type: (str, Optional[int]) -> List[str]
    """The names of what writers of `real` have beside it, or left there when they were interrupted, as `temporary`
    gave them; only those `older_than` seconds old."""
    folder, wanted = os.path.split(real)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    found = [name for name in names if _TEMPORARY.search(name) and _TEMPORARY.sub("", name) == wanted]
    return [name for name in found if older_than is None or _age(os.path.join(folder, name)) > older_than]


def remove_leftovers(real, older_than=3600):
    # type: (str, Optional[int]) -> None
    """Remove the `leftovers` of `real`; without an age, if a lock is held that lets nobody else make any."""
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
    """What a change changes. A file that was changed a moment ago on a file system that counts whole seconds may be
    changed again within the same one; so it counts as another when the moment is over."""
    try:
        found = look(real)
    except OSError as error:
        return error.errno
    changed = found.st_mtime
    unsettled = changed == int(changed) and abs(time.time() - changed) < COARSE
    return (unsettled, found.st_ino, found.st_mode, found.st_size, changed, found.st_ctime)


def stat_through_open(real):
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
