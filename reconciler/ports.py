"""The edges of the core: what it needs from the world, as Protocols. `wiring` connects them with adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from reconciler.model.diff import Diff
    from reconciler.model.events import Pass, ReportedEvent
    from reconciler.model.inventory import Inventory
    from reconciler.model.kinds.configdb import Backup, ObservedConfigDB
    from reconciler.model.kinds.host import HostAction, ObservedHost
    from reconciler.model.kinds.storagepolicy import StoragePolicyAction
    from reconciler.model.kinds.vmgroup import LinkAction
    from reconciler.model.kinds.volume import SetVolumeAccess
    from reconciler.model.outcome import ActionResult, Assessment
    from reconciler.model.plan import DBPlan, MovePlan
    from reconciler.model.state import ObservedDatastore


class InventorySource(Protocol):
    """Where names and ids come from: a vCenter, or a file in its place."""

    async def snapshot(self) -> Inventory:
        """The inventory now. Raises InventoryError when nothing could be read."""
        ...


class Question(Struct, frozen=True):
    """What to look at through one host besides the host itself: config DBs by path, datastores by URL; `linked`: the
    config DB, too, that the host uses now; `volumes`: whose metadata, by name (None: all), on one of the datastores."""

    config_dbs: tuple[str, ...] = ()
    datastores: tuple[str, ...] = ()
    linked: bool = False
    volumes: tuple[tuple[str, tuple[str, ...] | None], ...] = ()


class Lookout(Struct, frozen=True):
    """What a host shall look out for by itself, besides what is its own: config DBs by path, datastores by URL; `every`
    so many seconds."""

    config_dbs: tuple[str, ...] = ()
    datastores: tuple[str, ...] = ()
    every: float = 1.0


class Report(Struct, frozen=True):
    """What one host answered."""

    host: ObservedHost
    config_dbs: Mapping[str, ObservedConfigDB]
    datastores: Mapping[str, ObservedDatastore]


class DBResult(Struct, frozen=True):
    """What came of one transaction: a result for each object, in the order of the plan, and the backup's name."""

    results: tuple[ActionResult, ...]
    backup: str | None


class HostAgent(Protocol):
    """The agent on one host. Every method raises HostUnreachableError when it does not answer,
    and AgentRefusedError when it answers that it would not or could not."""

    def connect(self, first: Question) -> None:
        """Begin to connect, and to ask the question that will most likely be the first, so that it need not wait for
        that. Raises nothing: what goes wrong is told when something is asked."""
        ...

    async def observe(self, question: Question) -> Report:
        """Look at the host and at what the question names. Writes nothing."""
        ...

    async def watch(self, lookout: Lookout, noticed: Callable[[], None]) -> bool:
        """From now on `noticed` is called, in the event loop, soon after something changed on the host or in what is
        looked out for, and when the connection breaks, which ends it. False: it was so already."""
        ...

    async def backups(self, path: str) -> tuple[Backup, ...]:
        """The backups of the config DB at `path`, oldest first. Writes nothing."""
        ...

    async def read_backup(self, path: str, name: str) -> ObservedConfigDB:
        """What is in one of them. Writes nothing. Refused with `Missing` if it is none of these."""
        ...

    async def apply_db(self, plan: DBPlan, now: datetime) -> DBResult:
        """Carry out the transaction of `plan` (not its links). `now` names the backup. Refused with `Moved`
        if the DB is no longer what the plan was made from."""
        ...

    async def copy_db(self, plan: MovePlan, now: datetime) -> None:
        """Copy a config DB to its new place, or bring the copy there up to date. Refused with `Moved` if one of them
        is no longer what the plan was made from."""
        ...

    async def retire_db(self, plan: MovePlan, now: datetime) -> str | None:
        """Put the old file aside, of which no host is left that uses it, after what was booked there meanwhile has
        been taken over; its new name, which `now` is part of. None: it was gone already."""
        ...

    async def apply_links(self, actions: Sequence[LinkAction]) -> tuple[ActionResult, ...]:
        """Set and remove name links in `dockvols/`; each stands alone."""
        ...

    async def apply_policies(self, actions: Sequence[StoragePolicyAction]) -> tuple[ActionResult, ...]:
        """Write and remove storage policies; each stands alone. Refused with `Moved` if one is not as it was seen."""
        ...

    async def apply_volumes(self, actions: Sequence[SetVolumeAccess]) -> tuple[ActionResult, ...]:
        """Change the metadata of volumes; each stands alone. Refused with `Moved` if one is not as it was seen."""
        ...

    async def apply_host(self, actions: Sequence[HostAction]) -> tuple[ActionResult, ...]:
        """Do these on the host in order. After the first failure the rest is not tried."""
        ...


class Hosts(Protocol):
    """The way to the hosts."""

    def agent(self, name: str, address: str) -> HostAgent:
        """The agent of a host; connects when told to, or when first asked."""
        ...

    async def close(self) -> None:
        """End every connection."""
        ...


class MaintenanceMode(Protocol):
    """Who puts hosts, by their name in the inventory, into maintenance mode. Both raise VCenterRefusedError."""

    async def enter(self, host: str, seconds: int) -> None:
        """Put a host into it, and note that there. Nothing is left of it when it was refused, or took too long."""
        ...

    async def exit(self, host: str, seconds: int) -> None:
        """End it, if the host is in it, and the note."""
        ...


class Clock(Protocol):
    """The time of day."""

    def now(self) -> datetime:
        """Now, in UTC."""
        ...


class Observer(Protocol):
    """Somebody who wants to hear how a pass proceeds (a progress bar, a log). Must not raise."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` steps of `stage` are finished."""
        ...

    def about_to_write(self, found: Assessment) -> None:
        """What was found differs, and is about to be changed. For each new plan again, with all found so far."""
        ...

    def planned_again(self, earlier: Diff, now: Diff) -> None:
        """The world moved under the plan made from `earlier`, or its config DB had to be recovered first: a new plan
        was made, from `now`, and is about to be carried out."""
        ...


class Listener(Protocol):
    """Whoever is told what a watch sees and does: the terminal, the history, metrics, the dashboard, a webhook.

    Called in the event loop, and must return soon. What it raises is a bug, told once, and never ends the watch.
    """

    def told(self, told: ReportedEvent) -> None:
        """An event, as soon as it happened."""
        ...

    def passed(self, done: Pass) -> None:
        """A pass is over; its events have been told."""
        ...
