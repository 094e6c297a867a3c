"""Where a config DB is."""

from __future__ import annotations

from reconciler.model.constants import AUTH_DB
from reconciler.model.frozen import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """The file of a config DB: `path` as hosts see it, by volume id.

    On a datastore that is one file for all hosts, and `host` is empty. The file of a SingleNode config DB has the same
    path on every host and is another one on each, so `host` says whose it is.
    """

    path: str
    host: str = ""

    def __str__(self) -> str:
        return f"{self.path} of host/{self.host}" if self.host else self.path


def local(host: str) -> Location:
    """The config DB that is this host's own (SingleNode)."""
    return Location(AUTH_DB, host)
