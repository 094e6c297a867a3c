"""Volume: a volume as declared, resolved and observed, its valid names, and its metadata. Source:
docs/domain.md#volume-metadata
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import field

from reconciler.model.base import Strict, Text
from reconciler.model.files import DesiredFile, FileStep, ObservedFiles, ResolvedFile
from reconciler.model.refs import DatastoreRef, Kind, ObjectRef

LONGEST_VOLUME_NAME: Final = 100


SNAPSHOT_NAME: Final = re.compile(r"-[0-9]{6}$")


PART_SUFFIXES: Final = ("-flat", "-delta", "-ctk", "-digest")


class VolumeAccess(StrEnum):
    """Access of VMs to a volume when it is attached. The default of vDVS is READ_WRITE. Source:
    docs/domain.md#volume-metadata
    """

    READ_ONLY = "read-only"
    READ_WRITE = "read-write"


class SettingsState(StrEnum):
    """Result of reading the metadata of an existing volume."""

    READ = "read"
    UNUSABLE = "unusable"  # certainly not as vDVS makes them, so they cannot be changed
    UNKNOWN = "unknown"  # their content could not be read


class Attached(Strict, frozen=True, array_like=True):
    """The VM that a volume is attached to, from its metadata: its instance UUID (BIOS UUID before vDVS 0.15), and its
    name at that time.

    Source: docs/domain.md#volume-metadata
    """

    uuid: Text | None
    name: Text | None


class VolumeSettings(Strict, frozen=True):
    """The metadata of a volume. `why`: the reason, unless they were READ. `digest`: of the whole file.

    `access`: the value in the file (None: missing), which may be no VolumeAccess.
    """

    state: SettingsState
    why: Text = ""
    digest: Text = ""
    access: Text | None = None
    attached: Attached | None = None


class ObservedVolumes(ObservedFiles, frozen=True, tag=Kind.VOLUME.value):
    """The metadata of volumes of one datastore, by the UUID of their vmgroup and their name."""

    looked: frozenset[Text] | None = frozenset()
    found: Mapping[Text, Mapping[Text, VolumeSettings]] = field(default_factory=dict)

    def of(self, uuid: str, name: str) -> VolumeSettings | None:
        """Return those of one volume; None only if it certainly does not exist."""
        if self.error is not None:
            return VolumeSettings(SettingsState.UNKNOWN, self.error)
        if self.looked is not None and name not in self.looked:
            return VolumeSettings(SettingsState.UNKNOWN, "it was not requested")
        return self.found.get(uuid, {}).get(name)


def why_not_volume_name(name: str) -> str | None:
    """Return why vDVS would refuse this name of a volume, or not find the volume again; None: it is valid.

    Source: docs/domain.md#volumes
    """
    if "@" in name:
        return "what follows the '@' is the datastore, which is spec.datastore"
    if re.search(r"[/\\]", name) or not name.isprintable():
        return "a name has no '/', no '\\' and no control characters"
    if len(name) > LONGEST_VOLUME_NAME:
        return f"it has {len(name)} characters; at most {LONGEST_VOLUME_NAME} are allowed"
    if SNAPSHOT_NAME.search(name):
        return "vDVS takes what ends in '-' and six digits for a snapshot of another volume"
    if part := next((end for end in PART_SUFFIXES if name.endswith(end)), None):
        return f"vDVS takes what ends in '{part}' for a part of another volume"
    return None


class DesiredVolume(DesiredFile, frozen=True):
    """The settable part of the volume `name` on `datastore`.

    Its `vmgroup` has a manifest, unless it is `_DEFAULT`, and lives in the ConfigDB with the `metadata.name`
    `config_db`.
    """

    datastore: DatastoreRef
    vmgroup: ObjectRef
    config_db: str
    access: VolumeAccess


class ResolvedVolume(ResolvedFile, frozen=True):
    """A volume with names looked up.

    Its vmgroup is that of `config_db` with this `uuid`, or (None: not pinned) the first one with a name in `known_as`.
    `was`: see `DesiredVMGroup`.
    """

    vmgroup: ObjectRef
    known_as: tuple[str, ...]
    uuid: str | None
    config_db: ObjectRef
    access: VolumeAccess
    was: str | None = None


class SetVolumeAccess(FileStep, frozen=True):
    """Change the access in the metadata of the volume `name` in the folder `uuid` of a datastore, and nothing else, if
    the file still has this digest (SHA-256, in hex).
    """

    uuid: str
    access: VolumeAccess
    digest: str
