"""Where volumes are: on which datastore, and in the folder of which vmgroup."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.constants import DEFAULT_VMGROUP, DEFAULT_VMGROUP_UUID
from reconciler.model.desired import Desired
from reconciler.model.location import Location
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


def location_of(volume: ResolvedVolume, resolved: Resolved) -> Location:
    """Where the config DB is that its vmgroup lives in."""
    return next(db.location for db in resolved.config_dbs if db.ref == volume.config_db)


def uuid_of_vmgroup(volume: ResolvedVolume, resolved: Resolved, observed: Observed) -> str | None:
    """The UUID of the vmgroup that it is in, which is the name of its folder; None: there is no such vmgroup."""
    rows = observed.config_dbs[location_of(volume, resolved)].tenants
    if volume.uuid is not None:
        return next((row.id for row in rows if row.id == volume.uuid), None)
    by_name = {row.name: row.id for row in rows}
    return next((by_name[name] for name in volume.known_as if name in by_name), None)


def volume_records(resolved: Resolved, observed: Observed) -> dict[ObjectRef, str]:
    """What a record calls each volume: by UUID, so that it stays with the volume when the vmgroup is renamed."""
    found = {}
    for volume in resolved.volumes:
        if (uuid := uuid_of_vmgroup(volume, resolved, observed)) is not None:
            found[volume.ref] = f"{RECORDS}{volume.datastore.id}/{uuid}/{volume.name}"
    return found


RECORDS = f"{Kind.VOLUME.lower()}/"
"""How the names of the records of volumes begin."""
