"""The kinds; references to objects and places; and the names that vDVS itself defines. Source: docs/domain.md"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct


class Kind(StrEnum):
    """The kinds of manifests, in the order of output."""

    SITE = "Site"
    CONFIG_DB = "ConfigDB"
    HOST = "Host"
    VMGROUP = "VMGroup"
    MEMBERSHIP = "Membership"
    STORAGE_POLICY = "StoragePolicy"
    VOLUME = "Volume"


class Words(Struct, frozen=True):
    """The words for a kind: on the command line (singular, plural, short names), and in sentences."""

    names: tuple[str, ...]
    noun: str
    nouns: str

    @property
    def singular(self) -> str:
        """Name of one object on the command line and in references, and of the schema: `vmgroup`."""
        return self.names[0]

    @property
    def plural(self) -> str:
        """Name of all of them on the command line: `vmgroups`."""
        return self.names[1]


class KindSpec(Words, frozen=True):
    """A kind and its names.

    `reconciled` False: a manifest of this kind is no object of vDVS; it configures vdvs itself, so a set has at most
    one, or it is `part_of` an object of another kind.
    `on_datastore`: its objects are files on a datastore, which go one generic way through plan, ports and agent.
    """

    kind: Kind
    reconciled: bool = True
    on_datastore: bool = False
    part_of: Kind | None = None

    @property
    def alone(self) -> bool:
        """True if a set has at most one."""
        return not self.reconciled and self.part_of is None


KINDS: Final[dict[Kind, KindSpec]] = {
    spec.kind: spec
    for spec in (
        KindSpec(("site", "sites", "vsite"), "site", "sites", Kind.SITE, reconciled=False),
        KindSpec(("configdb", "configdbs", "db", "dbs", "cdb"), "config DB", "config DBs", Kind.CONFIG_DB),
        KindSpec(("host", "hosts", "vhost"), "host", "hosts", Kind.HOST),
        KindSpec(("vmgroup", "vmgroups", "vg", "vgs", "vmg"), "vmgroup", "vmgroups", Kind.VMGROUP),
        KindSpec(
            ("membership", "memberships", "vmem"),
            "membership",
            "memberships",
            Kind.MEMBERSHIP,
            reconciled=False,
            part_of=Kind.VMGROUP,
        ),
        KindSpec(
            ("storagepolicy", "storagepolicies", "sp", "sps", "vsp"),
            "storage policy",
            "storage policies",
            Kind.STORAGE_POLICY,
            on_datastore=True,
        ),
        KindSpec(("volume", "volumes", "vol", "vols", "vvol"), "volume", "volumes", Kind.VOLUME, on_datastore=True),
    )
}


RECONCILED: Final = tuple(spec.kind for spec in KINDS.values() if spec.reconciled)
"""The kinds whose objects are compared and applied, in the order of output."""


DECLARING: Final = tuple(spec.kind for spec in KINDS.values() if not spec.alone)
"""The kinds whose manifests declare something in vDVS, in the order of output."""


INVENTORY: Final = (
    Words(("datastore", "datastores", "ds"), "datastore", "datastores"),
    Words(("vm", "vms"), "VM", "VMs"),
)
"""Entries of the inventory, which `vdvs get` lists too: manifests refer to them but do not declare them."""


FILE_KINDS: Final = tuple(spec.kind for spec in KINDS.values() if spec.on_datastore)


_ORDER = {kind: position for position, kind in enumerate(Kind)}


class ObjectRef(Struct, frozen=True):
    """Identity of an object: kind and name in vDVS, shown as `vmgroup/MYVMGROUP`.

    On a site with several config DBs the name of a vmgroup is `DB/NAME`: in vDVS names are unique per config DB only.
    """

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"

    @property
    def sort_key(self) -> tuple[int, str]:
        """Sort key: kinds in the order of `Kind`, names alphabetically."""
        return (_ORDER[self.kind], self.name)

    def __lt__(self, other: ObjectRef) -> bool:
        return self.sort_key < other.sort_key


class Source(Struct, frozen=True):
    """Position in a manifest. `line` and `column` count from 1; 0: `file` names an object that is in no file."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Location(Struct, frozen=True, order=True):
    """The file of a config DB: `path` by volume id, as hosts see it.

    On a datastore that is one file for all hosts, and `host` is empty. A SingleNode config DB has the same path on
    every host but is a different file on each, so `host` is its owner. Source: docs/domain.md#modes-of-a-host
    """

    path: str
    host: str = ""

    def __str__(self) -> str:
        return f"{self.path} of host/{self.host}" if self.host else self.path


def own_location(host: str) -> Location:
    """Location of the SingleNode config DB of this host."""
    return Location(AUTH_DB, host)


DEFAULT_VMGROUP = "_DEFAULT"


DEFAULT_VMGROUP_UUID = "11111111-1111-1111-1111-111111111111"


DEFAULT_VMGROUP_DESCRIPTION = "This is a default vmgroup"


VM_DS = "_VM_DS"


VM_DS_URL = "_VM_DS://"


ALL_DS = "_ALL_DS"


ALL_DS_URL = "_ALL_DS://"


OLD_DEFAULT_URL = "_DEFAULT_URL"  # of _DEFAULT, up to vDVS 0.13: the rights of every vmgroup where no other row decides


SPECIAL_DATASTORES = {VM_DS: VM_DS_URL, ALL_DS: ALL_DS_URL}


VOLUMES = "/vmfs/volumes/"


DB_FILE = "dockvols/vmdkops_config.db"


AUTH_DB = "/etc/vmware/vmdkops/auth-db"


class DatastoreRef(Struct, frozen=True):
    """A datastore as referred to in a manifest; exactly one field is set."""

    name: str | None = None
    url: str | None = None
    inventory_path: str | None = None

    def __str__(self) -> str:
        return self.name or self.url or self.inventory_path or ""


def datastore_url(url: str) -> str:
    """Normalise the URL of a datastore to `/vmfs/volumes/<id>`, as the config DB stores it; vCenter writes
    `ds:///vmfs/volumes/<id>/`.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """
    return VOLUMES + url.removeprefix("ds://").removeprefix(VOLUMES).rstrip("/")
