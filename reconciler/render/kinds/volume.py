"""Declared volumes: tables, descriptions and JSON."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from reconciler.model.diff import Change
from reconciler.model.kinds.volume import ResolvedVolume, SettingsState, VolumeAccess
from reconciler.model.ownership import Record
from reconciler.model.refs import Kind
from reconciler.planning.files.volume import attached_to, names_of_vms, settings_of, uuids_of_vmgroups
from reconciler.planning.joined import Joined
from reconciler.render.kinds.view import NONE, UNKNOWN, Pairs, Row, View
from reconciler.render.text import Data


class VolumeItem(Struct, frozen=True):
    """A declared volume.

    `resolved` None: it could not be looked up. `access`: the current one (None: unknown). `attached`: the VM it is
    attached to, in words (None: to none, or unknown).
    """

    change: Change
    resolved: ResolvedVolume | None
    access: str | None
    attached: str | None
    record: Record | None = None


_Volume = Row[VolumeItem]


def _items(joined: Joined) -> Iterator[VolumeItem]:
    resolved, observed = joined.assessment.resolved, joined.assessment.observed
    changes = joined.of_kind[Kind.VOLUME]
    if not changes:
        return
    declared = {volume.ref: volume for volume in resolved.files_of(ResolvedVolume)}
    vms, uuids = names_of_vms(resolved.inventory), uuids_of_vmgroups(resolved, observed)
    for change in changes:
        volume = declared.get(change.ref)
        settings = None if volume is None else settings_of(volume, uuids.get(volume.ref), observed)
        access = attached = None
        if settings is not None and settings.state is SettingsState.READ:
            access = settings.access or VolumeAccess.READ_WRITE.value
            attached = None if settings.attached is None else attached_to(settings.attached, vms)
        yield VolumeItem(change, volume, access, attached, joined.records.get(str(change.ref)))


def _attached(row: _Volume) -> str:
    """The VM that has the volume attached. Source: docs/domain.md#volume-metadata"""
    return row.item.attached or (UNKNOWN if row.item.access is None else NONE)


def _describe(row: _Volume) -> Pairs:
    of = row.item.resolved
    where = (of.name, of.vmgroup.name, of.datastore.name) if of is not None else (UNKNOWN, UNKNOWN, UNKNOWN)
    pairs = list(zip(("Volume", "VMGroup", "Datastore"), where, strict=True))
    return [*pairs, ("Access", row.item.access or UNKNOWN), ("Attached to", _attached(row))]


def _data(row: _Volume) -> dict[str, Data]:
    of = row.item.resolved
    return {
        "vmgroup": of.vmgroup.name if of else None,
        "datastore": of.datastore.name if of else None,
        "volume": of.name if of else None,
        "access": row.item.access,
        "attachedTo": row.item.attached,
    }


VIEW = View[VolumeItem](
    key="volumes",
    only_declared=True,
    items=_items,
    columns={"ACCESS": lambda row: row.item.access or UNKNOWN, "ATTACHED TO": _attached},
    describe=_describe,
    data=_data,
)
