"""Volumes that are declared: only the access of one is ever changed, and only in its metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.model.actions import ForgetObject
from reconciler.model.diff import Change, FieldChange, Op
from reconciler.model.host_actions import SetVolumeAccess
from reconciler.model.inventory import Inventory
from reconciler.model.observed import DBState, EntryKind, Observed, ObservedConfigDB
from reconciler.model.ownership import Applying
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.resolved import Resolved, ResolvedVolume
from reconciler.model.risk import Risk
from reconciler.model.volumes import Attached, SettingsState, VolumeAccess, VolumeSettings
from reconciler.planning.ownership import Ledger, recorded
from reconciler.planning.volume_places import RECORDS, uuids_of_vmgroups, volume_records

VVOL = "vvol"
_MISSING = "it is not there; `docker volume create` makes it, vdvs makes no volumes"
_ON_VVOL = "only disklib of ESXi knows where the metadata of a volume on VVol are; run `vmdkops_admin.py volume set`"


def volume_changes(
    resolved: Resolved,
    observed: Observed,
    ledgers: Mapping[ObjectRef, Ledger | None],
    applying: Applying | None,
) -> Iterator[Change]:
    """How every declared volume differs. Those that nobody declares are never spoken of."""
    records, uuids = volume_records(resolved, observed), uuids_of_vmgroups(resolved, observed)
    databases = {db.ref: observed.config_dbs[db.location] for db in resolved.config_dbs}
    vms = names_of_vms(resolved.inventory) if resolved.volumes else {}
    for volume in resolved.volumes:
        change = _change(volume, databases[volume.config_db], uuids.get(volume.ref), observed, vms)
        if (name := records.get(volume.ref)) is not None:
            digest, known = resolved.digests.get(volume.ref), ledgers.get(volume.config_db)
            change = recorded(change, name, None, digest, known, applying)
        yield change


def forgotten_volumes(
    db: ObjectRef, resolved: Resolved, observed: Observed, known: Ledger | None, applying: Applying | None
) -> tuple[ForgetObject, ...]:
    """What drops the records of volumes that this set declares no more, when it prunes: that is all that is done."""
    if applying is None or known is None or not applying.prune or not applying.set:
        return ()
    kept = set(volume_records(resolved, observed).values())
    unsure = {name for each in resolved.unresolved if each.ref.kind is Kind.VOLUME for name in each.known_as}
    gone = [
        record.object
        for record in known.by_object.values()
        if record.object.startswith(RECORDS)
        and record.set == applying.set
        and record.object not in kept
        and record.object.rpartition("/")[2] not in unsure
    ]
    return tuple(ForgetObject(db, Risk.SAFE, name) for name in sorted(gone))


def settings_of(volume: ResolvedVolume, uuid: str | None, observed: Observed) -> VolumeSettings | None:
    """Its metadata, in the folder of the vmgroup with this UUID; None if there is no such volume, or nobody looked."""
    datastore = observed.datastores.get(volume.datastore.url)
    if uuid is None or datastore is None or datastore.error is not None:
        return None
    return datastore.settings.of(uuid, volume.name)


def names_of_vms(inventory: Inventory) -> dict[str, str]:
    """The names of VMs by their UUIDs: vDVS notes the instance UUID, before 0.15 the BIOS UUID."""
    return inventory.vm_names() | {vm.instance_uuid: vm.name for vm in inventory.vms if vm.instance_uuid}


def attached_to(attached: Attached, vms: Mapping[str, str]) -> str:
    """The VM that a volume is attached to, in words. `vms`: the names of VMs by their UUIDs."""
    name = vms.get(attached.uuid or "") or attached.name
    return f"VM {name}" if name else f"the VM {attached.uuid}" if attached.uuid else "a VM"


def _change(
    volume: ResolvedVolume, db: ObservedConfigDB, uuid: str | None, observed: Observed, vms: Mapping[str, str]
) -> Change:
    ref, datastore = volume.ref, observed.datastores.get(volume.datastore.url)
    if db.state is DBState.UNKNOWN:
        return Change(ref, Op.UNKNOWN, f"the {volume.config_db} of its vmgroup cannot be read: {db.message}")
    if uuid is None:
        return Change(ref, Op.BLOCKED, f"its {volume.vmgroup} is not there yet")
    if datastore is None:
        return Change(ref, Op.BLOCKED, f"no declared host mounts {volume.datastore.name}")
    if datastore.error is not None:
        return Change(ref, Op.UNKNOWN, datastore.error)
    if (entry := datastore.entries.get(uuid)) is not None and entry.kind is not EntryKind.FOLDER:
        reason = f"dockvols/{uuid} on {volume.datastore.name} is a {entry.kind.value}, which vdvs does not follow"
        return Change(ref, Op.UNKNOWN, reason)
    if volume.datastore.type.lower() == VVOL:
        return Change(ref, Op.BLOCKED, _ON_VVOL)
    found = datastore.settings.of(uuid, volume.name)
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
    action = SetVolumeAccess(ref, risk, volume.datastore.url, uuid, volume.name, volume.access, found.digest)
    note = f"it is {volume.access} from when it is attached next"
    if found.attached is not None:
        note += f"; {attached_to(found.attached, vms)}, which has it attached now, keeps it as it is until then"
    return Change(ref, Op.UPDATE, "differs from its manifest", (field,), (action,), risk, (note,))
