"""Moving a config DB to another place, or making that of one host the shared one, without losing a row.

Three steps, each whole or not at all, so that who is interrupted between them can go on: `copy` makes the new DB, which
says of itself where it was copied from; then every host is led to it; `retire` takes over what was booked meanwhile and
puts the old file aside, so that a host that still uses it finds nothing and refuses, and is not open.
"""

import os

from .. import files
from ..paths import mode_of
from ..wire import Refused
from . import backup, creation, database, objects, rows, schema, sqlite, transaction
from .journal import journal_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Dict, Tuple  # novm

    from ..paths import Root
    from .database import Place

# The books as they were when they were copied: what differs from them later was booked, or struck out, at that side.
_BOOKS = "vdvs_moved_volumes"
_KEYS = " AND ".join("%s.{0} IS %s.{0}".format(name) for name in ("tenant_id", "datastore_url", "volume_name"))
_CONFIGURATION = ("tenants", "vms", "privileges", "versions")


def copy(root, request, until):
    # type: (Root, Dict[str, Any], float) -> Dict[str, Any]
    """Make the DB at `path` the same as that at `source`, and let it say so. Raises Refused when nothing was changed:
    `Moved` if one of them is not what the request says, or if both were changed since an earlier copy."""
    source, target = _places(root, request)
    _expect_source(source, request, until)
    if request["fingerprint"] in (database.ABSENT, database.EMPTY):
        _publish_copy(source, target, request, until)
    else:
        _bring_over(source, target, request, until)
    transaction.verify(target, request["source_fingerprint"], until)
    return {"fingerprint": request["source_fingerprint"]}


def retire(root, request, until):
    # type: (Root, Dict[str, Any], float) -> Dict[str, Any]
    """End a move whose hosts all use the new DB, but for the one whose own the old one is: that is led to it now.
    Raises Refused `Moved` if rows of configuration have come to the old one since it was copied."""
    source, target = _places(root, request)
    kept = None
    if source.size() is not None:
        _expect_source(source, request, until)
        connection = sqlite.patiently(until, lambda: transaction.begin(source))
        try:
            found = rows.fingerprint(rows.read(connection))
            transaction.expect_unmoved(found, request["source_fingerprint"])
            _take_over_books(source, target, request, found, until)
            kept = put_aside(source, target, request["time"])
        except EnvironmentError as error:
            raise files.refusal(error, "%s cannot be put aside" % source.path)
        finally:
            sqlite.close(connection)
    _forget_source(target, until)
    return {"kept": kept}


def _places(root, request):
    # type: (Root, Dict[str, Any]) -> Tuple[Place, Place]
    source, target = database.Place(root, request["source"]), database.Place(root, request["path"])
    if not sqlite.can_write(root):
        raise Refused("TooOld", "the SQLite of this host is too old to write a shared DB; 3.7.16 is needed")
    for place in (source, target):
        if not root.mounted(place.path):
            raise Refused("NotMounted", "the datastore of %s is not mounted" % place.path)
    if source.real == target.real:
        raise Refused("BadRequest", "%s and %s are the same file" % (source.path, target.path))
    return source, target


def _expect_source(source, request, until):
    # type: (Place, Dict[str, Any], float) -> None
    """The old DB as the request has it, read without writing: a hot journal is found, and not rolled back."""
    transaction.expect_unmoved(transaction.fingerprint(source, until), request["source_fingerprint"])


# The copy


def _publish_copy(source, target, request, until):
    # type: (Place, Place, Dict[str, Any], float) -> None
    """Build the new DB beside its place and put it there. The old one is locked only while its file is read."""
    found = {None: database.ABSENT, 0: database.EMPTY}.get(target.size(), "present")
    transaction.expect_unmoved(found, request["fingerprint"])
    if journal_bytes(target.real):
        raise Refused("HotJournal", "a journal lies beside %s; a new DB would be ruined by it" % target.path)
    beside = files.temporary(target.real)
    try:
        creation.make_folder(target)
        beside = files.temporary(target.real)
        files.remove_leftovers(target.real)
        connection = sqlite.patiently(until, lambda: transaction.begin(source))
        try:
            transaction.expect_unmoved(rows.fingerprint(rows.read(connection)), request["source_fingerprint"])
            backup.copy_file(source.real, beside)
        finally:
            sqlite.close(connection)
        _mark(target, beside, request)
        files.sync_file(beside)
        if not files.publish(beside, target.real, over_empty=request["fingerprint"] == database.EMPTY):
            raise Refused("Moved", "somebody else has just created %s" % target.path)
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be created" % target.path)
    finally:
        files.remove(beside)
        files.remove(beside + "-journal")


def _mark(target, beside, request):
    # type: (Place, str, Dict[str, Any]) -> None
    """Check the copy, and let it say where it comes from."""
    connection = sqlite.open_writing(target.root, beside)
    try:
        sqlite.execute(connection, "BEGIN IMMEDIATE")
        if sqlite.execute(connection, "PRAGMA integrity_check(1)").fetchone()[0] != "ok":
            raise Refused("Corrupt", "%s is damaged: it cannot be copied" % request["source"])
        transaction.expect_unmoved(rows.fingerprint(rows.read(connection)), request["source_fingerprint"])
        sqlite.execute(connection, "DROP TABLE IF EXISTS %s" % _BOOKS)
        sqlite.execute(connection, "CREATE TABLE %s AS SELECT * FROM volumes" % _BOOKS)
        _remember(connection, request)
        sqlite.execute(connection, "COMMIT")
    except Exception as error:
        raise transaction.while_writing(error, target)
    finally:
        sqlite.close(connection)


def _remember(connection, request):
    # type: (sqlite3.Connection, Dict[str, Any]) -> None
    schema.record_writer(connection, request["writer"])
    told = (request["source"], request["source_host"], request["source_fingerprint"])
    for key, value in zip(rows.ORIGIN, told):
        sqlite.execute(connection, "INSERT OR REPLACE INTO vdvs_meta(key, value) VALUES (?, ?)", key, value)


# Two DBs at once


def _bring_over(source, target, request, until):
    # type: (Place, Place, Dict[str, Any], float) -> None
    """Take over what was changed in the old DB since it was copied, if nothing was changed in the copy."""
    lock = sqlite.patiently(until, lambda: transaction.begin(source))
    try:
        connection = _with_old(source, target, request, until)
        try:
            found = rows.fingerprint(rows.read(connection))
            transaction.expect_unmoved(found, request["fingerprint"])
            copied = rows.origin(connection)[2]  # type: ignore[index] # _with_old has looked
            if found not in (copied, request["source_fingerprint"]):
                raise Refused("Moved", "%s and its copy were both changed" % source.path)
            for table in _CONFIGURATION:
                sqlite.execute(connection, "DELETE FROM main.%s" % table)
                sqlite.execute(connection, "INSERT INTO main.%s SELECT * FROM old.%s" % (table, table))
            _bring_over_records(connection)
            _merge_books(connection)
            _remember(connection, request)
            transaction.commit(connection, until)
        except Exception as error:
            raise transaction.while_writing(error, target)
        finally:
            sqlite.close(connection)
    finally:
        sqlite.close(lock)


def _bring_over_records(connection):
    # type: (sqlite3.Connection) -> None
    """Who applied what, if that was ever written down."""
    if sqlite.execute(connection, "SELECT 1 FROM old.sqlite_master WHERE name = 'vdvs_objects'").fetchall():
        sqlite.execute(connection, objects.CREATE)
        sqlite.execute(connection, "DELETE FROM main.vdvs_objects")
        sqlite.execute(connection, "INSERT INTO main.vdvs_objects SELECT * FROM old.vdvs_objects")


def _take_over_books(source, target, request, found, until):
    # type: (Place, Place, Dict[str, Any], str, float) -> None
    connection = _with_old(source, target, request, until)
    try:
        copied = rows.origin(connection)[2]  # type: ignore[index] # _with_old has looked
        if found not in (copied, rows.fingerprint(rows.read(connection))):
            raise Refused("Moved", "rows of %s were changed after it was copied" % source.path)
        _merge_books(connection)
        transaction.commit(connection, until)
    except Exception as error:
        raise transaction.while_writing(error, target)
    finally:
        sqlite.close(connection)


def _with_old(source, target, request, until):
    # type: (Place, Place, Dict[str, Any], float) -> sqlite3.Connection
    """A connection that holds the write lock of the new DB and sees the old one, which is locked already, as `old`.
    Raises Refused `Moved` unless the new one is a copy of the old one."""

    def attempt():
        # type: () -> sqlite3.Connection
        connection = sqlite.open_writing(target.root, target.real)
        try:
            sqlite.attach_reading(connection, source.real, "old")
            sqlite.execute(connection, "BEGIN")
            sqlite.execute(connection, schema.META)
            sqlite.execute(connection, "UPDATE main.vdvs_meta SET value = value WHERE key = 'writer'")  # takes the lock
            told = rows.origin(connection)
            if told is None or told[:2] != (request["source"], request["source_host"]):
                raise Refused("Moved", "%s is not a copy of %s" % (target.path, source.path))
            return connection
        except Exception as error:
            sqlite.close(connection)
            raise transaction.while_writing(error, target)

    return sqlite.patiently(until, attempt)


def _merge_books(connection):
    # type: (sqlite3.Connection) -> None
    """Bring to the new DB what was booked and struck out in the old one since both were last the same."""
    execute = sqlite.execute
    known = "SELECT 1 FROM main.%s b WHERE %s" % (_BOOKS, _KEYS)
    left = "SELECT 1 FROM old.volumes o WHERE %s" % (_KEYS % (("o", "volumes") * 3))
    struck = "DELETE FROM main.volumes WHERE EXISTS (%s) AND NOT EXISTS (%s)"
    execute(connection, struck % (known % (("b", "volumes") * 3), left))
    booked = "INSERT OR REPLACE INTO main.volumes SELECT * FROM old.volumes o WHERE NOT EXISTS (%s AND b.%s IS o.%s)"
    execute(connection, booked % (known % (("b", "o") * 3), "volume_size", "volume_size"))
    execute(connection, "DELETE FROM main.%s" % _BOOKS)
    execute(connection, "INSERT INTO main.%s SELECT * FROM old.volumes" % _BOOKS)


# The end


def put_aside(source, target, time):
    # type: (Place, Place, str) -> str
    """Take the old file out of the way and keep it; the name under which it is kept. Called under its lock."""
    if not source.own:
        name = _free_name(source.folder, source.name, time)
        os.rename(source.real, os.path.join(source.folder, name))
        files.sync_folder(source.folder)
        return name
    # A reboot loses what lies beside it, so it is kept beside the new one. At no moment is there nothing in its place.
    name = _free_name(target.folder, target.name, time)
    unfinished = files.temporary(target.real)
    try:
        backup.copy_file(source.real, unfinished)
        os.rename(unfinished, os.path.join(target.folder, name))
    finally:
        files.remove(unfinished)
    files.sync_folder(target.folder)
    files.replace_link(source.real, target.path)
    return name


def _free_name(folder, name, time):
    # type: (str, str, str) -> str
    number = 1
    while True:
        free = "%s.moved-%s%s" % (name, time, "" if number == 1 else "-%d" % number)
        if mode_of(os.path.join(folder, free)) is None:
            return free
        number += 1


def _forget_source(target, until):
    # type: (Place, float) -> None
    """The copy is the DB now."""
    connection = sqlite.patiently(until, lambda: transaction.begin(target))
    try:
        if rows.origin(connection) is None:
            return
        for key in rows.ORIGIN:
            sqlite.execute(connection, "DELETE FROM vdvs_meta WHERE key = ?", key)
        sqlite.execute(connection, "DROP TABLE IF EXISTS %s" % _BOOKS)
        transaction.commit(connection, until)
    except Exception as error:
        raise transaction.while_writing(error, target)
    finally:
        sqlite.close(connection)
