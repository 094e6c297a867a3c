"""Actions: the steps the agent can do. Each says for which object, and how risky it is.

Their fields, named as here, travel to the agent as they are (docs/agent-protocol.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from reconciler.model.refs import ObjectRef
from reconciler.model.resolved import Access, Member


class Risk(Enum):
    """What an action may do to those who work with vDVS, from harmless to irreversible. Compares by severity."""

    SAFE = "safe"
    RESTRICTS = "restricts"
    WIDENS = "widens"
    DISRUPTS = "disrupts"
    DESTROYS = "destroys"

    @property
    def severity(self) -> int:
        """0 for SAFE, rising."""
        return list(Risk).index(self)


def worst(risks: list[Risk]) -> Risk:
    """The most severe of `risks`; SAFE when there is none."""
    return max(risks, key=lambda risk: risk.severity, default=Risk.SAFE)


@dataclass(frozen=True, slots=True)
class CreateVMGroup:
    """Insert a vmgroup with its access rows and with members that are in no vmgroup yet."""

    ref: ObjectRef
    risk: Risk
    uuid: str
    name: str
    description: str
    default_url: str
    access: tuple[Access, ...]
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class UpdateVMGroup:
    """Change the description or the default datastore; None leaves it."""

    ref: ObjectRef
    risk: Risk
    uuid: str
    description: str | None
    default_url: str | None


@dataclass(frozen=True, slots=True)
class RenameVMGroup:
    """Call the vmgroup `name` that is called `before`. It keeps its UUID, and so its volumes, members and access."""

    ref: ObjectRef
    risk: Risk
    uuid: str
    before: str
    name: str


@dataclass(frozen=True, slots=True)
class SetAccess:
    """Insert or replace the access row of one datastore."""

    ref: ObjectRef
    risk: Risk
    uuid: str
    access: Access


@dataclass(frozen=True, slots=True)
class RemoveAccess:
    """Delete the access row of one datastore."""

    ref: ObjectRef
    risk: Risk
    uuid: str
    url: str


@dataclass(frozen=True, slots=True)
class AddMember:
    """Put a VM that is in no vmgroup into this one."""

    ref: ObjectRef
    risk: Risk
    uuid: str
    member: Member


@dataclass(frozen=True, slots=True)
class MoveMember:
    """Take a VM from the vmgroup `from_uuid` into this one, in one statement: it is never in none."""

    ref: ObjectRef
    risk: Risk
    uuid: str
    from_uuid: str
    member: Member


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Take a VM out of this vmgroup; it falls to `_DEFAULT`, or to nothing."""

    ref: ObjectRef
    risk: Risk
    uuid: str
    member: Member


@dataclass(frozen=True, slots=True)
class DeleteVMGroup:
    """Delete a vmgroup without members, with its access rows and its record. Refused while its books show volumes.

    `only_of`: refused too unless one of these sets applied it last ("": none did). None: whoever did.
    """

    ref: ObjectRef
    risk: Risk
    uuid: str
    name: str
    only_of: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class RecordObject:
    """Write down that `object` was applied: its uuid (vmgroups only), the set ("": none), the digest of its manifest.

    Who applies it, when and why is said once for the whole plan (`Stamp`).
    """

    ref: ObjectRef
    risk: Risk
    object: str
    uid: str | None
    set: str
    digest: str


@dataclass(frozen=True, slots=True)
class ForgetObject:
    """Drop the record of `object`."""

    ref: ObjectRef
    risk: Risk
    object: str


@dataclass(frozen=True, slots=True)
class DeleteRow:
    """Delete a row of `table` that serves nobody, by its exact primary key (`type:hex`, a column each)."""

    ref: ObjectRef
    risk: Risk
    table: str
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpgradeDB:
    """Bring the tables of a config DB of schema 1.1 to 1.2, and name VMs whose row has no name (`names`).

    Its transaction is refused as a whole if this, or what shares its savepoint, cannot be done.
    """

    ref: ObjectRef
    risk: Risk
    names: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class RecoverDB:
    """Let SQLite roll back what an interrupted writer left half-written (a hot journal)."""

    ref: ObjectRef
    risk: Risk


@dataclass(frozen=True, slots=True)
class MoveDB:
    """Make the config DB at `source` the one at `path`: copy it there (`copies`), and, when every host uses that, take
    over what was booked meanwhile and put the old file aside. `source_host`: whose own it is; empty: a shared one.

    The fingerprints are those of what is in both places now.
    """

    ref: ObjectRef
    risk: Risk
    path: str
    fingerprint: str
    source: str
    source_host: str
    source_fingerprint: str
    copies: bool


DBAction = (
    CreateVMGroup
    | UpdateVMGroup
    | RenameVMGroup
    | SetAccess
    | RemoveAccess
    | AddMember
    | MoveMember
    | RemoveMember
    | DeleteVMGroup
    | RecordObject
    | ForgetObject
    | DeleteRow
    | UpgradeDB
)


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


LinkAction = SetNameLink | RemoveNameLink


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


HostAction = (
    LinkDB
    | LeaveOwnDB
    | UnlinkDB
    | WriteSection
    | RemoveSection
    | InstallDriver
    | ReplaceDriver
    | RemoveDriver
    | StartService
    | SetLogLevel
)
Action = DBAction | LinkAction | HostAction | RecoverDB | MoveDB
