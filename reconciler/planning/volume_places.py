"""Where volumes are: on which datastore, and in the folder of which vmgroup."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.constants import DEFAULT_VMGROUP, DEFAULT_VMGROUP_UUID
from reconciler.model.desired import Desired
from reconciler.model.observed import Observed
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.resolved import Resolved, ResolvedConfigDB, ResolvedVolume, Unresolved
from reconciler.planning.look_up import LookUp, NotFoundError

Names = tuple[str, ...] | None  # None: of every volume


def resolve_volumes(
    desired: Desired, databases: Mapping[ObjectRef, ResolvedConfigDB], names: LookUp, unresolved: list[Unresolved]
) -> tuple[ResolvedVolume, ...]:
    """Look up the datastore of each; two manifests of one and the same volume both fail."""
    groups = {group.ref: group for group in desired.vmgroups}
    found: dict[tuple[str, ObjectRef, str], list[ResolvedVolume]] = {}
    for volume in desired.volumes:
        db = ObjectRef(Kind.CONFIG_DB, volume.config_db)
        group = groups.get(volume.vmgroup)
        known_as = (DEFAULT_VMGROUP,) if group is None else (group.name, *group.previous_names)
        uuid = DEFAULT_VMGROUP_UUID if known_as[0] == DEFAULT_VMGROUP else group.uuid if group is not None else None
        try:
            if db not in databases:
                raise NotFoundError(f"its {db} could not be looked up")
            datastore = names.datastore(volume.datastore)
        except NotFoundError as problem:
            unresolved.append(Unresolved(volume.ref, str(problem), (volume.name,)))
            continue
        one = ResolvedVolume(volume.ref, volume.name, volume.vmgroup, known_as, uuid, db, datastore, volume.access)
        found.setdefault((datastore.url, volume.vmgroup, volume.name), []).append(one)
    for twins in found.values():
        for one in twins if len(twins) > 1 else ():
            others = ", ".join(sorted(str(twin.ref) for twin in twins if twin is not one))
            reason = f"it is the same volume as {others}: both are on {one.datastore.name}"
            unresolved.append(Unresolved(one.ref, reason, (one.name,)))
    kept = [twins[0] for twins in found.values() if len(twins) == 1]
    return tuple(sorted(kept, key=lambda volume: volume.ref.sort_key))


def wanted_volumes(resolved: Resolved) -> dict[str, Names]:
    """The names of the volumes whose metadata a pass has to see, by the URL of their datastore."""
    names: dict[str, set[str]] = {}
    for volume in resolved.volumes:
        names.setdefault(volume.datastore.url, set()).add(volume.name)
    return {url: tuple(sorted(found)) for url, found in names.items()}


def uuids_of_vmgroups(resolved: Resolved, observed: Observed) -> dict[ObjectRef, str]:
    """The UUID of the vmgroup that each volume is in, which is the name of its folder. Left out: there is none."""
    users = {volume.config_db for volume in resolved.volumes}
    rows = {db.ref: observed.config_dbs[db.location].tenants for db in resolved.config_dbs if db.ref in users}
    by_name = {db: {row.name: row.id for row in tenants} for db, tenants in rows.items()}
    ids = {db: {row.id for row in tenants} for db, tenants in rows.items()}
    found = {}
    for volume in resolved.volumes:
        names = by_name[volume.config_db]
        if volume.uuid is None:
            uuid = next((names[name] for name in volume.known_as if name in names), None)
        else:
            uuid = volume.uuid if volume.uuid in ids[volume.config_db] else None
        if uuid is not None:
            found[volume.ref] = uuid
    return found


def volume_records(resolved: Resolved, observed: Observed) -> dict[ObjectRef, str]:
    """What a record calls each volume: by UUID, so that it stays with the volume when the vmgroup is renamed."""
    uuids = uuids_of_vmgroups(resolved, observed)
    volumes = (volume for volume in resolved.volumes if volume.ref in uuids)
    return {each.ref: f"{RECORDS}{each.datastore.id}/{uuids[each.ref]}/{each.name}" for each in volumes}


RECORDS = f"{Kind.VOLUME.lower()}/"
"""How the names of the records of volumes begin."""
