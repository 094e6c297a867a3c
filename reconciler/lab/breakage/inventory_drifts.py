"""Changes in vCenter that affect vDVS."""

from __future__ import annotations

from typing import Any

from reconciler.lab.breakage.drift import Drift
from reconciler.lab.breakage.target import Target
from reconciler.lab.folder import hosts
from reconciler.model.errors import UsageError


def _member(target: Target, content: dict[str, Any]) -> dict[str, Any]:
    """Return the inventory entry of the vmgroup's first VM. Raises UsageError if there is none."""
    members = {row[0] for row in target.sql("SELECT vm_id FROM vms WHERE tenant_id = ?", target.group[0])}
    found: list[dict[str, Any]] = [vm for vm in content["vms"] if vm["uuid"] in members]
    if not found:
        raise UsageError(f"the vmgroup {target.group[1]} has no VM in the inventory")
    return found[0]


def _vm_renamed(target: Target) -> None:
    content = target.inventory()
    vm = _member(target, content)
    vm["path"] = vm["path"].removesuffix(vm["name"]) + vm["name"] + "-renamed"
    vm["name"] += "-renamed"
    target.write_inventory(content)


def _vm_gone(target: Target) -> None:
    content = target.inventory()
    content["vms"].remove(_member(target, content))
    target.write_inventory(content)


def _vm_copied(target: Target) -> None:
    content = target.inventory()
    vm = _member(target, content)
    copy = {"name": vm["name"] + "-copy", "path": vm["path"] + "-copy"}
    content["vms"].append({**vm, **copy, "instanceUuid": "50" + vm["instanceUuid"][2:-1] + "f"})
    target.write_inventory(content)


def _datastore_renamed(target: Target) -> None:
    content, old = target.inventory(), target.datastore
    new, volume = old + "-renamed", target.volume_id
    for entry in content["datastores"]:
        if entry["id"] == volume:
            entry["name"] = new
            entry["inventoryPath"] = entry["inventoryPath"].removesuffix(old) + new
    for host in hosts(target.directory):
        volumes = Target(target.directory, host).real("vmfs/volumes", follow=True)
        if (volumes / old).is_symlink():
            (volumes / old).rename(volumes / new)
    target.write_inventory(content)


DRIFTS = (
    Drift("vm-renamed", "a VM of the vmgroup was renamed", _vm_renamed, 1357),
    Drift("vm-gone", "a VM of the vmgroup was deleted", _vm_gone, 1484),
    Drift("vm-copied", "a VM was copied with its BIOS uuid, so the copy is in the vmgroup too", _vm_copied, 1373),
    Drift("datastore-renamed", "the datastore of the config DB was renamed", _datastore_renamed, 818),
)
