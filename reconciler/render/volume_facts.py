"""What an assessment says about volumes."""

from __future__ import annotations

from msgspec import Struct

from reconciler.model.diff import Change
from reconciler.model.kinds.volume import ResolvedVolume, SettingsState, VolumeAccess
from reconciler.model.outcome import Assessment
from reconciler.model.ownership import Record
from reconciler.model.refs import Kind
from reconciler.planning.files.volume import attached_to, names_of_vms, settings_of, uuids_of_vmgroups
from reconciler.planning.history import history


class VolumeFacts(Struct, frozen=True):
    """A declared volume. `resolved` None: it could not be looked up. `access`: as it is now (None: not known);
    `attached`: the VM that has it, in words (None: none has, or that is not known)."""

    change: Change
    resolved: ResolvedVolume | None
    access: str | None
    attached: str | None
    record: Record | None = None


def declared_volumes(assessment: Assessment) -> tuple[VolumeFacts, ...]:
    """All of them, in the order of the diff."""
    resolved, observed = assessment.resolved, assessment.observed
    declared = {volume.ref: volume for volume in resolved.files_of(ResolvedVolume)}
    records = {applied.object: applied.record for applied in history(resolved, observed)}
    vms, uuids = names_of_vms(resolved.inventory), uuids_of_vmgroups(resolved, observed)
    found = []
    for change in assessment.diff.changes:
        if change.ref.kind is not Kind.VOLUME:
            continue
        volume, record = declared.get(change.ref), records.get(str(change.ref))
        settings = None if volume is None else settings_of(volume, uuids.get(volume.ref), observed)
        access = attached = None
        if settings is not None and settings.state is SettingsState.READ:
            access = settings.access or VolumeAccess.READ_WRITE.value
            attached = None if settings.attached is None else attached_to(settings.attached, vms)
        found.append(VolumeFacts(change, volume, access, attached, record))
    return tuple(found)
