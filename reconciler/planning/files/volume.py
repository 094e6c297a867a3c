"""Volumes: where they are, how their metadata differ, and their export.

Source: docs/domain.md#volume-metadata
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Cause, Change, FieldChange, Op, Value
from reconciler.model.export import LeftOut, Manifest
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.model.kinds.volume import (
    Attached,
    DesiredVolume,
    ObservedVolumes,
    ResolvedVolume,
    SettingsState,
    SetVolumeAccess,
    VolumeAccess,
    VolumeSettings,
    why_not_volume_name,
)
from reconciler.model.refs import DEFAULT_VMGROUP, DEFAULT_VMGROUP_UUID, Kind, ObjectRef
from reconciler.model.state import Desired, EntryKind, Observed, Resolved, Unresolved
from reconciler.planning.compare.context import DBContext, SiteContext
from reconciler.planning.export.expressible import Adoptable, DatastoreSpelling
from reconciler.planning.export.names import document, kube_names
from reconciler.planning.lookup import InventoryLookup, NotFoundError
from reconciler.planning.records.ownership import Place, Places, gone_from_set, spell
from reconciler.planning.rights.drift import of_risk
from reconciler.planning.scope import vmgroup_ref


def resolve_volumes(desired: Desired, so_far: Resolved, names: InventoryLookup) -> Resolved:
    """Look up the datastore of each; two manifests of the same volume both fail."""
    databases, unresolved = {db.ref for db in so_far.config_dbs}, list(so_far.unresolved)
    groups = {group.ref: group for group in desired.vmgroups}
    held = {each.ref for each in desired.held}
    found: dict[tuple[str, ObjectRef, str], list[ResolvedVolume]] = {}
    for volume in desired.files_of(DesiredVolume):
        db = ObjectRef(Kind.CONFIG_DB, volume.config_db)
        group = groups.get(volume.vmgroup)
        known_as = (DEFAULT_VMGROUP,) if group is None else (group.name, *group.previous_names)
        uuid = DEFAULT_VMGROUP_UUID if known_as[0] == DEFAULT_VMGROUP else group.uuid if group is not None else None
        try:
            if db not in databases:
                raise NotFoundError(f"its {db} could not be looked up")
            if volume.vmgroup in held:
                raise NotFoundError(f"the manifest of its {volume.vmgroup} cannot be used")
            datastore = names.datastore(volume.datastore)
        except NotFoundError as problem:
            unresolved.append(Unresolved(volume.ref, str(problem), (volume.name,), certain=True))
            continue
        was = None if group is None else group.was
        one = ResolvedVolume(volume.ref, volume.name, datastore, volume.vmgroup, known_as, uuid, db, volume.access, was)
        found.setdefault((datastore.url, volume.vmgroup, volume.name), []).append(one)
    for twins in found.values():
        for one in twins if len(twins) > 1 else ():
            others = ", ".join(sorted(str(twin.ref) for twin in twins if twin is not one))
            reason = f"it is the same volume as {others}: both are on {one.datastore.name}"
            unresolved.append(Unresolved(one.ref, reason, (one.name,), certain=True))
    kept = [twins[0] for twins in found.values() if len(twins) == 1]
    kept.sort(key=lambda volume: volume.ref.sort_key)
    return replace(so_far, files=(*so_far.files, *kept), unresolved=tuple(unresolved))


def uuids_of_vmgroups(resolved: Resolved, observed: Observed) -> dict[ObjectRef, str]:
    """The UUID of the vmgroup that each volume is in, which is the name of its folder. Left out: there is none.

    Source: docs/domain.md#layout-of-dockvols
    """
    users = {volume.config_db for volume in resolved.files_of(ResolvedVolume)}
    rows = {db.ref: observed.config_dbs[db.location].tenants for db in resolved.config_dbs if db.ref in users}
    by_name = {db: {row.name: row.id for row in tenants} for db, tenants in rows.items()}
    ids = {db: {row.id: row.name for row in tenants} for db, tenants in rows.items()}
    owners = {(group.config_db, group.name): group.owner for group in resolved.vmgroups} if users else {}
    found = {}
    for volume in resolved.files_of(ResolvedVolume):
        db = volume.config_db
        names = by_name[db]
        if volume.uuid is None:
            uuid = next((names[name] for name in volume.known_as if name in names), None)
        else:
            uuid = volume.uuid if volume.uuid in ids[db] else None
            mine = owners.get((db, volume.known_as[0]), "")
            if uuid != volume.was and owners.get((db, ids[db].get(volume.uuid, "")), mine) != mine:
                uuid = None  # a UUID takes no vmgroup from another owner
        if uuid is not None and volume.was in (None, uuid):
            found[volume.ref] = uuid
    return found


def volume_records(resolved: Resolved, observed: Observed, _fresh: Mapping[ObjectRef, str]) -> Places:
    """Return where each volume is recorded: in the config DB of its vmgroup, by the UUID of the vmgroup, which survives
    renames.

    Source: docs/domain.md#volumes
    """
    uuids, nowhere = uuids_of_vmgroups(resolved, observed), Place(None, why="its vmgroup is not there")
    return {
        volume.ref: Place(volume.config_db, f"{RECORDS}{volume.datastore.id}/{uuids[volume.ref]}/{volume.name}")
        if volume.ref in uuids
        else nowhere
        for volume in resolved.files_of(ResolvedVolume)
    }


RECORDS = f"{Kind.VOLUME.lower()}/"
"""How the names of the records of volumes begin."""


VVOL = "vvol"


_MISSING = "it is not there; `docker volume create` makes it, vdvs makes no volumes"


_ON_VVOL = "only disklib of ESXi knows where the metadata of a volume on VVol are; run `vmdkops_admin.py volume set`"


def volume_changes(site: SiteContext) -> Iterator[Change]:
    """How every declared volume differs; of the others, those that were declared. Source: docs/domain.md#volumes"""
    resolved, observed = site.resolved, site.found
    volumes = resolved.files_of(ResolvedVolume)
    uuids, vms = uuids_of_vmgroups(resolved, observed), names_of_vms(resolved.inventory) if volumes else {}
    for volume in volumes:
        db = site.databases[volume.config_db].stored
        change = _change(volume, db, uuids.get(volume.ref), observed, vms)
        yield change if change.op is Op.KEEP else replace(change, effect=of_risk(change))
    yield from _removed(site)


def _removed(site: SiteContext) -> Iterator[Change]:
    """Report the volumes that are there, and that the set of the manifests here no longer declares."""
    if site.applying is None or site.applying.prune:
        return
    kept = {place.name for place in volume_records(site.resolved, site.found, {}).values()}
    unsure = {name for each in site.resolved.unresolved if each.ref.kind is Kind.VOLUME for name in each.known_as}
    by_id = {datastore.id: datastore for datastore in site.resolved.inventory.datastores}
    for db in site.databases.values():
        for record in () if db.ledger is None else db.ledger.by_object.values():
            id_, _, rest = record.object.removeprefix(RECORDS).partition("/")
            uuid, _, name = rest.partition("/")
            datastore = by_id.get(id_) if record.object.startswith(RECORDS) else None
            if datastore is None or record.object in kept or name in unsure or not gone_from_set(record, site.applying):
                continue
            seen = site.found.datastores.get(datastore.url)
            if seen is None or seen.error is not None or name not in {file.name for file in seen.volumes.get(uuid, ())}:
                continue
            group = next((row.name for row in db.stored.tenants if row.id == uuid), uuid)
            home = vmgroup_ref(db.db.ref, group, site.resolved).name
            ref = ObjectRef(Kind.VOLUME, f"{home}/{name}@{datastore.name}")
            why = f"set {record.set} applied it last ({spell(record)}) and no longer declares it; {_STAYS}"
            yield Change(ref, Op.REMOVED, why, cause=Cause.MANIFEST)


_STAYS = "its settings stay as they are; `vdvs apply --prune` forgets them"


def forgotten_volumes(context: DBContext, site: SiteContext) -> list[str]:
    """Return the records of volumes that this set no longer declares, when it prunes: nothing else is done.

    Source: docs/domain.md#volumes
    """
    applying, resolved = site.applying, site.resolved
    if context.ledger is None or applying is None or not applying.prune or not applying.set:
        return []
    kept = {place.name for place in volume_records(resolved, site.found, {}).values()}
    unsure = {name for each in resolved.unresolved if each.ref.kind is Kind.VOLUME for name in each.known_as}
    return sorted(
        record.object
        for record in context.ledger.by_object.values()
        if record.object.startswith(RECORDS)
        and record.set == applying.set
        and record.object not in kept
        and record.object.rpartition("/")[2] not in unsure
    )


def settings_of(volume: ResolvedVolume, uuid: str | None, observed: Observed) -> VolumeSettings | None:
    """Return its metadata, from the folder of the vmgroup with this UUID; None: no such volume, or not looked for.

    Source: docs/domain.md#layout-of-dockvols
    """
    datastore = observed.datastores.get(volume.datastore.url)
    if uuid is None or datastore is None or datastore.error is not None:
        return None
    return datastore.files_of(ObservedVolumes).of(uuid, volume.name)


def names_of_vms(inventory: Inventory) -> dict[str, str]:
    """The names of VMs by their UUIDs: vDVS notes the instance UUID, before 0.15 the BIOS UUID.

    Source: docs/domain.md#volume-metadata
    """
    return inventory.vm_names() | {vm.instance_uuid: vm.name for vm in inventory.vms if vm.instance_uuid}


def attached_to(attached: Attached, vms: Mapping[str, str]) -> str:
    """The VM that a volume is attached to, in words. `vms`: the names of VMs by their UUIDs.

    Source: docs/domain.md#volume-metadata
    """
    name = vms.get(attached.uuid or "") or attached.name
    return f"VM {name}" if name else f"the VM {attached.uuid}" if attached.uuid else "a VM"


def _change(
    volume: ResolvedVolume, db: ObservedConfigDB, uuid: str | None, observed: Observed, vms: Mapping[str, str]
) -> Change:
    ref, datastore = volume.ref, observed.datastores.get(volume.datastore.url)
    if db.state is DBState.UNKNOWN:
        return Change(ref, Op.UNKNOWN, f"the {volume.config_db} of its vmgroup cannot be read: {db.message}")
    if uuid is None:
        why = "is not there yet" if volume.was is None else "is not there yet, or is not its own"
        return Change(ref, Op.BLOCKED, f"its {volume.vmgroup} {why}")
    if datastore is None:
        return Change(ref, Op.BLOCKED, f"no declared host mounts {volume.datastore.name}")
    if datastore.error is not None:
        return Change(ref, Op.UNKNOWN, datastore.error)
    if (entry := datastore.entries.get(uuid)) is not None and entry.kind is not EntryKind.FOLDER:
        reason = f"dockvols/{uuid} on {volume.datastore.name} is a {entry.kind.value}, which vdvs does not follow"
        return Change(ref, Op.UNKNOWN, reason)
    if volume.datastore.type.lower() == VVOL:
        return Change(ref, Op.BLOCKED, _ON_VVOL)
    found = datastore.files_of(ObservedVolumes).of(uuid, volume.name)
    if found is None:
        return Change(ref, Op.BLOCKED, _MISSING)
    if found.state is not SettingsState.READ:
        return Change(ref, Op.BLOCKED if found.state is SettingsState.UNUSABLE else Op.UNKNOWN, found.why)
    return _compared(volume, uuid, found, vms)


def _compared(volume: ResolvedVolume, uuid: str, found: VolumeSettings, vms: Mapping[str, str]) -> Change:
    ref, now = volume.ref, found.access or VolumeAccess.READ_WRITE.value
    if now == volume.access:
        return Change(ref, Op.KEEP, "as declared")
    risk = Risk.RESTRICTS if volume.access is VolumeAccess.READ_ONLY else Risk.WIDENS
    field = FieldChange("access", now, volume.access.value)
    action = SetVolumeAccess(ref, risk, volume.datastore.url, volume.name, uuid, volume.access, found.digest)
    note = f"it is {volume.access} from when it is attached next"
    if found.attached is not None:
        note += f"; {attached_to(found.attached, vms)}, which has it attached now, keeps it as it is until then"
    return Change(ref, Op.UPDATE, "differs from its manifest", (field,), (action,), risk, (note,))


_NOT_TEXT = "\ufffd"  # the agent's replacement for invalid bytes


class _Found(Struct, frozen=True):
    """A volume: its name, the ref of its vmgroup and how a manifest names that, its datastore as a manifest says it."""

    name: str
    vmgroup: str
    home: Mapping[str, Value]
    datastore: str
    settings: VolumeSettings

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(Kind.VOLUME, f"{self.vmgroup}/{self.name}@{self.datastore}")


def adopt_volumes(site: Adoptable) -> Iterator[Manifest]:
    """Manifests of the read-only volumes of vmgroups that are in the manifests, and of `_DEFAULT`.

    Source: docs/domain.md#volumes
    """
    left_out = site.left_out
    volumes = [*_found(site)]
    twice = Counter(volume.name for volume in volumes)
    keys = {volume.ref: volume.name if twice[volume.name] == 1 else volume.ref.name for volume in volumes}
    names = kube_names(keys.values())
    for volume in volumes:
        if (why := _why_left_out(volume)) is not None:
            left_out.append(LeftOut(volume.ref, why, unread=volume.settings.state is SettingsState.UNKNOWN))
            continue
        name = names[keys[volume.ref]]
        spec: dict[str, Value] = {} if name == volume.name else {"name": volume.name}
        datastore: Value = {"url": volume.datastore} if "/" in volume.datastore else volume.datastore
        spec |= {**volume.home, "datastore": datastore, "access": VolumeAccess.READ_ONLY.value}
        yield Manifest(volume.ref, document(Kind.VOLUME, {"name": name}, spec))


def _found(site: Adoptable) -> Iterator[_Found]:
    """Yield the volumes worth exporting, in vmgroups that have a manifest or in `_DEFAULT`."""
    dbs, groups, left_out, inventory = site.dbs, site.groups, site.left_out, site.found.inventory
    spelling = DatastoreSpelling(inventory.datastores)
    names = {datastore.url: datastore.name for datastore in inventory.datastores}
    for url, datastore in sorted(site.seen.datastores.items()):
        volumes = datastore.files_of(ObservedVolumes)
        if datastore.error is None and volumes.error is not None:
            left_out.append(LeftOut(ObjectRef(Kind.VOLUME, names.get(url, url)), volumes.error, unread=True))
        for db, rows in dbs:
            for row in rows.tenants:
                key = f"{db}/{row.name}" if len(dbs) > 1 else row.name
                home: dict[str, Value] = {"vmgroup": groups.get(key, row.name)}
                if key not in groups:
                    home |= {"configDB": db} if len(dbs) > 1 else {}
                if key not in groups and row.name != DEFAULT_VMGROUP:
                    continue
                for name, settings in sorted(volumes.found.get(row.id, {}).items()):
                    if _differs_from_new(settings):
                        yield _Found(name, key, home, spelling.of(url) or url, settings)


def _differs_from_new(settings: VolumeSettings) -> bool:
    """Return whether the metadata differ from those that vDVS gives a new volume.

    Source: docs/domain.md#volume-metadata
    """
    if settings.state is SettingsState.READ:
        return settings.access not in (None, VolumeAccess.READ_WRITE)
    return settings.state is SettingsState.UNKNOWN


def _why_left_out(volume: _Found) -> str | None:
    settings = volume.settings
    if settings.state is SettingsState.UNKNOWN:
        return settings.why
    if settings.access != VolumeAccess.READ_ONLY:
        return f'its access is "{settings.access}", which is neither read-only nor read-write'
    if (why := why_not_volume_name(volume.name)) is not None:
        return f"no manifest can express its name: {why}"
    return "no manifest can express its name: it is not text" if _NOT_TEXT in volume.name else None
