"""Names to complete on a command line: of manifests, of a file with the inventory, and of the last look at the site.

No host and no vCenter is asked: a look keeps the names that it saw in the state folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from reconciler import loader, private
from reconciler.inventory.file import FileInventory
from reconciler.model.errors import UsageError, VdvsError
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.site import Lab, Site
from reconciler.model.outcome import Assessment
from reconciler.model.refs import KINDS, Kind, ObjectRef
from reconciler.wiring.state import names_file

BACKUP = "backup"
Names = dict[str, dict[str, None]]


def keep(site: Site, found: Assessment) -> None:
    """Keep the names that a look saw, if there is a place for them."""
    names = _of_refs(change.ref for change in found.diff.changes) | _of_inventory(found.resolved.inventory)
    backups = (name for db in found.observed.config_dbs.values() for name in db.backups)
    names[BACKUP] = dict.fromkeys(backups)
    file = names_file(site)
    if file is not None:
        with suppress(OSError, UsageError):
            content = msgspec.json.encode({kind: list(of_kind) for kind, of_kind in names.items()})
            if private.read(file) != content:
                private.write(file, content)


def known(paths: Sequence[str], site_file: str | None) -> Mapping[str, Iterable[str]]:
    """Return the names that are known, by the singular of their kind, or BACKUP. Whatever cannot be read has none."""
    names: Names = {}
    for readable in (paths, ()):  # manifests that are being written are often invalid; the Site may be apart
        with suppress(VdvsError, OSError):
            desired = loader.load(readable, site=site_file).desired
            names |= _of_refs(declared.ref for declared in desired.objects)
            if desired.site is not None:
                _add(names, _kept(desired.site))
                _add(names, _of_inventory_file(desired.site))
            break
    return names


def _kept(site: Site) -> Names:
    file = names_file(site)
    with suppress(OSError, UsageError, msgspec.MsgspecError):
        content = None if file is None else private.read(file)
        if content is not None:
            found = msgspec.json.decode(content, type=dict[str, list[str]])
            return {kind: dict.fromkeys(of_kind) for kind, of_kind in found.items()}
    return {}


def _of_inventory_file(site: Site) -> Names:
    path = site.inventory_file
    if path is None and isinstance(site.way, Lab) and not site.vcenters:
        path = str(Path(site.way.directory) / "inventory.json")
    if path is None:
        return {}
    with suppress(VdvsError, OSError):
        return _of_inventory(asyncio.run(FileInventory(path).snapshot()))
    return {}


def _of_inventory(inventory: Inventory) -> Names:
    datastores = dict.fromkeys(datastore.name for datastore in inventory.datastores)
    return {"datastore": datastores, "vm": dict.fromkeys(vm.name for vm in inventory.vms)}


def _of_refs(refs: Iterable[ObjectRef]) -> Names:
    names: Names = {KINDS[kind].singular: {} for kind in Kind}
    for ref in refs:
        names[KINDS[ref.kind].singular][ref.name] = None
    return names


def _add(names: Names, more: Names) -> None:
    for kind, of_kind in more.items():
        names.setdefault(kind, {}).update(of_kind)
