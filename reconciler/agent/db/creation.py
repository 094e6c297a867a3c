"""Creation of a config DB: built completely beside its final path, then renamed in one step if that path is free.

vDVS creates it in place, and two hosts that do so at once destroy each other's file: the loser's clean-up deletes the
winner's DB.
Source: docs/domain.md#locks-and-journal
"""

import os

from .. import files, programs
from ..wire import Refused
from . import database, rows, schema, sqlite, transaction
from .journal import journal_header

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Tuple  # novm

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
    size = db.size()
    found = {None: database.ABSENT, 0: database.EMPTY}.get(size, "present")
    transaction.expect_fingerprint(found, request["fingerprint"])
    if journal_header(db.real):
        raise Refused("HotJournal", "a journal was left beside %s, and would corrupt a new DB" % db.path)
    try:
        make_folder(db)
        files.remove_leftovers(db.real)
        return _build_and_publish(db, request, until)
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be created" % db.path)


def make_folder(db):
    # type: (DBFile) -> None
    """Make the folder of the DB if it is missing: `dockvols`, or that of `auth-db`. Raises Refused or OSError.

    Source: docs/domain.md#layout-of-dockvols
    """
    folder = os.path.dirname(db.path)
    if os.path.isdir(db.folder):
        return
    if db.own:
        files.make_folders(db.folder)
        return
    make_dockvols(db.root, folder)
    db.resolve()


def make_dockvols(root, folder):
    # type: (Root, str) -> None
    """Make the folder `dockvols` of a datastore at this host path. Raises Refused or OSError.

    Source: docs/domain.md#layout-of-dockvols
    """
    program = programs.first_that_exists(root, [OSFS_MKDIR])
    if program is not None:
        done = programs.run(root, [program, "-n", folder], 60)
        if done.code == 0 and os.path.isdir(root.real(folder)):
            return
        if "/vsan:" in folder:
            raise Refused("ReadError", "%s cannot be made: %s" % (folder, done.complaint))
    make_single_folder(root.real(folder))


def make_single_folder(real):
    # type: (str) -> None
    """Make the folder at this real path, if it is missing. Its parent must exist. Raises OSError."""
    try:
        os.mkdir(real, 0o755)
    except OSError:
        if not os.path.isdir(real):  # else another program made it in the meantime
            raise


def _build_and_publish(db, request, until):
    # type: (DBFile, Dict[str, Any], float) -> Dict[str, Any]
    beside = files.temporary(db.real)
    try:
        results, digest = _build(db, beside, request)
        files.sync_file(beside)
        if not files.publish(beside, db.real, over_empty=request["fingerprint"] == database.EMPTY):
            raise Refused("Moved", "another program created %s in the meantime" % db.path)
        files.remove(db.moving)  # of an earlier DB in this place
    finally:
        files.remove(beside)
        files.remove(beside + "-journal")
    transaction.verify(db, digest, until)
    return {"groups": results, "backup": None, "fingerprint": digest}


def _build(db, beside, request):
    # type: (DBFile, str, Dict[str, Any]) -> Tuple[List[Dict[str, Any]], str]
    """Build the whole DB in the file `beside`, and return the results of the groups and the fingerprint."""
    connection = None
    try:
        connection = sqlite.open_creating(db.root, beside)
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
