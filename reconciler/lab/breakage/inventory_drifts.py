"""What changes in vCenter, without anybody thinking of vDVS."""

from __future__ import annotations

from typing import Any

from reconciler.lab.breakage.drift import Drift
from reconciler.lab.breakage.place import Place
from reconciler.lab.folder import hosts
from reconciler.model.errors import UsageError


def _member(place: Place, content: dict[str, Any]) -> dict[str, Any]:
    """The first VM of the vmgroup in the inventory."""
    members = {row[0] for row in place.sql("SELECT vm_id FROM vms WHERE tenant_id = ?", place.group[0])}
    found: list[dict[str, Any]] = [vm for vm in content["vms"] if vm["uuid"] in members]
    if not found:
        raise UsageError(f"the vmgroup {place.group[1]} has no VM that the inventory knows")
    return found[0]


def _vm_renamed(place: Place) -> None:
    content = place.inventory()
    vm = _member(place, content)
    vm["path"] = vm["path"].removesuffix(vm["name"]) + vm["name"] + "-renamed"
    vm["name"] += "-renamed"
    place.write_inventory(content)


def _vm_gone(place: Place) -> None:
    content = place.inventory()
    content["vms"].remove(_member(place, content))
    place.write_inventory(content)


def _vm_copied(place: Place) -> None:
    content = place.inventory()
    vm = _member(place, content)
    copy = {"name": vm["name"] + "-copy", "path": vm["path"] + "-copy"}
    content["vms"].append({**vm, **copy, "instanceUuid": "50" + vm["instanceUuid"][2:-1] + "f"})
    place.write_inventory(content)


def _datastore_renamed(place: Place) -> None:
    content, old = place.inventory(), place.datastore
    new, volume = old + "-renamed", place.volume_id
    for entry in content["datastores"]:
        if entry["id"] == volume:
            entry["name"] = new
            entry["inventoryPath"] = entry["inventoryPath"].removesuffix(old) + new
    for host in hosts(place.directory):
        volumes = Place(place.directory, host).real("vmfs/volumes", follow=True)
        if (volumes / old).is_symlink():
            (volumes / old).rename(volumes / new)
    place.write_inventory(content)


DRIFTS = (
    Drift("vm-renamed", "a VM of the vmgroup was renamed", _vm_renamed, 1357),
    Drift("vm-gone", "a VM of the vmgroup was deleted", _vm_gone, 1484),
    Drift("vm-copied", "a VM was copied with its BIOS uuid, so the copy is in the vmgroup too", _vm_copied, 1373),
    Drift("datastore-renamed", "the datastore of the config DB was renamed", _datastore_renamed, 818),
)
