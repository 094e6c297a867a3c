"""`auth-db`, where vDVS on a host finds its config DB: a link to a shared one, or the DB of this host alone.

Source: docs/domain.md#modes-of-a-host
"""

import os
import stat

from .. import files
from ..compat import readable
from ..db import database
from ..db.journal import journal_header, writer_is_active
from ..paths import AUTH_DB, VOLUMES, mode_of, raw_target
from ..wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Tuple  # novm

    from ..paths import Root

_FOLDER = os.path.dirname(AUTH_DB)


class AuthDB(object):
    """The state of `auth-db` at one moment.

    `target`: the text of the link, None if it is none; `path`: what it points to, by volume id.

    Source: docs/domain.md#modes-of-a-host
    """

    def __init__(self, root):
        # type: (Root) -> None
        self._root = root
        self._real = root.real(AUTH_DB, last=False)
        self.target = raw_target(self._real)
        self.path = None  # type: Optional[str]
        if self.target is not None:
            self.path = root.canonical(os.path.join(_FOLDER, self.target))

    def mode(self):
        # type: () -> Tuple[str, str]
        """Return (mode, reason): NotConfigured, SingleNode, MultiNode, or BrokenLink with the reason.

        The DB is not opened: every host would do so at once, and on VMFS a file that one host has open may be refused
        to the others, vDVS among them. The host that reads it reports whether it can be used. vDVS follows every link,
        where we follow none: the mode goes by what it finds.
        Source: docs/domain.md#modes-of-a-host
        """
        try:
            if mode_of(self._real) is None:
                return "NotConfigured", ""
        except EnvironmentError as error:
            raise files.refusal(error, "%s cannot be looked at" % AUTH_DB)
        if self.path is None:
            return "SingleNode", ""
        try:
            size = database.DBFile(self._root, self.path).size()
        except Refused as refused:
            return ("MultiNode", "") if self._leads_to_a_file() else ("BrokenLink", refused.reason)
        return ("BrokenLink", "Missing") if size is None else ("MultiNode", "")

    def _leads_to_a_file(self):
        # type: () -> bool
        """Return whether the link leads to a file, through whatever other links."""
        try:
            return stat.S_ISREG(mode_of(self._root.real(AUTH_DB)) or 0)
        except (Refused, EnvironmentError):
            return False

    def used(self):
        # type: () -> Optional[Any]
        """Return the path of the config DB that vDVS on this host uses: AUTH_DB if it is the host's own.

        None if there is none, or if it is not on a datastore.

        Source: docs/domain.md#modes-of-a-host
        """
        try:
            if mode_of(self._real) is None:
                return None
        except EnvironmentError:
            return None
        if self.path is None:
            return AUTH_DB
        return readable(self.path) if self.path.startswith(VOLUMES + "/") else None

    def journal_beside(self):
        # type: () -> bool
        """Return whether the journal of an interrupted writer lies beside auth-db, which is a link.

        SQLite before 3.10 puts it there and looks for it only there, so only vDVS on this host can finish or roll back
        that write.
        Source: docs/domain.md#locks-and-journal
        """
        if self.target is None or not journal_header(self._real):
            return False
        try:
            db = database.DBFile(self._root, self.path or AUTH_DB)
            if db.size() and writer_is_active(db.real):
                return False
        except (Refused, EnvironmentError):  # `mode` reports what is wrong with the DB
            pass
        return bool(journal_header(self._real))
