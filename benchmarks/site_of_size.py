"""Manifests of a given size, for the lab that `vdvs lab up --hosts --datastores --vms` makes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SITE_HOSTS = 2
HEAD = "apiVersion: vdvs.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n"


def write_manifests(
    path: Path, *, groups: int, datastores: int, vms_each: int, access_each: int, hosts: int = SITE_HOSTS
) -> None:
    """All documents in one file: the hosts, one config DB on the first datastore, and the vmgroups."""
    documents = [*_hosts(hosts), _config_db(), *_vmgroups(groups, datastores, vms_each, access_each)]
    path.write_text("---\n".join(documents), encoding="utf-8")


def _hosts(hosts: int) -> Iterator[str]:
    for number in range(1, hosts + 1):
        name = f"esxi-{number:03}"
        yield HEAD.format(kind="Host", name=name) + f"  address: {name}\n"


def _config_db() -> str:
    return HEAD.format(kind="ConfigDB", name="shared") + (
        "  mode: MultiNode\n  datastore: shared-01\n  defaultVMGroup: Absent\n"
    )


def _vmgroups(groups: int, datastores: int, vms_each: int, access_each: int) -> Iterator[str]:
    for number in range(groups):
        rules = [f"shared-{(number + rule) % datastores + 1:02}" for rule in range(access_each)]
        vms = (f"vm-{number * vms_each + vm + 1:05}" for vm in range(vms_each))
        lines = [
            "  configDB: shared",
            f'  description: "team {number:04}"',
            f"  defaultDatastore: {rules[0]}",
            "  access:",
            *(line for rule in rules for line in _access(rule)),
            "  vms:",
            *(f"    - {vm}" for vm in vms),
        ]
        yield HEAD.format(kind="VMGroup", name=f"team-{number:04}") + "\n".join(lines) + "\n"


def _access(datastore: str) -> tuple[str, ...]:
    return (
        f"    - datastore: {datastore}",
        "      allowCreate: true",
        "      volumeMaxSize: 200MB",
        "      volumeTotalSize: 5GB",
    )
