"""Inventory: the names and ids of a site at one moment, as vCenter (or a file in its place) tells them."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from reconciler.model.base import Strict
from reconciler.model.refs import DB_FILE, VOLUMES


class Datastore(Strict, frozen=True, eq=False):
    """A datastore. `url` is `/vmfs/volumes/<id>`, exactly as the config DB stores it; `hosts` are those mounting it.

    `free_mb` changes all the time, and nothing is decided by it: two that differ in nothing else are the same.
    """

    name: str
    url: str
    type: str
    capacity_mb: int | None
    hosts: frozenset[str]
    inventory_path: str | None = None
    free_mb: int | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Datastore) and self._compared == other._compared

    def __hash__(self) -> int:
        return hash(self._compared)

    @property
    def _compared(self) -> tuple[object, ...]:
        return self.name, self.url, self.type, self.capacity_mb, self.hosts, self.inventory_path

    @property
    def id(self) -> str:
        """The volume id: the last component of the URL."""
        return self.url.removeprefix(VOLUMES)

    @property
    def is_vsan(self) -> bool:
        """Whether it is a vSAN datastore, the only ones with storage policies."""
        return self.type.lower() == "vsan"

    @property
    def db_path(self) -> str:
        """Where a config DB on this datastore stands, by volume id, as a host sees it."""
        return f"{self.url}/{DB_FILE}"


class Connection(StrEnum):
    """Whether vCenter talks with a host."""

    CONNECTED = "connected"
    NOT_RESPONDING = "not responding"
    DISCONNECTED = "disconnected"


class Lockdown(StrEnum):
    """The lockdown mode of a host: unless it is OFF, only Exception Users get in by SSH."""

    OFF = "off"
    NORMAL = "normal"
    STRICT = "strict"


class Power(StrEnum):
    """Whether a VM runs."""

    ON = "on"
    OFF = "off"
    SUSPENDED = "suspended"


class ESXiHost(Strict, frozen=True):
    """A host, and how vCenter sees it. What it does not tell is None.

    `version` is that of ESXi, `cluster` the inventory path of its cluster. `image_managed`: a vLCM image says which
    VIBs the hosts of its cluster have. `entered_by_vdvs`: whether vCenter has a note that vdvs put the host into
    maintenance mode (None: there is no vCenter that could). `ssh_runs`: whether its SSH service does.
    """

    name: str
    connection: Connection | None = None
    version: str | None = None
    in_maintenance: bool | None = None
    lockdown: Lockdown | None = None
    cluster: str | None = None
    image_managed: bool | None = None
    entered_by_vdvs: bool | None = None
    ssh_runs: bool | None = None


class VirtualMachine(NamedTuple):
    """A VM (a tuple, which is made much faster: there are tens of thousands).

    `uuid` is its lower-case BIOS UUID (what vDVS authorises by), `path` its inventory path, `datastore` the URL of the
    datastore its .vmx is on (None: unknown), `volumes` the vDVS disks attached now (`[DATASTORE] dockvols/...`),
    `power` whether it runs (None: unknown).
    """

    name: str
    path: str
    uuid: str
    instance_uuid: str | None
    host: str | None
    datastore: str | None
    volumes: tuple[str, ...]
    power: Power | None = None


class Inventory(Strict, frozen=True):
    """One snapshot. `gaps`: what could not be read, and why; then absence from it proves nothing."""

    hosts: tuple[ESXiHost, ...]
    datastores: tuple[Datastore, ...]
    vms: tuple[VirtualMachine, ...]
    gaps: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether everything was read."""
        return not self.gaps

    def vm_names(self) -> dict[str, str]:
        """The names of VMs by BIOS UUID. Of several with one UUID the first name counts, whatever their order."""
        return {vm.uuid: vm.name for vm in sorted(self.vms, key=lambda vm: vm.name, reverse=True)}
