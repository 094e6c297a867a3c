"""Backups of a config DB beside it, and the list of those that were made here.

Whoever can write the datastore can put files there that are named like backups and dated as they like. So what is
ours, and in which order it was made, is in a list of our own, `<name>.backups`, with the size and the SHA-256 of each.
What is not in it is shown as such, restored only if asked for expressly, and never removed. The list is written under
SQLite's write lock alone.

Copies are made by a child process: closing any descriptor of the DB drops every POSIX lock of its process.
"""

import json
import os
import re
import stat

from .. import files, programs, scratch
from ..compat import monotonic, native, readable
from ..wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Tuple  # novm

    from ..folders import Folder
    from .database import DBFile

MADE = "made"  # in the list, and unchanged
CHANGED = "changed"  # in the list, with other content
FOREIGN = "foreign"  # not in the list
LARGEST = 256 * 1024 * 1024  # bytes of a DB that is copied
MOST_LISTED = 1000  # names
_LIST = ".backups"
_LARGEST_LIST = 1024 * 1024
_NAME = re.compile(r"\.bak-(\d{8}T\d{6}Z)(?:-(\d{1,9}))?$")
_SHA256 = re.compile("^[0-9a-f]{64}$")
_MOST_NUMBERS = 1000

# Copies argv[1], in the current folder, to standard output (a new file), makes it durable, reads it back and compares.
# Says the SHA-256.
_COPY = (
    """
import errno, hashlib, os, stat, sys
def chunks(handle):
    return iter(lambda: os.read(handle, 1048576), b"")
try:
    source = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
    found = os.fstat(source)
    if not stat.S_ISREG(found.st_mode) or found.st_size > %d:
        sys.exit("it is no file, or too large")
    total, again = hashlib.sha256(), hashlib.sha256()
    for chunk in chunks(source):
        total.update(chunk)
        while chunk:
            chunk = chunk[os.write(1, chunk):]
    os.fchmod(1, stat.S_IMODE(found.st_mode))
    os.fsync(1)
    os.lseek(1, 0, 0)
    for chunk in chunks(1):
        again.update(chunk)
    if total.digest() != again.digest():
        sys.exit("the copy that was read back differs from what was written")
    sys.stderr.write(total.hexdigest())
except EnvironmentError as error:
    sys.stderr.write("%%s" %% error.strerror)
    sys.exit(100 if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else 101)
"""
    % LARGEST
)


def make(db, time):
    # type: (DBFile, str) -> str
    """Copy the DB beside itself as `<name>.bak-<time>` (or `-2` and so on if that is taken) and return the new name.

    Raises Refused `DiskFull`, `ReadOnly` or `ReadError`; then no copy is left.

    Source: docs/domain.md#locks-and-journal
    """
    folder, copy = db.held(), files.temporary(db.copies)
    for made_under_our_lock in (db.copies, db.name + _LIST):
        files.remove_leftovers(folder, made_under_our_lock, older_than=None)
    files.remove_leftovers(folder, db.name)
    try:
        size, digest = copy_file(db, folder, copy)
        known = [each for each in _list(db) if folder.look(each["name"]) is not None]
        name = _free_name(db, time, known)
        _write_list(db, known + [{"name": name, "bytes": size, "sha256": digest}])
        folder.rename(copy, name)
        folder.sync()
        return name
    except EnvironmentError as error:
        raise files.refusal(error, "the DB cannot be copied")
    finally:
        folder.discard(copy)


def _free_name(db, time, known):
    # type: (DBFile, str, List[Dict[str, Any]]) -> str
    """Return an unused backup name. It need not be claimed: the caller holds the lock on the DB."""
    taken = {each["name"] for each in known}
    for number in range(1, _MOST_NUMBERS):
        name = "%s.bak-%s%s" % (db.name, time, "" if number == 1 else "-%d" % number)
        if name not in taken and db.held().look(name) is None:
            return name
    raise Refused("ReadError", "all names of a backup made at %s are taken by other files" % time)


def copy_file(source, folder, name):
    # type: (DBFile, Folder, str) -> Tuple[int, str]
    """Copy a DB to a new file in a child process, while the caller holds the lock on it. Return its size and SHA-256.

    Raises Refused `DiskFull`, `ReadOnly` or `ReadError`, or OSError.

    Source: docs/domain.md#locks-and-journal
    """
    handle = folder.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        code, says = programs.run_python(_COPY, source.real, handle)
        if not code:
            return os.fstat(handle).st_size, native(says)
    finally:
        os.close(handle)
    message = "the DB cannot be copied: %s" % (says or "the copying process was killed")
    raise Refused("DiskFull" if code == 100 else "ReadError", message)


def remove(db, name):
    # type: (DBFile, str) -> None
    """Remove a backup that was just made. It stays in the list until the next is made."""
    db.held().discard(name)


def keep_newest(db, count):
    # type: (DBFile, int) -> None
    """Delete the oldest backups in the list until `count` are left. Other files are never touched."""
    known = present(db)
    for each in known[: max(len(known) - count, 0)]:
        remove(db, each["name"])


def present(db):
    # type: (DBFile) -> List[Dict[str, Any]]
    """Return the entries of the list whose files are there with the same size, in the order in which they were made."""
    if db.folder is None:
        return []
    found = []
    for each in _list(db):
        there = db.folder.look(each["name"])
        if there is not None and stat.S_ISREG(there.st_mode) and there.st_size == each["bytes"]:
            found.append(each)
    return found


def named(db):
    # type: (DBFile) -> List[str]
    """Return the names of all files that are named like a backup, by the time in them."""
    found = []
    for name in db.folder.names() if db.folder is not None else ():
        match = _NAME.search(name)
        if match and name == db.name + match.group(0):
            found.append((match.group(1), int(match.group(2) or 1), name))
    return [name for _, _, name in sorted(found)]


def listed(db, until):
    # type: (DBFile, float) -> List[List[Any]]
    """Return [name, bytes or None if unknown, MADE, CHANGED or FOREIGN]: ours last, in the order of the list.

    Raises Refused `Timeout` when it takes too long to read them.
    """
    known = {each["name"]: each for each in _list(db)}
    return [
        [readable(name), _size(db, name), _origin(known.get(name), lambda each: _digest(db, each, until))]
        for name in in_order(db)
    ]


def in_order(db):
    # type: (DBFile) -> List[str]
    """Return at most MOST_LISTED names of `named`: those in the list last, in the order in which they were made."""
    order = {each["name"]: number for number, each in enumerate(_list(db))}
    return sorted(named(db), key=lambda name: order.get(name, -1))[-MOST_LISTED:]


def _size(db, name):
    # type: (DBFile, str) -> Any
    try:
        return db.held().size(name)
    except (EnvironmentError, Refused):
        return None


def _origin(entry, digest):
    # type: (Optional[Dict[str, Any]], Callable[[Dict[str, Any]], Any]) -> str
    """Return where a backup is from, by its entry in the list and (`digest`) its SHA-256."""
    return FOREIGN if entry is None else MADE if digest(entry) == entry["sha256"] else CHANGED


def _digest(db, entry, until):
    # type: (DBFile, Dict[str, Any], float) -> Any
    import hashlib  # see `rows.fingerprint`

    try:
        if db.held().size(entry["name"]) != entry["bytes"]:
            return None
        handle = db.held().open(entry["name"], os.O_RDONLY)
    except (EnvironmentError, Refused):
        return None
    try:
        total = hashlib.sha256()
        for chunk in iter(lambda: os.read(handle, 1048576), b""):
            total.update(chunk)
            if monotonic() > until:
                raise Refused("Timeout", "it takes too long to read the backups of %s" % db.path)
        return total.hexdigest()
    except EnvironmentError:
        return None
    finally:
        os.close(handle)


def copy_aside(db, name, place):
    # type: (DBFile, str, scratch.Scratch) -> str
    """Copy a backup to a folder of our own, where it is read, and return what the list knows of that content."""
    try:
        _, digest = scratch.copy(db.held(), name, place.folder, name, LARGEST)
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be read" % name)
    return _origin({each["name"]: each for each in _list(db)}.get(name), lambda _: digest)


# The list


def _list(db):
    # type: (DBFile) -> List[Dict[str, Any]]
    """Return the entries, oldest first; none if there is no list, or one that is not as we write it."""
    if db.folder is None:
        return []
    try:
        text = db.folder.read(db.name + _LIST, _LARGEST_LIST)
        found = json.loads(text.decode("ascii"))["backups"]
        entries = [_entry(db, each) for each in found]
    except (EnvironmentError, Refused, ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        return []
    unique = {each["name"]: each for each in entries}
    return entries if len(unique) == len(entries) else []


def _entry(db, each):
    # type: (DBFile, Dict[str, Any]) -> Dict[str, Any]
    """Return an entry of the list with native text. Raises ValueError, KeyError, TypeError or AttributeError."""
    name, size, digest = native(each["name"]), each["bytes"], native(each["sha256"])
    match = _NAME.search(name)
    is_ours = match and name == db.name + match.group(0) and _SHA256.match(digest)
    if not is_ours or not isinstance(size, int) or not 0 <= size <= LARGEST:
        raise ValueError(name)
    return {"name": name, "bytes": size, "sha256": digest}


def _write_list(db, entries):
    # type: (DBFile, List[Dict[str, Any]]) -> None
    text = json.dumps({"backups": entries}, indent=1, sort_keys=True) + "\n"
    files.replace(db.held(), db.name + _LIST, text.encode("ascii"))
