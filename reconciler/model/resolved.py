"""Resolved: the desired state with UUIDs and URLs in place of names; or, object by object, why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from reconciler.model.desired import DesiredDriver, Presence, Unmanaged
from reconciler.model.frozen import dataclass
from reconciler.model.inventory import Datastore, ESXiHost, Inventory
from reconciler.model.location import Location, local
from reconciler.model.observed import DBMode
from reconciler.model.refs import ObjectRef
from reconciler.model.volumes import VolumeAccess


@dataclass(frozen=True, slots=True, order=True)
class Access:
    """One row of `privileges`: what a vmgroup may do on the datastore with this URL. Limits in MB, 0 = unlimited."""

    url: str
    allow_create: bool
    max_mb: int
    total_mb: int


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A VM in a vmgroup: lower-case BIOS UUID, and its name for display (None: not known)."""

    uuid: str
    name: str | None


@dataclass(frozen=True, slots=True)
class ResolvedConfigDB:
    """`datastore` None: SingleNode, the one host's own. `hosts`: names of the hosts that shall use it, sorted."""

    ref: ObjectRef
    datastore: Datastore | None
    hosts: tuple[str, ...]
    default_vmgroup: Presence | None
    unmanaged: Unmanaged
    backups_to_keep: int

    @property
    def mode(self) -> DBMode:
        """The mode that its hosts shall be in."""
        return DBMode.SINGLE_NODE if self.datastore is None else DBMode.MULTI_NODE

    @property
    def location(self) -> Location:
        """Where it is, or shall be."""
        return local(self.hosts[0]) if self.datastore is None else Location(self.datastore.db_path)

    @property
    def place(self) -> str:
        """The same in words: `MultiNode (SHARED-Datastore)`, or `SingleNode`."""
        return self.mode.value if self.datastore is None else f"{self.mode} ({self.datastore.name})"


@dataclass(frozen=True, slots=True)
class ResolvedHost:
    """`config_db` is the ConfigDB that selects this host (None: none does), `datastore` where that DB stands (None: on
    this host itself, SingleNode), `entry` how the inventory shows it."""

    ref: ObjectRef
    address: str
    config_db: ObjectRef | None
    datastore: Datastore | None
    driver: DesiredDriver | None
    service_running: bool | None
    log_level: str | None = None
    entry: ESXiHost | None = None

    @property
    def location(self) -> Location | None:
        """Where the config DB is that it shall use; None: it uses none."""
        if self.config_db is None:
            return None
        return local(self.ref.name) if self.datastore is None else Location(self.datastore.db_path)


@dataclass(frozen=True, slots=True)
class ResolvedVMGroup:
    """`config_db` is the ref of its ConfigDB. `access` and `members` are sorted; None: left alone.

    `removes_members` False: VMs that are in the vmgroup and not in `members` stay, because its selector matched
    nothing and that is no proof that nothing shall match.
    """

    ref: ObjectRef
    name: str
    config_db: ObjectRef
    uuid: str | None
    description: str | None
    default_url: str | None
    access: tuple[Access, ...] | None
    members: tuple[Member, ...] | None
    removes_members: bool = True
    previous_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResolvedStoragePolicy:
    """A storage policy, and the vSAN datastore that it is on."""

    ref: ObjectRef
    name: str
    datastore: Datastore
    content: str


@dataclass(frozen=True, slots=True)
class ResolvedVolume:
    """What a volume shall be. Its vmgroup is that of `config_db` with this `uuid`, or (None: it is not pinned) one that
    is `known_as` one of these, the first that there is."""

    ref: ObjectRef
    name: str
    vmgroup: ObjectRef
    known_as: tuple[str, ...]
    uuid: str | None
    config_db: ObjectRef
    datastore: Datastore
    access: VolumeAccess


@dataclass(frozen=True, slots=True)
class Unresolved:
    """An object that cannot be looked up now, so is left exactly as it is. `reason` is for people.

    `known_as`: previous names and the pinned UUID of a vmgroup, by which the config DB may have it; the name of a
    storage policy or a volume.
    """

    ref: ObjectRef
    reason: str
    known_as: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolved:
    """All that could be looked up, and all that could not. `digests`: of the manifest of each object."""

    inventory: Inventory
    config_dbs: tuple[ResolvedConfigDB, ...]
    hosts: tuple[ResolvedHost, ...]
    vmgroups: tuple[ResolvedVMGroup, ...]
    unresolved: tuple[Unresolved, ...]
    digests: Mapping[ObjectRef, str] = field(default_factory=dict)
    storage_policies: tuple[ResolvedStoragePolicy, ...] = ()
    volumes: tuple[ResolvedVolume, ...] = ()
