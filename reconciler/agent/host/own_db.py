"""Replacing a host's own config DB (SingleNode) by a link to a shared one that exists already.

Source: docs/domain.md#moving-a-config-db
"""

import time

from ..compat import monotonic, native
from ..db import database, relocation, rows, sqlite, transaction
from ..db.checks import inspection
from ..paths import AUTH_DB
from ..wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict  # novm

    from ..db.database import DBFile
    from ..paths import Root

SECONDS = 10  # of waiting for each lock


def link_to_shared(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Replace the host's own config DB by a link to the one at `path`, and take over its booked volumes.

    The old file is kept beside the shared DB: a reboot loses what is in its own folder. Volumes are taken over for the
    vmgroups of both DBs. Raises Refused, `Moved` if the host's own DB does not have the `fingerprint`.
    Source: docs/domain.md#moving-a-config-db
    """
    source, target = database.DBFile(root, AUTH_DB), database.DBFile(root, native(action["path"]))
    if source.folder is not None and source.folder.target(source.name) == target.path:
        return
    until = monotonic() + SECONDS
    if not sqlite.can_write(root):
        raise Refused("TooOld", "the SQLite of this host is too old to write a shared DB; 3.7.16 is needed")
    if not target.size():
        raise Refused("Missing", "there is no config DB at %s" % target.path)
    transaction.expect_fingerprint(transaction.fingerprint(source, until), action["fingerprint"])
    lock = sqlite.retry_while_locked(until, lambda: transaction.begin(source))
    try:
        transaction.expect_fingerprint(rows.fingerprint(rows.read(lock)), action["fingerprint"])
        sqlite.retry_while_locked(until, lambda: _add_volumes(source, target, until))
        relocation.put_aside(source, target, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
    except EnvironmentError as error:
        raise sqlite.as_refused(error)
    finally:
        sqlite.close(lock)


def _add_volumes(source, target, until):
    # type: (DBFile, DBFile, float) -> None
    database.check_file(target)
    connection = sqlite.open_writing(target.root, target.real)
    try:
        sqlite.attach_reading(connection, source.real, "old")
        sqlite.execute(connection, "BEGIN")
        inspection.inspect(connection)
        inspection.inspect(connection, "old")
        of_both = "SELECT * FROM old.volumes WHERE tenant_id IN (SELECT id FROM main.tenants)"
        sqlite.execute(connection, "INSERT OR IGNORE INTO main.volumes " + of_both)
        transaction.commit(connection, until)
    except Exception as error:
        raise transaction.writing_error(error, target)
    finally:
        sqlite.close(connection)
