"""How values are spelled in a diff: as a manifest would spell them, with names in place of ids."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.diff import FieldChange, Value
from reconciler.model.inventory import Inventory, Power
from reconciler.model.kinds.vmgroup import ACCESS_FIELDS, Access, access_values
from reconciler.model.memo import kept_with
from reconciler.model.refs import SPECIAL_DATASTORES, VOLUMES
from reconciler.planning.vmgroup.state import VMGroupState

UNREADABLE = "invalid values"


LOST = "lost at the next reboot; the host is then open to every VM"
"""The fate of a SingleNode config DB. Source: docs/domain.md#modes-of-a-host"""


class DisplayNames:
    """Names for the ids of one inventory; an id that it does not know stands for itself."""

    def __init__(self, inventory: Inventory) -> None:
        datastores = sorted(inventory.datastores, key=lambda d: d.name, reverse=True)  # of two names, the first counts
        self._datastores = {url: name for name, url in SPECIAL_DATASTORES.items()}
        self._datastores |= {datastore.url: datastore.name for datastore in datastores}
        self._by_id = {datastore.id: datastore.name for datastore in datastores}
        self._vms = inventory.vm_names()
        self._off = {vm.uuid for vm in inventory.vms if vm.power is Power.OFF}
        self._off -= {vm.uuid for vm in inventory.vms if vm.power is not Power.OFF}  # of two with one UUID, one may run

    def datastore(self, url: str | None) -> str | None:
        """The name of the datastore with this URL."""
        return url if url is None else self._datastores.get(url, url)

    def volume(self, volume_id: str) -> str:
        """The name of the datastore with this volume id."""
        return self._by_id.get(volume_id, volume_id)

    def path(self, path: str) -> str:
        """A path below /vmfs/volumes/ID with the datastore's name in place of its id."""
        volume_id, _, rest = path.removeprefix(VOLUMES).partition("/")
        return f"{VOLUMES}{self.volume(volume_id)}/{rest}" if path.startswith(VOLUMES) else path

    def vm_name(self, uuid: str, known_as: str | None) -> str | None:
        """`photon-03`: the name in the inventory, else the one that `known_as` gives."""
        return self._vms.get(uuid) or known_as

    def vm(self, uuid: str, known_as: str | None) -> str:
        """`photon-03 (564d...)`; the bare UUID where no name is known."""
        name = self.vm_name(uuid, known_as)
        return f"{name} ({uuid})" if name else uuid

    def attached(self, uuid: str, known_as: str | None, disk: str) -> str:
        """State that a VM has this disk attached, and what to do about it.

        vDVS detaches a disk when its containers stop, or when the VM is powered off; never from a VM that is off.
        """
        shown = self.vm(uuid, known_as)
        if uuid in self._off:
            return f"VM {shown} is off and has {disk} attached; remove that disk from it, and keep its files"
        return f"VM {shown} has {disk} attached; stop its containers first"

    def short_vm(self, uuid: str, known_as: str | None) -> str:
        """`photon-03`; the UUID where no name is known."""
        return self.vm_name(uuid, known_as) or uuid


@kept_with
def display_names(inventory: Inventory) -> DisplayNames:
    """Return the names for the ids of an inventory."""
    return DisplayNames(inventory)


def access_value(row: Access | None) -> Value:
    """A whole access entry, limits that are not set left out."""
    if row is None:
        return UNREADABLE
    values = zip(ACCESS_FIELDS, access_values(row), strict=True)
    return {field.name: field.format(value) for field, value in values if value or isinstance(value, bool)}


def scalar_fields(before: VMGroupState | None, after: VMGroupState, names: DisplayNames) -> Iterator[FieldChange]:
    """The name, the description and the default datastore, where they differ."""
    if before is not None and before.name != after.name:
        yield FieldChange("name", before.name, after.name)
    was = None if before is None else before.description
    if was != after.description and (before or after.description):
        yield FieldChange("description", was, after.description)
    default = None if before is None else before.default_url
    if default != after.default_url:
        yield FieldChange("defaultDatastore", names.datastore(default), names.datastore(after.default_url))


def access_fields(before: VMGroupState | None, after: VMGroupState, names: DisplayNames) -> Iterator[FieldChange]:
    """The access rows, where they differ: whole when new or gone, limit by limit when changed."""
    rows = {} if before is None else before.access
    for url in sorted(rows.keys() | after.access.keys(), key=lambda url: names.datastore(url) or ""):
        path = f"access[{names.datastore(url)}]"
        if url not in rows:
            yield FieldChange(path, None, access_value(after.access[url]))
        elif url not in after.access:
            yield FieldChange(path, access_value(rows[url]), None)
        else:
            yield from _row_fields(path, rows[url], after.access[url])


def _row_fields(path: str, old: Access | None, new: Access | None) -> Iterator[FieldChange]:
    if old == new:
        return
    if old is None or new is None:
        yield FieldChange(path, access_value(old), access_value(new))
        return
    for field, was, now in zip(ACCESS_FIELDS, access_values(old), access_values(new), strict=True):
        if was != now:
            yield FieldChange(f"{path}.{field.name}", field.format(was), field.format(now))
