"""Plan: what a pass may write, the ordered actions that it will take, and plans that are saved.

A plan is bound to the state that it was made from.
"""

from __future__ import annotations

from datetime import datetime

from reconciler.model.actions import DBAction
from reconciler.model.base import Strict
from reconciler.model.diff import Diff
from reconciler.model.kinds import FileAction
from reconciler.model.kinds.configdb import MoveDB
from reconciler.model.kinds.host import HostAction, MaintenanceAction
from reconciler.model.kinds.vmgroup import LinkAction
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.refs import AUTH_DB, Location, ObjectRef, own_location
from reconciler.model.risk import Risk
from reconciler.model.state import Desired


class Policy(Strict, frozen=True):
    """What may be written: changes of these risks, to these objects only (None: all).

    `config_db_lifecycle`: whether config DBs may be created, upgraded to a newer schema, and moved.
    `only_applied`: the risks that are taken only to bring back what was applied before (`ownership.not_applied`).
    `held`: objects that are left alone, and why. `most`: with more changes than this nothing is written (None: any).
    """

    risks: frozenset[Risk]
    config_db_lifecycle: bool
    objects: frozenset[ObjectRef] | None = None
    only_applied: frozenset[Risk] = frozenset()
    held: tuple[tuple[ObjectRef, str], ...] = ()
    most: int | None = None


HEALING = frozenset({Risk.SAFE, Risk.RESTRICTS})


HEAL = Policy(HEALING, config_db_lifecycle=False, only_applied=HEALING)


REPORT_ONLY = Policy(frozenset(), config_db_lifecycle=False)


APPLY = Policy(frozenset(Risk) - {Risk.DESTROYS}, config_db_lifecycle=True)


APPLY_AND_DESTROY = Policy(frozenset(Risk), config_db_lifecycle=True)


class DBPlan(Strict, frozen=True):
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
        """All actions, those on links last."""
        links = (link for _, link in (*self.clear_links, *self.make_links))
        return (*(action for group in self.groups for action in group), *links)

    @property
    def location(self) -> Location:
        """Where the config DB is: one of a host's own is written by that host."""
        return own_location(self.writer) if self.path == AUTH_DB else Location(self.path)


class MovePlan(Strict, frozen=True):
    """A config DB that moves: `writer` copies it before its hosts are led there, and retires the old one after."""

    ref: ObjectRef
    writer: str
    move: MoveDB

    @property
    def actions(self) -> tuple[MoveDB, ...]:
        """The only action, MoveDB."""
        return (self.move,)


class Rollout(Strict, frozen=True):
    """Hosts of one cluster that are in maintenance mode for a while: `at_once` of them, and after the first that fails
    no other is begun."""

    cluster: str
    at_once: int


class HostPlan(Strict, frozen=True):
    """What happens on one host, in this order, after the plan of the config DB that it uses (None: uses none).
    `rollout`: with which hosts it takes turns."""

    ref: ObjectRef
    host: str
    config_db: ObjectRef | None
    actions: tuple[HostAction | MaintenanceAction, ...]
    rollout: Rollout | None = None


class FilePlan(Strict, frozen=True):
    """What happens to one file on a datastore, through `host`. A config DB only records that it was applied."""

    ref: ObjectRef
    host: str
    actions: tuple[FileAction, ...]


class Withheld(Strict, frozen=True):
    """A change that could be made but may not be: the guards or the caller's policy forbid it."""

    ref: ObjectRef
    reason: str


class Plan(Strict, frozen=True):
    """Everything that will be done, and what was left out on purpose."""

    config_dbs: tuple[DBPlan, ...]
    hosts: tuple[HostPlan, ...]
    withheld: tuple[Withheld, ...] = ()
    moves: tuple[MovePlan, ...] = ()
    files: tuple[FilePlan, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps

    @property
    def risks(self) -> frozenset[Risk]:
        """The risks of all actions."""
        return frozenset(action.risk for step in self.steps for action in step.actions)

    @property
    def steps(self) -> tuple[DBPlan | MovePlan | HostPlan | FilePlan, ...]:
        """What is done together on one host: files and config DBs first."""
        return (*self.files, *self.moves, *self.config_dbs, *self.hosts)


class SavedPlan(Strict, frozen=True):
    """What was asked (`desired`, `policy`, `applying`, the UUIDs `drawn` for new vmgroups), and what came of it
    (`diff`, `plan`).

    Planning is a function of what was asked and of what is seen. So a saved plan holds exactly as long as the same
    question, asked again, is answered with the same steps.

    `made_by` is the version of vdvs. It may be applied before `expires_at`. `diff` holds the objects of `policy` only.
    """

    made_at: datetime
    expires_at: datetime
    made_by: str
    desired: Desired
    policy: Policy
    applying: Applying
    drawn: tuple[tuple[ObjectRef, str], ...]
    diff: Diff
    plan: Plan
