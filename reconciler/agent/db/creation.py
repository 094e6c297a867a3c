"""Creating a config DB: built whole beside its place, then put there in one step, if nothing is there.

(Two hosts that create it in place destroy each other's file: the loser's clean-up deletes what the winner made.)
"""

import os

from .. import files, programs
from ..wire import Refused
from . import database, rows, schema, sqlite, transaction
from .journal import journal_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Tuple  # novm

    from ..paths import Root
    from .database import Place

# On vSAN a folder directly on the datastore is an object of its own, which only this program can make.
OSFS_MKDIR = "/usr/lib/vmware/osfs/bin/osfs-mkdir"


def create(place, request, until):
    # type: (Place, Dict[str, Any], float) -> Dict[str, Any]
    """Create the DB at `place` with the groups of `request` applied. Raises Refused `Moved` if something is there, or
    comes there while it is built."""
    if request["fingerprint"] not in (database.ABSENT, database.EMPTY):
        raise Refused("Moved", "there was a config DB when the plan was made; it cannot be created")
    size = place.size()
    found = {None: database.ABSENT, 0: database.EMPTY}.get(size, "present")
    transaction.expect_unmoved(found, request["fingerprint"])
    if journal_bytes(place.real):
        raise Refused("HotJournal", "a journal lies beside %s; a new DB would be ruined by it" % place.path)
    try:
        make_folder(place)
        files.remove_leftovers(place.real)
        return _build_and_publish(place, request, until)
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be created" % place.path)


def make_folder(place):
    # type: (Place) -> None
    """Make the folder of the DB if it is missing: `dockvols`, or that of `auth-db`. Raises Refused, or OSError."""
    folder = os.path.dirname(place.path)
    if os.path.isdir(place.folder):
        return
    if place.own:
        files.make_folders(place.folder)
        return
    make_dockvols(place.root, folder)
    place.find()


def make_dockvols(root, folder):
    # type: (Root, str) -> None
    """Make the folder `dockvols` of a datastore, at this host path. Raises Refused, or OSError."""
    program = programs.first_that_exists(root, [OSFS_MKDIR])
    if program is not None:
        done = programs.run(root, [program, "-n", folder], 60)
        if done.code == 0 and os.path.isdir(root.real(folder)):
            return
        if "/vsan:" in folder:
            raise Refused("ReadError", "%s cannot be made: %s" % (folder, done.complaint))
    make_one_folder(root.real(folder))


def make_one_folder(real):
    # type: (str) -> None
    """Make the folder at this real path, if it is missing, in one that is there. Raises OSError."""
    try:
        os.mkdir(real, 0o755)
    except OSError:
        if not os.path.isdir(real):  # else somebody else has just made it
            raise


def _build_and_publish(place, request, until):
    # type: (Place, Dict[str, Any], float) -> Dict[str, Any]
    beside = files.temporary(place.real)
    try:
        results, digest = _build(place, beside, request)
        files.sync_file(beside)
        if not files.publish(beside, place.real, over_empty=request["fingerprint"] == database.EMPTY):
            raise Refused("Moved", "somebody else has just created %s" % place.path)
    finally:
        files.remove(beside)
        files.remove(beside + "-journal")
    transaction.verify(place, digest, until)
    return {"groups": results, "backup": None, "fingerprint": digest}


def _build(place, beside, request):
    # type: (Place, str, Dict[str, Any]) -> Tuple[List[Dict[str, Any]], str]
    """The whole DB in the file `beside`: the results of the groups, and its fingerprint."""
    connection = None
    try:
        connection = sqlite.open_creating(place.root, beside)
        sqlite.execute(connection, "BEGIN IMMEDIATE")
        schema.create(connection, request["with_default"])
        results = transaction.run_groups(connection, request)
        transaction.schema_step(connection, request["writer"])
        digest = rows.fingerprint(rows.read(connection))
        sqlite.execute(connection, "COMMIT")
        return results, digest
    except Exception as error:
        raise transaction.while_writing(error, place)
    finally:
        if connection is not None:
            sqlite.close(connection)
