"""Locks of VMFS: a file on a datastore is open on one host at a time.

VMFS locks a file for the host that opens it; another host cannot even open it then: EBUSY, which SQLite reports as
"unable to open database file". This module runs inside the agent's process on a host of a lab with such datastores
(standard library only), between the agent and the operating system, so that the agent needs no switch for it. Tests use
it to act as another program of a host. Programs that the agent starts belong to the same host and run while it has the
file open, so they are not restricted.
Source: docs/domain.md#locks-and-journal
"""

import builtins
import errno
import fcntl
import os
import sqlite3
import stat
import urllib.parse
from pathlib import Path
from typing import Any

_os_open = os.open
_builtin_open = builtins.open


class Host:
    """The programs of one host of the lab. `datastores`: the folder of the datastores.

    `locks`: a folder in which the hosts record the owner of each file: a guard for all records, and a record for each
    file, named by its inode. Every open file is held by a shared flock, which ends with the program, however that ends.

    Source: docs/domain.md#locks-and-journal
    """

    def __init__(self, name: str, datastores: str, locks: str) -> None:
        self._name = name
        self._datastores = os.path.realpath(datastores) + os.sep
        self._locks = Path(locks)

    def open_file(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """Replacement of `os.open`. Raises OSError EBUSY when another host has the file open.

        Source: docs/domain.md#locks-and-journal
        """
        handle = _os_open(path, flags, mode, dir_fd=dir_fd)
        try:
            self._lock(handle, os.fspath(path))
        except BaseException:
            os.close(handle)
            raise
        return handle

    def open(self, file: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
        """Replacement of the built-in `open`; raises as `open_file` does."""
        if not isinstance(file, int):
            options["opener"] = lambda path, flags: self.open_file(path, flags, 0o666)
        return _builtin_open(file, mode, *more, **options)

    def connect(self, database: str, **options: Any) -> sqlite3.Connection:
        """Replacement of `sqlite3.connect`.

        Raises sqlite3.OperationalError as SQLite does when it cannot open the file.

        Source: docs/domain.md#locks-and-journal
        """
        path = database
        if options.get("uri"):
            path = urllib.parse.unquote(database.partition(":")[2].partition("?")[0])
        try:
            handle = self.open_file(path, os.O_RDONLY)
        except FileNotFoundError:  # it is being created, under a name that nobody else knows
            return sqlite3.Connection(database, **options)
        except OSError:
            raise sqlite3.OperationalError("unable to open database file") from None
        try:
            connection = _Connection(database, **options)
        except BaseException:
            os.close(handle)
            raise
        connection.handle = handle
        return connection

    def _lock(self, handle: int, path: str) -> None:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or not os.path.realpath(path).startswith(self._datastores):
            return
        guard = _os_open(self._locks / "guard", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(guard, fcntl.LOCK_EX)
            if path.endswith("-journal"):  # SQLite itself opens it, and only while it has the DB open
                self._refuse_db_of_other_host(path.removesuffix("-journal"))
            note = self._locks / str(found.st_ino)
            if not self._is_own(note) and _is_held(handle):
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
            written = _os_open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with _builtin_open(written, "w") as stream:
                stream.write(self._name)
            fcntl.flock(handle, fcntl.LOCK_SH)
        finally:
            os.close(guard)

    def _refuse_db_of_other_host(self, path: str) -> None:
        try:
            note = self._locks / str(Path(path).stat().st_ino)
        except FileNotFoundError:
            return
        if self._is_own(note):  # closing a DB that this process has open would drop SQLite's locks
            return
        handle = _os_open(path, os.O_RDONLY)
        try:
            if _is_held(handle):
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
        finally:
            os.close(handle)

    def _is_own(self, note: Path) -> bool:
        try:
            with _builtin_open(note) as stream:
                return bool(stream.read() == self._name)
        except FileNotFoundError:
            return False


class _Connection(sqlite3.Connection):
    """A connection that holds its file open for the host until SQLite has closed it."""

    handle: int | None = None

    def close(self) -> None:
        super().close()
        handle, self.handle = self.handle, None
        if handle is not None:
            os.close(handle)


def _is_held(handle: int) -> bool:
    """Return whether another process has the file open. Takes the lock if not."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def impersonate(host: Host) -> None:
    """Make this process run as a program of that host from now on."""
    os.open = host.open_file
    builtins.open = host.open
    sqlite3.connect = host.connect  # type: ignore[assignment]
