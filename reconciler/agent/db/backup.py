"""A copy of the config DB before it is changed, made by a child process while the parent holds SQLite's write lock."""

import os

from .. import files, programs
from ..paths import mode_of
from ..wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .database import Place

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
        sys.exit("what was read back differs from what was written")
except EnvironmentError as error:
    sys.stderr.write("%s" % error.strerror)
    sys.exit(100 if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else 101)
"""


def make(place, time):
    # type: (Place, str) -> str
    """Copy the DB at `place` beside itself as `<name>.bak-<time>`, or `-2` and so on if that is taken; its name.
    Raises Refused `DiskFull`, `ReadOnly` or `ReadError`; then no copy is left."""
    files.remove_leftovers(place.copies, older_than=None)  # they are made under the lock that is ours now
    files.remove_leftovers(place.real)
    copy = files.temporary(place.copies)
    try:
        copy_file(place.real, copy)
        name = _free_name(place, time)
        os.rename(copy, os.path.join(place.folder, name))
        files.sync_folder(place.folder)
        return name
    except EnvironmentError as error:
        raise files.refusal(error, "the DB cannot be copied")
    finally:
        files.remove(copy)


def _free_name(place, time):
    # type: (Place, str) -> str
    """A name that is not taken. It need not be claimed: who makes a backup holds the lock on the DB."""
    number = 1
    while True:
        name = "%s.bak-%s%s" % (place.name, time, "" if number == 1 else "-%d" % number)
        if mode_of(os.path.join(place.folder, name)) is None:
            return name
        number += 1


def copy_file(source, target):
    # type: (str, str) -> None
    """Copy a DB to a new file, by a child process, while the caller holds the lock on it. Raises Refused."""
    code, complaint = programs.run_python(_COPY, source, target)
    if code:
        full = code == 100
        message = "the DB cannot be copied: %s" % (complaint or "the copying process was ended")
        writable = os.access(os.path.dirname(target), os.W_OK)
        raise Refused("DiskFull" if full else "ReadError" if writable else "ReadOnly", message)


def keep_newest(place, count):
    # type: (Place, int) -> None
    """Delete our oldest backups until `count` are left. Files with other names are never touched."""
    names = place.backups()
    for name in names[: max(len(names) - count, 0)]:
        files.remove(os.path.join(place.folder, name))
