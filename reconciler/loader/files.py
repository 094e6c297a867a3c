"""From paths on the command line to texts.

What is below a folder may come from anybody, so it is data: links are followed only to targets inside that folder,
pipes and devices are never waited for, and a walk is bounded in entries, bytes and time. What cannot be read is an
error, never an absence.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import IO, Final

from msgspec import Struct

from reconciler.loader.wording import did_you_mean, escape

LARGEST: Final = 32 * 1024 * 1024
LARGEST_SET: Final = 64 * 1024 * 1024  # bytes of all files together
MOST_ENTRIES: Final = 200_000  # of the folders that are walked through
LONGEST_WALK: Final = 60.0  # seconds
MOST_LINKS: Final = 40  # on the way to one file
STDIN: Final = "<stdin>"
SUFFIXES: Final = (".yaml", ".yml")
_IRREGULAR: Final = "is not a regular file; pipes and devices are not read"
_FILE: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ELSEWHERE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[\w.-]+@[\w.-]+:")
_BOMS: Final = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


class UnreadableError(Exception):
    """A file that cannot be read as text. `str()` is the reason, `line` and `column` where it was noticed."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class Found(Struct, frozen=True):
    """A file to read (`path` None: standard input), or the `error`. `shown`: its name in messages.

    `top`: the real path of the folder that it must be in (None: it was named itself); `real`: its own below that.
    """

    shown: str
    path: str | None
    error: str | None = None
    top: str | None = None
    real: str = ""

    @property
    def within(self) -> str:
        """The real path of the folder that files named in this one must be in."""
        return self.top or os.path.realpath(os.path.dirname(self.path or "."))

    @property
    def identity(self) -> str:
        """Equal for two names of one file."""
        if self.path is None:
            return STDIN
        if self.top is not None:
            return os.path.join(self.top, self.real)
        return self.path if "\0" in self.path else os.path.realpath(self.path)


@dataclass(slots=True)
class Seen:
    """The files that were read, for comparison with a commit. All paths are absolute, without links but at their end.

    `blobs`: the names that git would give to the content of each file, as it is and with line feeds only; `links`:
    where each link that was followed leads; `folders`: those that were walked through; `more`: something else was read;
    `site`: the file of --site, which is none of the manifests.
    """

    blobs: dict[str, tuple[str, str]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    more: bool = False
    site: str | None = None
    size: int = 0

    def add(self, found: Found, content: bytes) -> None:
        """Note the content of a file. Raises UnreadableError if there is too much in all of them."""
        self.size += len(content)
        if self.size > LARGEST_SET:
            raise UnreadableError(f"together these files are larger than {LARGEST_SET // 1024**2} MiB")
        if found.path is None:
            self.more = True
        else:
            self.blobs[found.identity] = blob(content), blob(content.replace(b"\r\n", b"\n"))


def blob(content: bytes) -> str:
    """Return the name that git gives to a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def look(paths: Sequence[str]) -> Seen:
    """Read the files that `paths` name, without looking into them. What cannot be read is left out."""
    seen = Seen()
    for found in find(paths, seen):
        try:
            if found.path is not None and found.error is None:
                seen.add(found, _content(found))
        except (OSError, UnreadableError):
            continue
    return seen


def find(paths: Sequence[str], seen: Seen | None = None) -> Iterator[Found]:
    """Yield the files that `paths` name, for folders everything below them, each file once. Note in `seen` the folders
    and links on the way."""
    done: set[str] = set()
    for path in paths:
        for found in _below(path, seen or Seen()):
            if found.identity not in done:
                done.add(found.identity)
                yield found


def _below(path: str, seen: Seen) -> Iterator[Found]:
    if path == "-":
        yield Found(STDIN, None)
    elif os.path.isdir(path):
        yield from _Walk(path, seen).run()
    else:
        if "\0" not in path and os.path.islink(path):
            seen.links[os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))] = os.readlink(
                path
            )
        yield Found(escape(path), path)


class _Walk:
    """A walk through one folder."""

    def __init__(self, top: str, seen: Seen) -> None:
        self._top = top
        self._real = os.path.realpath(top)
        self._seen = seen
        self._entries = 0
        self._until = monotonic() + LONGEST_WALK

    def run(self) -> Iterator[Found]:
        """Yield the manifests, sorted, without hidden ones. Links to folders inside are followed, each folder once."""
        done: set[str] = set()
        pending = [(self._top, self._real)]
        while pending:
            folder, real = pending.pop()
            if real in done:
                continue
            done.add(real)
            self._seen.folders.append(real)
            below = []
            try:
                for name in self._names(folder):
                    found = self._entry(os.path.join(folder, name), os.path.join(real, name))
                    if isinstance(found, Found):
                        yield found
                    elif found is not None:
                        below.append((os.path.join(folder, name), found))
            except _TooMuchError as error:
                yield Found(escape(self._top), self._top, str(error))
                return
            except OSError as error:
                yield Found(escape(folder), folder, f"cannot read this folder: {reason(error)}")
            pending.extend(reversed(below))

    def _names(self, folder: str) -> list[str]:
        """Return the names of what is not hidden in a folder. Raises OSError and _TooMuchError."""
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                self._entries += 1
                if self._entries > MOST_ENTRIES:
                    raise _TooMuchError(
                        f"has more than {MOST_ENTRIES:,} entries; give the folder of the manifests alone"
                    )
                if monotonic() > self._until:
                    raise _TooMuchError(f"could not be walked through within {LONGEST_WALK:g} s")
                if not entry.name.startswith("."):
                    names.append(entry.name)
        return sorted(names)

    def _entry(self, path: str, place: str) -> Found | str | None:
        """Return what to read, or the real path of a folder to walk through; None: it is neither.

        `path`: as it was named; `place`: its real path, but for a link in its end.
        """
        named_so = path.endswith(SUFFIXES)
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                target, place = self._follow(path, place, named_so=named_so)
                if target is None:
                    return None
                mode = target
        except OSError as error:
            return Found(escape(path), path, f"cannot read: {reason(error)}")
        except UnreadableError as error:
            return Found(escape(path), path, str(error))
        if stat.S_ISDIR(mode):
            return Found(escape(path), path, "is a folder, not a file; rename it") if named_so else place
        return Found(escape(path), path, None, self._real, os.path.relpath(place, self._real)) if named_so else None

    def _follow(self, path: str, place: str, *, named_so: bool) -> tuple[int | None, str]:
        """Return the mode and the real path of what a link leads to; no mode if it is none of ours.

        Raises OSError, and UnreadableError for a link out of the folder.
        """
        links: dict[str, str] = {}
        try:
            real = self._resolve(place, links)
        except _OutsideError:
            if named_so or not os.path.isfile(path):
                raise UnreadableError(
                    "is a link that leads out of the folder given with -f, so it is not followed; "
                    "put what it leads to in its place, or give that with another -f"
                ) from None
            return None, place
        mode = os.lstat(real).st_mode
        if named_so or stat.S_ISDIR(mode):
            self._seen.links.update(links)
        return mode, real

    def _resolve(self, place: str, links: dict[str, str]) -> str:
        """Return where a link leads, and note in `links` all links on the way. Raises OSError and _OutsideError."""
        here, todo = self._real, _parts(os.path.relpath(place, self._real))
        followed = 0
        while todo:
            part = todo.pop(0)
            if part == "..":
                if here == self._real:
                    raise _OutsideError
                here = os.path.dirname(here)
                continue
            step = os.path.join(here, part)
            try:
                target = os.readlink(step)
            except OSError:  # it is no link, or not there
                here = step
                continue
            followed += 1
            if followed > MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), place)
            links[step] = target
            if target.startswith("/"):
                if not is_inside(target, self._real):
                    raise _OutsideError
                here, target = self._real, os.path.relpath(target, self._real)
            todo = _parts(target) + todo
        return here


class _OutsideError(Exception):
    """A link that leads out of the folder."""


class _TooMuchError(Exception):
    """A folder with more in it than manifests."""


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def is_inside(path: str, folder: str) -> bool:
    """Return whether a path, in which links and `..` are resolved, is that of a folder or of something in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def read(found: Found, stdin: IO[bytes] | None, seen: Seen | None = None) -> str:
    """Return the text of a file, and note it in `seen`. Raises UnreadableError."""
    if found.error is not None:
        raise UnreadableError(found.error)
    try:
        if found.path is not None:
            content = _content(found)
        elif stdin is None:
            raise UnreadableError("there is no standard input here")
        else:
            content = _bounded(stdin)
    except OSError as error:
        missing = found.path is not None and found.top is None and error.errno == errno.ENOENT
        raise UnreadableError(f"cannot read: {_missing(str(found.path)) if missing else reason(error)}") from error
    except UnreadableError as error:
        if found.top is None and str(error) == _IRREGULAR:
            raise UnreadableError(f"{_IRREGULAR}; pass what a program prints as standard input, with -f -") from None
        raise
    if seen is not None:
        seen.add(found, content)
    return decode(content)


def _content(found: Found) -> bytes:
    """Return the content of a file; one below a folder is opened without following any link."""
    if found.top is None:
        return read_bytes(str(found.path))
    folder = os.open(found.top, _FOLDER)
    try:
        *folders, name = _parts(found.real)
        for part in folders:
            folder, above = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder), folder
            os.close(above)
        return _read(os.open(name, _FILE | os.O_NOFOLLOW, dir_fd=folder), LARGEST)
    finally:
        os.close(folder)


def read_bytes(path: str, largest: int = LARGEST) -> bytes:
    """Return the content of a regular file. Pipes and devices are not read.

    Raises UnreadableError and OSError.
    """
    if "\0" in path:
        raise UnreadableError("a file name cannot contain a NUL character")
    return _read(os.open(path, _FILE), largest)


def _read(descriptor: int, largest: int) -> bytes:
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableError("is a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError(_IRREGULAR)
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


def _missing(path: str) -> str:
    """Describe why there is no file that was named by hand, and what was meant, as far as the name shows it."""
    if not path:
        return "the name is empty; is a variable not set?"
    if _ELSEWHERE.match(path):
        return "that is a URL, and only files are read; download it, or clone the repository, and give the path"
    if path.startswith("~"):
        return "there is no such file or folder: the shell did not expand ~; write $HOME"
    if set(path) & set("*?["):
        return "there is no such file or folder: the shell did not expand the pattern; give the folder"
    if os.path.islink(path):
        return f"is a link to {escape(os.readlink(path))}, which is not there"
    folder, name = os.path.split(path.rstrip("/"))
    try:
        return f"there is no such file or folder{did_you_mean(name, os.listdir(folder or '.'))}"
    except OSError:
        return f"there is no folder {escape(folder)}"


def reason(error: OSError) -> str:
    """Describe an OSError in words, without the path."""
    known = {errno.ENOENT: "there is no such file or folder", errno.ELOOP: "its links go round in a circle"}
    return known.get(error.errno or 0) or (error.strerror or str(error)).lower()
