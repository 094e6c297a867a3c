"""Agents that only note what they were asked, and do as a test tells them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from reconciler.model.base import Risk
from reconciler.model.diff import DBAction
from reconciler.model.kinds import FileAction
from reconciler.model.kinds.configdb import Backup, BackupOrigin, ObservedConfigDB
from reconciler.model.kinds.host import HostAction
from reconciler.model.kinds.vmgroup import AddMember, CreateVMGroup, LinkAction, Member, RemoveNameLink, SetNameLink
from reconciler.model.outcome import ActionResult
from reconciler.model.plan import DBPlan, MovePlan
from reconciler.model.refs import Kind, ObjectRef
from reconciler.ports import DBResult, Question, Report, WatchRequest

NOW = datetime(2026, 11, 23, tzinfo=UTC)
DB = ObjectRef(Kind.CONFIG_DB, "shared")
HOST = ObjectRef(Kind.HOST, "esx1")
G1, G2 = (ObjectRef(Kind.VMGROUP, name) for name in ("G1", "G2"))
URL = "/vmfs/volumes/volume"


@dataclass
class FakeAgent:
    """Does everything well, except for the objects in `failing`: their actions fail with this reason.

    `told` is what it was asked to do, in order: the objects of each transaction, and the names of the links.
    """

    failing: dict[ObjectRef, str] = field(default_factory=dict)
    error: Exception | None = None
    told: list[tuple[str, ...]] = field(default_factory=list)

    def connect(self, first: Question) -> None:
        raise NotImplementedError

    async def observe(self, question: Question) -> Report:
        raise NotImplementedError

    async def watch(self, request: WatchRequest, noticed: Callable[[], None]) -> bool:
        raise NotImplementedError

    async def backups(self, path: str) -> tuple[Backup, ...]:
        raise NotImplementedError

    async def read_backup(self, path: str, name: str) -> tuple[ObservedConfigDB, BackupOrigin]:
        raise NotImplementedError

    async def announce(self, path: str, put: object, drop: Sequence[str]) -> tuple[tuple[str, str], ...]:  # noqa: ARG002
        """See `ports.HostAgent`: nobody else applies."""
        return ()

    async def copy_db(self, plan: MovePlan, now: datetime) -> None:
        raise NotImplementedError

    async def retire_db(self, plan: MovePlan, now: datetime) -> str | None:
        raise NotImplementedError

    async def apply_db(self, plan: DBPlan, now: datetime) -> DBResult:  # noqa: ARG002 - as the port has it
        self.told.append(("transaction", *(str(action.ref) for group in plan.groups for action in group)))
        if self.error is not None:
            raise self.error
        refs = dict.fromkeys(action.ref for group in plan.groups for action in group)
        return DBResult(tuple(self._result(ref) for ref in refs), "backup")

    async def apply_links(self, actions: Sequence[LinkAction]) -> tuple[ActionResult, ...]:
        for action in actions:
            self.told.append((type(action).__name__, action.name))
        return tuple(self._result(action.ref) for action in actions)

    async def apply_files(self, actions: Sequence[FileAction]) -> tuple[ActionResult, ...]:
        for action in actions:
            self.told.append((type(action).__name__, action.name))
        return tuple(self._result(action.ref) for action in actions)

    async def apply_host(self, actions: Sequence[HostAction]) -> tuple[ActionResult, ...]:
        self.told.append(("host", *(type(action).__name__ for action in actions)))
        if self.error is not None:
            raise self.error
        return tuple(self._result(action.ref) for action in actions)

    def _result(self, ref: ObjectRef) -> ActionResult:
        if ref in self.failing:
            return ActionResult(ref, False, self.failing[ref], f"{ref} failed")
        return ActionResult(ref, True)


class Nobody:
    """An observer that does not care."""

    def progress(self, stage: str, done: int, total: int, at_once: int | None = None) -> None:
        pass

    async def about_to_write(self, found: object) -> None:
        pass

    def meanwhile(self, others: object, wait: float) -> None:
        """See `ports.Observer`."""

    def planned_again(self, earlier: object, now: object) -> None:
        pass


def add(ref: ObjectRef) -> DBAction:
    return AddMember(ref, Risk.SAFE, f"uuid-{ref.name}", Member("vm", "vm"))


def create(ref: ObjectRef) -> DBAction:
    return CreateVMGroup(ref, Risk.SAFE, f"uuid-{ref.name}", ref.name, "", URL, (), ())


def clear(ref: ObjectRef) -> tuple[str, LinkAction]:
    return ("esx1", RemoveNameLink(ref, Risk.RESTRICTS, URL, ref.name, f"{URL}/dockvols/foreign"))


def link(ref: ObjectRef) -> tuple[str, LinkAction]:
    return ("esx1", SetNameLink(ref, Risk.SAFE, URL, ref.name, f"uuid-{ref.name}"))


def db_plan(
    *groups: tuple[DBAction, ...],
    clear_links: Sequence[tuple[str, LinkAction]] = (),
    make_links: Sequence[tuple[str, LinkAction]] = (),
    makes_db: bool = False,
) -> DBPlan:
    return DBPlan(
        ref=DB,
        path=f"{URL}/dockvols/vmdkops_config.db",
        writer="esx1",
        fingerprint="f",
        create=makes_db,
        with_default=False,
        recover=False,
        backups_to_keep=3,
        groups=groups,
        clear_links=tuple(clear_links),
        make_links=tuple(make_links),
    )
