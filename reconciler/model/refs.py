"""What an object is called, and where its manifest stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kinds a manifest can be of, in the order in which output lists them."""

    SITE = "Site"
    CONFIG_DB = "ConfigDB"
    HOST = "Host"
    VMGROUP = "VMGroup"
    STORAGE_POLICY = "StoragePolicy"
    VOLUME = "Volume"


_ORDER = {kind: position for position, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """Identity of an object: its kind and its name in vDVS, shown as `vmgroup/MYVMGROUP`.

    Where a site has several config DBs, the name of a vmgroup is `DB/NAME`: vDVS names are unique in one DB only.
    """

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"

    @property
    def sort_key(self) -> tuple[int, str]:
        """Kinds in the order of `Kind`, names alphabetically."""
        return (_ORDER[self.kind], self.name)


@dataclass(frozen=True, slots=True)
class Source:
    """Where something is written in a manifest. `line` and `column` count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"
