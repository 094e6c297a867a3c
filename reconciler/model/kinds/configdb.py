"""ConfigDB: a config DB as declared, resolved and observed, its backups, and the actions on it."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import field

from reconciler.model.base import Step, Strict, Text
from reconciler.model.inventory import Datastore
from reconciler.model.kinds.host import DBMode, Presence
from reconciler.model.kinds.vmgroup import BookedVolume, Member, PrivilegeRow, TenantRow, VMRow, VolumeUse
from reconciler.model.ownership import Record
from reconciler.model.refs import DatastoreRef, Location, ObjectRef, Source, own_location

_CLOCKS_DIFFER = timedelta(hours=1)


class Unmanaged(StrEnum):
    """Treatment of vmgroups in the config DB that no manifest declares."""

    REPORT = "Report"
    IGNORE = "Ignore"
    DELETE = "Delete"


class HostSelector(Strict, frozen=True):
    """Selection of the hosts that use a config DB; exactly one field is set."""

    match_labels: tuple[tuple[str, str], ...] | None = None
    names: tuple[str, ...] | None = None
    cluster: str | None = None  # its inventory path


class DesiredConfigDB(Strict, frozen=True):
    """A config DB, on `datastore` or (None) SingleNode, on the one host that it selects.

    `hosts` None: every Host; `default_vmgroup` None: `_DEFAULT` is left alone.
    """

    ref: ObjectRef
    source: Source
    datastore: DatastoreRef | None
    hosts: HostSelector | None
    default_vmgroup: Presence | None
    unmanaged: Unmanaged
    backups_to_keep: int
    labels: tuple[tuple[str, str], ...] = ()


class ResolvedConfigDB(Strict, frozen=True):
    """A config DB. `datastore` None: SingleNode. `hosts`: names of the hosts that must use it, sorted."""

    ref: ObjectRef
    datastore: Datastore | None
    hosts: tuple[str, ...]
    default_vmgroup: Presence | None
    unmanaged: Unmanaged
    backups_to_keep: int

    @property
    def mode(self) -> DBMode:
        """Mode of its hosts, once applied."""
        return DBMode.SINGLE_NODE if self.datastore is None else DBMode.MULTI_NODE

    @property
    def location(self) -> Location:
        """Location, existing or not."""
        return own_location(self.hosts[0]) if self.datastore is None else Location(self.datastore.db_path)

    @property
    def place(self) -> str:
        """Location in words: `MultiNode (SHARED-Datastore)`, or `SingleNode`."""
        return self.mode.value if self.datastore is None else f"{self.mode} ({self.datastore.name})"


BOOKS: Final = "volumes"  # the table in which vDVS books volumes


class DeadRow(Strict, frozen=True):
    """A row of `table` that serves nobody, or a booked volume of a size that none has.

    `key`: its exact primary key (`type:hex`, one per column); `tenant_id`: the vmgroup in it; `what`: the VM,
    datastore or volume, as far as it can be shown; `why`: a sentence for people. Source: docs/domain.md#rules-for-rows
    """

    table: Text
    key: tuple[Text, ...]
    tenant_id: Text = field(name="tenant")
    what: Text
    why: Text


class DBState(StrEnum):
    """Whether a config DB can be used. Only ABSENT and EMPTY mean that there is none."""

    PRESENT = "present"
    ABSENT = "absent"  # the datastore is mounted and the file does not exist
    EMPTY = "empty"  # the file exists and has no bytes
    UNKNOWN = "unknown"  # it could not be read; `reason` says why


class Schema(StrEnum):
    """The schemas that vdvs can read. vDVS 0.14 and later use 1.2, 0.11.1 to 0.13 use 1.1. Source:
    docs/domain.md#older-schemas
    """

    V1_1 = "1.1"
    V1_2 = "1.2"
    V1_2_WITHOUT_NAMES = "1.2 without vm_name"  # the version was raised, the column was not made


class CopiedFrom(Strict, frozen=True, array_like=True):
    """Origin of a copy in an unfinished move, as the copy claims; `rows`: fingerprint of the copied content. Source:
    docs/domain.md#moving-a-config-db
    """

    path: Text
    host: Text
    rows: Text

    @property
    def location(self) -> Location:
        """Location of the original."""
        return Location(self.path, self.host)


class ObservedConfigDB(Strict, frozen=True, dict=True):
    """The config DB at one path, read through `read_from`.

    `reason` is one word (`Locked`, `HotJournal`, `Corrupt`, `Damaged`, `Tampered`, `TooLarge`, `Incomplete`,
    `WrongVersion`, `NotMounted` ...), `message` a sentence. `fingerprint` digests tenants, vms, privileges and
    versions; it is opaque and compared by the agent.
    `violations`: broken rules of vDVS, as sentences. `dead_rows` are not among the other rows. `writer`: the host that
    wrote last, as recorded. `backups`: names of our backup files beside it, oldest first; `leftovers`: names of files
    left there by interrupted writes of ours. `booked`: the rows that `volume_use` sums up (None: not read). `records`:
    who applied what; None: unknown. `copied_from`: it claims to be the copy of another config DB that is being moved
    here; `moving_to`: what lies beside it says that it is being moved to this path. `unconfirmed`: no other host could
    read it too.
    Source: docs/domain.md#the-config-db-schema-12
    """

    path: Text
    state: DBState
    reason: Text
    message: Text
    read_from: Text | None
    fingerprint: Text
    tenants: tuple[TenantRow, ...] = ()
    vms: tuple[VMRow, ...] = ()
    privileges: tuple[PrivilegeRow, ...] = ()
    volume_use: tuple[VolumeUse, ...] = ()
    booked: tuple[BookedVolume, ...] | None = None
    violations: tuple[Text, ...] = ()
    dead_rows: tuple[DeadRow, ...] = ()
    writer: Text | None = None
    backups: tuple[Text, ...] = ()
    leftovers: tuple[Text, ...] = ()
    records: tuple[Record, ...] | None = ()
    schema: Schema = Schema.V1_2
    copied_from: CopiedFrom | None = None
    moving_to: str | None = None
    unconfirmed: bool = False


class BackupOrigin(StrEnum):
    """The origin of a file that is named like a backup, by the list that vdvs keeps beside a config DB.

    Source: docs/domain.md#backups
    """

    MADE = "made"  # made by vdvs, and unchanged since
    CHANGED = "changed"  # a file of that name was made by vdvs, with other content
    FOREIGN = "foreign"  # not in the list


class Backup(Strict, frozen=True):
    """A backup of a config DB. `taken_at`: from its name (None: not in it); `size` in bytes (None: unknown)."""

    name: str
    taken_at: datetime | None
    size: int | None
    origin: BackupOrigin

    def is_from_the_future(self, now: datetime) -> bool:
        """Return whether its name dates it after `now`, by more than the clocks of two machines may differ."""
        return self.taken_at is not None and self.taken_at > now + _CLOCKS_DIFFER


class Backups(Strict, frozen=True):
    """Backups of one config DB, oldest first and those that vdvs made last, as read through `host`.

    None: not readable, `problem` says why.
    """

    ref: ObjectRef
    path: str
    host: str | None
    found: tuple[Backup, ...] = ()
    problem: str = ""


class DeleteRow(Step, frozen=True):
    """Delete a row of `table` that serves nobody, by its exact primary key (`type:hex`, one per column)."""

    table: str
    key: tuple[str, ...]

    @property
    def lifts_a_quota(self) -> bool:
        """Whether the row made a quota count less than there is. Source: docs/domain.md#quotas"""
        return self.table == BOOKS


class UpgradeDB(Step, frozen=True):
    """Upgrade the tables of a config DB from schema 1.1 to 1.2, and name VMs whose row has no name (`names`).

    If this, or anything in its savepoint, fails, the whole transaction is refused. Source: docs/domain.md#older-schemas
    """

    names: tuple[Member, ...]


class RecoverDB(Step, frozen=True):
    """Let SQLite roll back an interrupted write (a hot journal). Source: docs/domain.md#locks-and-journal"""


class MoveDB(Step, frozen=True):
    """Make the config DB at `source` the one at `path`: copy it there and record that in both (`copies`); once every
    host uses the copy, take over what was booked meanwhile and rename the old file.

    `source_host`: owner of a SingleNode one; empty: a shared one. The fingerprints are those of the content in both
    places now. Source: docs/domain.md#moving-a-config-db
    """

    path: str
    fingerprint: str
    source: str
    source_host: str
    source_fingerprint: str
    copies: bool
