"""The file of the audit log: appended to by one process at a time, flushed to the disk before anything is done.

Each line holds `n`, its number from 1, and `prev`, the SHA-256 of the line before (64 zeros in the first). The number
and hash of the last line are kept beside the state of vdvs, too, so that lines cut off at the end are missed.
"""

from __future__ import annotations

import json
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import DecodeError, Meta, Struct, ValidationError

from reconciler import private
from reconciler.model.errors import UsageError, VdvsError

FIRST: Final = "0" * 64
LONGEST_LINE: Final = 262_144  # bytes; entries are far smaller
_TAIL: Final = LONGEST_LINE + 1


class Head(Struct, frozen=True):
    """The last line: its number and its hash."""

    n: int = 0
    hash: str = FIRST


class _Shape(Struct, frozen=True):
    """The fields of an entry that readers rely on; they take the rest as it is."""

    n: Annotated[int, Meta(ge=1, lt=2**53)]
    prev: str
    at: str
    run: str
    event: str
    object: str | None = None
    by: dict[str, Any] | None = None
    git: dict[str, Any] | None = None
    others: Annotated[int, Meta(ge=0, lt=2**53)] = 0


class Verified(Struct, frozen=True):
    """A log that was read: its last entries.

    `broken`: where its chain breaks first (empty: nowhere). `unfinished`: runs that began and did not end. `notes`:
    what else is worth knowing.
    """

    entries: tuple[dict[str, Any], ...]
    broken: str
    unfinished: tuple[str, ...]
    notes: tuple[str, ...]


class AuditLog:
    """The log in `file`. `head`: where its last line is kept in mind (None: nowhere)."""

    def __init__(self, file: Path, head: Path | None) -> None:
        self.file = file
        self._head = head

    def append(self, at: datetime, run: str, entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Append these entries, on disk when it returns, and return them as they are there.

        Raises VdvsError if they cannot be written; then none of them is there.
        """
        try:
            private.new_folders(self.file.parent)
            with private.locked(self.file) as handle:
                return self._append(handle, at, run, entries)
        except OSError as error:
            raise VdvsError(f"the audit log {self.file} cannot be written: {error.strerror}") from error

    def _append(self, handle: int, at: datetime, run: str, entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        size = os.fstat(handle).st_size
        last, whole = _last(handle, size)
        head = self._kept_head()
        if head is not None and head.n >= last.n:
            last = head  # lines that are missing at the end break the chain here, for whoever reads it
        others = {"others": last.n - head.n} if head is not None and head.n < last.n else {}
        lines, made = ([] if whole else [b""]), []
        moment = _moment(at)
        for entry in entries:
            made.append({"n": last.n + 1, "prev": last.hash, "at": moment, "run": run, **others, **entry})
            others = {}
            line = encode(made[-1])
            last = Head(last.n + 1, sha256(line).hexdigest())
            lines.append(line)
        content = b"".join(line + b"\n" for line in lines)
        try:
            _write_all(handle, content)
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise
        if self._head is not None:
            private.write(self._head, msgspec.json.encode(last))
        return made

    def read(self, most: int, names: frozenset[str] = frozenset()) -> Verified:
        """Read and verify all of it, and return the last entries: only those of these objects, if any are named.

        Raises UsageError if there is none, or it cannot be read.
        """
        try:
            handle = os.open(self.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as stream:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise UsageError(f"the audit log {self.file} cannot be read: it is not a plain file")
                return verified(_lines(stream), self._kept_head(), most, names)
        except FileNotFoundError as error:
            head = self._kept_head()
            lost = f", although it had {head.n} entries" if head is not None else ""
            raise UsageError(f"there is no audit log {self.file}{lost}; --audit-log FILE names another") from error
        except OSError as error:
            raise UsageError(f"the audit log {self.file} cannot be read: {error.strerror}") from error

    def _kept_head(self) -> Head | None:
        content = None if self._head is None else private.read(self._head)
        try:
            return None if content is None else msgspec.json.decode(content, type=Head)
        except DecodeError:
            return None


def encode(value: Any) -> bytes:
    """Encode as JSON in ASCII, so that showing it does no harm. What is ASCII already takes the quick way."""
    try:
        line = msgspec.json.encode(value)
    except UnicodeEncodeError:  # a lone surrogate, of bytes that are no text
        line = b"\xff"
    return line if line.isascii() else json.dumps(value, separators=(",", ":")).encode("ascii")


def verified(lines: Iterable[bytes], head: Head | None, most: int, names: frozenset[str] = frozenset()) -> Verified:
    """Check the chain of these lines, and that the last one is `head` (None: not known).

    `most`: how many of the last entries to return; `names`: only those of these objects (empty: all).
    """
    entries: deque[dict[str, Any]] = deque(maxlen=most)
    open_runs: dict[str, str] = {}
    notes: list[str] = []
    last, number, broken, cut, at_head = Head(), 0, "", 0, head is None or head.n == 0
    others = first_other = 0
    for line in lines:
        number += 1
        entry = _entry(line)
        if entry is None:
            if _is_json(line):
                broken = broken or f"line {number}: it is no entry of an audit log"
            else:  # if the next line holds its hash, it was so from the beginning
                cut = number
            last = Head(last.n + 1, sha256(line).hexdigest())
            continue
        broken = broken or _why_not_next(entry, last, number)
        if cut == number - 1 and cut and not broken:
            notes.append(f"line {cut} was cut off while it was written, as the line after it attests")
        last = Head(entry["n"], sha256(line).hexdigest())
        at_head = at_head or last == head
        if entry.get("others"):
            others, first_other = others + entry["others"], first_other or entry["n"] - entry["others"]
        if not names or entry.get("object") in names:
            entries.append(entry)
        _follow(entry, open_runs)
    if head is not None and at_head and last.n > head.n:
        others, first_other = others + last.n - head.n, first_other or head.n + 1
    if others:
        notes.append(
            f"{others} of its entries, from entry {first_other} on, were not known on the machine that wrote or reads"
            " what follows them: another machine wrote them, or a run that was killed just then, or somebody by hand"
        )
    if cut == number and cut:
        notes.append(f"line {cut}, the last one, was cut off while it was written")
    if head is None:
        notes.append("whether its end was cut off is not known: nothing on this machine says what was written last")
    elif not at_head and not broken:
        broken = (
            f"line {number + 1}: the log ends with entry {last.n}, but entry {head.n} was written: its end was cut off"
            if head.n > last.n
            else f"line {number}: it was changed: the last entry is not the one that was written"
        )
    return Verified(tuple(entries), broken, tuple(open_runs.values()), tuple(notes))


def _why_not_next(entry: dict[str, Any], last: Head, number: int) -> str:
    if number == 1 and (entry["prev"], entry["n"]) != (FIRST, 1):
        return f"line 1: it is entry {entry['n']}, so what was before it is missing, or it was changed"
    if entry["prev"] != last.hash or entry["n"] != last.n + 1:
        return f"line {number - 1}: it was changed, or lines after it are missing: line {number} does not hold its hash"
    return ""


def _follow(entry: dict[str, Any], open_runs: dict[str, str]) -> None:
    run, event = str(entry.get("run")), entry.get("event")
    if event == "begin":
        open_runs[run] = f"run {run} of {entry.get('at')} began and did not end: it was killed, or is at work"
    elif event == "end":
        open_runs.pop(run, None)


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        msgspec.convert(entry, _Shape)
    except (ValueError, RecursionError, ValidationError):
        return None
    return cast("dict[str, Any]", entry)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _lines(stream: Any) -> Iterator[bytes]:
    while line := stream.readline(_TAIL):
        yield line.removesuffix(b"\n")


def _last(handle: int, size: int) -> tuple[Head, bool]:
    """Return the last line of a file of this size, and whether it is whole: a run may have been killed in it."""
    if size == 0:
        return Head(), True
    tail = os.pread(handle, _TAIL, max(0, size - _TAIL))
    whole = tail.endswith(b"\n")
    line = tail.removesuffix(b"\n").rpartition(b"\n")[2]
    entry = _entry(line)
    before = _entry(tail.removesuffix(b"\n").rpartition(b"\n")[0].rpartition(b"\n")[2])
    number = entry["n"] if entry is not None else (before["n"] if before is not None else 0) + 1
    return Head(number, sha256(line).hexdigest()), whole


def _write_all(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
