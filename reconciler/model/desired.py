"""Desired: what the manifests say, names not yet looked up. `None` always means "not stated: leave alone"."""

from __future__ import annotations

from enum import StrEnum

from reconciler.model.frozen import dataclass
from reconciler.model.refs import ObjectRef, Source
from reconciler.model.site import SSH, Lab, VCenter
from reconciler.model.volumes import VolumeAccess


class Presence(StrEnum):
    """Whether something shall exist."""

    PRESENT = "Present"
    ABSENT = "Absent"


class Reconcile(StrEnum):
    """What a watch does about one object, where that is less than usual: no more than tell, or nothing."""

    REPORT = "report"
    DISABLED = "disabled"


class Unmanaged(StrEnum):
    """What to do about vmgroups in the config DB that no manifest declares."""

    REPORT = "Report"
    IGNORE = "Ignore"
    DELETE = "Delete"


@dataclass(frozen=True, slots=True)
class Site:
    """How to reach things: the way to the hosts, where names are looked up (in neither: the lab's own inventory), and
    which addresses manifests may name (None: all)."""

    name: str
    source: Source
    way: Lab | SSH
    vcenters: tuple[VCenter, ...]
    inventory_file: str | None
    allowed_hosts: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Maintenance:
    """That a host is in maintenance mode while its driver changes: `seconds` to enter it, and how many hosts of its
    cluster may be unavailable meanwhile, itself among them."""

    seconds: int
    max_unavailable: int


@dataclass(frozen=True, slots=True)
class DesiredDriver:
    """The vDVS VIB: `source` is a path on the host (or an URL) that esxcli can install from, `sha256` its digest.
    `state` ABSENT: vDVS shall leave the host. `restart_hostd`: after an installation, so that hostd knows of it.
    `maintenance` None: while it changes, the host goes on running VMs."""

    version: str | None
    source: str | None
    sha256: str | None
    state: Presence = Presence.PRESENT
    restart_hostd: bool = False
    maintenance: Maintenance | None = None


@dataclass(frozen=True, slots=True)
class DesiredHost:
    """One ESXi host. None means left alone: the VIB, whether the service runs, how much it writes into its log."""

    ref: ObjectRef
    source: Source
    address: str
    labels: tuple[tuple[str, str], ...]
    driver: DesiredDriver | None
    service_running: bool | None
    log_level: str | None = None


@dataclass(frozen=True, slots=True)
class DatastoreRef:
    """A datastore as a manifest names it; exactly one field is set."""

    name: str | None = None
    url: str | None = None
    inventory_path: str | None = None

    def __str__(self) -> str:
        return self.name or self.url or self.inventory_path or ""


@dataclass(frozen=True, slots=True)
class HostSelector:
    """Which hosts use a config DB; exactly one field is set."""

    match_labels: tuple[tuple[str, str], ...] | None = None
    names: tuple[str, ...] | None = None
    cluster: str | None = None  # its inventory path


@dataclass(frozen=True, slots=True)
class DesiredConfigDB:
    """A config DB: on `datastore`, or (None) SingleNode, on the one host that selects it. `hosts` None: every Host;
    `default_vmgroup` None: `_DEFAULT` is left alone."""

    ref: ObjectRef
    source: Source
    datastore: DatastoreRef | None
    hosts: HostSelector | None
    default_vmgroup: Presence | None
    unmanaged: Unmanaged
    backups_to_keep: int
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DesiredAccess:
    """What a vmgroup may do on one datastore (a name, `_VM_DS` or `_ALL_DS`). Limits in MB, 0 = unlimited."""

    datastore: str
    allow_create: bool
    max_mb: int
    total_mb: int


@dataclass(frozen=True, slots=True)
class VMRef:
    """A VM as a manifest names it; exactly one field is set. `uuid` is the lower-case BIOS UUID."""

    name: str | None = None
    uuid: str | None = None
    inventory_path: str | None = None

    def __str__(self) -> str:
        return self.name or self.uuid or self.inventory_path or ""


@dataclass(frozen=True, slots=True)
class VMSelector:
    """Membership by place in the inventory: every VM below `folder` whose name matches `name_pattern` (fnmatch)."""

    folder: str
    name_pattern: str


@dataclass(frozen=True, slots=True)
class DesiredVMGroup:
    """A vmgroup. `name` is its vDVS name, `config_db` the `metadata.name` of its ConfigDB.

    `previous_names`: what it may still be called in the config DB; then it is renamed.
    """

    ref: ObjectRef
    source: Source
    name: str
    config_db: str
    uuid: str | None
    description: str | None
    default_datastore: str | None
    access: tuple[DesiredAccess, ...] | None
    vms: tuple[VMRef, ...] | None
    vm_selector: VMSelector | None
    labels: tuple[tuple[str, str], ...] = ()
    previous_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DesiredStoragePolicy:
    """A storage policy of vSAN: the file `name` on `datastore` (None: on the only vSAN datastore)."""

    ref: ObjectRef
    source: Source
    name: str
    datastore: DatastoreRef | None
    content: str
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DesiredVolume:
    """What an administrator may say of the volume `name` on `datastore`. It is in `vmgroup`, which has a manifest
    unless it is `_DEFAULT`, and lives in the ConfigDB with the `metadata.name` `config_db`."""

    ref: ObjectRef
    source: Source
    name: str
    vmgroup: ObjectRef
    config_db: str
    datastore: DatastoreRef
    access: VolumeAccess
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that a set of manifests declares, checked as a set. `digests`: of the manifest of each object;
    `reconcile`: the objects that say how a watch is to treat them."""

    site: Site | None
    hosts: tuple[DesiredHost, ...]
    config_dbs: tuple[DesiredConfigDB, ...]
    vmgroups: tuple[DesiredVMGroup, ...]
    digests: tuple[tuple[ObjectRef, str], ...] = ()
    storage_policies: tuple[DesiredStoragePolicy, ...] = ()
    volumes: tuple[DesiredVolume, ...] = ()
    reconcile: tuple[tuple[ObjectRef, Reconcile], ...] = ()

    @property
    def count(self) -> int:
        """How many objects are declared, the Site not among them."""
        return len(self.digests)
