"""The whole site, three times: Desired, Resolved, Observed.

Desired is what the manifests say, where `None` means "not stated: leave alone"; Resolved has ids in place of names;
Observed is what was read, where what could not be read is unknown, never absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import field

from reconciler.model.base import Strict
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import DesiredConfigDB, ObservedConfigDB, ResolvedConfigDB
from reconciler.model.kinds.host import (
    DesiredHost,
    ObservedHost,
    ResolvedHost,
    UnreachableHost,
)
from reconciler.model.kinds.site import Site
from reconciler.model.kinds.storagepolicy import DesiredStoragePolicy, ObservedStoragePolicies, ResolvedStoragePolicy
from reconciler.model.kinds.vmgroup import DesiredVMGroup, ResolvedVMGroup
from reconciler.model.kinds.volume import DesiredVolume, ObservedSettings, ResolvedVolume
from reconciler.model.refs import Kind, Location, ObjectRef


class Reconcile(StrEnum):
    """What a watch does about one object, where that is less than usual: no more than tell, or nothing."""

    REPORT = "report"
    DISABLED = "disabled"


DesiredObject = DesiredHost | DesiredConfigDB | DesiredVMGroup | DesiredStoragePolicy | DesiredVolume


class Desired(Strict, frozen=True):
    """Everything that a set of manifests declares, checked as a set. `digests`: of the manifest of each object;
    `reconcile`: the objects that say how a watch is to treat them."""

    site: Site | None
    hosts: tuple[DesiredHost, ...]
    config_dbs: tuple[DesiredConfigDB, ...]
    vmgroups: tuple[DesiredVMGroup, ...]
    digests: tuple[tuple[ObjectRef, str], ...] = ()
    storage_policies: tuple[DesiredStoragePolicy, ...] = ()
    volumes: tuple[DesiredVolume, ...] = ()
    reconcile: tuple[tuple[ObjectRef, Reconcile], ...] = ()

    @classmethod
    def of(
        cls,
        objects: Mapping[Kind, tuple[Any, ...]],
        digests: tuple[tuple[ObjectRef, str], ...],
        reconcile: tuple[tuple[ObjectRef, Reconcile], ...],
    ) -> Desired:
        """Build it from the declared objects of each kind."""
        return cls(
            site=next(iter(objects[Kind.SITE]), None),
            hosts=objects[Kind.HOST],
            config_dbs=objects[Kind.CONFIG_DB],
            vmgroups=objects[Kind.VMGROUP],
            digests=digests,
            storage_policies=objects[Kind.STORAGE_POLICY],
            volumes=objects[Kind.VOLUME],
            reconcile=reconcile,
        )

    @property
    def objects(self) -> tuple[DesiredObject, ...]:
        """All declared objects, the Site not included."""
        return (*self.hosts, *self.config_dbs, *self.vmgroups, *self.storage_policies, *self.volumes)

    @property
    def count(self) -> int:
        """Number of declared objects, the Site not included."""
        return len(self.digests)


class Unresolved(Strict, frozen=True):
    """An object that cannot be looked up now, so is left exactly as it is. `reason` is for people.

    `known_as`: previous names and the pinned UUID of a vmgroup, by which the config DB may have it; the name of a
    storage policy or a volume.
    """

    ref: ObjectRef
    reason: str
    known_as: tuple[str, ...] = ()


class Resolved(Strict, frozen=True):
    """All that could be looked up, and all that could not. `digests`: of the manifest of each object."""

    inventory: Inventory
    config_dbs: tuple[ResolvedConfigDB, ...]
    hosts: tuple[ResolvedHost, ...]
    vmgroups: tuple[ResolvedVMGroup, ...]
    unresolved: tuple[Unresolved, ...]
    digests: Mapping[ObjectRef, str] = field(default_factory=dict)
    storage_policies: tuple[ResolvedStoragePolicy, ...] = ()
    volumes: tuple[ResolvedVolume, ...] = ()


class EntryKind(StrEnum):
    """What an entry of `dockvols/` is."""

    FOLDER = "folder"
    LINK = "link"
    FILE = "file"


class DockvolsEntry(Strict, frozen=True):
    """One entry of `dockvols/`: `target` of a link, by volume id where it can be told; `volumes` in a folder."""

    kind: EntryKind
    target: str | None
    volumes: int


class VolumeFile(Strict, frozen=True):
    """A volume in the folder of a vmgroup. `mb`: its capacity (None: not told)."""

    name: str
    mb: int | None


class ObservedDatastore(Strict, frozen=True):
    """`dockvols/` of one datastore, read through `read_from`. `error` not None: it could not be read.

    `volumes` lists those of each vmgroup by its UUID; who has too many is left out, and only counted in `entries`.
    """

    url: str
    read_from: str | None
    error: str | None
    entries: Mapping[str, DockvolsEntry]
    volumes: Mapping[str, tuple[VolumeFile, ...]] = field(default_factory=dict)
    storage_policies: ObservedStoragePolicies = field(default_factory=ObservedStoragePolicies)
    settings: ObservedSettings = field(default_factory=ObservedSettings)


class Observed(Strict, frozen=True):
    """One look at the world: hosts by name, config DBs by where they are, datastores by URL; `strangers`: hosts that
    answered though no manifest declares them."""

    hosts: Mapping[str, ObservedHost | UnreachableHost]
    config_dbs: Mapping[Location, ObservedConfigDB]
    datastores: Mapping[str, ObservedDatastore]
    strangers: Mapping[str, ObservedHost] = field(default_factory=dict)
