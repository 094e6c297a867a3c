"""The whole site, three times: Desired, Resolved, Observed.

Desired is the content of the manifests, where `None` means "not stated: leave alone". Resolved has ids in place of
names. Observed was read from the site; what could not be read is unknown, never absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from itertools import chain
from typing import Any, Final, TypeVar

from msgspec import field
from msgspec.structs import replace

from reconciler.model.base import Strict, Text, Whole
from reconciler.model.files import DesiredFile, ObservedFiles, ResolvedFile
from reconciler.model.inventory import Inventory
from reconciler.model.kinds import AnyDesiredFile, AnyObservedFiles
from reconciler.model.kinds.configdb import DesiredConfigDB, ObservedConfigDB, ResolvedConfigDB
from reconciler.model.kinds.host import (
    DesiredHost,
    ObservedHost,
    ResolvedHost,
    UnreachableHost,
)
from reconciler.model.kinds.site import Site
from reconciler.model.kinds.vmgroup import DesiredVMGroup, ResolvedVMGroup
from reconciler.model.ownership import Kept
from reconciler.model.refs import FILE_KINDS, Kind, Location, ObjectRef

_Desired = TypeVar("_Desired", bound=DesiredFile)
_Resolved = TypeVar("_Resolved", bound=ResolvedFile)
_Observed = TypeVar("_Observed", bound=ObservedFiles)


RECONCILE: Final = "vdvs.io/reconcile"
"""The annotation that asks for less of a watch."""

DELETION_POLICY: Final = "vdvs.io/deletion-policy"
"""The annotation that says what becomes of an object of vDVS when its object on the API server is deleted."""


class Reconcile(StrEnum):
    """Restricted treatment of an object by a watch: report its drift only, or ignore it."""

    REPORT = "report"
    DISABLED = "disabled"


class Treatment(Strict, frozen=True):
    """The request of an object's annotation to a watch. It counts once it was applied: `digest` is of its manifest
    without the annotation, so whoever only adds it changes nothing."""

    ref: ObjectRef
    mode: Reconcile
    digest: str


DesiredObject = DesiredHost | DesiredConfigDB | DesiredVMGroup | AnyDesiredFile


class Unresolved(Strict, frozen=True):
    """An object that is left exactly as it is: it cannot be looked up now, or its manifest cannot be used. `reason` is
    for people, `why` one CamelCase word.

    `known_as`: its possible names in the config DB: previous names and the pinned UUID of a vmgroup; the name of a
    file. `certain`: it can be no other object of vDVS, so others may still be removed. `anywhere`: a vmgroup that may
    be in any config DB, and is called as this says.
    """

    ref: ObjectRef
    reason: str
    known_as: tuple[str, ...] = ()
    why: str = "NotFound"
    certain: bool = False
    anywhere: bool = False


class Desired(Strict, frozen=True):
    """Everything that a set of manifests declares, checked as a set.

    `digests`: of the manifest of each object; `treatments`: the objects that ask for less of a watch; `held`: objects
    that are declared by manifests that cannot be used, and that stay as they are.
    """

    site: Site | None
    hosts: tuple[DesiredHost, ...]
    config_dbs: tuple[DesiredConfigDB, ...]
    vmgroups: tuple[DesiredVMGroup, ...]
    digests: tuple[tuple[ObjectRef, str], ...] = ()
    files: tuple[AnyDesiredFile, ...] = ()
    treatments: tuple[Treatment, ...] = ()
    held: tuple[Unresolved, ...] = ()

    @classmethod
    def of(
        cls,
        objects: Mapping[Kind, tuple[Any, ...]],
        digests: tuple[tuple[ObjectRef, str], ...],
        treatments: tuple[Treatment, ...],
        held: tuple[Unresolved, ...] = (),
    ) -> Desired:
        """Build it from the declared objects of each kind."""
        return cls(
            site=next(iter(objects[Kind.SITE]), None),
            hosts=objects[Kind.HOST],
            config_dbs=objects[Kind.CONFIG_DB],
            vmgroups=objects[Kind.VMGROUP],
            digests=digests,
            files=tuple(chain.from_iterable(objects[kind] for kind in FILE_KINDS)),
            treatments=treatments,
            held=held,
        )

    @property
    def objects(self) -> tuple[DesiredObject, ...]:
        """All declared objects, the Site not included."""
        return (*self.hosts, *self.config_dbs, *self.vmgroups, *self.files)

    def files_of(self, kind: type[_Desired]) -> tuple[_Desired, ...]:
        """Return the files of one kind, by its class."""
        return tuple(file for file in self.files if isinstance(file, kind))

    @property
    def count(self) -> int:
        """Number of declared objects, the Site not included."""
        return len(self.digests)


class Resolved(Strict, frozen=True):
    """Everything that could be looked up, and everything that could not. `digests`: of the manifest of each object;
    `treatments`: see `Desired`."""

    inventory: Inventory
    config_dbs: tuple[ResolvedConfigDB, ...]
    hosts: tuple[ResolvedHost, ...]
    vmgroups: tuple[ResolvedVMGroup, ...]
    unresolved: tuple[Unresolved, ...]
    digests: Mapping[ObjectRef, str] = field(default_factory=dict)
    files: tuple[ResolvedFile, ...] = ()
    treatments: tuple[Treatment, ...] = ()

    def files_of(self, kind: type[_Resolved]) -> tuple[_Resolved, ...]:
        """Return the files of one kind, by its class."""
        return tuple(file for file in self.files if isinstance(file, kind))


class EntryKind(StrEnum):
    """Type of an entry of `dockvols/`."""

    FOLDER = "folder"
    LINK = "link"
    FILE = "file"


class DockvolsEntry(Strict, frozen=True, array_like=True):
    """An entry of `dockvols/`: `target` of a link, by volume id if known; number of `volumes` in a folder.

    Source: docs/domain.md#layout-of-dockvols
    """

    kind: EntryKind
    target: Text | None
    volumes: Whole


class VolumeFile(Strict, frozen=True, array_like=True):
    """A volume in the folder of a vmgroup. `mb`: its capacity (None: unknown)."""

    name: Text
    mb: Whole | None


class ObservedDatastore(Strict, frozen=True):
    """`dockvols/` of one datastore, read through `read_from`. `error` not None: why it could not be read.

    `volumes` lists the volumes of each vmgroup by its UUID. A vmgroup with too many is left out, and only counted in
    `entries`. `missing`: the folder is not there. Source: docs/domain.md#layout-of-dockvols
    """

    url: Text
    read_from: Text | None
    error: Text | None
    entries: Mapping[Text, DockvolsEntry]
    volumes: Mapping[Text, tuple[VolumeFile, ...]] = field(default_factory=dict)
    files: tuple[AnyObservedFiles, ...] = ()
    missing: bool = False

    def files_of(self, kind: type[_Observed]) -> _Observed:
        """Return the files of one kind, by its class; the default value if they were not requested."""
        return next((found for found in self.files if isinstance(found, kind)), kind())


class Observed(Strict, frozen=True):
    """The world as observed at one time: hosts by name, config DBs by location, datastores by URL. `undeclared_hosts`:
    hosts that answered and that no manifest declares. `kept`: what this side keeps of applies, by name of the
    ConfigDB."""

    hosts: Mapping[str, ObservedHost | UnreachableHost]
    config_dbs: Mapping[Location, ObservedConfigDB]
    datastores: Mapping[str, ObservedDatastore]
    undeclared_hosts: Mapping[str, ObservedHost] = field(default_factory=dict)
    kept: Mapping[str, Kept] = field(default_factory=dict)

    @property
    def content(self) -> Observed:
        """The same without the hosts that datastores were read through, which take turns: a diff is the same."""
        return replace(self, datastores={url: replace(each, read_from=None) for url, each in self.datastores.items()})
