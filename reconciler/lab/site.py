"""Content of a lab: names, ids and sizes. Pure, and always equal for the same size."""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import UUID, uuid5

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.errors import UsageError
from reconciler.model.refs import VOLUMES

FILES = Path(__file__).parent / "files"
PROGRAMS = {
    "bin/esxcli": "esxcli",
    "sbin/auto-backup.sh": "auto-backup.sh",
    "etc/init.d/hostd": "hostd",
    "etc/init.d/vmdk-opsd": "vmdk-opsd",
    "usr/lib/vmware/secureboot/bin/secureBoot.py": "secureBoot",
}
"""The stand-in for each program of a host. The service is there once its VIB is installed."""
LOCAL_SH_MODE = 0o1755
VIB_VERSION = "0.14.0577889-0.0.1"
VIB_FILE = f"VMWare_bootbank_esx-vmdkops-service_{VIB_VERSION}.vib"
VIB = (FILES / "vmdkops.vib").read_bytes()
VIB_SHA256 = hashlib.sha256(VIB).hexdigest()

_NAMESPACE = UUID("6f0d4d63-7b1f-5c39-9a5d-52a7c1f3c1d0")
VSAN = "vsanDatastore"
_SHARED_ID = "582b1324-e49d9a0e-9bc3-000c29c1501d"
_VM_FOLDER = "/DC0/vm/photon"
_DATASTORE_FOLDER = "/DC0/datastore"
_SHARED_MB, _LOCAL_MB = 512 * 1024, 32 * 1024


class Size(Struct, frozen=True):
    """The number of hosts, shared datastores and VMs of a lab."""

    hosts: int
    datastores: int
    vms: int


class LabDatastore(Struct, frozen=True):
    """A datastore: its name in vCenter, its volume id, and the hosts that mount it."""

    name: str
    id: str
    capacity_mb: int
    hosts: tuple[str, ...]
    type: str = "VMFS"


class LabVM(Struct, frozen=True):
    """A VM with its ids in vCenter, its host, and the URL of its datastore."""

    name: str
    uuid: str
    instance_uuid: str
    host: str
    datastore: str


class LabSite(Struct, frozen=True):
    """Everything that a lab is made from."""

    hosts: tuple[str, ...]
    datastores: tuple[LabDatastore, ...]
    vms: tuple[LabVM, ...]


def size_of(hosts: int | None, datastores: int | None, vms: int | None) -> Size | None:
    """Return the requested size; None, the site of the walk-through, if no number is given. Raises UsageError."""
    if hosts is None and datastores is None and vms is None:
        return None
    for name, number, least in (("hosts", hosts, 1), ("datastores", datastores, 1), ("vms", vms, 0)):
        if number is not None and not least <= number <= 999_999:
            raise UsageError(f"--{name} {number}: a lab has between {least} and 999999 {name}")
    return Size(
        hosts=2 if hosts is None else hosts,
        datastores=1 if datastores is None else datastores,
        vms=3 if vms is None else vms,
    )


def site_of(size: Size | None) -> LabSite:
    """Return the site of that size."""
    if size is None:
        return _walk_through()
    hosts = tuple(f"esxi-{number:03}" for number in range(1, size.hosts + 1))
    names = [f"shared-{number:02}" for number in range(1, size.datastores + 1)]
    datastores = tuple(LabDatastore(name, _volume_id(name), _SHARED_MB, hosts) for name in names)
    return LabSite(hosts, datastores, _vms([f"vm-{number:05}" for number in range(1, size.vms + 1)], hosts, datastores))


def with_vsan(site: LabSite) -> LabSite:
    """Return the site with a vSAN datastore on all of its hosts."""
    digits = _id("datastore", VSAN).hex
    added = LabDatastore(VSAN, f"vsan:{digits[:16]}-{digits[16:]}", _SHARED_MB, site.hosts, "vsan")
    return replace(site, datastores=(*site.datastores, added))


def inventory_of(site: LabSite) -> dict[str, object]:
    """Return the content of `inventory.json` for the site."""
    return {
        "hosts": [{"name": host} for host in site.hosts],
        "datastores": [_datastore_entry(datastore) for datastore in site.datastores],
        "vms": [_vm_entry(vm) for vm in site.vms],
    }


def _walk_through() -> LabSite:
    """Two hosts with a datastore of their own each, one shared datastore, and three VMs.

    The name of the second local datastore is the one that vCenter gives a duplicate.
    """
    hosts = ("esxiz10", "esxiz20")
    shared = LabDatastore("SHARED-Datastore", _SHARED_ID, _SHARED_MB, hosts)
    local = (
        LabDatastore("datastore1", _volume_id("datastore1"), _LOCAL_MB, hosts[:1]),
        LabDatastore("datastore1 (1)", _volume_id("datastore1 (1)"), _LOCAL_MB, hosts[1:]),
    )
    return LabSite(hosts, (shared, *local), _vms(["photon-01", "photon-02", "photon-03"], hosts, (shared,)))


def _vms(names: list[str], hosts: tuple[str, ...], shared: tuple[LabDatastore, ...]) -> tuple[LabVM, ...]:
    return tuple(
        LabVM(
            name=name,
            uuid="564d" + str(_id("bios", name))[4:],
            instance_uuid="50" + str(_id("instance", name))[2:],
            host=hosts[number % len(hosts)],
            datastore=VOLUMES + shared[number % len(shared)].id,
        )
        for number, name in enumerate(names)
    )


def _datastore_entry(datastore: LabDatastore) -> dict[str, object]:
    return {
        "name": datastore.name,
        "id": datastore.id,
        "url": VOLUMES + datastore.id,
        "type": datastore.type,
        "capacityMB": datastore.capacity_mb,
        "hosts": list(datastore.hosts),
        "inventoryPath": f"{_DATASTORE_FOLDER}/{datastore.name}",
    }


def _vm_entry(vm: LabVM) -> dict[str, object]:
    return {
        "name": vm.name,
        "path": f"{_VM_FOLDER}/{vm.name}",
        "uuid": vm.uuid,
        "instanceUuid": vm.instance_uuid,
        "host": vm.host,
        "datastore": vm.datastore,
        "volumes": [],
    }


def _id(what: str, name: str) -> UUID:
    return uuid5(_NAMESPACE, f"{what}/{name}")


def _volume_id(name: str) -> str:
    """Return an id in the form of a VMFS volume's."""
    digits = _id("datastore", name).hex
    return f"{digits[:8]}-{digits[8:16]}-{digits[16:20]}-{digits[20:]}"
