"""The state of one config DB: whether it exists, whether it can be read, and its rows. Writes nothing."""

import errno
import os
import posixpath

from .. import files, scratch
from ..compat import monotonic, native, readable
from ..paths import AUTH_DB
from ..wire import Refused
from . import backup, objects, rows, sqlite
from .checks import dead_rows, inspection, rules
from .journal import journal_header, read_start, refuse_companions, refuse_hot_journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Callable, Dict, List, Optional, Tuple, TypeVar  # novm

    from ..folders import Folder
    from ..paths import Root

    Value = TypeVar("Value")

ABSENT = "absent"  # the fingerprint of a file that does not exist
EMPTY = "empty"  # the fingerprint of an empty file
_MAGIC = b"SQLite format 3\0"
_INTERRUPTED = 60  # seconds after which an unfinished file counts as abandoned
_CACHE_SECONDS = 600  # seconds after which a file is read again even if it seems untouched
_cache = {}  # type: Dict[str, Tuple[Any, Dict[str, Any], float]]


class DBFile(object):
    """The file of a config DB, existing or not: `path` is its host path by volume id, `name` its name in `folder`.

    `folder` is held open (None while it is missing), so that what is done there is done in the folder that was
    found, whatever others put in its place. `auth-db` is the host's own config DB (`own`) only if it is no link; a link
    in the place of any other DB is not followed.
    Source: docs/domain.md#modes-of-a-host
    """

    def __init__(self, root, path):
        # type: (Root, str) -> None
        self.root = root
        self.path = root.canonical(path)
        self.own = self.path == AUTH_DB
        folder, self.name = posixpath.split(self.path)
        try:
            self.folder = root.hold(folder)
        except EnvironmentError as error:
            raise sqlite.as_refused(error)

    @property
    def real(self):
        # type: () -> str
        """Enter its folder and return its name there, for what opens files by name alone, and at once.

        Raises Refused `Missing` without a folder.
        """
        if self.folder is None:
            raise Refused("Missing", "there is no %s" % posixpath.dirname(self.path))
        self.folder.enter()
        return self.name

    @property
    def copies(self):
        # type: () -> str
        """The base of the names of its unfinished backups (see `files.temporary`)."""
        return self.name + ".bak"

    @property
    def moving(self):
        # type: () -> str
        """A link beside it whose text is the path that it is moved to; it is never followed."""
        return self.name + ".moving"

    def held(self):
        # type: () -> Folder
        """Return its folder, made if it is missing. Raises Refused or OSError."""
        if self.folder is None:
            self.folder = self.root.made(posixpath.dirname(self.path))
        return self.folder

    def size(self):
        # type: () -> Optional[int]
        """Return the size in bytes; None if the volume is mounted and nothing is there.

        Raises Refused `NotMounted`, `HotJournal`, and `ReadError` where that cannot be determined.
        """
        if not self.root.mounted(self.path):
            raise Refused("NotMounted", "the datastore of %s is not mounted" % self.path)
        if self.folder is None:
            return None
        try:
            if self.own and self.folder.target(self.name) is not None:
                return None
            if self.folder.target(self.name) is not None:
                raise Refused("Tampered", "%s is a symbolic link, which is not followed" % self.path)
            size = self.folder.size(self.name)
        except EnvironmentError as error:
            raise sqlite.as_refused(error)
        if size is None and self.has_journal():
            what = "%s is gone, but its journal is still there, and would corrupt a new DB"
            raise Refused("HotJournal", what % self.path)
        return size

    def destination(self):
        # type: () -> Any
        """Return the path that the DB is being moved to, as recorded beside it; None if it is not.

        Source: docs/domain.md#moving-a-config-db
        """
        found = None if self.folder is None else self.folder.target(self.moving)
        return None if found is None else readable(found)

    def has_journal(self):
        # type: () -> bool
        """Return whether an unfinished journal is beside it. Raises Refused if that cannot be determined."""
        return self.folder is not None and bool(journal_header(self.real))

    def expect_opened(self, suffix=""):
        # type: (str) -> None
        """Raise Refused `Moved` unless what SQLite has opened, by a path, is the file in `folder`, or its journal."""
        if self.folder is None or not self.folder.has_opened(self.name + suffix):
            raise Refused(
                "Moved", "another file was put in the place of %s, or of its folder, a moment ago" % self.path
            )

    def stamp(self, look=os.lstat):
        # type: (Callable[[str], os.stat_result]) -> Any
        """See `files.stamp`."""
        return None if self.folder is None else files.stamp(self.real, look)

    def backup(self, name):
        # type: (str) -> DBFile
        """Return a file beside it that is named like a backup as a DBFile that is only read.

        Raises Refused `Missing`, and `ReadError` for anything but a regular file.
        """
        if self.folder is None or name not in [readable(known) for known in backup.named(self)]:
            raise Refused("Missing", "%s has no backup called %s" % (self.path, name))
        copy = DBFile(self.root, "%s/%s" % (posixpath.dirname(self.path), native(name)))
        copy.folder = self.folder
        try:
            if copy.folder is not None and copy.folder.size(copy.name) is None:
                raise Refused("Missing", "%s is gone" % copy.path)
        except EnvironmentError as error:
            raise sqlite.as_refused(error)
        return copy

    def leftovers(self):
        # type: () -> List[str]
        """Return the names of files that interrupted creations and backups left beside the DB."""
        if self.folder is None:
            return []
        names = self.name, self.copies
        return [left for name in names for left in files.leftovers(self.folder, name, _INTERRUPTED)]


def observe(root, path, known, until):
    # type: (Root, str, Optional[str], float) -> Dict[str, Any]
    """Return the protocol's `observe` entry for the config DB at the host path `path`.

    `known`: a fingerprint whose rows need not be sent again. `until`: how long to retry while the DB is locked (a
    moment of `compat.monotonic`).
    """
    try:
        db = DBFile(root, path)
        size = db.size()
        if not size:
            answer = _absent_or_empty(db, EMPTY if size == 0 else ABSENT)
        else:
            answer = _cached(db, known) or _read_unless_retired(db, known, until)
        answer["moving_to"] = db.destination()
        answer["backups"] = [readable(name) for name in backup.in_order(db)]
        answer["leftovers"] = [readable(name) for name in db.leftovers()]
        return answer
    except Exception as error:
        refused = sqlite.as_refused(error)
        if not isinstance(refused, Refused):  # a bug of ours must not cost the host, which others' DBs are on too
            refused = Refused("AgentError", "%s: %s" % (type(error).__name__, error))
        return unknown(refused)


def unknown(refused):
    # type: (Refused) -> Dict[str, Any]
    """Return the entry of a config DB that was not read."""
    return {"state": "unknown", "reason": refused.reason, "message": refused.sentence, "fingerprint": ""}


def _read_unless_retired(db, known, until):
    # type: (DBFile, Optional[str], float) -> Dict[str, Any]
    """Return the answer; a DB that was moved away is none any more. Source: docs/domain.md#moving-a-config-db"""
    try:
        return _read_db(db, known, until)
    except Refused as refused:
        if refused.reason != "Retired":
            raise
        return dict(_absent_or_empty(db, ABSENT), message=refused.message)


def _read_db(db, known, until):
    # type: (DBFile, Optional[str], float) -> Dict[str, Any]
    stamp = db.stamp()
    answer = sqlite.retry_while_locked(until, lambda: reading(db, lambda found: _describe(found, known)))
    _cache.clear()
    if files.is_settled(stamp) and answer["unchanged"]:
        _cache[db.path] = (stamp, answer, monotonic() + _CACHE_SECONDS)
    return answer


def _cached(db, known):
    # type: (DBFile, Optional[str]) -> Optional[Dict[str, Any]]
    """Return the last answer if the file was not touched since, and the caller knows its rows; else None."""
    stamp, answer, until = _cache.get(db.path, (None, {"fingerprint": ""}, 0.0))
    if answer["fingerprint"] != known or monotonic() > until or db.has_journal():
        return None
    return dict(answer) if db.stamp(files.stat_through_open) == stamp else None


def fingerprint(db, until):
    # type: (DBFile, float) -> str
    """Return only the fingerprint. Raises Refused where `observe` reports the DB as unknown."""
    return _of_file(db, _fingerprint, until)


def state(db, until):
    # type: (DBFile, float) -> str
    """Return ABSENT, EMPTY, or the schema of a DB that can be read. Raises Refused as `fingerprint` does."""
    return _of_file(db, rows.schema, until)


def _of_file(db, what, until):
    # type: (DBFile, Callable[[sqlite3.Connection], str], float) -> str
    size = db.size()
    if not size:
        return str(_absent_or_empty(db, EMPTY if size == 0 else ABSENT)["fingerprint"])
    try:
        return sqlite.retry_while_locked(until, lambda: reading(db, what))
    except Refused as refused:
        if refused.reason != "Retired":
            raise
        return ABSENT


def observe_backup(root, path, name, until):
    # type: (Root, str, str, float) -> Dict[str, Any]
    """Return the protocol's entry for the backup `name` of the DB at `path`, and where it is from. Raises Refused.

    It is read from a copy of our own, so that what is read is what was compared with the list of backups.
    """
    db = mounted_db(root, path)
    found = db.backup(name)
    if not found.size():
        raise Refused("Corrupt", "%s is empty" % found.path)
    with scratch.Scratch(root) as place:
        made = backup.copy_aside(db, found.name, place)
        if made != backup.MADE and found.has_journal():
            raise Refused("HotJournal", "%s is half-written: its journal is beside it" % found.path)
        copy = DBFile(root, "%s/%s" % (place.path, found.name))
        copy.path = found.path  # for messages
        answer = sqlite.retry_while_locked(until, lambda: reading(copy, lambda found: _describe(found, None)))
    return {"config_db": answer, "made": made}


def mounted_db(root, path):
    # type: (Root, str) -> DBFile
    """Return the DBFile at `path`. Raises Refused `NotMounted`."""
    db = DBFile(root, path)
    if not root.mounted(db.path):
        raise Refused("NotMounted", "the datastore of %s is not mounted" % db.path)
    return db


def _absent_or_empty(db, state):
    # type: (DBFile, str) -> Dict[str, Any]
    if state == EMPTY and db.has_journal():
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


_NAMES_NO_FILE = ("Tampered", "TooLarge", "Corrupt", "Damaged", "Incomplete", "NoBooks")  # see `inspection`


def check_file(db):
    # type: (DBFile) -> None
    """Check the file, and what lies beside it, while this process does not have the DB open through SQLite.

    Raises Refused `Corrupt` for a file that is no SQLite database; `WriteAheadLog` for one with such a log, which could
    not be read without writing; `TooLarge`; `Tampered` for one that SQLite, and so vDVS, only reads, for text that is
    not UTF-8, and see `refuse_companions`.
    Source: docs/domain.md#an-untrusted-file
    """
    try:
        header = bytearray(read_start(db.real, 100))
        size = os.lstat(db.real).st_size
        if 2 not in header[18:20]:  # with a write-ahead log a file for it belongs beside the DB
            refuse_companions(db.real)
    except EnvironmentError as error:
        if error.errno == errno.ENOENT:
            raise Refused("Locked", "%s was removed a moment ago" % db.path)
        raise sqlite.as_refused(error)
    if not header.startswith(_MAGIC) or len(header) < 100:
        raise Refused("Corrupt", "%s is not an SQLite database" % db.path)
    if header[19] > 2:
        raise Refused("Corrupt", "%s is in a format of SQLite that vDVS does not know" % db.path)
    if header[18] > 2:
        raise Refused("Tampered", "%s is marked as one that SQLite may read but not write" % db.path)
    if 2 in header[18:20]:
        raise Refused("WriteAheadLog", "%s has a write-ahead log, which does not work between hosts" % db.path)
    if size > inspection.LARGEST_FILE:
        words = (db.path, inspection.mb(size), inspection.mb(inspection.LARGEST_FILE))
        raise Refused("TooLarge", "%s is too large: it has %s, at most %s" % words)
    if header[56:60] not in (bytearray(4), bytearray((0, 0, 0, 1))):
        raise Refused("Tampered", "%s holds text that is not UTF-8 (UTF-16), which vDVS does not make" % db.path)


def _check_length(connection, db):
    # type: (sqlite3.Connection, DBFile) -> None
    """Compare the length of the file with its header: a truncated file may still answer some queries."""
    pages = sqlite.execute(connection, "PRAGMA page_count").fetchone()
    page_size = sqlite.execute(connection, "PRAGMA page_size").fetchone()
    if pages and page_size and os.stat(db.real).st_size < pages[0] * page_size[0]:
        raise Refused("Damaged", "%s is truncated: it is shorter than its header says" % db.path)


def reading_error(error, db):
    # type: (Exception, DBFile) -> Exception
    refused = sqlite.as_refused(error)
    if not isinstance(refused, Refused):
        return refused
    if refused.reason == "ReadOnly":  # SQLite would have to roll back, and may not
        return Refused(
            "HotJournal", "%s is half-written: its writer was interrupted, and its journal is still there" % db.path
        )
    if refused.reason == "Retired" and db.own:  # ours have a link in their place then
        return Refused("WrongVersion", "%s is marked as one that was moved away, which it was not" % db.path)
    if isinstance(error, Refused) and error.reason not in _NAMES_NO_FILE:
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
    privileges = tables["privileges"]
    keys = rows.rows_as_text([row[:2] for row in privileges])
    return {
        "tenants": rows.rows_as_text(tables["tenants"]),
        "vms": rows.rows_as_text(tables["vms"]),
        "privileges": [
            list(key) + [cell if type(cell) is int else rows.cell(cell) for cell in row[2:]]
            for key, row in zip(keys, privileges)
        ],
    }
