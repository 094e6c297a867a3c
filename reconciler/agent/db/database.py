"""The state of one config DB: whether it exists, whether it can be read, and its rows. Writes nothing."""

import errno
import os
import posixpath
import re
import stat

from .. import files
from ..compat import monotonic, native, readable
from ..paths import AUTH_DB, VOLUMES, raw_target, size_of
from ..wire import LARGEST_REPLY, Refused, encode
from . import dead_rows, inspection, objects, rows, rules, sqlite
from .journal import journal_header, read_start, refuse_companions, refuse_hot_journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Callable, Dict, List, Optional, Tuple, TypeVar  # novm

    from ..paths import Root

    Value = TypeVar("Value")

ABSENT = "absent"  # the fingerprint of a file that does not exist
EMPTY = "empty"  # the fingerprint of an empty file
MOST_BYTES = 3 * LARGEST_REPLY // 4  # of JSON, which the config DBs of a reply share
_PER_VALUE = 12  # bytes that each value counts in addition: who decodes them has limits for both
_SMALL = 1024 * 1024  # a file whose answer certainly fits
_MAGIC = b"SQLite format 3\0"
_INTERRUPTED = 60  # seconds after which an unfinished file counts as abandoned
_CACHE_SECONDS = 600  # seconds after which a file is read again even if it seems untouched
_cache = {}  # type: Dict[str, Tuple[Any, Dict[str, Any], float]]
_BACKUP = re.compile(r"\.bak-(\d{8}T\d{6}Z)(?:-(\d+))?$")


class DBFile(object):
    """The file of a config DB, existing or not: `path` is its host path by volume id, `real` its path for the OS.

    Links on the way to a datastore are followed. `auth-db` is the host's own config DB (`own`) only if it is no link.
    Source: docs/domain.md#modes-of-a-host
    """

    def __init__(self, root, path):
        # type: (Root, str) -> None
        self.root = root
        self.path = root.canonical(path)
        self.resolve()

    def resolve(self):
        # type: () -> None
        """Follow the links on the way; call it again once the folder has been made.

        Source: docs/domain.md#modes-of-a-host
        """
        root = self.root
        self.own = self.path == AUTH_DB
        self.real = root.real(self.path, last=not self.own)
        self.folder = os.path.dirname(self.real)
        self.name = os.path.basename(self.real)
        self.copies = self.real + ".bak"  # prefix of unfinished backups (`files.temporary`)
        self.moving = self.real + ".moving"  # a link whose text is the path that it is moved to; it is never followed

    def size(self):
        # type: () -> Optional[int]
        """Return the size in bytes; None if the volume is mounted and nothing is there.

        Raises Refused `NotMounted`, `HotJournal`, and `ReadError` where that cannot be determined.
        """
        if not self.root.mounted(self.path):
            raise Refused("NotMounted", "the datastore of %s is not mounted" % self.path)
        try:
            if self.own and raw_target(self.real) is not None:
                return None
            size = size_of(self.real)
        except EnvironmentError as error:
            raise sqlite.as_refused(error)
        if size is not None:
            return size
        for path in (os.path.dirname(self.path), self.path):
            link = raw_target(self.root.real(path, last=False))
            if link is not None and not os.path.exists(self.root.real(path)):
                raise Refused("ReadError", "%s is a dangling link" % path)
        if journal_header(self.real):
            what = "%s is gone, but its journal is still there, and would corrupt a new DB"
            raise Refused("HotJournal", what % self.path)
        return None

    def destination(self):
        # type: () -> Any
        """Return the path that the DB is being moved to, as recorded beside it; None if it is not.

        Source: docs/domain.md#moving-a-config-db
        """
        found = raw_target(self.moving)
        return None if found is None else readable(found)

    def backups(self):
        # type: () -> List[str]
        """Return the names of our backup files beside the DB, oldest first."""
        try:
            names = os.listdir(self.folder)
        except OSError:
            return []
        found = []
        for name in names:
            match = _BACKUP.search(name)
            if match and name == self.name + match.group(0):
                found.append((match.group(1), int(match.group(2) or 1), name))
        return [name for _, _, name in sorted(found)]

    def backup(self, name):
        # type: (str) -> DBFile
        """Return one of our backups as a DBFile that is only read.

        Raises Refused `Missing`, and `ReadError` for anything but a regular file.
        """
        if name not in [readable(known) for known in self.backups()]:
            raise Refused("Missing", "%s has no backup called %s" % (self.path, name))
        copy = DBFile(self.root, self.path)
        copy.own, copy.name = False, native(name)
        copy.path = "%s/%s" % (posixpath.dirname(self.path), copy.name)
        copy.real = os.path.join(self.folder, copy.name)
        try:
            if not stat.S_ISREG(os.lstat(copy.real).st_mode):
                raise Refused("ReadError", "%s is no regular file" % copy.path)
        except EnvironmentError as error:
            raise sqlite.as_refused(error)
        return copy

    def leftovers(self):
        # type: () -> List[str]
        """Return the names of files that interrupted creations and backups left beside the DB."""
        return files.leftovers(self.real, _INTERRUPTED) + files.leftovers(self.copies, _INTERRUPTED)


def observe(root, path, known, until, most=MOST_BYTES):
    # type: (Root, str, Optional[str], float, int) -> Dict[str, Any]
    """Return the protocol's `observe` entry for the config DB at the host path `path`.

    `known`: a fingerprint whose rows need not be sent again. `until`: how long to retry while the DB is locked (a
    moment of `compat.monotonic`). `most`: bytes of JSON (see `_weight`); a larger answer makes it unknown (`TooLarge`).
    """
    try:
        db = DBFile(root, path)
        size = db.size()
        if not size:
            answer = _absent_or_empty(db, EMPTY if size == 0 else ABSENT)
        else:
            answer = _cached(db, known) or _read_db(db, known, until)
            if size > _SMALL and "tenants" in answer and _weight(encode(answer)) > most:
                raise Refused("TooLarge", "%s is too large: its rows do not fit into a reply" % db.path)
    except Refused as refused:
        return {"state": "unknown", "reason": refused.reason, "message": refused.sentence, "fingerprint": ""}
    answer["moving_to"] = db.destination()
    answer["backups"] = [readable(name) for name in db.backups()]
    answer["leftovers"] = [readable(name) for name in db.leftovers()]
    return answer


def _read_db(db, known, until):
    # type: (DBFile, Optional[str], float) -> Dict[str, Any]
    stamp = files.stamp(db.real)
    answer = sqlite.retry_while_locked(until, lambda: reading(db, lambda found: _describe(found, known)))
    _cache.clear()
    if files.is_settled(stamp) and answer["unchanged"]:
        _cache[db.real] = (stamp, answer, monotonic() + _CACHE_SECONDS)
    return answer


def _cached(db, known):
    # type: (DBFile, Optional[str]) -> Optional[Dict[str, Any]]
    """Return the last answer if the file was not touched since, and the caller knows its rows; else None."""
    stamp, answer, until = _cache.get(db.real, (None, {"fingerprint": ""}, 0.0))
    if answer["fingerprint"] != known or monotonic() > until or journal_header(db.real):
        return None
    return dict(answer) if files.stamp(db.real, files.stat_through_open) == stamp else None


def fingerprint(db, until):
    # type: (DBFile, float) -> str
    """Return only the fingerprint. Raises Refused where `observe` reports the DB as unknown."""
    size = db.size()
    if not size:
        return str(_absent_or_empty(db, EMPTY if size == 0 else ABSENT)["fingerprint"])
    return sqlite.retry_while_locked(until, lambda: reading(db, _fingerprint))


def observe_backup(root, path, name, until):
    # type: (Root, str, str, float) -> Dict[str, Any]
    """Return the protocol's entry for the backup `name` of the DB at `path`. Raises Refused."""
    db = mounted_db(root, path).backup(name)
    if not size_of(db.real):
        raise Refused("Corrupt", "%s is empty" % db.path)
    return sqlite.retry_while_locked(until, lambda: reading(db, lambda found: _describe(found, None)))


def list_backups(root, path):
    # type: (Root, str) -> List[List[Any]]
    """Return [name, size in bytes or None if unknown] of each backup of the DB at `path`, oldest first.

    Raises Refused.
    """
    db = mounted_db(root, path)
    found = []  # type: List[List[Any]]
    for name in db.backups():
        try:
            found.append([readable(name), os.lstat(os.path.join(db.folder, name)).st_size])
        except EnvironmentError:
            found.append([readable(name), None])
    return found


def mounted_db(root, path):
    # type: (Root, str) -> DBFile
    """Return the DBFile at `path`. Raises Refused `NotMounted`."""
    db = DBFile(root, path)
    if not root.mounted(db.path):
        raise Refused("NotMounted", "the datastore of %s is not mounted" % db.path)
    return db


def _absent_or_empty(db, state):
    # type: (DBFile, str) -> Dict[str, Any]
    if state == EMPTY and journal_header(db.real):
        raise Refused(
            "HotJournal", "%s is being created, or its creation was interrupted: its journal is there" % db.path
        )
    return {"state": state, "reason": "", "message": "", "fingerprint": state}


def reading(db, what):
    # type: (DBFile, Callable[[sqlite3.Connection], Value]) -> Value
    """Return `what(connection)`, run inside one read-only transaction on the DB.

    Makes one attempt. Raises Refused `Locked`, `HotJournal`, `Corrupt`, `Incomplete`, `WrongVersion` or `ReadError`.

    Source: docs/domain.md#locks-and-journal
    """
    check_file(db)
    refuse_hot_journal(db.real)
    try:
        connection = sqlite.open_reading(db.root, db.real)
    except Exception as error:
        raise reading_error(error, db)
    try:
        sqlite.execute(connection, "BEGIN")
        sqlite.execute(connection, "SELECT count(*) FROM sqlite_master").fetchall()
        _check_length(connection, db)
        inspection.inspect(connection)
        return what(connection)
    except Exception as error:
        raise reading_error(error, db)
    finally:
        sqlite.close(connection)


def check_file(db):
    # type: (DBFile) -> None
    """Check the file, and what lies beside it, while this process does not have the DB open through SQLite.

    Raises Refused `Corrupt` for a file that is no SQLite database, and for one with a write-ahead log, which could not
    be read without writing; `TooLarge`; `Tampered` for text that is not UTF-8, and see `refuse_companions`.
    Source: docs/domain.md#an-untrusted-file
    """
    try:
        _refuse_links(db)
        header = bytearray(read_start(db.real, 100))
        size = os.stat(db.real).st_size
        refuse_companions(db.real)
    except EnvironmentError as error:
        if error.errno == errno.ENOENT:
            raise Refused("Locked", "%s was removed a moment ago" % db.path)
        raise sqlite.as_refused(error)
    if not header.startswith(_MAGIC) or len(header) < 100:
        raise Refused("Corrupt", "%s is not an SQLite database" % db.path)
    if header[18:20] != bytearray((1, 1)):
        raise Refused("Corrupt", "%s has a write-ahead log, which does not work between hosts" % db.path)
    if size > inspection.LARGEST_FILE:
        words = (db.path, inspection.mb(size), inspection.mb(inspection.LARGEST_FILE))
        raise Refused("TooLarge", "%s is too large: it has %s, at most %s" % words)
    if header[56:60] not in (bytearray(4), bytearray((0, 0, 0, 1))):
        raise Refused("Tampered", "%s holds text that is not UTF-8 (UTF-16), which vDVS does not make" % db.path)


def _weight(line):
    # type: (bytes) -> int
    """Return what a line weighs: its bytes, and its values."""
    return len(line) + _PER_VALUE * (line.count(b",") + line.count(b"["))


def _refuse_links(db):
    # type: (DBFile) -> None
    """Raise Refused `Tampered` if a link made on the datastore leads to the file, perhaps that of other hosts."""
    if db.own or not db.path.startswith(VOLUMES + "/"):
        return
    volume = db.root.real("/".join(db.path.split("/")[:4]))
    if raw_target(db.root.real(db.path, last=False)) is not None or not db.real.startswith(volume + "/"):
        raise Refused(
            "Tampered", "%s is a symbolic link, or is reached through one that leaves the datastore" % db.path
        )


def _check_length(connection, db):
    # type: (sqlite3.Connection, DBFile) -> None
    """Compare the length of the file with its header: a truncated file may still answer some queries."""
    pages = sqlite.execute(connection, "PRAGMA page_count").fetchone()
    page_size = sqlite.execute(connection, "PRAGMA page_size").fetchone()
    if pages and page_size and os.stat(db.real).st_size < pages[0] * page_size[0]:
        raise Refused("Corrupt", "%s is truncated: it is shorter than its header says" % db.path)


def reading_error(error, db):
    # type: (Exception, DBFile) -> Exception
    refused = sqlite.as_refused(error)
    if not isinstance(refused, Refused):
        return refused
    if refused.reason == "ReadOnly":  # SQLite would have to roll back, and may not
        return Refused(
            "HotJournal", "%s is half-written: its writer was interrupted, and its journal is still there" % db.path
        )
    if isinstance(error, Refused) and error.reason not in ("Tampered", "TooLarge", "Corrupt"):
        return error
    shown = "" if db.path in refused.message else "%s: " % db.path
    return Refused(refused.reason, shown + refused.message)


def _fingerprint(connection):
    # type: (sqlite3.Connection) -> str
    rows.schema(connection)
    return rows.fingerprint(rows.read(connection))


def _describe(connection, known):
    # type: (sqlite3.Connection, Optional[str]) -> Dict[str, Any]
    schema, tables = rows.schema(connection), rows.read(connection)
    digest = rows.fingerprint(tables)
    answer = {"state": "present", "reason": "", "message": "", "fingerprint": digest, "unchanged": digest == known}
    answer["schema"] = schema
    answer["volume_use"] = [
        [rows.as_text(tenant), rows.as_text(url), used, count]
        for tenant, url, used, count in rows.volume_use(connection)
    ]
    volume_rows = rows.volume_rows(connection)
    answer["booked"] = volume_rows and [
        [rows.as_text(tenant), rows.as_text(url), rows.as_text(name), rows.integer(size)]
        for tenant, url, name, size in volume_rows
    ]
    answer["violations"] = [found.sentence for found in rules.violations(connection)]
    dead = answer["dead_rows"] = dead_rows.find(connection) if answer["violations"] else []
    answer["writer"] = rows.writer(connection)
    answer["copied_from"] = rows.origin(connection)
    answer["objects"] = objects.read(connection)
    if digest != known:
        answer.update(_rows_for_protocol(dead_rows.without(tables, dead)))
    return answer


def _rows_for_protocol(tables):
    # type: (Dict[str, List[Any]]) -> Dict[str, Any]
    integer, privileges = rows.integer, tables["privileges"]
    keys = rows.rows_as_text([row[:2] for row in privileges])
    return {
        "tenants": rows.rows_as_text(tables["tenants"]),
        "vms": rows.rows_as_text(tables["vms"]),
        "privileges": [list(key) + [integer(cell) for cell in row[2:]] for key, row in zip(keys, privileges)],
    }
