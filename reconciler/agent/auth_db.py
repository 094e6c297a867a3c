"""`auth-db`, by which vDVS on a host finds its config DB: a link to a shared one, or the DB of this host alone."""

import os

from . import database, files, rows, sqlite, stamps
from .clock import monotonic
from .journal import journal_bytes, somebody_is_writing
from .paths import AUTH_DB, VOLUMES, mode_of, raw_target, size_of
from .text import readable
from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Tuple  # novm

    from .paths import Root

_GOOD_FOR = 600  # seconds after which a DB is opened again though it seems untouched
_usable = {}  # type: Dict[str, Tuple[Any, float]]


class AuthDB(object):
    """It, at one moment. `target`: the text of the link, None if it is none; `path`: what it leads to, by volume id."""

    def __init__(self, root):
        # type: (Root) -> None
        self._root = root
        self._real = root.real(AUTH_DB, last=False)
        self.target = raw_target(self._real)
        self.path = None  # type: Optional[str]
        if self.target is not None:
            self.path = root.canonical(os.path.join(os.path.dirname(AUTH_DB), self.target))

    def mode(self, until):
        # type: (float) -> Tuple[str, str]
        """(mode, reason) as the service itself would find it: NotConfigured without auth-db, SingleNode for a file (its
        content is not looked at), MultiNode for a link to a DB in which the table of versions can be queried (an empty
        file counts), else BrokenLink with the reason."""
        try:
            if mode_of(self._real) is None:
                return "NotConfigured", ""
        except EnvironmentError as error:
            raise files.refusal(error, "%s cannot be looked at" % AUTH_DB)
        if self.path is None:
            return "SingleNode", ""
        try:
            place = database.Place(self._root, self.path)
            size = place.size()
            if size is None:
                return "BrokenLink", "Missing"
            if size and not _was_usable(place):
                stamp = stamps.of(place.real)
                sqlite.patiently(until, lambda: database.reading(place, rows.schema))
                if stamps.is_settled(stamp):
                    _usable[place.real] = stamp, monotonic() + _GOOD_FOR
        except Refused as refused:
            if refused.reason != "WrongVersion":
                return "BrokenLink", refused.reason
        return "MultiNode", ""

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


def _was_usable(place):
    # type: (database.Place) -> bool
    """Whether the DB there was, not long ago, and nobody has touched it since."""
    stamp, until = _usable.get(place.real, (None, 0.0))
    if monotonic() > until or journal_bytes(place.real):
        return False
    return bool(stamps.of(place.real, stamps.through_open) == stamp)
