"""Actions outside the config DB: on a host, and in the folders of a datastore. See `actions`."""

from __future__ import annotations

from reconciler.model.frozen import dataclass
from reconciler.model.refs import ObjectRef
from reconciler.model.risk import Risk
from reconciler.model.volumes import VolumeAccess


@dataclass(frozen=True, slots=True)
class SetNameLink:
    """Make `dockvols/<name>` on a datastore a link to the folder of the vmgroup with this UUID."""

    ref: ObjectRef
    risk: Risk
    url: str
    name: str
    uuid: str


@dataclass(frozen=True, slots=True)
class RemoveNameLink:
    """Remove the link `dockvols/<name>`, if it still points to `target`."""

    ref: ObjectRef
    risk: Risk
    url: str
    name: str
    target: str


@dataclass(frozen=True, slots=True)
class WriteStoragePolicy:
    """Write `content` and a line feed into the file of a storage policy, if that still holds `before` (the whole file;
    None: it is not there). No volume is changed by it."""

    ref: ObjectRef
    risk: Risk
    url: str
    name: str
    content: str
    before: str | None


@dataclass(frozen=True, slots=True)
class RemoveStoragePolicy:
    """Remove the file of a storage policy, if that still holds `before`, and the metadata of no volume name it."""

    ref: ObjectRef
    risk: Risk
    url: str
    name: str
    before: str


@dataclass(frozen=True, slots=True)
class SetVolumeAccess:
    """Change the access in the metadata of the volume `name` in the folder `uuid` of a datastore, and nothing else, if
    the file with them still has this digest (SHA-256, in hex)."""

    ref: ObjectRef
    risk: Risk
    url: str
    uuid: str
    name: str
    access: VolumeAccess
    digest: str


@dataclass(frozen=True, slots=True)
class LinkDB:
    """Point /etc/vmware/vmdkops/auth-db at `path`, if that is still as `before` (raw target; None: nothing)."""

    ref: ObjectRef
    risk: Risk
    path: str
    before: str | None


@dataclass(frozen=True, slots=True)
class LeaveOwnDB:
    """Put a link to `path` in the place of the host's own config DB (SingleNode), if that still has this fingerprint.
    It is kept beside the DB at `path`, where what it has booked for vmgroups of both is booked too."""

    ref: ObjectRef
    risk: Risk
    path: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class UnlinkDB:
    """Remove the link /etc/vmware/vmdkops/auth-db, if it still points to `before`."""

    ref: ObjectRef
    risk: Risk
    before: str


@dataclass(frozen=True, slots=True)
class WriteSection:
    """Write our section into local.sh for the datastore with this id, and have ESXi save its state."""

    ref: ObjectRef
    risk: Risk
    datastore: str


@dataclass(frozen=True, slots=True)
class RemoveSection:
    """Remove every vDVS section from local.sh, and have ESXi save its state."""

    ref: ObjectRef
    risk: Risk


@dataclass(frozen=True, slots=True)
class InstallDriver:
    """Install the VIB from `source` (a path on the host or an URL); a given `sha256` is checked first."""

    ref: ObjectRef
    risk: Risk
    source: str
    version: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class ReplaceDriver:
    """Remove the VIB if it is still of the version `before`, and install the one from `source` in its place.

    The source, and a given `sha256`, are checked before anything is removed.
    """

    ref: ObjectRef
    risk: Risk
    before: str
    source: str
    version: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class RemoveDriver:
    """Remove the VIB, if it is still of the version `before`. Its service stops with it."""

    ref: ObjectRef
    risk: Risk
    before: str


@dataclass(frozen=True, slots=True)
class RestartHostd:
    """Restart hostd, which learns the commands of a driver when it starts, and wait until it runs again."""

    ref: ObjectRef
    risk: Risk


@dataclass(frozen=True, slots=True)
class StartService:
    """Start vmdk-opsd."""

    ref: ObjectRef
    risk: Risk


@dataclass(frozen=True, slots=True)
class SetLogLevel:
    """Set the log level if it is still `before` (None: no file says it), and restart the service if it runs."""

    ref: ObjectRef
    risk: Risk
    level: str
    before: str | None


@dataclass(frozen=True, slots=True)
class EnterMaintenance:
    """Have vCenter put the host, which it calls `host`, into maintenance mode; given up if it takes longer than
    `seconds`. vCenter keeps a note that vdvs did it."""

    ref: ObjectRef
    risk: Risk
    host: str
    seconds: int


@dataclass(frozen=True, slots=True)
class ExitMaintenance:
    """Have vCenter end the maintenance mode that vdvs put the host into, within `seconds`."""

    ref: ObjectRef
    risk: Risk
    host: str
    seconds: int


LinkAction = SetNameLink | RemoveNameLink
StoragePolicyAction = WriteStoragePolicy | RemoveStoragePolicy
HostAction = (
    LinkDB
    | LeaveOwnDB
    | UnlinkDB
    | WriteSection
    | RemoveSection
    | InstallDriver
    | ReplaceDriver
    | RemoveDriver
    | RestartHostd
    | StartService
    | SetLogLevel
)
MaintenanceAction = EnterMaintenance | ExitMaintenance  # what vCenter does, and not the agent
