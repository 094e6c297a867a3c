"""Files of their owner alone: state, history, audit log.

Whatever the umask, files have mode 0600 and new folders 0700. What another user made, or a link, is refused: it may be
a trap in a place that several users share.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from reconciler.model.errors import UsageError

_BEGINNING: Final = 64  # bytes by which a file is recognised


def new_folders(path: Path) -> None:
    """Make those of a folder and its parents that are not there. Raises OSError."""
    for each in (*reversed(path.parents), path):
        with suppress(FileExistsError):
            each.mkdir(mode=0o700)


def make_folder(path: Path) -> None:
    """Make a folder of ours, and those above it. One of ours that is there loses the rights of others.

    Raises UsageError if it is not ours, or OSError.
    """
    new_folders(path)
    status = path.lstat()
    _check_owner(path, status)
    if stat.S_ISLNK(status.st_mode):
        _check_owner(path, path.stat())
    elif status.st_mode & 0o077:
        path.chmod(0o700)


def open_file(path: Path, flags: int) -> int:
    """Open, or with O_CREAT make, a file of ours and return its descriptor. Raises UsageError if it is not ours, or
    OSError."""
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if path.is_symlink():
            raise UsageError(
                f"{path} is a symbolic link, so it is not used; give the path of the file itself"
            ) from error
        raise
    try:
        status = os.fstat(handle)
        _check_owner(path, status)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise UsageError(f"{path} is not a plain file with one name, so it is not used; give another")
        if status.st_mode & 0o077:
            os.fchmod(handle, 0o600)
    except BaseException:
        os.close(handle)
        raise
    return handle


def read(path: Path) -> bytes | None:
    """Return the content of a file of ours; None: there is none. Raises UsageError if it is not ours, or OSError."""
    try:
        handle = open_file(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as stream:
        return stream.read()


def write(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all. Raises UsageError if its folder is not ours, or OSError."""
    make_folder(path.parent)
    write_whole(path, [content])


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file into any folder, whole or not at all. Raises OSError that names it."""
    with naming(path):
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.writelines(parts)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name `path` in every OSError: that of a write names no file, and others a temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def check_target(name: str, what: str, is_one: Callable[[bytes], object]) -> None:
    """Raise UsageError unless a file may be written to `name`: nothing is there, or an older one, by its beginning.

    `what`: what such a file is called.
    """
    path = Path(name)
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise UsageError(f"{name}: it is there already and is not a plain file; give another name")
        with path.open("rb") as stream:
            beginning = stream.read(_BEGINNING)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise UsageError(f"{name}: there is no folder {path.parent}") from None
        return
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from error
    if not is_one(beginning):
        raise UsageError(f"{name}: it is there already and is not a {what} of vdvs; remove it, or give another name")


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the lock of a file of ours, which is made if there is none. Yields its descriptor.

    Raises UsageError if it is not ours, or OSError.
    """
    handle = open_file(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)  # which ends the lock


def _check_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise UsageError(
            f"{path} belongs to the user with uid {status.st_uid}, and vdvs runs as {os.geteuid()}, so it is not used;"
            " give another place (XDG_STATE_HOME, --history, --audit-log)"
        )
