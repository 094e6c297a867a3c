"""ConfigDB: a config DB as declared, resolved and observed, its backups, and the actions on it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import field

from reconciler.model.base import Step, Strict
from reconciler.model.inventory import Datastore
from reconciler.model.kinds.host import DBMode, Presence
from reconciler.model.kinds.vmgroup import BookedVolume, Member, PrivilegeRow, TenantRow, VMRow, VolumeUse
from reconciler.model.ownership import Record
from reconciler.model.refs import DatastoreRef, Location, ObjectRef, Source, own_location


class Unmanaged(StrEnum):
    """What to do about vmgroups in the config DB that no manifest declares."""

    REPORT = "Report"
    IGNORE = "Ignore"
    DELETE = "Delete"


class HostSelector(Strict, frozen=True):
    """Which hosts use a config DB; exactly one field is set."""

    match_labels: tuple[tuple[str, str], ...] | None = None
    names: tuple[str, ...] | None = None
    cluster: str | None = None  # its inventory path


class DesiredConfigDB(Strict, frozen=True):
    """A config DB: on `datastore`, or (None) SingleNode, on the one host that selects it. `hosts` None: every Host;
    `default_vmgroup` None: `_DEFAULT` is left alone."""

    ref: ObjectRef
    source: Source
    datastore: DatastoreRef | None
    hosts: HostSelector | None
    default_vmgroup: Presence | None
    unmanaged: Unmanaged
    backups_to_keep: int
    labels: tuple[tuple[str, str], ...] = ()


class ResolvedConfigDB(Strict, frozen=True):
    """`datastore` None: SingleNode, the one host's own. `hosts`: names of the hosts that shall use it, sorted."""

    ref: ObjectRef
    datastore: Datastore | None
    hosts: tuple[str, ...]
    default_vmgroup: Presence | None
    unmanaged: Unmanaged
    backups_to_keep: int

    @property
    def mode(self) -> DBMode:
        """The mode that its hosts shall be in."""
        return DBMode.SINGLE_NODE if self.datastore is None else DBMode.MULTI_NODE

    @property
    def location(self) -> Location:
        """Where it is, or shall be."""
        return own_location(self.hosts[0]) if self.datastore is None else Location(self.datastore.db_path)

    @property
    def place(self) -> str:
        """The same in words: `MultiNode (SHARED-Datastore)`, or `SingleNode`."""
        return self.mode.value if self.datastore is None else f"{self.mode} ({self.datastore.name})"


class DeadRow(Strict, frozen=True):
    """A row of `table` that serves nobody: `key` is its exact primary key (`type:hex`, a column each), `tenant_id` the
    vmgroup that it names, `what` the VM or datastore as far as it can be shown, `why` a sentence for people."""

    table: str
    key: tuple[str, ...]
    tenant_id: str = field(name="tenant")
    what: str
    why: str


class DBState(StrEnum):
    """Whether a config DB can be used. Only ABSENT and EMPTY mean that nothing is there."""

    PRESENT = "present"
    ABSENT = "absent"  # the datastore is mounted and the file does not exist
    EMPTY = "empty"  # the file exists and has no bytes
    UNKNOWN = "unknown"  # it could not be read; `reason` says why


class Schema(StrEnum):
    """The schema of a config DB that vdvs can read. vDVS 0.14 and later use 1.2, 0.11.1 to 0.13 use 1.1."""

    V1_1 = "1.1"
    V1_2 = "1.2"
    V1_2_WITHOUT_NAMES = "1.2 without vm_name"  # the version was raised, the column was not made


class CopiedFrom(Strict, frozen=True, array_like=True):
    """Where a config DB was copied from, in a move that has not ended; `rows` is the fingerprint of what was copied."""

    path: str
    host: str
    rows: str

    @property
    def location(self) -> Location:
        """Where the other one is."""
        return Location(self.path, self.host)


class ObservedConfigDB(Strict, frozen=True):
    """The config DB at one path, read through `read_from`.

    `reason` is one word (`Locked`, `HotJournal`, `Corrupt`, `Incomplete`, `WrongVersion`, `NotMounted` ...), `message`
    the sentence. `fingerprint` digests tenants, vms, privileges and versions; it is opaque and compared by the agent.
    `violations`: rules of vDVS that the rows break, as sentences. `dead_rows` are not among the other rows.
    `writer`: the host that wrote last, as recorded. `backups`: names of our backup files beside it, oldest first;
    `leftovers`: those of files that interrupted writers of ours left there. `booked`: what `volume_use` sums up,
    row by row (None: not told). `records`: who applied what; None: nobody can say.
    `copied_from`: it is the copy of another one, which is being moved here.
    """

    path: str
    state: DBState
    reason: str
    message: str
    read_from: str | None
    fingerprint: str
    tenants: tuple[TenantRow, ...] = ()
    vms: tuple[VMRow, ...] = ()
    privileges: tuple[PrivilegeRow, ...] = ()
    volume_use: tuple[VolumeUse, ...] = ()
    booked: tuple[BookedVolume, ...] | None = None
    violations: tuple[str, ...] = ()
    dead_rows: tuple[DeadRow, ...] = ()
    writer: str | None = None
    backups: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    records: tuple[Record, ...] | None = ()
    schema: Schema = Schema.V1_2
    copied_from: CopiedFrom | None = None


class Backup(Strict, frozen=True):
    """One of them. `taken_at` is in its name (None: it is not); `size` in bytes (None: it could not be told)."""

    name: str
    taken_at: datetime | None
    size: int | None


class Backups(Strict, frozen=True):
    """Those of one config DB, oldest first, as `host` told of them; None: nobody could, and `problem` says why."""

    ref: ObjectRef
    path: str
    host: str | None
    found: tuple[Backup, ...] = ()
    problem: str = ""


class DeleteRow(Step, frozen=True):
    """Delete a row of `table` that serves nobody, by its exact primary key (`type:hex`, a column each)."""

    table: str
    key: tuple[str, ...]


class UpgradeDB(Step, frozen=True):
    """Bring the tables of a config DB of schema 1.1 to 1.2, and name VMs whose row has no name (`names`).

    Its transaction is refused as a whole if this, or what shares its savepoint, cannot be done.
    """

    names: tuple[Member, ...]


class RecoverDB(Step, frozen=True):
    """Let SQLite roll back what an interrupted writer left half-written (a hot journal)."""


class MoveDB(Step, frozen=True):
    """Make the config DB at `source` the one at `path`: copy it there (`copies`), and, when every host uses that, take
    over what was booked meanwhile and put the old file aside. `source_host`: whose own it is; empty: a shared one.

    The fingerprints are those of what is in both places now.
    """

    path: str
    fingerprint: str
    source: str
    source_host: str
    source_fingerprint: str
    copies: bool
