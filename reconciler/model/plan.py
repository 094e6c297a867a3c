"""Plan: what a pass may write, its ordered actions, and saved plans.

A plan is bound to the state that it was made from.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from reconciler.model.base import Risk, Strict
from reconciler.model.diff import DBAction, Diff
from reconciler.model.kinds import FileAction
from reconciler.model.kinds.configdb import MoveDB
from reconciler.model.kinds.host import HostAction, MaintenanceAction
from reconciler.model.kinds.vmgroup import LinkAction
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.refs import AUTH_DB, Location, ObjectRef, own_location


class Policy(Strict, frozen=True):
    """Permission to write: changes of these risks, to these objects only (None: all).

    `config_db_lifecycle`: whether config DBs may be created, upgraded to a newer schema, and moved. `only_applied`:
    risks that are taken only to restore what was applied before (`ownership.not_applied`). `held`: objects that are
    left alone, and why; `annotations`: so are those whose own annotation says so. `braked`: objects that only lose what
    was added to them, and why. `most`: with more changes than this nothing new is made, and nothing at all if those
    that heal alone are more (None: any number). `prunes`: what a set applied last and no longer declares is removed,
    whatever the risk.
    """

    risks: frozenset[Risk]
    config_db_lifecycle: bool
    objects: frozenset[ObjectRef] | None = None
    only_applied: frozenset[Risk] = frozenset()
    held: tuple[tuple[ObjectRef, str], ...] = ()
    braked: tuple[tuple[ObjectRef, str], ...] = ()
    most: int | None = None
    annotations: bool = False
    prunes: bool = False

    @property
    def takes_back(self) -> bool:
        """Return whether additions to what was applied last go, also where the manifest is not applied yet. Where new
        manifests may widen, they say what may stay."""
        return Risk.RESTRICTS in self.risks and Risk.WIDENS not in self.risks and not self.config_db_lifecycle


HEALING = frozenset({Risk.SAFE, Risk.RESTRICTS})


HEAL = Policy(HEALING, config_db_lifecycle=False, only_applied=HEALING, annotations=True)


REPORT_ONLY = Policy(frozenset(), config_db_lifecycle=False)


APPLY = Policy(frozenset(Risk) - {Risk.DESTROYS}, config_db_lifecycle=True)


APPLY_AND_DESTROY = Policy(frozenset(Risk), config_db_lifecycle=True)


class DBPlan(Strict, frozen=True):
    """Changes of one config DB: one transaction, on one host, if its fingerprint is unchanged.

    `groups` are the savepoints of the transaction: each succeeds or fails alone. `create` creates the DB first (with
    `_DEFAULT` if `with_default`); `recover` only lets SQLite roll back a hot journal, after which a new plan is made.
    `clear_links` precede the transaction, `make_links` follow it; each is carried out by the host beside it. `stamp`:
    who applies, for the records.
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
    def changes_hosts(self) -> bool:
        """Whether hosts are in another state afterwards: more is written than rows of a DB that is there."""
        return self.create or self.recover or bool(self.clear_links or self.make_links)

    @property
    def location(self) -> Location:
        """Location of the config DB: a SingleNode one is written by its own host."""
        return own_location(self.writer) if self.path == AUTH_DB else Location(self.path)


class MovePlan(Strict, frozen=True):
    """The move of a config DB: `writer` copies it before its hosts are linked to the copy, and retires the old one
    after.
    """

    ref: ObjectRef
    writer: str
    move: MoveDB

    @property
    def actions(self) -> tuple[MoveDB, ...]:
        """The only action, MoveDB."""
        return (self.move,)


class Rollout(Strict, frozen=True):
    """Hosts of one cluster that enter maintenance mode in turns, `at_once` of them at a time. It stops at the first
    failure.
    """

    cluster: str
    at_once: int


class HostPlan(Strict, frozen=True):
    """Actions on one host, in order, after the plan of the config DB that it uses (None: uses none).

    `rollout`: the hosts with which it takes turns.
    """

    ref: ObjectRef
    host: str
    config_db: ObjectRef | None
    actions: tuple[HostAction | MaintenanceAction, ...]
    rollout: Rollout | None = None


class FilePlan(Strict, frozen=True):
    """Actions on one file on a datastore, through `host`. A config DB only records that it was applied."""

    ref: ObjectRef
    host: str
    actions: tuple[FileAction, ...]


class Withheld(Strict, frozen=True):
    """A possible change that is forbidden by the guards or by the caller's policy."""

    ref: ObjectRef
    reason: str


class Plan(Strict, frozen=True):
    """Everything that will be done, and what was left out deliberately."""

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
        """Risks of all actions."""
        return frozenset(action.risk for step in self.steps for action in step.actions)

    @property
    def steps(self) -> tuple[DBPlan | MovePlan | HostPlan | FilePlan, ...]:
        """The plans of all objects: files and config DBs first."""
        return (*self.files, *self.moves, *self.config_dbs, *self.hosts)


class Question(Strict, frozen=True):
    """The input of a saved plan, besides the state of the site: no more than a request.

    `site` and `vcenters` name the site, and say nothing of how it is reached. `manifests`: the documents, which are
    checked again like any others. `objects`: those selected (None: all). `destroy`: destructive changes are asked for,
    too. `config_db`: the one that is rolled back to the backup of `applying` (None: the only one). `drawn`: the UUIDs
    of new vmgroups.
    """

    site: str
    vcenters: tuple[str, ...]
    manifests: tuple[Any, ...]
    objects: frozenset[ObjectRef] | None
    destroy: bool
    applying: Applying
    config_db: str | None = None
    drawn: tuple[tuple[ObjectRef, str], ...] = ()

    @property
    def policy(self) -> Policy:
        """The policy under which it may be written."""
        return replace(APPLY_AND_DESTROY if self.destroy else APPLY, objects=self.objects)


class SavedPlan(Strict, frozen=True):
    """A question, and the answer to it when it was asked (`diff` of the selected objects, `plan`).

    Planning is a function of the question and of the observed state. So a saved plan is valid exactly as long as asking
    again gives the same answer. The saved answer is never shown or carried out: it is compared with the new one.

    `made_by` is the version of vdvs. The plan can be applied before `expires_at`.
    """

    made_at: datetime
    expires_at: datetime
    made_by: str
    question: Question
    diff: Diff
    plan: Plan
