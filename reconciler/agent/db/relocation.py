"""Moving a config DB to another path, or making the DB of one host the shared one, without losing a row.

Three steps, each atomic, so that an interrupted move can be continued: `copy` makes the new DB, which
records where it was copied from, and puts a link beside the old one that says where it is moved to; then every host is
linked to the new one; `retire` takes over what was booked meanwhile, keeps a copy of the old file, and takes the
version out of the old one. It stays in its place: a request that has it open ends well (SQLite refuses to write a file
that was renamed), and any later one through it is refused (closed, not open).
Source: docs/domain.md#moving-a-config-db
"""

import posixpath

from .. import files, scratch
from ..compat import native, readable
from ..paths import VOLUMES
from ..wire import Refused
from . import backup, creation, database, objects, rows, schema, sqlite, transaction
from .checks import inspection

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Callable, Dict, Optional, Tuple  # novm

    from ..folders import Folder
    from ..paths import Root
    from .database import DBFile

# The volume rows at the time of the copy; the difference to them shows what each side added or removed since.
_BASELINE = "vdvs_moved_volumes"
_KEY = "tenant_id, datastore_url, volume_name"
_ALL = _KEY + ", volume_size"
_UNNAMEABLE = (TypeError, ValueError)  # with a NUL in a name, or what is no text
_CONFIGURATION = ("tenants", "vms", "privileges", "versions")


def copy(root, request, until):
    # type: (Root, Dict[str, Any], float) -> Dict[str, Any]
    """Make the DB at `path` equal to that at `source`, and record in it, and beside the other, that it is moved.

    Raises Refused when nothing was changed: `Moved` if one of them is not as the request says, or if both were changed
    since an earlier copy.

    Source: docs/domain.md#moving-a-config-db
    """
    source, target = _both(root, request)
    _expect_source(source, request, until)
    if request["fingerprint"] in (database.ABSENT, database.EMPTY):
        digest = _publish_copy(source, target, request, until)
    else:
        digest = _update_copy(source, target, request, until)
    transaction.verify(target, digest, until)
    try:
        files.replace_link(source.held(), source.moving, target.path)
    except EnvironmentError as error:
        raise files.refusal(error, "beside %s it cannot be recorded that it is moved" % source.path)
    return {"fingerprint": digest}


def retire(root, request, until):
    # type: (Root, Dict[str, Any], float) -> Dict[str, Any]
    """Finish a move once all hosts use the new DB. A host whose own DB was the source is linked to the new one here.

    Raises Refused `Moved` if configuration rows of the old DB were changed since it was copied, or if nothing beside it
    says that it is moved there: what the new one says about it may be forged.

    Source: docs/domain.md#moving-a-config-db
    """
    source, target = _both(root, request)
    kept = None
    if source.size() is not None and transaction.fingerprint(source, until) != database.ABSENT:
        _expect_source(source, request, until)
        connection = sqlite.retry_while_locked(until, lambda: transaction.begin(source, without_journal=True))
        try:
            found = rows.fingerprint(rows.read(connection))
            transaction.expect_fingerprint(found, request["source_fingerprint"])
            if source.destination() != target.path:
                raise Refused("Moved", "nothing beside %s says that it is moved to %s" % (source.path, target.path))
            _take_over_volumes(source, target, request, found, until)
            kept = put_aside(source, target, request["time"])
            if not source.own:
                schema.retire(connection)
                transaction.commit(connection, until)
        except EnvironmentError as error:
            raise files.refusal(error, "%s cannot be put aside" % source.path)
        finally:
            sqlite.close(connection)
    if source.folder is not None and source.destination() == target.path:
        source.folder.discard(source.moving)
    _finish(target, until)
    return {"kept": kept}


def _both(root, request):
    # type: (Root, Dict[str, Any]) -> Tuple[DBFile, DBFile]
    source, target = database.DBFile(root, request["source"]), database.DBFile(root, request["path"])
    if not sqlite.can_write(root):
        raise Refused("TooOld", "the SQLite of this host is too old to write a shared DB; 3.7.16 is needed")
    for db in (source, target):
        if not root.mounted(db.path):
            raise Refused("NotMounted", "the datastore of %s is not mounted" % db.path)
    if source.path == target.path or _is_same(source, target):
        raise Refused("BadRequest", "%s and %s are the same file" % (source.path, target.path))
    return source, target


def _is_same(source, target):
    # type: (DBFile, DBFile) -> bool
    found = [db.folder.look(db.name) for db in (source, target) if db.folder is not None]
    known = [(each.st_dev, each.st_ino) for each in found if each is not None]
    return len(known) == 2 and known[0] == known[1]


def _expect_source(source, request, until):
    # type: (DBFile, Dict[str, Any], float) -> None
    """Check the fingerprint of the old DB without writing: a hot journal is reported, not rolled back."""
    transaction.expect_fingerprint(transaction.fingerprint(source, until), request["source_fingerprint"])


# Step 1: the copy


def _publish_copy(source, target, request, until):
    # type: (DBFile, DBFile, Dict[str, Any], float) -> Any
    """Build the new DB beside its final path and rename it. The old one is locked only while its file is read.

    Source: docs/domain.md#moving-a-config-db
    """
    transaction.expect_fingerprint(transaction.fingerprint(target, until), request["fingerprint"])
    if target.has_journal():
        raise Refused("HotJournal", "a journal was left beside %s, and would corrupt a new DB" % target.path)
    beside = files.temporary(target.name)
    try:
        folder = creation.make_folder(target)
        files.remove_leftovers(folder, target.name)
        with scratch.Scratch(target.root) as place:
            connection = sqlite.retry_while_locked(until, lambda: transaction.begin(source))
            try:
                transaction.expect_fingerprint(rows.fingerprint(rows.read(connection)), request["source_fingerprint"])
                backup.copy_file(source, place.folder, target.name)
            finally:
                sqlite.close(connection)
            place.folder.enter()
            _mark(target, target.name, request)
            scratch.copy(place.folder, target.name, folder, beside, backup.LARGEST, 0o644)
        creation.put_retired_aside(target, request, until)
        if not files.publish(folder, beside, target.name, over_empty=request["fingerprint"] == database.EMPTY):
            raise Refused("Moved", "another program created %s in the meantime" % target.path)
        return request["source_fingerprint"]
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be created" % target.path)
    finally:
        if target.folder is not None:
            target.folder.discard(beside)


def _mark(target, name, request):
    # type: (DBFile, str, Dict[str, Any]) -> None
    """Check the copy `name` in the current folder, and record in it where it was copied from.

    Source: docs/domain.md#moving-a-config-db
    """
    connection = sqlite.open_writing(target.root, name)
    try:
        sqlite.execute(connection, "BEGIN IMMEDIATE")
        inspection.inspect(connection)
        transaction.expect_fingerprint(rows.fingerprint(rows.read(connection)), request["source_fingerprint"])
        sqlite.execute(connection, "DROP TABLE IF EXISTS %s" % _BASELINE)
        sqlite.execute(connection, "CREATE TABLE %s AS SELECT * FROM volumes" % _BASELINE)
        _record_origin(connection, request)
        sqlite.execute(connection, "COMMIT")
    except Exception as error:
        raise transaction.writing_error(error, target)
    finally:
        sqlite.close(connection)


def _record_origin(connection, request):
    # type: (sqlite3.Connection, Dict[str, Any]) -> None
    schema.record_writer(connection, request["writer"])
    origin = (request["source"], request["source_host"], request["source_fingerprint"])
    for key, value in zip(rows.ORIGIN, origin):
        sqlite.execute(connection, "INSERT OR REPLACE INTO vdvs_meta(key, value) VALUES (?, ?)", key, value)


# Both DBs at once


def _update_copy(source, target, request, until):
    # type: (DBFile, DBFile, Dict[str, Any], float) -> Any
    """Copy what was changed in the old DB since the copy was made, if nothing was changed in the copy.

    Return the fingerprint of the copy.

    Source: docs/domain.md#moving-a-config-db
    """
    lock = sqlite.retry_while_locked(until, lambda: transaction.begin(source))
    try:
        connection = _open_both(source, target, request, until)
        try:
            found, digest = rows.fingerprint(rows.read(connection)), request["source_fingerprint"]
            transaction.expect_fingerprint(found, request["fingerprint"])
            copied = rows.origin(connection)[2]  # type: ignore[index] # _open_both has looked
            if copied == digest:  # only the copy was changed since
                digest = found
            elif found in (copied, digest):
                _copy_configuration(connection)
            else:
                raise Refused("Moved", "%s and its copy were both changed" % source.path)
            _merge_volumes(target.root, connection)
            _record_origin(connection, request)
            _expect_rows(connection, digest)
            transaction.commit(connection, until)
            return digest
        except Exception as error:
            raise transaction.writing_error(error, target)
        finally:
            sqlite.close(connection)
    finally:
        sqlite.close(lock)


def _copy_configuration(connection):
    # type: (sqlite3.Connection) -> None
    """Copy the rows of the old DB, and its records of who applied what, if there are any."""
    for table in _CONFIGURATION:
        sqlite.execute(connection, "DELETE FROM main.%s" % table)
        sqlite.execute(connection, "INSERT INTO main.%s SELECT * FROM old.%s" % (table, table))
    if sqlite.execute(connection, "SELECT 1 FROM old.sqlite_master WHERE name = 'vdvs_objects'").fetchall():
        sqlite.execute(connection, objects.CREATE)
        sqlite.execute(connection, "DELETE FROM main.vdvs_objects")
        sqlite.execute(connection, "INSERT INTO main.vdvs_objects SELECT * FROM old.vdvs_objects")


def _take_over_volumes(source, target, request, found, until):
    # type: (DBFile, DBFile, Dict[str, Any], str, float) -> None
    connection = _open_both(source, target, request, until)
    try:
        copied = rows.origin(connection)[2]  # type: ignore[index] # _open_both has looked
        before = rows.fingerprint(rows.read(connection))
        if found not in (copied, before):
            raise Refused("Moved", "rows of %s were changed after it was copied" % source.path)
        _merge_volumes(target.root, connection)
        _expect_rows(connection, before)
        transaction.commit(connection, until)
    except Exception as error:
        raise transaction.writing_error(error, target)
    finally:
        sqlite.close(connection)


def _open_both(source, target, request, until):
    # type: (DBFile, DBFile, Dict[str, Any], float) -> sqlite3.Connection
    """Return a connection that holds the write lock of the new DB and has the old, locked one attached as `old`.

    Raises Refused `Moved` unless the new one is a copy of the old one.
    """

    def attempt():
        # type: () -> sqlite3.Connection
        try:
            database.check_file(target)
            connection = sqlite.open_writing(target.root, target.real)
        except Exception as error:
            raise transaction.writing_error(error, target)
        try:
            sqlite.attach_reading(connection, source.real, "old")
            sqlite.execute(connection, "BEGIN")
            inspection.inspect(connection)
            inspection.inspect(connection, "old")
            sqlite.execute(connection, schema.META)
            sqlite.execute(connection, "UPDATE main.vdvs_meta SET value = value WHERE key = 'writer'")  # takes the lock
            origin = rows.origin(connection)
            if origin is None or origin[:2] != (request["source"], request["source_host"]):
                raise Refused("Moved", "%s is not a copy of %s" % (target.path, source.path))
            return connection
        except Exception as error:
            sqlite.close(connection)
            raise transaction.writing_error(error, target)

    return sqlite.retry_while_locked(until, attempt)


def _expect_rows(connection, fingerprint):
    # type: (sqlite3.Connection, str) -> None
    """Raise Refused `Unexpected` unless the configuration has this fingerprint.

    Source: docs/domain.md#an-untrusted-file
    """
    if rows.fingerprint(rows.read(connection)) != fingerprint:
        raise Refused(
            "Unexpected", "its rows would not be those of the config DB that is moved, so nothing was changed"
        )


def _merge_volumes(root, connection):
    # type: (Root, sqlite3.Connection) -> None
    """Apply to the new DB the volume rows added to and removed from the old one since both were last equal.

    A volume may have been removed, or made anew, through the new one meanwhile, which leaves no trace in rows: then
    its file decides. Both DBs are locked, so each statement takes no longer than it takes to sort the rows.
    Source: docs/domain.md#quotas
    """
    execute = sqlite.execute
    struck = "SELECT %s FROM main.%s EXCEPT SELECT %s FROM old.volumes" % (_KEY, _BASELINE, _KEY)
    _keep_unless(root, connection, "struck", struck, lambda there: not there)
    same = "v.tenant_id = s.tenant_id AND v.datastore_url = s.datastore_url AND v.volume_name"
    found = "SELECT v.rowid FROM temp.struck s CROSS JOIN main.volumes v ON %s %s"
    either = " UNION ALL ".join(
        found % (same, name) for name in ("= s.volume_name", "IS NULL AND s.volume_name IS NULL")
    )
    execute(connection, "DELETE FROM main.volumes WHERE rowid IN (%s)" % either)
    added = "SELECT %s FROM old.volumes EXCEPT SELECT %s FROM main.%s" % (_ALL, _ALL, _BASELINE)
    _keep_unless(root, connection, "added", added, lambda there: there is not False)
    execute(connection, "INSERT OR REPLACE INTO main.volumes(%s) SELECT %s FROM temp.added" % (_ALL, _ALL))
    execute(connection, "DELETE FROM main.%s" % _BASELINE)
    execute(connection, "INSERT INTO main.%s SELECT * FROM old.volumes" % _BASELINE)


def _keep_unless(root, connection, name, query, counts):
    # type: (Root, sqlite3.Connection, str, str, Callable[[Optional[bool]], bool]) -> None
    """Make the temporary table `name` of those rows of a query that count, given whether their files are there."""
    sqlite.execute(connection, "CREATE TEMP TABLE %s AS %s" % (name, query))
    folders = {}  # type: Dict[Any, Optional[Folder]] # the last one only: the rows are sorted
    drop = []
    for row in rows.fetch_all(connection, "SELECT rowid, %s FROM temp.%s" % (_KEY, name)):
        if row[1:3] not in folders:
            folders.clear()
            folders[row[1:3]] = _served_folder(root, connection, *row[1:3])
        if not counts(_is_there(folders[row[1:3]], row[3])):
            drop.append(row[:1])
    sqlite.execute_many(connection, "DELETE FROM temp.%s WHERE rowid = ?" % name, drop)


def _served_folder(root, connection, tenant_id, datastore_url):
    # type: (Root, sqlite3.Connection, Any, Any) -> Optional[Folder]
    """Return the folder of a vmgroup on a datastore, from which vDVS serves it; None: that cannot be told.

    Source: docs/domain.md#layout-of-dockvols
    """
    tenant, url = rows.as_text(tenant_id) or "", rows.as_text(datastore_url) or ""
    if not url.startswith(VOLUMES + "/") or "/" in tenant or tenant in ("", ".", ".."):
        return None
    try:
        named = rows.fetch_all(connection, "SELECT name FROM main.tenants WHERE id = ?", tenant_id)
        if not named:
            return None
        dockvols = root.hold(native(url) + "/dockvols")
        folder = root.hold(native("%s/dockvols/%s" % (url, tenant)))
        if dockvols is None or folder is None:
            return None
        target = dockvols.target(native(rows.as_text(named[0][0])))
        if target is not None and posixpath.basename(readable(target).rstrip("/")) != tenant:
            return None  # vDVS serves this vmgroup from another folder
        return folder
    except _UNNAMEABLE + (Refused, EnvironmentError):
        return None


def _is_there(folder, volume_name):
    # type: (Optional[Folder], Any) -> Optional[bool]
    """Return whether the file of a volume is in the folder; None: that cannot be told."""
    volume = rows.as_text(volume_name) or ""
    if folder is None or "/" in volume:
        return None
    try:
        return folder.look(native(volume + ".vmdk")) is not None
    except _UNNAMEABLE + (EnvironmentError,):
        return None


# Step 3: retiring the old DB


def put_aside(source, target, time):
    # type: (DBFile, DBFile, str) -> str
    """Keep a copy of the old file, and return its name. The caller holds its lock.

    That of a host is kept beside the new DB, as a reboot loses what lies beside it, and a link to that takes its place.
    Source: docs/domain.md#moving-a-config-db
    """
    beside = target if source.own else source
    folder = beside.held()
    name = creation.retired_name(folder, beside.name, time)
    unfinished = files.temporary(beside.name)
    try:
        backup.copy_file(source, folder, unfinished)
        folder.rename(unfinished, name)
    finally:
        folder.discard(unfinished)
    folder.sync()
    if source.own:  # there is no moment without a DB or a link
        files.replace_link(source.held(), source.name, target.path)
    return name


def _finish(target, until):
    # type: (DBFile, float) -> None
    """Remove the origin from the copy, which is the config DB from now on."""
    connection = sqlite.retry_while_locked(until, lambda: transaction.begin(target))
    try:
        if rows.origin(connection) is None:
            return
        for key in rows.ORIGIN:
            sqlite.execute(connection, "DELETE FROM vdvs_meta WHERE key = ?", key)
        sqlite.execute(connection, "DROP TABLE IF EXISTS %s" % _BASELINE)
        transaction.commit(connection, until)
    except Exception as error:
        raise transaction.writing_error(error, target)
    finally:
        sqlite.close(connection)
