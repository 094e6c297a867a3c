"""Observed: what was read from hosts, datastores and config DBs. What could not be read is Unknown, never absent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import NamedTuple

from reconciler.model.frozen import dataclass
from reconciler.model.location import Location
from reconciler.model.ownership import Record
from reconciler.model.volumes import ObservedSettings


class DBMode(StrEnum):
    """Which config DB a host uses. NotConfigured is an open door; BrokenLink refuses every request."""

    NOT_CONFIGURED = "NotConfigured"
    SINGLE_NODE = "SingleNode"
    MULTI_NODE = "MultiNode"
    BROKEN_LINK = "BrokenLink"


class Service(StrEnum):
    """The state of vmdk-opsd."""

    RUNNING = "running"
    STOPPED = "stopped"
    NOT_INSTALLED = "not installed"
    UNKNOWN = "unknown"


class SectionForm(StrEnum):
    """What the vDVS section of local.sh looks like."""

    MISSING = "missing"  # local.sh has no section
    NO_FILE = "no file"  # there is no local.sh
    OURS = "ours"  # exactly what vdvs writes for `datastore`, behind `#!` and comments only
    NOT_FIRST = "not first"  # the same, but a command stands before it
    OTHER = "other"  # other text: the original tool's, an older one of ours, edited, not closed, more than one


@dataclass(frozen=True, slots=True)
class Section:
    """The vDVS section of local.sh. `datastore`: the value it names (an id or a name), None if it names none;
    `saved` False: an edit of ours has not yet been written to the boot bank. `runs`: whether the boot makes the link
    that it names and leaves it; if not, or if that cannot be told (None), `why` says so, with the number of the line.
    `hindrance`: what keeps any section in this local.sh from running; empty if nothing does.
    Source: docs/domain.md#modes-of-a-host"""

    form: SectionForm
    datastore: str | None
    saved: bool
    runs: bool | None = True
    why: str = ""
    hindrance: str = ""


@dataclass(frozen=True, slots=True)
class ObservedHost:
    """One host that answered.

    `link` is the raw target of /etc/vmware/vmdkops/auth-db (None: not a link), `link_path` the same by volume id.
    `db_reason` says why the mode is BrokenLink (`Missing`, `Locked`, `Corrupt` ...; empty otherwise).
    `volumes` maps the ids of mounted volumes to their names. `secure_boot` True: local.sh never runs; None: unknown.
    `driver` is the version of the VIB, None if it is not installed, `driver_error` why that could not be read.
    `can_write` False: its SQLite is too old to write a config DB. `journal` True: an interrupted write of its vDVS left
    a journal beside the link, which only vDVS on that host can use. `log_level`: of the service from its next start on,
    as `LOGGER/FILE` where the two differ; None: its own default, INFO. `log_error`: why that could not be read.
    """

    name: str
    db_mode: DBMode
    db_reason: str
    link: str | None
    link_path: str | None
    section: Section
    driver: str | None
    driver_error: str | None
    service: Service
    secure_boot: bool | None
    volumes: Mapping[str, str]
    can_write: bool
    journal: bool = False
    log_level: str | None = None
    log_error: str | None = None


@dataclass(frozen=True, slots=True)
class UnreachableHost:
    """One host that did not answer, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A row of `tenants`. Columns may hold what they must not; the planner has to cope."""

    id: str
    name: str
    description: str | None
    default_url: str | None


class VMRow(NamedTuple):
    """A row of `vms` (a tuple, which is made much faster: there are tens of thousands)."""

    vm_id: str
    tenant_id: str
    vm_name: str | None


@dataclass(frozen=True, slots=True)
class PrivilegeRow:
    """A row of `privileges`."""

    tenant_id: str
    url: str
    allow_create: int | None
    max_mb: int | None
    total_mb: int | None


@dataclass(frozen=True, slots=True)
class VolumeUse:
    """Sum of `volumes` for one vmgroup on one datastore: how much of a quota is used, in MB."""

    tenant_id: str
    url: str
    used_mb: int
    count: int


@dataclass(frozen=True, slots=True)
class DeadRow:
    """A row of `table` that serves nobody: `key` is its exact primary key (`type:hex`, a column each), `tenant_id` the
    vmgroup that it names, `what` the VM or datastore as far as it can be shown, `why` a sentence for people."""

    table: str
    key: tuple[str, ...]
    tenant_id: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class BookedVolume:
    """A row of `volumes`: vDVS counts this volume, of so many MB (None: no number), for a vmgroup on a datastore."""

    tenant_id: str
    url: str
    name: str | None
    mb: int | None


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


@dataclass(frozen=True, slots=True)
class CopiedFrom:
    """Where a config DB was copied from, in a move that has not ended; `rows` is the fingerprint of what was copied."""

    location: Location
    rows: str


@dataclass(frozen=True, slots=True)
class ObservedConfigDB:
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


class EntryKind(StrEnum):
    """What an entry of `dockvols/` is."""

    FOLDER = "folder"
    LINK = "link"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class DockvolsEntry:
    """One entry of `dockvols/`: `target` of a link, by volume id where it can be told; `volumes` in a folder."""

    kind: EntryKind
    target: str | None
    volumes: int


@dataclass(frozen=True, slots=True)
class VolumeFile:
    """A volume in the folder of a vmgroup. `mb`: its capacity (None: not told)."""

    name: str
    mb: int | None


@dataclass(frozen=True, slots=True)
class StoragePolicyFile:
    """A file of `dockvols/policies/`, each of which vDVS takes for a policy. `content` None: it could not be read;
    `problem` says why."""

    content: str | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ObservedStoragePolicies:
    """What is in `dockvols/policies/` of a datastore, by file name. `error` not None: it could not be read.

    `users` names the volumes (`FOLDER/VOLUME`) whose metadata name a policy, by its name. `unread` not None: of some
    volumes that could not be told, and it says why.
    """

    error: str | None = None
    files: Mapping[str, StoragePolicyFile] = field(default_factory=dict)
    users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unread: str | None = None


@dataclass(frozen=True, slots=True)
class ObservedDatastore:
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


@dataclass(frozen=True, slots=True)
class Observed:
    """One look at the world: hosts by name, config DBs by where they are, datastores by URL; `strangers`: hosts that
    answered though no manifest declares them."""

    hosts: Mapping[str, ObservedHost | UnreachableHost]
    config_dbs: Mapping[Location, ObservedConfigDB]
    datastores: Mapping[str, ObservedDatastore]
    strangers: Mapping[str, ObservedHost] = field(default_factory=dict)
