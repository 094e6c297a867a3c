"""Backups of a config DB, copied by a child process while the parent holds SQLite's write lock.

The child is needed because closing any descriptor of the DB drops every POSIX lock of its process.
"""

import os

from .. import files, programs
from ..paths import mode_of
from ..wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .database import DBFile

# Copies argv[1] to the new file argv[2], makes it durable, reads it back and compares.
_COPY = """
import errno, hashlib, os, sys
def chunks(stream):
    return iter(lambda: stream.read(1048576), b"")
def digest(name):
    total = hashlib.sha256()
    with open(name, "rb") as stream:
        for chunk in chunks(stream):
            total.update(chunk)
    return total.digest()
try:
    handle = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    total = hashlib.sha256()
    with os.fdopen(handle, "wb") as target, open(sys.argv[1], "rb") as source:
        for chunk in chunks(source):
            total.update(chunk)
            target.write(chunk)
        target.flush()
        os.fchmod(target.fileno(), os.fstat(source.fileno()).st_mode & 0o7777)
        os.fsync(target.fileno())
    if total.digest() != digest(sys.argv[2]):
        sys.exit("the copy that was read back differs from what was written")
except EnvironmentError as error:
    sys.stderr.write("%s" % error.strerror)
    sys.exit(100 if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else 101)
"""


def make(db, time):
    # type: (DBFile, str) -> str
    """Copy the DB beside itself as `<name>.bak-<time>` (or `-2` and so on if that is taken) and return the new name.

    Raises Refused `DiskFull`, `ReadOnly` or `ReadError`; then no copy is left.

    Source: docs/domain.md#locks-and-journal
    """
    files.remove_leftovers(db.copies, older_than=None)  # made only under the lock that we hold
    files.remove_leftovers(db.real)
    copy = files.temporary(db.copies)
    try:
        copy_file(db.real, copy)
        name = _free_name(db, time)
        os.rename(copy, os.path.join(db.folder, name))
        files.sync_folder(db.folder)
        return name
    except EnvironmentError as error:
        raise files.refusal(error, "the DB cannot be copied")
    finally:
        files.remove(copy)


def _free_name(db, time):
    # type: (DBFile, str) -> str
    """Return an unused backup name. It need not be claimed: the caller holds the lock on the DB."""
    number = 1
    while True:
        name = "%s.bak-%s%s" % (db.name, time, "" if number == 1 else "-%d" % number)
        if mode_of(os.path.join(db.folder, name)) is None:
            return name
        number += 1


def copy_file(source, target):
    # type: (str, str) -> None
    """Copy a DB to a new file in a child process, while the caller holds the lock on it.

    Raises Refused `DiskFull`, `ReadOnly` or `ReadError`.

    Source: docs/domain.md#locks-and-journal
    """
    code, complaint = programs.run_python(_COPY, source, target)
    if code:
        full = code == 100
        message = "the DB cannot be copied: %s" % (complaint or "the copying process was killed")
        writable = os.access(os.path.dirname(target), os.W_OK)
        raise Refused("DiskFull" if full else "ReadError" if writable else "ReadOnly", message)


def keep_newest(db, count):
    # type: (DBFile, int) -> None
    """Delete our oldest backups until `count` are left. Files with other names are never touched."""
    names = db.backups()
    for name in names[: max(len(names) - count, 0)]:
        files.remove(os.path.join(db.folder, name))
