"""A copy of the config DB before it is changed, made by a child process while the parent holds SQLite's write lock."""

import os
import subprocess
import sys

from . import files
from .text import readable
from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional  # noqa: F401 # novm

    from .database import Place  # noqa: F401

# Copies argv[1] to the new file argv[2], makes it durable, reads it back and compares. Closing a descriptor of the DB
# would drop every POSIX lock that its process holds on it, so this must not run in the process that has it open.
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
        os.fsync(target.fileno())
        mode = os.fstat(source.fileno())
    os.chmod(sys.argv[2], mode.st_mode & 0o7777)
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
    copy = files.temporary(place.real)
    try:
        _copy(place.real, copy)
        number = 1
        while True:
            name = "%s.bak-%s%s" % (place.name, time, "" if number == 1 else "-%d" % number)
            if files.publish(copy, os.path.join(place.folder, name)):
                return name
            number += 1
    except EnvironmentError as error:
        raise files.refusal(error, "the DB cannot be copied before the change")
    finally:
        files.remove(copy)


def _copy(source, target):
    # type: (str, str) -> None
    with open(os.devnull, "r+b") as nothing:
        process = subprocess.Popen(
            [sys.executable, "-E", "-S", "-c", _COPY, source, target],
            stdin=nothing,
            stdout=nothing,
            stderr=subprocess.PIPE,
            close_fds=True,
        )
        complaint = readable(process.communicate()[1]).strip()
    if process.returncode:
        full = process.returncode == 100
        message = "the DB cannot be copied before the change: %s" % (complaint or "the copying process was ended")
        writable = os.access(os.path.dirname(target), os.W_OK)
        raise Refused("DiskFull" if full else "ReadError" if writable else "ReadOnly", message)


def keep_newest(place, count):
    # type: (Place, int) -> None
    """Delete our oldest backups until `count` are left. Files with other names are never touched."""
    names = place.backups()
    for name in names[: max(len(names) - count, 0)]:
        files.remove(os.path.join(place.folder, name))
