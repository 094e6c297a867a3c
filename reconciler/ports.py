"""The edges of the core: its dependencies on the world, as Protocols. `wiring` connects them with adapters."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from datetime import datetime

    from reconciler.model.diff import Diff
    from reconciler.model.events import Pass, ReportedEvent
    from reconciler.model.files import FileNames
    from reconciler.model.inventory import Inventory
    from reconciler.model.kinds import FileAction
    from reconciler.model.kinds.configdb import Backup, BackupOrigin, ObservedConfigDB
    from reconciler.model.kinds.host import HostAction, ObservedHost
    from reconciler.model.kinds.site import KeyRef, Secret
    from reconciler.model.kinds.vmgroup import LinkAction
    from reconciler.model.outcome import ActionResult, Assessment, BackupMade
    from reconciler.model.ownership import Applier, Applying, Kept
    from reconciler.model.plan import DBPlan, MovePlan, Plan
    from reconciler.model.refs import Kind
    from reconciler.model.state import ObservedDatastore


class InventorySource(Protocol):
    """The source of names and ids: a vCenter, or a file in its place."""

    async def snapshot(self) -> Inventory:
        """Return the inventory now. Raises InventoryError when nothing could be read."""
        ...


class Secrets(Protocol):
    """Secrets and ConfigMaps on an API server, of one namespace."""

    def read(self, ref: KeyRef) -> Secret:
        """Return the value of a key as it is now. Waits for the server, so not to be called in its event loop. Raises
        UsageError, which names the key."""
        ...


class Question(Struct, frozen=True):
    """Request to observe, through one host, besides the host itself: config DBs by path, datastores by URL; `linked`:
    also the config DB that the host uses now; `files`: which files of a kind to read on one of the datastores. `once`:
    the rows are not needed again, so that they are not kept for the next question.
    """

    config_dbs: tuple[str, ...] = ()
    datastores: tuple[str, ...] = ()
    linked: bool = False
    files: tuple[tuple[str, Kind, FileNames], ...] = ()
    once: bool = False


class WatchRequest(Struct, frozen=True):
    """Request to watch, besides the state of the host: config DBs by path, datastores by URL. `every`: seconds."""

    config_dbs: tuple[str, ...] = ()
    datastores: tuple[str, ...] = ()
    every: float = 1.0


class Report(Struct, frozen=True):
    """The answer of one host."""

    host: ObservedHost
    config_dbs: Mapping[str, ObservedConfigDB]
    datastores: Mapping[str, ObservedDatastore]


class DBResult(Struct, frozen=True):
    """The outcome of one transaction: a result for each object, in the order of the plan, and the backup's name."""

    results: tuple[ActionResult, ...]
    backup: str | None


class HostAgent(Protocol):
    """The agent on one host. Every method raises HostUnreachableError when it does not answer, or not by its protocol,
    and AgentRefusedError when it refuses or fails."""

    def connect(self, first: Question) -> None:
        """Begin to connect, and to send the request that most likely comes first.
        Raises nothing: a failure is raised by the first request."""
        ...

    async def observe(self, question: Question) -> Report:
        """Observe the host and what the question names. Writes nothing."""
        ...

    async def watch(self, request: WatchRequest, noticed: Callable[[], None]) -> bool:
        """Have `noticed` called, in the event loop, soon after a change on the host or in the request, and when the
        connection breaks, which ends the watch. False: the host was watched already."""
        ...

    async def backups(self, path: str) -> tuple[Backup, ...]:
        """Return the backups of the config DB at `path`: those that vdvs made last, oldest first. Writes nothing."""
        ...

    async def read_backup(self, path: str, name: str) -> tuple[ObservedConfigDB, BackupOrigin]:
        """Return the content of the backup called `name`, and whether vdvs made it so. Writes nothing. Refused with
        `Missing` if there is none."""
        ...

    async def apply_db(self, plan: DBPlan, now: datetime) -> DBResult:
        """Carry out the transaction of `plan` (not its links). `now` names the backup. Refused with `Moved`
        if the DB is no longer what the plan was made from."""
        ...

    async def announce(
        self, path: str, put: tuple[str, str] | None, drop: Sequence[str]
    ) -> tuple[tuple[str, str], ...]:
        """Note in the config DB at `path` that the run `put` (its name, and a text) applies, drop the notes of the runs
        `drop`, and return those of others. With neither, only look."""
        ...

    async def copy_db(self, plan: MovePlan, now: datetime) -> None:
        """Copy a config DB to its new place, or bring the copy there up to date. Refused with `Moved` if one of them
        differs from what the plan was made from."""
        ...

    async def retire_db(self, plan: MovePlan, now: datetime) -> str | None:
        """Take over what was booked in the old file meanwhile, and rename the file, which no host uses any more. Return
        its new name, which contains `now`; None: it was gone already."""
        ...

    async def apply_links(self, actions: Sequence[LinkAction]) -> tuple[ActionResult, ...]:
        """Set and remove name links in `dockvols/`; each stands alone."""
        ...

    async def apply_files(self, actions: Sequence[FileAction]) -> tuple[ActionResult, ...]:
        """Write and remove files on datastores; each action stands alone. One fails with `Moved` if its file is not as
        observed.
        """
        ...

    async def apply_host(self, actions: Sequence[HostAction]) -> tuple[ActionResult, ...]:
        """Run actions on the host in order. After the first failure the rest is skipped."""
        ...


class Hosts(Protocol):
    """The way to the hosts."""

    @property
    def at_once(self) -> int | None:
        """Number of hosts that are connected to at the same time; None: all of them."""
        ...

    def agent(self, name: str, address: str) -> HostAgent:
        """Return the agent of a host, which connects on `connect`, or on its first request."""
        ...

    def keep_only(self, names: Container[str]) -> None:
        """End the connections to all other hosts, without waiting for it."""
        ...

    async def close(self) -> None:
        """End every connection."""
        ...


class MaintenanceMode(Protocol):
    """Maintenance mode of hosts, by their name in the inventory. Both methods raise VCenterRefusedError."""

    async def enter(self, host: str, seconds: int) -> None:
        """Put a host into maintenance mode, and note that there. A refusal or time-out leaves the host as it was."""
        ...

    async def exit(self, host: str, seconds: int) -> None:
        """End maintenance mode, if the host is in it, and remove the note."""
        ...


class Books(Protocol):
    """The applies that this side keeps where no config DB can change them: the last of each object, and a log of all
    that was done. Its methods are called from other threads too, one at a time."""

    def kept(self) -> Mapping[str, Kept]:
        """Return what is kept, by name of the ConfigDB: the same object while it is unchanged."""
        ...

    def looks(self) -> int:
        """Return how many runs have looked at the site. Raises nothing: 0 where it is not known."""
        ...

    def count_looks(self, number: int) -> None:
        """Keep that number. Raises nothing."""
        ...

    def keep(self, before: Mapping[str, Kept], now: Mapping[str, Kept]) -> None:
        """Keep what differs between the two, and all that others kept meanwhile. Raises nothing."""
        ...

    def begin(self, found: Assessment, steps: Plan, behalf: Applying | None, how: str, plan: str = "") -> None:
        """Log what is about to be done; `how`: `apply`, `heal` ...; `plan`: the digest of the saved plan that is
        carried out, if it is one. Raises VdvsError: then nothing must be done."""
        ...

    def end(self, results: Sequence[ActionResult], backups: Sequence[BackupMade], after: Assessment) -> None:
        """Log what came of it, and what is there `after`. Raises VdvsError."""
        ...


def _always() -> None:
    """Raise nothing."""


BEFORE_SENDING: ContextVar[Callable[[], None]] = ContextVar("BEFORE_SENDING", default=_always)
"""Called by whatever sends requests that write, right before each leaves. Raises VdvsError to keep it back."""


class Clock(Protocol):
    """The time of day."""

    def now(self) -> datetime:
        """Now, in UTC."""
        ...


OBSERVING: Final = "observing hosts"
"""The stage of a pass in which hosts are observed."""


class Observer(Protocol):
    """A recipient of the progress of a pass (a progress bar, a log). Must not raise."""

    def progress(self, stage: str, done: int, total: int, at_once: int | None = None) -> None:
        """`done` of `total` steps of `stage` are finished; 0 when it begins. `at_once`: how many of them are under way
        at the same time (None: all)."""
        ...

    async def about_to_write(self, found: Assessment) -> None:
        """Called before differences are changed; for each new plan again, with all differences found so far."""
        ...

    def meanwhile(self, others: Sequence[Applier], wait: float) -> None:
        """Report other applies in progress, by the config DBs; they are waited for, `wait` seconds at most."""
        ...

    def planned_again(self, earlier: Diff, now: Diff) -> None:
        """Called before a new plan, made from `now`, is carried out: the site changed under the plan made from
        `earlier`, or its config DB had to be recovered first.
        """
        ...


class Listener(Protocol):
    """A recipient of what a watch sees and does: the terminal, the history, metrics, the dashboard, a webhook.

    Called in the event loop, and must return soon. What it raises is a bug, reported once, and never ends the watch.
    """

    def on_event(self, reported: ReportedEvent) -> None:
        """An event, as soon as it happened."""
        ...

    def on_pass(self, done: Pass) -> None:
        """A pass is over; its events have been reported."""
        ...
