"""VMs: what manifests name them by, and which vmgroup they are in."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from reconciler.model.inventory import VirtualMachine
from reconciler.planning.joined import Joined
from reconciler.render.inventory.entry import Listing, Servings, Together
from reconciler.render.kinds.view import NONE, UNKNOWN
from reconciler.render.text import Data


class VMItem(Struct, frozen=True):
    """A VM. `vmgroup`: whose rights count for it; `access`: how its host treats its requests. `datastore`: the name of
    the one that it is on."""

    vm: VirtualMachine
    vmgroup: str
    access: str
    datastore: str | None
    unknown: tuple[str, ...]
    unread: bool

    @property
    def name(self) -> str:
        """See `Entry`."""
        return self.vm.name

    @property
    def known_as(self) -> tuple[str, ...]:
        """See `Entry`."""
        return (self.vm.name, self.vm.path, self.vm.uuid)


def _items(joined: Joined) -> Iterator[VMItem]:
    servings = Servings(joined)
    resolved = joined.assessment.resolved
    anywhere = Together.of(servings.on(host.ref.name) for host in resolved.hosts)
    on = {name: Together.of([servings.on(name)]) for vm in resolved.inventory.vms if (name := vm.host)}
    for vm in sorted(resolved.inventory.vms, key=lambda vm: (vm.name, vm.path, vm.uuid)):
        there = on[vm.host] if vm.host else anywhere
        datastore = joined.names.datastore(vm.datastore)
        yield VMItem(vm, there.vmgroup(vm.uuid), there.access, datastore, there.unknown, there.unread)


def _known(word: str) -> str | None:
    return None if word in (UNKNOWN, NONE) else word


def _data(item: VMItem) -> dict[str, Data]:
    return {
        "uuid": item.vm.uuid,
        "inventoryPath": item.vm.path,
        "host": item.vm.host,
        "datastore": item.datastore,
        "power": item.vm.power.value if item.vm.power else None,
        "vmgroup": _known(item.vmgroup),
        "access": {UNKNOWN: "unknown", NONE: "none"}.get(item.access, item.access.lower()),
    }


LISTING = Listing[VMItem](
    items=_items,
    columns={
        "VMGROUP": lambda item: item.vmgroup,
        "ACCESS": lambda item: item.access,
        "HOST": lambda item: item.vm.host or UNKNOWN,
        "POWER": lambda item: item.vm.power.value if item.vm.power else UNKNOWN,
    },
    wide={
        "UUID": lambda item: item.vm.uuid,
        "PATH": lambda item: item.vm.path,
        "DATASTORE": lambda item: item.datastore or UNKNOWN,
    },
    data=_data,
)
