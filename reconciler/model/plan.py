"""Plan: the ordered actions that would bring the world to the manifests, bound to the state they were made from."""

from __future__ import annotations

from reconciler.model.actions import DBAction, MoveDB
from reconciler.model.constants import AUTH_DB
from reconciler.model.frozen import dataclass
from reconciler.model.host_actions import (
    HostAction,
    LinkAction,
    MaintenanceAction,
    SetVolumeAccess,
    StoragePolicyAction,
)
from reconciler.model.location import Location, local
from reconciler.model.ownership import Stamp
from reconciler.model.refs import ObjectRef


@dataclass(frozen=True, slots=True)
class DBPlan:
    """What happens to one config DB: one transaction, on one host, if its fingerprint is still the same.

    `groups` are the savepoints of the transaction: each succeeds or fails alone. `create` makes the DB first (with
    `_DEFAULT` if `with_default`); `recover` only lets SQLite roll back a hot journal, after which a new plan is made.
    `clear_links` come before the transaction, `make_links` after it; each is done by the host named beside it.
    `stamp`: what its records say of who applies it.
    """

    ref: ObjectRef
    path: str
    writer: str
    fingerprint: str
    create: bool
    with_default: bool
    recover: bool
    backups_to_keep: int
    groups: tuple[tuple[DBAction, ...], ...]
    clear_links: tuple[tuple[str, LinkAction], ...]
    make_links: tuple[tuple[str, LinkAction], ...]
    stamp: Stamp | None = None

    @property
    def actions(self) -> tuple[DBAction | LinkAction, ...]:
        """All of them."""
        links = (link for _, link in (*self.clear_links, *self.make_links))
        return (*(action for group in self.groups for action in group), *links)

    @property
    def location(self) -> Location:
        """Where the config DB is: one of a host's own is written by that host."""
        return local(self.writer) if self.path == AUTH_DB else Location(self.path)


@dataclass(frozen=True, slots=True)
class MovePlan:
    """A config DB that moves: `writer` copies it before its hosts are led there, and retires the old one after."""

    ref: ObjectRef
    writer: str
    move: MoveDB

    @property
    def actions(self) -> tuple[MoveDB, ...]:
        """The one that there is."""
        return (self.move,)


@dataclass(frozen=True, slots=True)
class Rollout:
    """Hosts of one cluster that are in maintenance mode for a while: `at_once` of them, and after the first that fails
    no other is begun."""

    cluster: str
    at_once: int


@dataclass(frozen=True, slots=True)
class HostPlan:
    """What happens on one host, in this order, after the plan of the config DB that it uses (None: uses none).
    `rollout`: with which hosts it takes turns."""

    ref: ObjectRef
    host: str
    config_db: ObjectRef | None
    actions: tuple[HostAction | MaintenanceAction, ...]
    rollout: Rollout | None = None


@dataclass(frozen=True, slots=True)
class StoragePolicyPlan:
    """What happens to one storage policy, through `host`. No config DB has a part in it but for what it records."""

    ref: ObjectRef
    host: str
    actions: tuple[StoragePolicyAction, ...]


@dataclass(frozen=True, slots=True)
class VolumePlan:
    """What happens to the metadata of one volume, through `host`; recorded as that of a storage policy is."""

    ref: ObjectRef
    host: str
    actions: tuple[SetVolumeAccess, ...]


@dataclass(frozen=True, slots=True)
class Withheld:
    """A change that could be made but may not be: the guards or the caller's policy forbid it."""

    ref: ObjectRef
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that will be done, and what was left out on purpose."""

    config_dbs: tuple[DBPlan, ...]
    hosts: tuple[HostPlan, ...]
    withheld: tuple[Withheld, ...] = ()
    moves: tuple[MovePlan, ...] = ()
    storage_policies: tuple[StoragePolicyPlan, ...] = ()
    volumes: tuple[VolumePlan, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps

    @property
    def steps(self) -> tuple[DBPlan | MovePlan | HostPlan | StoragePolicyPlan | VolumePlan, ...]:
        """What is done together on one host: storage policies, volumes and config DBs first."""
        return (*self.storage_policies, *self.volumes, *self.moves, *self.config_dbs, *self.hosts)
