"""Inventory: names and ids of a site at one moment, from vCenter or a file."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from reconciler.model.base import Strict
from reconciler.model.refs import DB_FILE, VOLUMES


class Datastore(Strict, frozen=True, eq=False):
    """A datastore. `url` is `/vmfs/volumes/<id>`, exactly as in the config DB; `hosts` are those that mount it.

    `free_mb` changes all the time and decides nothing, so it does not take part in comparisons. Source:
    docs/domain.md#identity-of-vms-and-datastores
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
        """Volume id: the last component of the URL."""
        return self.url.removeprefix(VOLUMES)

    @property
    def is_vsan(self) -> bool:
        """Whether it is a vSAN datastore. Only these have storage policies. Source: docs/domain.md#storage-policies"""
        return self.type.lower() == "vsan"

    @property
    def db_path(self) -> str:
        """Path of a config DB on this datastore, by volume id, as hosts see it. Source: docs/domain.md#the-parts"""
        return f"{self.url}/{DB_FILE}"


class Connection(StrEnum):
    """Connection state of a host in vCenter."""

    CONNECTED = "connected"
    NOT_RESPONDING = "not responding"
    DISCONNECTED = "disconnected"


class Lockdown(StrEnum):
    """Lockdown mode of a host: unless OFF, only Exception Users can log in by SSH."""

    OFF = "off"
    NORMAL = "normal"
    STRICT = "strict"


class Power(StrEnum):
    """Power state of a VM."""

    ON = "on"
    OFF = "off"
    SUSPENDED = "suspended"


class ESXiHost(Strict, frozen=True):
    """A host in vCenter. None: not known.

    `version` is that of ESXi, `cluster` the inventory path of its cluster. `image_managed`: a vLCM image defines the
    VIBs of its cluster. `entered_by_vdvs`: vCenter has a note that vdvs put the host into maintenance mode (None: there
    is no vCenter). `ssh_runs`: its SSH service runs.
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
    """A VM. A tuple, because creating one is much faster and there are tens of thousands.

    `uuid` is its lower-case BIOS UUID, by which vDVS authorises, `path` its inventory path, `datastore` the URL of the
    datastore of its .vmx (None: unknown), `volumes` the vDVS disks attached now (`[DATASTORE] dockvols/...`), `power`
    its power state (None: unknown). Source: docs/domain.md#identity-of-vms-and-datastores
    """

    name: str
    path: str
    uuid: str
    instance_uuid: str | None
    host: str | None
    datastore: str | None
    volumes: tuple[str, ...]
    power: Power | None = None


class Inventory(Strict, frozen=True, dict=True):
    """One snapshot. `gaps`: what could not be read, and why; with gaps, absence proves nothing."""

    hosts: tuple[ESXiHost, ...]
    datastores: tuple[Datastore, ...]
    vms: tuple[VirtualMachine, ...]
    gaps: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether everything was read."""
        return not self.gaps

    def vm_names(self) -> dict[str, str]:
        """Return the names of VMs by BIOS UUID. Of several VMs with one UUID the first name counts. Source:
        docs/domain.md#identity-of-vms-and-datastores
        """
        return {vm.uuid: vm.name for vm in sorted(self.vms, key=lambda vm: vm.name, reverse=True)}
