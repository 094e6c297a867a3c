"""One config DB as it is found: whether it is there, whether it can be read, and its rows. Writes nothing."""

import errno
import os
import posixpath
import re
import stat

from .. import files
from ..compat import monotonic, native, readable
from ..paths import AUTH_DB, raw_target, size_of
from ..wire import Refused
from . import dead_rows, objects, rows, rules, sqlite
from .journal import journal_bytes, look_before_reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Callable, Dict, List, Optional, Tuple, TypeVar  # novm

    from ..paths import Root

    Value = TypeVar("Value")

ABSENT = "absent"  # the fingerprint of a file that does not exist
EMPTY = "empty"  # and of one without a byte
_MAGIC = b"SQLite format 3\0"
_INTERRUPTED = 60  # seconds after which a file that was not finished will not be
_GOOD_FOR = 600  # seconds after which a file is read again though it seems untouched
_last_look = {}  # type: Dict[str, Tuple[Any, Dict[str, Any], float]]
_BACKUP = re.compile(r"\.bak-(\d{8}T\d{6}Z)(?:-(\d+))?$")


class Place(object):
    """Where a config DB is, or would be: `path` as the host says it by volume id, `real` for the operating system.

    On a datastore links on the way are followed. `auth-db` itself is the host's own config DB only if it is no link.
    """

    def __init__(self, root, path):
        # type: (Root, str) -> None
        self.root = root
        self.path = root.canonical(path)
        self.find()

    def find(self):
        # type: () -> None
        """Follow the links on the way, again if its folder has just been made."""
        root = self.root
        self.own = self.path == AUTH_DB
        self.real = root.real(self.path, last=not self.own)
        self.folder = os.path.dirname(self.real)
        self.name = os.path.basename(self.real)
        self.copies = self.real + ".bak"  # what `files.temporary` calls a backup before it is whole

    def size(self):
        # type: () -> Optional[int]
        """The size in bytes; None: the volume is mounted and nothing is there. Raises Refused `NotMounted`, and
        `ReadError` where one cannot tell."""
        if not self.root.mounted(self.path):
            raise Refused("NotMounted", "the datastore of %s is not mounted" % self.path)
        try:
            if self.own and raw_target(self.real) is not None:
                return None
            size = size_of(self.real)
        except EnvironmentError as error:
            raise sqlite.meaning(error)
        if size is not None:
            return size
        for path in (os.path.dirname(self.path), self.path):
            link = raw_target(self.root.real(path, last=False))
            if link is not None and not os.path.exists(self.root.real(path)):
                raise Refused("ReadError", "%s is a link that leads nowhere" % path)
        if journal_bytes(self.real):
            what = "%s is gone, but its journal is still there; a new DB would be ruined by it"
            raise Refused("HotJournal", what % self.path)
        return None

    def backups(self):
        # type: () -> List[str]
        """Names of our backup files beside it, oldest first."""
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
        # type: (str) -> Place
        """The place of one of our backups, to be read like any DB and never written. Raises Refused `Missing`, and
        `ReadError` for what is no regular file."""
        if name not in [readable(known) for known in self.backups()]:
            raise Refused("Missing", "%s has no backup called %s" % (self.path, name))
        copy = Place(self.root, self.path)
        copy.own, copy.name = False, native(name)
        copy.path = "%s/%s" % (posixpath.dirname(self.path), copy.name)
        copy.real = os.path.join(self.folder, copy.name)
        try:
            if not stat.S_ISREG(os.lstat(copy.real).st_mode):
                raise Refused("ReadError", "%s is no regular file" % copy.path)
        except EnvironmentError as error:
            raise sqlite.meaning(error)
        return copy

    def leftovers(self):
        # type: () -> List[str]
        """Names of what interrupted creations and backups left beside it."""
        return files.leftovers(self.real, _INTERRUPTED) + files.leftovers(self.copies, _INTERRUPTED)


def look(root, path, known, until):
    # type: (Root, str, Optional[str], float) -> Dict[str, Any]
    """What the protocol's `observe` says about the config DB at the host path `path`. `known`: a fingerprint whose rows
    need not be sent again. `until`: how long to try while it is locked (a moment of `clock.monotonic`)."""
    try:
        place = Place(root, path)
        size = place.size()
        if not size:
            answer = _nothing(place, EMPTY if size == 0 else ABSENT)
        else:
            answer = _looked_at(place, known) or _look(place, known, until)
    except Refused as refused:
        return {"state": "unknown", "reason": refused.reason, "message": refused.sentence, "fingerprint": ""}
    answer["backups"] = [readable(name) for name in place.backups()]
    answer["leftovers"] = [readable(name) for name in place.leftovers()]
    return answer


def _look(place, known, until):
    # type: (Place, Optional[str], float) -> Dict[str, Any]
    stamp = files.stamp(place.real)
    answer = sqlite.patiently(until, lambda: reading(place, lambda found: _describe(found, known)))
    _last_look.clear()
    if files.is_settled(stamp) and answer["unchanged"]:
        _last_look[place.real] = (stamp, answer, monotonic() + _GOOD_FOR)
    return answer


def _looked_at(place, known):
    # type: (Place, Optional[str]) -> Optional[Dict[str, Any]]
    """What the last look said, if the file was not touched since, and its rows are known."""
    stamp, answer, until = _last_look.get(place.real, (None, {"fingerprint": ""}, 0.0))
    if answer["fingerprint"] != known or monotonic() > until or journal_bytes(place.real):
        return None
    return dict(answer) if files.stamp(place.real, files.stat_through_open) == stamp else None


def fingerprint(place, until):
    # type: (Place, float) -> str
    """The fingerprint alone. Raises Refused where `look` says that the DB is unknown."""
    size = place.size()
    if not size:
        return str(_nothing(place, EMPTY if size == 0 else ABSENT)["fingerprint"])
    return sqlite.patiently(until, lambda: reading(place, _fingerprint))


def look_at_backup(root, path, name, until):
    # type: (Root, str, str, float) -> Dict[str, Any]
    """The same about the backup called `name` of the DB at `path`. Raises Refused."""
    place = mounted_place(root, path).backup(name)
    if not size_of(place.real):
        raise Refused("Corrupt", "%s is empty" % place.path)
    return sqlite.patiently(until, lambda: reading(place, lambda found: _describe(found, None)))


def list_backups(root, path):
    # type: (Root, str) -> List[List[Any]]
    """The backups of the DB at `path`, oldest first: (name, bytes; None if that cannot be told). Raises Refused."""
    place = mounted_place(root, path)
    found = []  # type: List[List[Any]]
    for name in place.backups():
        try:
            found.append([readable(name), os.lstat(os.path.join(place.folder, name)).st_size])
        except EnvironmentError:
            found.append([readable(name), None])
    return found


def mounted_place(root, path):
    # type: (Root, str) -> Place
    """Where the DB at `path` is. Raises Refused `NotMounted`."""
    place = Place(root, path)
    if not root.mounted(place.path):
        raise Refused("NotMounted", "the datastore of %s is not mounted" % place.path)
    return place


def _nothing(place, state):
    # type: (Place, str) -> Dict[str, Any]
    if state == EMPTY and journal_bytes(place.real):
        raise Refused(
            "HotJournal", "%s is being created, or its creation was interrupted: its journal is there" % place.path
        )
    return {"state": state, "reason": "", "message": "", "fingerprint": state}


def reading(place, what):
    # type: (Place, Callable[[sqlite3.Connection], Value]) -> Value
    """`what(connection)` inside one read-only transaction on the DB at `place`. One attempt: raises Refused `Locked`,
    `HotJournal`, `Corrupt`, `Incomplete`, `WrongVersion` or `ReadError`."""
    check_header(place)
    look_before_reading(place.real)
    try:
        connection = sqlite.open_reading(place.root, place.real)
    except Exception as error:
        raise _while_reading(error, place)
    try:
        sqlite.execute(connection, "BEGIN")
        sqlite.execute(connection, "SELECT count(*) FROM sqlite_master").fetchall()
        _check_length(connection, place)
        return what(connection)
    except Exception as error:
        raise _while_reading(error, place)
    finally:
        sqlite.close(connection)


def check_header(place):
    # type: (Place) -> None
    """Read the first bytes, while this process does not have the DB open through SQLite. Raises Refused `Corrupt` for
    a file that is no SQLite database, or one with a write-ahead log, which could not be read without writing."""
    try:
        with open(place.real, "rb") as stream:
            header = stream.read(100)
    except EnvironmentError as error:
        if error.errno == errno.ENOENT:
            raise Refused("Locked", "%s has just been taken away" % place.path)
        raise sqlite.meaning(error)
    if not header.startswith(_MAGIC) or len(header) < 100:
        raise Refused("Corrupt", "%s is not an SQLite database" % place.path)
    if bytearray(header)[18:20] == bytearray((2, 2)):
        raise Refused("Corrupt", "%s has a write-ahead log, which does not work between hosts" % place.path)


def _check_length(connection, place):
    # type: (sqlite3.Connection, Place) -> None
    """A file that was cut off may still answer some queries: compare its length with what its header says."""
    pages = sqlite.execute(connection, "PRAGMA page_count").fetchone()
    page_size = sqlite.execute(connection, "PRAGMA page_size").fetchone()
    if pages and page_size and os.stat(place.real).st_size < pages[0] * page_size[0]:
        raise Refused("Corrupt", "%s is cut off: it is shorter than its header says" % place.path)


def _while_reading(error, place):
    # type: (Exception, Place) -> Exception
    refused = sqlite.meaning(error)
    if not isinstance(refused, Refused):
        return refused
    if refused.reason == "ReadOnly":  # SQLite would have to roll back, and may not
        return Refused("HotJournal", "an interrupted writer left %s half-written (its journal is there)" % place.path)
    if isinstance(error, Refused):
        return error
    return Refused(refused.reason, "%s: %s" % (place.path, refused.message))


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
        [rows.plain(tenant), rows.plain(url), used, count] for tenant, url, used, count in rows.volume_use(connection)
    ]
    booked = rows.booked(connection)
    answer["booked"] = booked and [
        [rows.plain(tenant), rows.plain(url), rows.plain(name), rows.integer(size)]
        for tenant, url, name, size in booked
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
    keys = rows.all_plain([row[:2] for row in privileges])
    return {
        "tenants": rows.all_plain(tables["tenants"]),
        "vms": rows.all_plain(tables["vms"]),
        "privileges": [list(key) + [integer(cell) for cell in row[2:5]] for key, row in zip(keys, privileges)],
    }
