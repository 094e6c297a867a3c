"""Folders that are held open, so that what is done in one is done there, whatever becomes of its name meanwhile.

Whoever can write a datastore can exchange a folder or a file there for a link at any moment. So nothing on a datastore
is made, written, renamed or removed by a path: `Root.hold` opens one folder after the other, and a `Folder` enters
itself (fchdir) and acts by plain names, for which no link is followed. That works on every Python, while Python 2 has
no `dir_fd`; the agent has one thread. A file is opened without waiting, as one would for a FIFO, and read only if it
is a regular one.
"""

import errno
import os
import stat

from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional  # novm

MOST_NAMES = 100000  # in a folder that is listed
_MOST_DESCRIPTORS = 4096  # that an agent has open
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | NO_FOLLOW
_CAREFUL = NO_FOLLOW | os.O_NONBLOCK | getattr(os, "O_NOCTTY", 0)
NO_FOLDER = (errno.ENOTDIR, errno.ELOOP)  # what is there is a link, or no folder


class Folder(object):
    """A folder held open by its descriptor, which is closed with the last reference.

    `shown`: its path, for messages only. Every method but `shown` raises OSError.
    """

    def __init__(self, descriptor, shown):
        # type: (int, str) -> None
        self._descriptor = descriptor
        self.shown = shown

    def __del__(self):
        # type: () -> None
        os.close(self._descriptor)

    @classmethod
    def at(cls, real):
        # type: (str) -> Folder
        """Hold the folder at a real path that only this machine's administrator can change."""
        return cls(os.open(real, _FOLDER), real)

    def enter(self):
        # type: () -> None
        """Make it the current folder: for what can act by plain names only, as SQLite and child processes do."""
        os.fchdir(self._descriptor)

    def folder(self, name):
        # type: (str) -> Optional[Folder]
        """Hold the folder of this name; None if nothing is there. One of NO_FOLDER is raised for anything else."""
        try:
            return Folder(self.open(name, _FOLDER), os.path.join(self.shown, name))
        except EnvironmentError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    def make_folder(self, name):
        # type: (str) -> Folder
        """Hold the folder of this name, made if it is missing. Raises Refused `NotAFolder`."""
        self.enter()
        try:
            os.mkdir(name, 0o755)
        except EnvironmentError as error:
            if error.errno != errno.EEXIST:
                raise
        try:
            made = self.folder(name)
        except EnvironmentError as error:
            if error.errno not in NO_FOLDER:
                raise
            raise Refused("NotAFolder", "%s in %s is a link or a file, not a folder" % (name, self.shown))
        if made is None:
            raise OSError(errno.ENOENT, "%s was removed a moment ago" % name)
        return made

    def make_new_folder(self, name):
        # type: (str) -> Folder
        """Make a folder that only its owner can enter, and hold it. Nothing may be there yet."""
        self.enter()
        os.mkdir(name, 0o700)
        made = self.folder(name)
        if made is None:
            raise OSError(errno.ENOENT, "%s was removed a moment ago" % name)
        return made

    def remove_folder(self, name):
        # type: (str) -> None
        self.enter()
        os.rmdir(name)

    def open(self, name, flags, mode=0o600):
        # type: (str, int, int) -> int
        """Open a file and return its descriptor. No link is followed."""
        self.enter()
        return os.open(name, flags | _CAREFUL, mode)

    def look(self, name):
        # type: (str) -> Optional[os.stat_result]
        """Stat what has this name, a link itself; None only if nothing has it."""
        self.enter()
        try:
            return os.lstat(name)
        except EnvironmentError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    def is_folder(self, name):
        # type: (str) -> bool
        found = self.look(name)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def size(self, name):
        # type: (str) -> Optional[int]
        """Return the size of a regular file in bytes; None if nothing is there. Raises Refused for anything else."""
        found = self.look(name)
        if found is not None and not stat.S_ISREG(found.st_mode):
            raise Refused("ReadError", "%s/%s is not a file but a %s" % (self.shown, name, kind(found.st_mode)))
        return None if found is None else found.st_size

    def target(self, name):
        # type: (str) -> Optional[str]
        """Return the text of the link of this name; None if there is no link."""
        self.enter()
        try:
            return os.readlink(name)
        except EnvironmentError:
            return None

    def names(self):
        # type: () -> List[str]
        """Return the names in it. Raises Refused `ReadError` if there are more than MOST_NAMES."""
        self.enter()
        found = []  # type: List[str]
        for name in _each_name():
            found.append(name)
            if len(found) > MOST_NAMES:
                raise Refused("ReadError", "%s holds more than %d files" % (self.shown, MOST_NAMES))
        return found

    def read(self, name, limit):
        # type: (str, int) -> bytes
        """Return the content of a regular file, up to `limit` + 1 bytes. Raises Refused `NotAFile` for anything else.

        Not to be used on a DB that this process has open through SQLite: closing it would drop SQLite's locks.
        """
        handle = self.open(name, os.O_RDONLY)
        try:
            mode = os.fstat(handle).st_mode
            if not stat.S_ISREG(mode):
                raise Refused("NotAFile", "%s is a %s, not a file" % (name, kind(mode)))
            with os.fdopen(os.dup(handle), "rb") as stream:
                return stream.read(limit + 1)
        finally:
            os.close(handle)

    def write_new(self, name, content, mode=0o644, like=None):
        # type: (str, bytes, int, Optional[os.stat_result]) -> None
        """Write a new, durable file. `like`: give it the permissions and the owner of another."""
        with os.fdopen(self.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
            stream.write(content)
            stream.flush()
            if like is not None:
                mine = os.fstat(stream.fileno())
                if (mine.st_uid, mine.st_gid) != (like.st_uid, like.st_gid):
                    os.fchown(stream.fileno(), like.st_uid, like.st_gid)
                os.fchmod(stream.fileno(), stat.S_IMODE(like.st_mode))
            os.fsync(stream.fileno())

    def link(self, name, target):
        # type: (str, str) -> None
        """Make a symbolic link of this name."""
        self.enter()
        os.symlink(target, name)

    def rename(self, name, to):
        # type: (str, str) -> None
        """Rename a file in this folder. What has the new name is replaced; a link there is replaced itself."""
        self.enter()
        os.rename(name, to)

    def remove(self, name):
        # type: (str) -> None
        self.enter()
        os.unlink(name)

    def discard(self, name):
        # type: (str) -> None
        """Remove a file if it is there and can be removed."""
        try:
            self.remove(name)
        except EnvironmentError:
            pass

    def has_opened(self, name):
        # type: (str) -> bool
        """Return whether this process has the file of this name open: what was opened by a path is this, or another."""
        wanted = self.look(name)
        if wanted is None:
            return False
        # Numbers are reused: one that was free before may be in use now, and a lower one free again.
        for descriptor in range(_MOST_DESCRIPTORS):
            try:
                found = os.fstat(descriptor)
            except EnvironmentError:
                continue
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
        return False

    def sync(self):
        # type: () -> None
        """Make the names in it durable, where the file system supports that."""
        try:
            os.fsync(self._descriptor)
        except EnvironmentError:
            pass

    def has_space(self, needed):
        # type: (int) -> bool
        """Return whether this many bytes are free in its file system; True where that is unknown."""
        try:
            found = os.fstatvfs(self._descriptor)
        except EnvironmentError:
            return True
        return found.f_bavail * found.f_frsize >= needed

    def is_writable(self, name=os.curdir):
        # type: (str) -> bool
        self.enter()
        return os.access(name, os.W_OK)


def kind(mode):
    # type: (int) -> str
    """Return what this is, in a word."""
    if stat.S_ISLNK(mode):
        return "link"
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "device"


def _each_name():
    # type: () -> Any
    """Yield the names in the current folder. Python 2 reads them all first."""
    if not hasattr(os, "scandir"):
        for name in os.listdir(os.curdir):
            yield name
        return
    entries = os.scandir(os.curdir)  # novm
    try:
        for entry in entries:
            yield entry.name
    finally:
        if hasattr(entries, "close"):  # since 3.6
            entries.close()
