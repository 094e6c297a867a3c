"""Orphans in `dockvols/`, of no vmgroup of any config DB: volumes that no VM can mount, and stale name links.

No command of vDVS removes either. `vdvs` reports them and leaves them: the volumes may be all that is left of a
vmgroup, and only an administrator knows whether it will be created again with its UUID.

Source: docs/domain.md#orphaned-volumes
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from reconciler.model.events import Condition, Truth
from reconciler.model.inventory import Datastore
from reconciler.model.kinds.configdb import DBState
from reconciler.model.refs import ObjectRef
from reconciler.model.state import DockvolsEntry, EntryKind, Observed, Resolved
from reconciler.planning.files.storagepolicy import keeper
from reconciler.planning.scope import incomplete

# A volume has more files than the one with its name.
_VOLUME_FILE = re.compile(r".*(?<!-flat)(?<!-delta)(?<!-ctk)(?<!-digest)(?<!-[0-9]{6})\.vmdk", re.DOTALL)


_MOST_SHOWN = 5


_TYPE = "NoOrphans"


def no_orphans(resolved: Resolved, observed: Observed) -> Iterator[Condition]:
    """`NoOrphans` of every config DB: of the datastores that hosts of it mount, each reported once.

    Unknown if any config DB or host could not be read: apparent orphans may belong to a vmgroup there.

    Source: docs/domain.md#orphaned-volumes
    """
    unseen = incomplete(resolved, observed)
    uuids = {row.id for db in observed.config_dbs.values() for row in db.tenants}
    names = {row.name for db in observed.config_dbs.values() for row in db.tenants}
    found: dict[ObjectRef, list[str]] = {db.ref: [] for db in resolved.config_dbs}
    for datastore in resolved.inventory.datastores:
        seen, db = observed.datastores.get(datastore.url), keeper(datastore, resolved)
        if seen is not None and db is not None:
            found[db] += _orphans(datastore, seen.entries, uuids, names)
    for one in resolved.config_dbs:
        if observed.config_dbs[one.location].state is not DBState.PRESENT:
            continue
        if unseen is not None:
            yield Condition(one.ref, _TYPE, Truth.UNKNOWN, "NotSeen", unseen)
        elif orphans := found[one.ref]:
            more = [f"and {len(orphans) - _MOST_SHOWN} more"] if len(orphans) > _MOST_SHOWN else []
            yield Condition(one.ref, _TYPE, Truth.FALSE, "Orphans", "; ".join([*orphans[:_MOST_SHOWN], *more]))
        else:
            message = "every folder with volumes, and every link, in dockvols is of a vmgroup"
            yield Condition(one.ref, _TYPE, Truth.TRUE, "None", message)


def _orphans(
    datastore: Datastore, entries: Mapping[str, DockvolsEntry], uuids: set[str], names: set[str]
) -> Iterator[str]:
    for name, entry in sorted(entries.items()):
        path = f"dockvols/{name} on {datastore.name}"
        if entry.kind is EntryKind.FOLDER and entry.volumes and name not in uuids:
            held = _volumes(entry.volumes)
            yield f"{path} holds {held} of no vmgroup: one with spec.uuid {name} would have them again"
        elif entry.kind is EntryKind.LINK and name not in names | uuids:
            yield f"{path} is left over and leads to {entry.target}: a vmgroup of this name would be served from there"
    loose = sum(entry.kind is EntryKind.FILE and bool(_VOLUME_FILE.fullmatch(name)) for name, entry in entries.items())
    if loose:
        held = _volumes(loose)
        yield f"{held} of no vmgroup directly in dockvols on {datastore.name}: no vmgroup is served from there"


def _volumes(number: int) -> str:
    return f"{number} volume{'' if number == 1 else 's'}"
