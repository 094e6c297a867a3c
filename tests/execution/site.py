"""A whole site in memory behind the ports: hosts that answer, die, do not mount, and the world that moves meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from reconciler.model.diff import Diff
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.inventory import Inventory
from reconciler.model.kinds import FileAction
from reconciler.model.kinds.configdb import Backup, BackupOrigin, DBState, ObservedConfigDB
from reconciler.model.kinds.host import DBMode, HostAction, ObservedHost
from reconciler.model.kinds.storagepolicy import ObservedStoragePolicies
from reconciler.model.kinds.vmgroup import LinkAction
from reconciler.model.kinds.volume import ObservedVolumes
from reconciler.model.outcome import ActionResult, Assessment, Outcome
from reconciler.model.plan import APPLY, DBPlan, MovePlan, Policy
from reconciler.model.refs import AUTH_DB, Kind, Location, own_location
from reconciler.model.state import ObservedDatastore
from reconciler.ports import DBResult, HostAgent, Question, Report, WatchRequest
from reconciler.reconcile import World, reconcile
from tests.planning import compact
from tests.planning.interpreter import RefusedError, Site, mounts

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class FakeHosts:
    """Implements `ports.Hosts` on a `Site`.

    `down`: hosts that do not answer. `deaf`: (host, verb) that are not answered: the host dies in the middle of it.
    `broken`: (host, URL) of datastores that this host cannot read. `before`: called before each `apply_db`, once each.
    `log`: everything asked, as (host, verb).
    """

    site: Site
    down: set[str] = field(default_factory=set)
    deaf: set[tuple[str, str]] = field(default_factory=set)
    broken: set[tuple[str, str]] = field(default_factory=set)
    before: list[Callable[[Site], None]] = field(default_factory=list)
    log: list[tuple[str, str]] = field(default_factory=list)
    readings: list[tuple[str, str]] = field(default_factory=list)
    at_once: int | None = None

    def agent(self, name: str, address: str) -> HostAgent:  # noqa: ARG002 - as the port has it
        """See `ports.Hosts`."""
        return FakeHost(self, name)

    def keep_only(self, names: Container[str]) -> None:
        """See `ports.Hosts`."""

    async def close(self) -> None:
        """See `ports.Hosts`."""

    def asked(self, *verbs: str) -> list[str]:
        """The hosts that were asked to do one of these."""
        return [host for host, verb in self.log if verb in verbs]


@dataclass
class FakeHost:
    """Implements `ports.HostAgent`."""

    hosts: FakeHosts
    name: str

    def connect(self, first: Question) -> None:
        """See `ports.HostAgent`."""

    async def watch(self, request: WatchRequest, noticed: Callable[[], None]) -> bool:
        """See `ports.HostAgent`."""
        raise NotImplementedError

    async def backups(self, path: str) -> tuple[Backup, ...]:
        """See `ports.HostAgent`."""
        raise NotImplementedError

    async def read_backup(self, path: str, name: str) -> tuple[ObservedConfigDB, BackupOrigin]:
        """See `ports.HostAgent`."""
        raise NotImplementedError

    async def _hear(self, verb: str) -> ObservedHost:
        self.hosts.log.append((self.name, verb))
        await asyncio.sleep(0)
        host = self.hosts.site.observed().hosts.get(self.name)
        if self.name in self.hosts.down or (self.name, verb) in self.hosts.deaf or not isinstance(host, ObservedHost):
            raise HostUnreachableError(f"{self.name} does not answer")
        rows = self.hosts.site.dbs.get(Location(host.link_path or ""))
        if rows is not None and rows.other.state is DBState.UNKNOWN:  # an agent does not open what it is linked to
            return replace(host, db_mode=DBMode.MULTI_NODE, db_reason="")
        return host

    async def observe(self, question: Question) -> Report:
        """See `ports.HostAgent`."""
        host = await self._hear("observe")
        self.hosts.readings += [(self.name, place) for place in (*question.config_dbs, *question.datastores)]
        paths = [*question.config_dbs, *(self._used(host) if question.linked else ())]
        self.hosts.readings += [(self.name, path) for path in paths[len(question.config_dbs) :]]
        databases = {path: self._config_db(host, path) for path in paths}
        return Report(host, databases, {url: self._datastore(host, url, question) for url in question.datastores})

    def _used(self, host: ObservedHost) -> list[str]:
        """The path of the config DB that a host uses, if that is one that is known here."""
        path = AUTH_DB if host.db_mode is DBMode.SINGLE_NODE else host.link_path
        return [path] if path is not None and (path == AUTH_DB or Location(path) in self.hosts.site.dbs) else []

    def _config_db(self, host: ObservedHost, path: str) -> ObservedConfigDB:
        if path == AUTH_DB:
            own = self.hosts.site.dbs.get(own_location(self.name))
            absent = ObservedConfigDB(path, DBState.ABSENT, "", "", self.name, "absent")
            return absent if own is None else replace(own.observed(), read_from=self.name)
        url = path.removesuffix("/dockvols/vmdkops_config.db")
        if not mounts(host, url):
            return ObservedConfigDB(path, DBState.UNKNOWN, "NotMounted", f"{url} is not mounted", self.name, "")
        if (self.name, url) in self.hosts.broken or Location(path) not in self.hosts.site.dbs:
            return ObservedConfigDB(path, DBState.UNKNOWN, "ReadError", f"{url}: I/O error", self.name, "")
        return replace(self.hosts.site.dbs[Location(path)].observed(), read_from=self.name)

    def _datastore(self, host: ObservedHost, url: str, question: Question) -> ObservedDatastore:
        if not mounts(host, url) or (self.name, url) in self.hosts.broken:
            return ObservedDatastore(url, self.name, "cannot be read", {})
        wanted = {kind: names for at, kind, names in question.files if at == url}
        found = self.hosts.site.datastores[url]
        volumes, names = found.files_of(ObservedVolumes), wanted.get(Kind.VOLUME, ())
        volumes = replace(volumes, looked=None if names is None else frozenset(names))
        return replace(found, read_from=self.name, files=(found.files_of(ObservedStoragePolicies), volumes))

    async def apply_db(self, plan: DBPlan, now: datetime) -> DBResult:
        """See `ports.HostAgent`."""
        if self.hosts.before:
            self.hosts.before.pop(0)(self.hosts.site)
        await self._hear("apply_db")
        return DBResult(tuple(self.hosts.site.apply_db(plan)), f"backup-{now:%H}")

    async def announce(self, path: str, put: object, drop: Sequence[str]) -> tuple[tuple[str, str], ...]:  # noqa: ARG002
        """See `ports.HostAgent`: nobody else applies."""
        return ()

    async def copy_db(self, plan: MovePlan, now: datetime) -> None:  # noqa: ARG002 - as the port has it
        """See `ports.HostAgent`."""
        await self._hear("copy_db")
        self.hosts.site.copy_db(plan)

    async def retire_db(self, plan: MovePlan, now: datetime) -> str | None:
        """See `ports.HostAgent`."""
        await self._hear("retire_db")
        self.hosts.site.retire_db(plan)
        return f"moved-{now:%H}"

    async def apply_links(self, actions: Sequence[LinkAction]) -> tuple[ActionResult, ...]:
        """See `ports.HostAgent`."""
        await self._hear("apply_links")
        return tuple([self._one(action, lambda action: self.hosts.site.apply_link(action)) for action in actions])

    async def apply_files(self, actions: Sequence[FileAction]) -> tuple[ActionResult, ...]:
        """See `ports.HostAgent`."""
        await self._hear("apply_files")
        return tuple([self._one(action, lambda action: self.hosts.site.apply_file(action)) for action in actions])

    async def apply_host(self, actions: Sequence[HostAction]) -> tuple[ActionResult, ...]:
        """See `ports.HostAgent`."""
        await self._hear("apply_host")
        return tuple(
            [self._one(action, lambda action: self.hosts.site.apply_host(self.name, [action])) for action in actions]
        )

    def _one(self, action: Any, do: Callable[[Any], None]) -> ActionResult:
        try:
            do(action)
        except RefusedError as refused:
            return ActionResult(action.ref, False, refused.reason, str(refused))
        return ActionResult(action.ref, True)


@dataclass
class Fakes:
    """The rest of the world: implements `InventorySource`, `Clock` and `Observer`."""

    inventory: Inventory
    drawn: int = 0
    planned: list[tuple[Diff, Diff]] = field(default_factory=list)
    announced: list[Diff] = field(default_factory=list)

    async def snapshot(self) -> Inventory:
        """See `ports.InventorySource`."""
        return self.inventory

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return NOON

    def progress(self, stage: str, done: int, total: int, at_once: int | None = None) -> None:  # noqa: ARG002 - as the port has it
        """See `ports.Observer`."""
        assert 0 <= done <= total

    async def about_to_write(self, found: Assessment) -> None:
        """See `ports.Observer`."""
        self.announced.append(found.diff)

    def meanwhile(self, others: object, wait: float) -> None:
        """See `ports.Observer`."""

    def planned_again(self, earlier: Diff, now: Diff) -> None:
        """See `ports.Observer`."""
        self.planned.append((earlier, now))

    def new_uuid(self) -> str:
        """A UUID that nobody has."""
        self.drawn += 1
        return f"new-{self.drawn}"


@dataclass
class Lab:
    """A site, what is wanted of it, and a way to reconcile the two. All in the short form of `compact`."""

    wanted: Mapping[str, Any]
    known: Mapping[str, Any]
    seen: Mapping[str, Any]

    def __post_init__(self) -> None:
        self.inventory = compact.inventory(self.known)
        self.hosts = FakeHosts(Site(compact.observed(self.seen, self.inventory)))
        self.fakes = Fakes(self.inventory)

    @property
    def site(self) -> Site:
        """The world itself."""
        return self.hosts.site

    def reconcile(self, policy: Policy = APPLY) -> Outcome:
        """One pass."""
        return asyncio.run(reconcile(compact.desired(self.wanted), self.world(), policy))

    def world(self) -> World:
        """What a pass sees of it, which remembers nothing of a pass before."""
        return World(self.fakes, self.hosts, self.fakes, self.fakes.new_uuid, self.fakes)


def statuses(outcome: Outcome) -> dict[str, str]:
    """`{"vmgroup/g1": "created", ...}`."""
    return {str(result.ref): result.status.value for result in outcome.objects}


def details(outcome: Outcome) -> dict[str, str]:
    """What is said of each object that has something to be said of."""
    return {str(result.ref): result.detail for result in outcome.objects if result.detail}


def refusing(reason: str) -> Callable[[Site], None]:
    """To put into `before`: the writer refuses the transaction."""

    def refuse(site: Site) -> None:
        raise AgentRefusedError(reason, f"refused: {reason}")

    return refuse
