"""A folder of the agent's own on the host, where nobody who writes datastores can reach: for what has to be opened by
name (SQLite, esxcli) and must not change between a check and its use."""

import binascii
import os
import stat
import time

from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Tuple  # novm

    from .folders import Folder
    from .paths import Root

PLACE = "/tmp"  # noqa: S108 - a RAM disk of the host; the folder in it is new, and ours alone
_PREFIX = "vdvs-agent-"
_ABANDONED = 3600  # seconds


class Scratch(object):
    """The folder: held in `folder`, at the host path `path`. Removed at the end of its `with`."""

    def __init__(self, root):
        # type: (Root) -> None
        self._above = root.made(PLACE)
        self._name = _PREFIX + binascii.hexlify(os.urandom(8)).decode("ascii")
        self.path = "%s/%s" % (PLACE, self._name)

    def __enter__(self):
        # type: () -> Scratch
        for name in self._above.names():
            if name.startswith(_PREFIX) and self._is_abandoned(name):
                self._remove(name)
        self.folder = self._above.make_new_folder(self._name)
        return self

    def __exit__(self, *_):
        # type: (Any) -> None
        self._remove(self._name)

    def _is_abandoned(self, name):
        # type: (str) -> bool
        found = self._above.look(name)
        return found is not None and found.st_uid == os.getuid() and time.time() - found.st_mtime > _ABANDONED

    def _remove(self, name):
        # type: (str) -> None
        try:
            folder = self._above.folder(name)
            for each in folder.names() if folder is not None else ():
                folder.discard(each)  # type: ignore[union-attr]
            self._above.remove_folder(name)
        except EnvironmentError:
            pass


def copy(source, name, target, to, most, mode=0o600):
    # type: (Folder, str, Folder, str, int, int) -> Tuple[int, str]
    """Copy a regular file of at most `most` bytes to a new, durable one; return its size and its SHA-256 in hex.

    Not to be used on a DB that this process has open. Raises Refused `NotAFile`, `TooLarge`, `DiskFull`, or OSError.
    """
    import hashlib  # see `rows.fingerprint`

    handle = source.open(name, os.O_RDONLY)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise Refused("NotAFile", "%s is not a file" % name)
        if found.st_size > most:
            raise Refused("TooLarge", "%s has %d bytes, more than %d" % (name, found.st_size, most))
        if not target.has_space(found.st_size):
            raise Refused(
                "DiskFull", "no space is left in %s for the %d bytes of %s" % (target.shown, found.st_size, name)
            )
        size, digest = 0, hashlib.sha256()
        with os.fdopen(target.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
            for chunk in iter(lambda: os.read(handle, 1048576), b""):
                size += len(chunk)
                if size > most:
                    raise Refused("TooLarge", "%s grew beyond %d bytes" % (name, most))
                digest.update(chunk)
                stream.write(chunk)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        return size, digest.hexdigest()
    finally:
        os.close(handle)
