"""A host that leaves its own config DB (SingleNode) for a shared one that is there already."""

import time

from ..compat import monotonic, native
from ..db import database, relocation, rows, sqlite, transaction
from ..paths import AUTH_DB, raw_target
from ..wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict  # novm

    from ..db.database import Place
    from ..paths import Root

SECONDS = 10  # to wait for each lock


def leave(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Put a link to the config DB at `path` in the place of the host's own, which is kept beside that one: a reboot
    loses what lies in its folder. What it has booked for vmgroups of both is booked there. Raises Refused, `Moved` if
    the host's own is not as `fingerprint` says."""
    source, target = database.Place(root, AUTH_DB), database.Place(root, native(action["path"]))
    if raw_target(source.real) == target.path:
        return
    until = monotonic() + SECONDS
    if not sqlite.can_write(root):
        raise Refused("TooOld", "the SQLite of this host is too old to write a shared DB; 3.7.16 is needed")
    if not target.size():
        raise Refused("Missing", "there is no config DB at %s" % target.path)
    transaction.expect_unmoved(transaction.fingerprint(source, until), action["fingerprint"])
    lock = sqlite.patiently(until, lambda: transaction.begin(source))
    try:
        transaction.expect_unmoved(rows.fingerprint(rows.read(lock)), action["fingerprint"])
        sqlite.patiently(until, lambda: _add_books(source, target, until))
        relocation.put_aside(source, target, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
    except EnvironmentError as error:
        raise sqlite.meaning(error)
    finally:
        sqlite.close(lock)


def _add_books(source, target, until):
    # type: (Place, Place, float) -> None
    connection = sqlite.open_writing(target.root, target.real)
    try:
        sqlite.attach_reading(connection, source.real, "old")
        sqlite.execute(connection, "BEGIN")
        of_both = "SELECT * FROM old.volumes WHERE tenant_id IN (SELECT id FROM main.tenants)"
        sqlite.execute(connection, "INSERT OR IGNORE INTO main.volumes " + of_both)
        transaction.commit(connection, until)
    except Exception as error:
        raise transaction.while_writing(error, target)
    finally:
        sqlite.close(connection)
