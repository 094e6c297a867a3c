"""`auth-db`, by which vDVS on a host finds its config DB: a link to a shared one, or the DB of this host alone."""

import os

from .. import files
from ..compat import readable
from ..db import database
from ..db.journal import journal_bytes, somebody_is_writing
from ..paths import AUTH_DB, VOLUMES, mode_of, raw_target, size_of
from ..wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Tuple  # novm

    from ..paths import Root

_FOLDER = os.path.dirname(AUTH_DB)


class AuthDB(object):
    """It, at one moment. `target`: the text of the link, None if it is none; `path`: what it leads to, by volume id."""

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
        """(mode, reason): NotConfigured without auth-db, SingleNode for a file, MultiNode for a link to a file, else
        BrokenLink with the reason. The file is not opened: every host would, all at once, and on VMFS a file that one
        host has open may be refused to the others, vDVS among them. Whoever reads it tells whether it can be used."""
        try:
            if mode_of(self._real) is None:
                return "NotConfigured", ""
        except EnvironmentError as error:
            raise files.refusal(error, "%s cannot be looked at" % AUTH_DB)
        if self.path is None:
            return "SingleNode", ""
        try:
            size = database.Place(self._root, self.path).size()
        except Refused as refused:
            return "BrokenLink", refused.reason
        return ("BrokenLink", "Missing") if size is None else ("MultiNode", "")

    def used(self):
        # type: () -> Optional[Any]
        """The path of the config DB that vDVS on this host uses: AUTH_DB if that is its own. None if it uses none, or
        one that is not on a datastore."""
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
        """Whether the journal of an interrupted writer lies beside auth-db, which is a link. SQLite before 3.10 puts it
        there and looks for it only there, so nobody but vDVS on this host can finish or undo that write."""
        if self.target is None or not journal_bytes(self._real):
            return False
        try:
            db = self._root.real(AUTH_DB)
            if size_of(db) and somebody_is_writing(db):
                return False
        except (Refused, EnvironmentError):  # the mode says what is wrong with the DB
            pass
        return bool(journal_bytes(self._real))
