"""Values that a manifest can express: patterns of its fields (a test compares them with the schemas); datastores."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from reconciler.model.export import LeftOut
from reconciler.model.inventory import Datastore
from reconciler.model.kinds.configdb import ObservedConfigDB
from reconciler.model.refs import SPECIAL_DATASTORES
from reconciler.model.state import Observed, Resolved

PATTERNS: Final = {
    "host": r"^[A-Za-z0-9_][A-Za-z0-9_.:-]*$",
    "version": r"^[0-9A-Za-z][0-9A-Za-z._+-]*$",
    "vmgroup": r"^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$",
    "uuid": r"^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$",
    "description": r"^[^\x00-\x1f\x7f-\x9f]*$",
    "datastore": r"^([^/\x00-\x1f\x7f-\x9f]+|/vmfs/volumes/[^/\x00-\x20\x7f]+)$",
}


LONGEST: Final = {"host": 253, "version": 128, "description": 256, "uuid": 36, "datastore": 253}


MOST: Final = {"access": 256, "vms": 5000}
"""How many entries a list of a manifest may have."""


_COMPILED: Final = {what: re.compile(pattern.removesuffix("$")) for what, pattern in PATTERNS.items()}


def expressible(what: str, text: str) -> bool:
    """Whether `text` can be the value of a field of this sort."""
    return len(text) <= LONGEST.get(what, len(text)) and _COMPILED[what].fullmatch(text) is not None


def pinnable(uuid: str) -> bool:
    """Whether a manifest can name this UUID: it reads every UUID in lower case."""
    return uuid == uuid.lower() and expressible("uuid", uuid)


class DatastoreSpelling:
    """How manifests name datastores: by name where that is enough, else by URL."""

    def __init__(self, datastores: Iterable[Datastore]) -> None:
        pairs = {(datastore.name, datastore.url) for datastore in datastores}
        owners = Counter(name for name, _ in pairs)
        self._names = {url: name for name, url in SPECIAL_DATASTORES.items()}
        for name, url in sorted(pairs, reverse=True):  # of two names, the first counts
            special = name in SPECIAL_DATASTORES or url in SPECIAL_DATASTORES.values()
            if owners[name] == 1 and not special and "/" not in name and expressible("datastore", name):
                self._names[url] = name

    def of(self, url: str) -> str | None:
        """The datastore with this URL; None if a manifest cannot name it."""
        return self._names.get(url) or (url if "/" in url and expressible("datastore", url) else None)


class Adoptable(Struct, frozen=True):
    """The input of the export of files on datastores. What no manifest can express is added to `left_out`.

    `dbs`: the config DBs by name; `groups`: the metadata.name of each vmgroup that is in the manifests, by the name of
    its ref.
    """

    found: Resolved
    seen: Observed
    dbs: Sequence[tuple[str, ObservedConfigDB]]
    groups: Mapping[str, str]
    left_out: list[LeftOut]
