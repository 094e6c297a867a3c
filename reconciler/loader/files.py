"""From paths on the command line to texts. Pipes and devices are never waited for, and sizes are bounded."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from typing import IO, Final

from msgspec import Struct

from reconciler.loader.wording import escape

LARGEST: Final = 32 * 1024 * 1024
STDIN: Final = "<stdin>"
_SUFFIXES: Final = (".yaml", ".yml")
_BOMS: Final = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


class UnreadableError(Exception):
    """A file that cannot be read as text. `str()` is the reason, `line` and `column` where it was noticed."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class Found(Struct, frozen=True):
    """A file to read (`path` None: standard input), or the `error`. `shown`: its name in messages."""

    shown: str
    path: str | None
    error: str | None = None

    @property
    def identity(self) -> str:
        """Equal for two names of one file."""
        if self.path is None:
            return STDIN
        return self.path if "\0" in self.path else os.path.realpath(self.path)


def find(paths: Sequence[str]) -> Iterator[Found]:
    """Yield the files that `paths` name, for folders everything below them, each file once."""
    seen: set[str] = set()
    for path in paths:
        for found in _below(path):
            if found.identity not in seen:
                seen.add(found.identity)
                yield found


def _below(path: str) -> Iterator[Found]:
    if path == "-":
        yield Found(STDIN, None)
    elif os.path.isdir(path):
        yield from _walk(path)
    else:
        yield Found(escape(path), path)


def _walk(top: str) -> Iterator[Found]:
    """Yield the manifests below `top`, sorted, without hidden ones. Links to folders are followed, each folder once."""
    seen: set[str] = set()
    pending = [top]
    while pending:
        folder = pending.pop()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                visible = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
                folders = [e.path for e in visible if e.is_dir()]
        except OSError as error:
            yield Found(escape(folder), folder, f"cannot read this folder: {reason(error)}")
            continue
        for entry in visible:
            is_manifest = entry.name.endswith(_SUFFIXES)
            if entry.path in folders and is_manifest:
                yield Found(escape(entry.path), entry.path, "is a folder, not a file; rename it")
            elif is_manifest:
                yield Found(escape(entry.path), entry.path)
        pending.extend(path for path in reversed(folders) if not path.endswith(_SUFFIXES))


def read(found: Found, stdin: IO[bytes] | None) -> str:
    """Return the text of a file. Raises UnreadableError."""
    if found.error is not None:
        raise UnreadableError(found.error)
    try:
        if found.path is not None:
            return decode(read_bytes(found.path))
        if stdin is None:
            raise UnreadableError("there is no standard input here")
        return decode(_bounded(stdin))
    except OSError as error:
        raise UnreadableError(f"cannot read: {reason(error)}") from error


def read_bytes(path: str, largest: int = LARGEST) -> bytes:
    """Return the content of a regular file. Pipes and devices are not read.

    Raises UnreadableError and OSError.
    """
    if "\0" in path:
        raise UnreadableError("a file name cannot contain a NUL character")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableError("is a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError("is not a regular file; pipes and devices are not read")
        if status.st_size > largest:
            raise UnreadableError(_too_large(largest))
        return _bounded(file, largest)


def _bounded(file: IO[bytes], largest: int = LARGEST) -> bytes:
    content = file.read(largest + 1)
    if len(content) > largest:
        raise UnreadableError(_too_large(largest))
    return content


def _too_large(largest: int) -> str:
    return f"is larger than {largest // 1024**2} MiB; split it"


def decode(content: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark. Raises UnreadableError."""
    if content[:2] in _BOMS:
        raise UnreadableError(f"is {_BOMS[content[:2]]} text; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8-sig", "replace")) + 1
        wrong = content[error.start]
        raise UnreadableError(
            f"byte 0x{wrong:02x} is not UTF-8; is this a text file, saved as UTF-8?", line, column
        ) from error
    return text


def reason(error: OSError) -> str:
    """Describe an OSError in words, without the path."""
    known = {errno.ENOENT: "there is no such file or folder", errno.ELOOP: "its links go round in a circle"}
    return known.get(error.errno or 0) or (error.strerror or str(error)).lower()
