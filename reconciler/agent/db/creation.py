"""Creation of a config DB: built completely beside its final path, then renamed in one step if that path is free.

vDVS creates it in place, and two hosts that do so at once destroy each other's file: the loser's clean-up deletes the
winner's DB.
Source: docs/domain.md#locks-and-journal
"""

import posixpath

from .. import files, programs, scratch
from ..wire import Refused
from . import backup, database, rows, schema, sqlite, transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Tuple  # novm

    from ..folders import Folder
    from ..paths import Root
    from .database import DBFile

# On vSAN a top-level folder of a datastore is an object of its own, which only this program can create.
OSFS_MKDIR = "/usr/lib/vmware/osfs/bin/osfs-mkdir"


def create(db, request, until):
    # type: (DBFile, Dict[str, Any], float) -> Dict[str, Any]
    """Create the DB at `db` with the groups of `request` applied.

    Raises Refused `Moved` if something is there, or appears there while the DB is built.

    Source: docs/domain.md#locks-and-journal
    """
    if request["fingerprint"] not in (database.ABSENT, database.EMPTY):
        raise Refused("Moved", "the plan was made while a config DB existed there, so none can be created: plan again")
    transaction.expect_fingerprint(transaction.fingerprint(db, until), request["fingerprint"])
    if db.has_journal():
        raise Refused("HotJournal", "a journal was left beside %s, and would corrupt a new DB" % db.path)
    try:
        files.remove_leftovers(make_folder(db), db.name)
        return _build_and_publish(db, request, until)
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be created" % db.path)


def make_folder(db):
    # type: (DBFile) -> Folder
    """Make the folder of the DB if it is missing: `dockvols`, or that of `auth-db`. Raises Refused or OSError.

    Source: docs/domain.md#layout-of-dockvols
    """
    if db.folder is None and not db.own:
        db.folder = make_dockvols(db.root, posixpath.dirname(db.path))
    return db.held()


def make_dockvols(root, folder):
    # type: (Root, str) -> Folder
    """Make the folder `dockvols` of a datastore at this host path, and hold it. Raises Refused or OSError.

    Source: docs/domain.md#layout-of-dockvols
    """
    program = programs.first_that_exists(root, [OSFS_MKDIR])
    made = None
    if program is not None:
        done = programs.run(root, [program, "-n", folder], 60)
        made = root.hold(folder) if done.code == 0 else None
        if made is None and "/vsan:" in folder:
            raise Refused("ReadError", "%s cannot be made: %s" % (folder, done.complaint))
    if made is None:
        above = root.hold(posixpath.dirname(folder))
        if above is None:
            raise Refused("NotMounted", "the datastore of %s is not mounted" % folder)
        made = above.make_folder(posixpath.basename(folder))
    return made


def _build_and_publish(db, request, until):
    # type: (DBFile, Dict[str, Any], float) -> Dict[str, Any]
    folder, beside = db.held(), files.temporary(db.name)
    try:
        with scratch.Scratch(db.root) as place:
            place.folder.enter()
            results, digest = _build(db, db.name, request)
            scratch.copy(place.folder, db.name, folder, beside, backup.LARGEST, 0o644)
        put_retired_aside(db, request, until)
        if not files.publish(folder, beside, db.name, over_empty=request["fingerprint"] == database.EMPTY):
            raise Refused("Moved", "another program created %s in the meantime" % db.path)
        folder.discard(db.moving)  # of an earlier DB in this place
    finally:
        folder.discard(beside)
    transaction.verify(db, digest, until)
    return {"groups": results, "backup": None, "fingerprint": digest}


def put_retired_aside(db, request, until):
    # type: (DBFile, Dict[str, Any], float) -> None
    """Rename a retired DB, in whose place another is to be published. Raises Refused `Moved` for any other.

    Source: docs/domain.md#moving-a-config-db
    """
    if request["fingerprint"] != database.ABSENT or not db.size():
        return
    lock = sqlite.retry_while_locked(until, lambda: transaction.begin(db))
    try:
        db.expect_opened()
        if not rows.is_retired(lock):
            raise Refused("Moved", "another program created %s in the meantime" % db.path)
        db.held().rename(db.name, retired_name(db.held(), db.name, request["time"]))
    finally:
        sqlite.close(lock)


def retired_name(folder, name, time):
    # type: (Folder, str, str) -> str
    """Return a free name for a DB that was moved away at that time."""
    for number in range(1, 1000):
        free = "%s.moved-%s%s" % (name, time, "" if number == 1 else "-%d" % number)
        if folder.look(free) is None:
            return free
    raise Refused("ReadError", "all names of an old DB retired at %s are taken by other files" % time)


def _build(db, name, request):
    # type: (DBFile, str, Dict[str, Any]) -> Tuple[List[Dict[str, Any]], str]
    """Build the whole DB in the new file `name` of the current folder; return the results of the groups, and the
    fingerprint."""
    connection = None
    try:
        connection = sqlite.open_creating(db.root, name)
        sqlite.execute(connection, "BEGIN IMMEDIATE")
        schema.create(connection, request["with_default"])
        results = transaction.carry_out(connection, request)
        digest = rows.fingerprint(rows.read(connection))
        sqlite.execute(connection, "COMMIT")
        return results, digest
    except Exception as error:
        raise transaction.writing_error(error, db)
    finally:
        if connection is not None:
            sqlite.close(connection)
