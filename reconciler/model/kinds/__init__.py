"""The kinds: one module each, with the declared, resolved and observed state of its objects; and their names.

`KINDS` is the only list of kinds; below it are unions for those that are files on a datastore. Each layer that treats
kinds differently has its own table by `Kind`.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from reconciler.model.kinds.storagepolicy import (
    DesiredStoragePolicy,
    ObservedStoragePolicies,
    RemoveStoragePolicy,
    WriteStoragePolicy,
)
from reconciler.model.kinds.volume import DesiredVolume, ObservedVolumes, SetVolumeAccess
from reconciler.model.refs import Kind


class KindSpec(Struct, frozen=True):
    """Names of a kind: on the command line (singular, plural, short names), and in sentences.

    `reconciled` False: a manifest of this kind configures vdvs itself, so a set has at most one.
    `on_datastore`: its objects are files on a datastore, which go one generic way through plan, ports and agent.
    """

    kind: Kind
    names: tuple[str, ...]
    noun: str
    nouns: str
    reconciled: bool = True
    on_datastore: bool = False

    @property
    def singular(self) -> str:
        """Name of one object on the command line and in references, and of the schema: `vmgroup`."""
        return self.names[0]

    @property
    def plural(self) -> str:
        """Name of all objects of the kind on the command line: `vmgroups`."""
        return self.names[1]


KINDS: Final[dict[Kind, KindSpec]] = {
    spec.kind: spec
    for spec in (
        KindSpec(Kind.SITE, ("site", "sites"), "site", "sites", reconciled=False),
        KindSpec(Kind.CONFIG_DB, ("configdb", "configdbs", "db", "dbs"), "config DB", "config DBs"),
        KindSpec(Kind.HOST, ("host", "hosts"), "host", "hosts"),
        KindSpec(Kind.VMGROUP, ("vmgroup", "vmgroups", "vg", "vgs"), "vmgroup", "vmgroups"),
        KindSpec(
            Kind.STORAGE_POLICY,
            ("storagepolicy", "storagepolicies", "sp", "sps"),
            "storage policy",
            "storage policies",
            on_datastore=True,
        ),
        KindSpec(Kind.VOLUME, ("volume", "volumes", "vol", "vols"), "volume", "volumes", on_datastore=True),
    )
}


RECONCILED: Final = tuple(spec.kind for spec in KINDS.values() if spec.reconciled)
"""The kinds whose objects are compared and applied, in the order of output."""


FILE_KINDS: Final = tuple(spec.kind for spec in KINDS.values() if spec.on_datastore)


AnyDesiredFile = DesiredStoragePolicy | DesiredVolume


AnyObservedFiles = ObservedStoragePolicies | ObservedVolumes


FileAction = WriteStoragePolicy | RemoveStoragePolicy | SetVolumeAccess
