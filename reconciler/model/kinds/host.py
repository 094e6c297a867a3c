"""Host: an ESXi host as declared, resolved and observed, and the actions on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from reconciler.model.base import Step, Strict, Text
from reconciler.model.inventory import Datastore, ESXiHost
from reconciler.model.refs import Location, ObjectRef, Source, own_location


class Presence(StrEnum):
    """Whether something must exist."""

    PRESENT = "Present"
    ABSENT = "Absent"


class Maintenance(Strict, frozen=True):
    """Maintenance mode while the driver changes: `seconds` to enter it, and how many hosts of the cluster may be
    unavailable at a time, this one included.
    """

    seconds: int
    max_unavailable: int


class DesiredDriver(Strict, frozen=True):
    """The vDVS VIB: `source` is a path on the host or a URL that esxcli can install from, `sha256` its digest.

    `state` ABSENT: vDVS must be removed from the host. `restart_hostd`: after an installation, so that hostd loads its
    commands. `maintenance` None: the host keeps running VMs while the driver changes.

    Source: docs/domain.md#driver-and-service
    """

    version: str | None
    source: str | None
    sha256: str | None
    state: Presence = Presence.PRESENT
    restart_hostd: bool = False
    maintenance: Maintenance | None = None


class HostSetting(Struct, frozen=True):
    """A setting of a host, whose value is text: compared, healed, and read by vmdk-opsd when it starts.

    `name`: its path in the spec of a Host; `noun`: in sentences; `default`: its value where nothing sets it; `output`:
    its key in JSON. `usable`: whether vmdk-opsd starts with this value.
    """

    name: str
    noun: str
    default: str
    output: str
    usable: Callable[[str], bool]


def _are_levels(value: str) -> bool:
    return all(level in _LEVELS or level.isdigit() for level in value.split("/"))


_LEVELS: Final = frozenset({"CRITICAL", "ERROR", "WARNING", "WARN", "INFO", "DEBUG", "NOTSET", "None"})  # of Python
HOST_SETTINGS: Final = (HostSetting("service.logLevel", "log level", "INFO", "logLevel", _are_levels),)
"""The settings of hosts. Source: docs/domain.md#log-level"""


class HostSpec(Strict, frozen=True):
    """The facts of a host that are compared and healed, as declared. None means left alone: the VIB, whether the
    service runs. `settings` by name; those that are left alone are not in it."""

    driver: DesiredDriver | None = None
    service_running: bool | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing is declared."""
        return self == HostSpec()


class DesiredHost(Strict, frozen=True):
    """One ESXi host."""

    ref: ObjectRef
    source: Source
    address: str
    labels: tuple[tuple[str, str], ...]
    spec: HostSpec = HostSpec()


class ResolvedHost(Strict, frozen=True):
    """An ESXi host, its names looked up.

    `config_db`: the ConfigDB that selects it (None: none does); `datastore`: where that DB is (None: on the host
    itself, SingleNode); `entry`: the host in the inventory; `source_open_to`: hosts that no manifest declares and that
    mount the datastore of its driver's source, so that they can write there.
    """

    ref: ObjectRef
    address: str
    config_db: ObjectRef | None
    datastore: Datastore | None
    spec: HostSpec
    entry: ESXiHost | None = None
    source_open_to: tuple[str, ...] = ()

    @property
    def location(self) -> Location | None:
        """Location of the config DB that it is to use; None: none."""
        if self.config_db is None:
            return None
        return own_location(self.ref.name) if self.datastore is None else Location(self.datastore.db_path)


class DBMode(StrEnum):
    """Kind of config DB that a host uses. NotConfigured is open to every VM; BrokenLink refuses every request. Source:
    docs/domain.md#modes-of-a-host
    """

    NOT_CONFIGURED = "NotConfigured"
    SINGLE_NODE = "SingleNode"
    MULTI_NODE = "MultiNode"
    BROKEN_LINK = "BrokenLink"


class Service(StrEnum):
    """State of vmdk-opsd. Source: docs/domain.md#driver-and-service"""

    RUNNING = "running"
    STOPPED = "stopped"
    NOT_INSTALLED = "not installed"
    UNKNOWN = "unknown"


class SectionForm(StrEnum):
    """State of the vDVS section of local.sh."""

    MISSING = "missing"  # local.sh has no section
    NO_FILE = "no file"  # there is no local.sh
    OURS = "ours"  # exactly what vdvs writes for `datastore`, behind `#!` and comments only
    NOT_FIRST = "not first"  # the same, but a command stands before it
    OTHER = "other"  # other text: the original tool's, an older one of ours, edited, not closed, more than one


class Section(Strict, frozen=True):
    """The vDVS section of local.sh.

    `datastore`: the value in it (an id or a name), None if there is none; `saved` False: an edit of ours is not yet in
    the boot bank. `runs`: whether the boot makes that link and leaves it; if not, or if unknown (None), `why` is the
    reason, with the number of the line. `hindrance`: what keeps any section in this local.sh from running; empty if
    nothing does. Source: docs/domain.md#boot-script
    """

    form: SectionForm
    datastore: Text | None
    saved: bool
    runs: bool | None = True
    why: Text = ""
    hindrance: Text = ""


class ObservedSetting(Strict, frozen=True):
    """A setting of a host: its value (None: nothing sets it, so the default holds), or why it could not be read.
    `fatal`: the service does not start with the file that it is in.
    """

    value: Text | None = None
    error: Text | None = None
    fatal: bool = False


class ObservedHost(Strict, frozen=True):
    """A host that answered.

    `link` is the raw target of /etc/vmware/vmdkops/auth-db (None: not a link), `link_path` the same by volume id.
    `db_reason`: why the mode is BrokenLink (`Missing`, `Locked`, `Corrupt` ...; empty otherwise). `volumes` maps the
    ids of mounted volumes to their names. `secure_boot` True: local.sh never runs; None: unknown. `driver`: version of
    the VIB, None if it is not installed; `driver_error`: why that could not be read. `can_write` False: its SQLite is
    too old to write a config DB. `journal`: an interrupted write of its vDVS left a journal beside the link, which only
    vDVS on that host can use. `settings`: by name, as the service reads them at its next start.
    Source: docs/domain.md#modes-of-a-host
    """

    name: Text
    db_mode: DBMode
    db_reason: Text
    link: Text | None
    link_path: Text | None
    section: Section = field(name="local_sh")
    driver: Text | None
    driver_error: Text | None
    service: Service
    secure_boot: bool | None
    volumes: Mapping[Text, Text]
    can_write: bool
    journal: bool = False
    settings: Mapping[Text, ObservedSetting] = field(default_factory=dict)


class UnreachableHost(Strict, frozen=True):
    """A host that did not answer, and why."""

    name: str
    reason: str


class LinkDB(Step, frozen=True):
    """Link /etc/vmware/vmdkops/auth-db to `path`, if it is still as `before` (raw target; None: nothing)."""

    path: str
    before: str | None


class LeaveOwnDB(Step, frozen=True):
    """Replace the config DB of the host itself (SingleNode) by a link to `path`, if it still has this fingerprint.

    It is kept beside the DB at `path`; what it has booked for vmgroups of both is booked there too. Source:
    docs/domain.md#moving-a-config-db
    """

    path: str
    fingerprint: str


class UnlinkDB(Step, frozen=True):
    """Remove the link /etc/vmware/vmdkops/auth-db, if it still points to `before`."""

    before: str


class WriteSection(Step, frozen=True):
    """Write our section into local.sh for the datastore with this id, and have ESXi save its state."""

    datastore: str


class RemoveSection(Step, frozen=True):
    """Remove every vDVS section from local.sh, and have ESXi save its state."""


class InstallDriver(Step, frozen=True):
    """Install the VIB from `source` (a path on the host or a URL); `sha256`, if given, is checked first."""

    source: str
    version: str | None
    sha256: str | None


class ReplaceDriver(Step, frozen=True):
    """Remove the VIB if it still has the version `before`, and install the one from `source`.

    The source, and `sha256` if given, are checked before anything is removed.
    """

    before: str
    source: str
    version: str | None
    sha256: str | None


class RemoveDriver(Step, frozen=True):
    """Remove the VIB, if it still has the version `before`. Its service stops with it."""

    before: str


class RestartHostd(Step, frozen=True):
    """Restart hostd, which loads the commands of a driver at its start, and wait until it runs. Source:
    docs/domain.md#driver-and-service
    """


class StartService(Step, frozen=True):
    """Start vmdk-opsd."""


class ChangeSetting(Step, frozen=True):
    """Change a setting if it is still `before` (None: nothing sets it), and restart the service if it runs."""

    setting: str
    value: str
    before: str | None


class EnterMaintenance(Step, frozen=True):
    """Have vCenter put the host, named `host` there, into maintenance mode, within `seconds`.

    vCenter keeps a note that vdvs did it.
    """

    host: str
    seconds: int


class ExitMaintenance(Step, frozen=True):
    """Have vCenter end the maintenance mode that vdvs entered, within `seconds`."""

    host: str
    seconds: int


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
    | ChangeSetting
)


MaintenanceAction = EnterMaintenance | ExitMaintenance  # what vCenter does, and not the agent
