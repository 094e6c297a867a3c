"""Actions: the steps the agent can do. Each says for which object, and how risky it is.

Their fields, named as here, travel to the agent as they are (docs/agent-protocol.md).
"""

from __future__ import annotations

from reconciler.model.frozen import dataclass
from reconciler.model.host_actions import (
    HostAction,
    LinkAction,
    MaintenanceAction,
    SetVolumeAccess,
    StoragePolicyAction,
)
from reconciler.model.refs import ObjectRef
from reconciler.model.resolved import Access, Member
from reconciler.model.risk import Risk


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
class NameMember:
    """Write what a VM of this vmgroup is called now into its row. vDVS authorises by id; people read the name."""

    ref: ObjectRef
    risk: Risk
    uuid: str
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
    | NameMember
    | RemoveMember
    | DeleteVMGroup
    | RecordObject
    | ForgetObject
    | DeleteRow
    | UpgradeDB
)


Action = (
    DBAction | LinkAction | StoragePolicyAction | SetVolumeAccess | HostAction | MaintenanceAction | RecoverDB | MoveDB
)
