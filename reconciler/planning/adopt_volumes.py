"""Volumes that are read-only -> manifests: all others are as vDVS takes a volume of which nothing is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from reconciler.model.adopted import LeftOut, Manifest
from reconciler.model.constants import DEFAULT_VMGROUP
from reconciler.model.diff import Value
from reconciler.model.frozen import dataclass
from reconciler.model.observed import Observed, ObservedConfigDB
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.resolved import Resolved
from reconciler.model.volumes import SettingsState, VolumeAccess, VolumeSettings, why_not_named
from reconciler.planning.adopt_policies import document
from reconciler.planning.kube_names import kube_names
from reconciler.planning.sayable import DatastoreSpelling

_NOT_TEXT = "\ufffd"  # what the agent shows for bytes that are none


@dataclass(frozen=True, slots=True)
class _Found:
    """A volume: its name, the ref of its vmgroup and how a manifest names that, its datastore as a manifest says it."""

    name: str
    vmgroup: str
    home: Mapping[str, Value]
    datastore: str
    settings: VolumeSettings

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(Kind.VOLUME, f"{self.vmgroup}/{self.name}@{self.datastore}")


def adopt_volumes(
    found: Resolved,
    seen: Observed,
    dbs: Sequence[tuple[str, ObservedConfigDB]],
    groups: Mapping[str, str],
    left_out: list[LeftOut],
) -> Iterator[Manifest]:
    """One for each that is read-only; why not goes to `left_out`. `dbs`: the config DBs by name; `groups`: the
    metadata.name of each vmgroup that is in the manifests, by the name of its ref."""
    volumes = [*_found(found, seen, dbs, groups, left_out)]
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


def _found(
    found: Resolved,
    seen: Observed,
    dbs: Sequence[tuple[str, ObservedConfigDB]],
    groups: Mapping[str, str],
    left_out: list[LeftOut],
) -> Iterator[_Found]:
    """The volumes of vmgroups that a manifest speaks of, or `_DEFAULT`, of which something is to be said."""
    spelling = DatastoreSpelling(found.inventory.datastores)
    names = {datastore.url: datastore.name for datastore in found.inventory.datastores}
    for url, datastore in sorted(seen.datastores.items()):
        if datastore.error is None and datastore.settings.error is not None:
            left_out.append(LeftOut(ObjectRef(Kind.VOLUME, names.get(url, url)), datastore.settings.error, unread=True))
        for db, rows in dbs:
            for row in rows.tenants:
                key = f"{db}/{row.name}" if len(dbs) > 1 else row.name
                home: dict[str, Value] = {"vmgroup": groups.get(key, row.name)}
                if key not in groups:
                    home |= {"configDB": db} if len(dbs) > 1 else {}
                if key not in groups and row.name != DEFAULT_VMGROUP:
                    continue
                for name, settings in sorted(datastore.settings.found.get(row.id, {}).items()):
                    if _says_something(settings):
                        yield _Found(name, key, home, spelling.of(url) or url, settings)


def _says_something(settings: VolumeSettings) -> bool:
    """Metadata that are not as vDVS makes them say nothing that a manifest could."""
    if settings.state is SettingsState.READ:
        return settings.access not in (None, VolumeAccess.READ_WRITE)
    return settings.state is SettingsState.UNKNOWN


def _why_left_out(volume: _Found) -> str | None:
    settings = volume.settings
    if settings.state is SettingsState.UNKNOWN:
        return settings.why
    if settings.access != VolumeAccess.READ_ONLY:
        return f'its access is "{settings.access}", which is neither read-only nor read-write'
    if (why := why_not_named(volume.name)) is not None:
        return f"no manifest can say its name: {why}"
    return "no manifest can say its name: it is not text" if _NOT_TEXT in volume.name else None
