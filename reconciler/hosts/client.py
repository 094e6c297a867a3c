"""The agent on one host, over any channel: requests and replies, one at a time, each with a time limit."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from itertools import chain
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct, ValidationError
from msgspec.json import decode

from reconciler.hosts import wire
from reconciler.hosts.conversation import Conversation
from reconciler.hosts.kept_drivers import KeptDriver
from reconciler.hosts.lines import Channel, ProtocolViolationError
from reconciler.model.base import clip
from reconciler.model.errors import AgentRefusedError, HostUnreachableError, VdvsError
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.ports import BEFORE_SENDING, DBResult, Question, Report, WatchRequest

if TYPE_CHECKING:  # only for annotations: commands connect to hosts before importing the rest
    from collections.abc import Awaitable, Callable, Container, Iterator, Sequence
    from datetime import datetime

    from reconciler.model.kinds import FileAction
    from reconciler.model.kinds.configdb import Backup, BackupOrigin
    from reconciler.model.kinds.host import HostAction
    from reconciler.model.kinds.vmgroup import LinkAction
    from reconciler.model.outcome import ActionResult
    from reconciler.model.plan import DBPlan, MovePlan
    from reconciler.model.refs import ObjectRef

_Value = TypeVar("_Value")
_Reply = TypeVar("_Reply", bound=Struct)

_log = logging.getLogger(__name__)

PROTOCOL = 1
# Seconds; each longer than all that the agent itself waits for in one request, so that a hanging program of ESXi costs
# one fact only, and an agent is not given up while it writes.
_OBSERVE_TIMEOUT = 120.0
_APPLY_TIMEOUT = 300.0
_APPLY_HOST_TIMEOUT = 1500.0  # installing a VIB is the slowest
_LARGE = 200_000  # bytes of a reply that takes long enough to read that others wait for it


class AgentClient:
    """`ports.HostAgent` over a channel that `connect` opens when first needed, and again after a break."""

    def __init__(self, host: str, connect: Callable[[], Awaitable[Channel]], driver: KeptDriver | None = None) -> None:
        self._host = host
        self._connect = connect
        self._driver = driver or KeptDriver()
        self._talk: Conversation | None = None
        self._connecting: asyncio.Task[Conversation] | None = None
        self._ahead: tuple[Question, asyncio.Task[Report]] | None = None
        self._last_id = 0
        self._ended = False
        self._turn = asyncio.Lock()
        self._known: dict[str, ObservedConfigDB] = {}
        self._watched: WatchRequest | None = None
        self._noticed: Callable[[], None] = lambda: None

    def connect(self, first: Question) -> None:
        """See `ports.HostAgent`."""
        if self._talk is None and self._connecting is None:
            self._connecting = asyncio.create_task(self._greeted())
            task = asyncio.create_task(self._observe(first))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # even if no request follows
            self._ahead = first, task

    async def observe(self, question: Question) -> Report:
        """See `ports.HostAgent`."""
        if self._ahead is not None:
            expected, task = self._ahead
            await asyncio.wait([task])
            self._ahead = None
            if expected == question:
                return task.result()
        return await self._observe(question)

    async def _observe(self, question: Question) -> Report:
        known = self._known

        def read(reply: wire.Seen) -> Report:
            report = wire.report(self._host, question, reply, known)
            self._driver.report = wire.kept_driver(reply)
            return report

        request = wire.question(question, known, self._driver.report)
        report = await self._ask(request, _OBSERVE_TIMEOUT, wire.Seen, read)
        if question.once:
            return report
        seen = {**known, **report.config_dbs}
        self._known = {path: db for path, db in seen.items() if db.state is DBState.PRESENT}
        return report

    async def watch(self, request: WatchRequest, noticed: Callable[[], None]) -> bool:
        """See `ports.HostAgent`."""
        self._noticed = noticed
        if self._talk is not None and self._talk.broken is None and self._watched == request:
            return False

        def read(_: wire.Nothing) -> None:
            self._watched = request

        await self._ask(wire.watch(request), _OBSERVE_TIMEOUT, wire.Nothing, read)
        return True

    async def backups(self, path: str) -> tuple[Backup, ...]:
        """See `ports.HostAgent`."""
        return await self._ask(wire.backups(path, None), _OBSERVE_TIMEOUT, wire.BackupList, wire.listed)

    async def read_backup(self, path: str, name: str) -> tuple[ObservedConfigDB, BackupOrigin]:
        """See `ports.HostAgent`."""

        def read(reply: wire.BackupContent) -> tuple[ObservedConfigDB, BackupOrigin]:
            found = wire.config_db(self._host, path, reply.config_db, {})
            if found.state is DBState.UNKNOWN:  # an agent refuses what it cannot read
                raise ValidationError(found.message or "no content")
            return found, reply.made

        return await self._ask(wire.backups(path, name), _OBSERVE_TIMEOUT, wire.BackupContent, read)

    async def apply_db(self, plan: DBPlan, now: datetime) -> DBResult:
        """See `ports.HostAgent`."""

        def read(reply: wire.Transaction) -> DBResult:
            results: dict[ObjectRef, ActionResult] = {}
            for group, answer in _paired(plan.groups, reply.groups):
                for ref in dict.fromkeys(action.ref for action in group):
                    earlier = results.get(ref)
                    if earlier is None or earlier.ok:
                        results[ref] = _result(ref, answer)
            return DBResult(tuple(results.values()), reply.backup)

        return await self._ask(wire.transaction(plan, now), _APPLY_TIMEOUT, wire.Transaction, read)

    async def announce(
        self, path: str, put: tuple[str, str] | None, drop: Sequence[str]
    ) -> tuple[tuple[str, str], ...]:
        """See `ports.HostAgent`."""
        request = wire.announcement(path, put, drop)
        return await self._ask(request, _APPLY_TIMEOUT, wire.Announced, lambda reply: reply.others)

    async def copy_db(self, plan: MovePlan, now: datetime) -> None:
        """See `ports.HostAgent`."""
        request = wire.relocation("copy_db", plan, now)
        await self._ask(request, _APPLY_TIMEOUT, wire.Copied, lambda reply: reply)

    async def retire_db(self, plan: MovePlan, now: datetime) -> str | None:
        """See `ports.HostAgent`."""
        request = wire.relocation("retire_db", plan, now)
        return await self._ask(request, _APPLY_TIMEOUT, wire.Retired, lambda reply: reply.kept)

    async def apply_links(self, actions: Sequence[LinkAction]) -> tuple[ActionResult, ...]:
        """See `ports.HostAgent`."""
        return await self._apply("apply_links", actions, _APPLY_TIMEOUT)

    async def apply_files(self, actions: Sequence[FileAction]) -> tuple[ActionResult, ...]:
        """See `ports.HostAgent`."""
        return await self._apply("apply_files", actions, _APPLY_TIMEOUT)

    async def apply_host(self, actions: Sequence[HostAction]) -> tuple[ActionResult, ...]:
        """See `ports.HostAgent`."""
        return await self._apply("apply_host", actions, _APPLY_HOST_TIMEOUT)

    async def close(self) -> None:
        """End the agent, for good."""
        self._ended = True
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead[1].cancel()
            await asyncio.wait([ahead[1]])
        await self._hang_up()

    async def _hang_up(self) -> None:
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
            await asyncio.wait([connecting])
            if not connecting.cancelled() and connecting.exception() is None:
                self._talk = connecting.result()
        talk, self._talk = self._talk, None
        self._watched = None
        if talk is not None:
            await talk.close()

    async def _apply(
        self,
        verb: str,
        actions: Sequence[LinkAction | FileAction | HostAction],
        timeout: float,
    ) -> tuple[ActionResult, ...]:
        def read(reply: wire.Applied) -> tuple[ActionResult, ...]:
            return tuple(_result(action.ref, outcome) for action, outcome in _paired(actions, reply.results))

        return await self._ask(wire.actions(verb, actions), timeout, wire.Applied, read)

    async def _ask(
        self, request: wire.Json, timeout: float, kind: type[_Reply], read: Callable[[_Reply], _Value]
    ) -> _Value:
        """Send a request and return what `read` makes of its reply."""
        begun = monotonic()
        try:
            found = await self._answer(request, timeout, kind, read)
        except (VdvsError, asyncio.CancelledError) as error:
            why = str(error) or "interrupted"
            _log.info("%s: %s failed after %.2f s: %s", self._host, request["do"], monotonic() - begun, why)
            raise
        _log.info("%s: %s took %.2f s%s", self._host, request["do"], monotonic() - begun, _about(request))
        return found

    async def _answer(
        self, request: wire.Json, timeout: float, kind: type[_Reply], read: Callable[[_Reply], _Value]
    ) -> _Value:
        """An agent that is silent or breaks the protocol is ended."""
        async with self._turn:
            try:
                async with asyncio.timeout(timeout):
                    reply = await self._exchange(request)
                if len(reply.result) < _LARGE:
                    return self._understand(reply, kind, read)
                return await asyncio.to_thread(self._understand, reply, kind, read)  # others go on meanwhile
            except TimeoutError:
                await self._hang_up()
                raise HostUnreachableError(f"{self._host} did not answer within {timeout:.0f} s") from None
            except (HostUnreachableError, asyncio.CancelledError):
                await self._hang_up()
                raise
            except VdvsError:
                raise
            except Exception as error:  # whatever a host makes a library raise is trouble of that host
                await self._hang_up()
                complaint = clip(f"{type(error).__name__}: {error}".splitlines()[0])
                raise HostUnreachableError(f"{self._host}: it cannot be talked to ({complaint})") from error

    async def _exchange(self, request: wire.Json) -> wire.Line:
        if self._ended:  # else what still waits for its turn would connect again
            raise HostUnreachableError(f"{self._host}: its connection was ended")
        if self._talk is not None and self._talk.broken is not None:
            if isinstance(self._talk.broken, ProtocolViolationError):
                raise self._talk.broken
            _log.info("%s: connecting again, as the connection broke: %s", self._host, self._talk.broken)
            await self._hang_up()  # it broke while idle, which is no failure of this request
        if self._talk is None:
            connecting = self._connecting = self._connecting or asyncio.create_task(self._greeted())
            await asyncio.wait([connecting])  # if we are cancelled, `_hang_up` closes what it has made by then
            self._connecting = None
            self._talk = connecting.result()
        if request["do"] == "watch":  # what an earlier watch saw may still be under way
            self._talk.watched |= wire.noticeable(request)
        self._last_id += 1
        line = wire.encode({"id": self._last_id, **request})
        BEFORE_SENDING.get()()
        reply = await self._talk.ask(line)
        if reply.id != self._last_id:
            raise ProtocolViolationError(f"{self._host}: the agent answered another question than the one asked")
        return reply

    async def _greeted(self) -> Conversation:
        """Connect, and return the conversation with an agent that has said hello."""
        begun = monotonic()
        talk = Conversation(self._host, await self._connect(), lambda: self._noticed())
        try:
            await talk.greet(PROTOCOL)
        except BaseException:
            await talk.close()
            raise
        _log.info("%s: connected in %.2f s", self._host, monotonic() - begun)
        return talk

    def _understand(self, reply: wire.Line, kind: type[_Reply], read: Callable[[_Reply], _Value]) -> _Value:
        if reply.error is not None:
            raise AgentRefusedError(clip(reply.error.reason), clip(reply.error.message))
        try:
            if not reply.result:
                raise ValidationError("Object missing required field `result`")
            return read(decode(reply.result, type=kind))
        except wire.NONSENSE as error:
            complaint = clip(str(error).splitlines()[0])
            message = f"{self._host}: the agent's answer is not what its protocol says ({complaint})"
            raise ProtocolViolationError(message) from error


class AgentPool:
    """The agents of hosts, each made when it is first asked for, at one address."""

    def __init__(self) -> None:
        self._agents: dict[str, tuple[str, AgentClient]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def agent(self, name: str, address: str, make: Callable[[], AgentClient]) -> AgentClient:
        """Return the agent of a host. That of an earlier address is ended, in the background."""
        known = self._agents.get(name)
        if known is None or known[0] != address:
            self._agents[name] = address, make()
            if known is not None:
                self._leave(known[1])
        return self._agents[name][1]

    def keep_only(self, names: Container[str]) -> None:
        """End the agents of all other hosts, in the background."""
        for name in [name for name in self._agents if name not in names]:
            self._leave(self._agents.pop(name)[1])

    async def close(self) -> None:
        """End all agents."""
        await asyncio.gather(*(agent.close() for _, agent in self._agents.values()), *self._leaving)

    def _leave(self, agent: AgentClient) -> None:
        task = asyncio.create_task(agent.close())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def _about(request: wire.Json) -> str:
    """Return the gist of a request, for the log: ` (config_dbs 1, datastores 2)`, ` (LinkDB, WriteSection)`."""
    found = [f"{name} {len(request[name])}" for name in ("config_dbs", "datastores") if request.get(name)]
    steps = [*request.get("actions", ()), *chain.from_iterable(request.get("groups", ()))]
    names = Counter(step["action"] for step in steps)
    found += [name if number == 1 else f"{number} {name}" for name, number in names.items()]
    return f" ({', '.join(found)})" if found else ""


def _paired(asked: Sequence[_Value], outcomes: Sequence[wire.Outcome]) -> Iterator[tuple[_Value, wire.Outcome]]:
    if len(asked) != len(outcomes):
        raise ValidationError(f"Expected {len(asked)} outcomes, got {len(outcomes)}")
    return zip(asked, outcomes, strict=True)


def _result(ref: ObjectRef, outcome: wire.Outcome) -> ActionResult:
    from reconciler.model.outcome import ActionResult  # needed by applying commands only, and slow to import

    return ActionResult(ref, outcome.ok, clip(outcome.reason), clip(outcome.message))
