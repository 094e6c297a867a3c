"""A key of the queue whose work fails is told and worked on again; a host that is late keeps no pass waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from reconciler.controller import skip_unreachable
from reconciler.controller.loop import INVENTORY, SITE, Loop
from reconciler.controller.queue import Priority
from reconciler.controller.skip_unreachable import SkipUnreachable
from reconciler.model.errors import HostUnreachableError
from reconciler.model.refs import Kind, ObjectRef
from reconciler.ports import Hosts, Question

ANSWER: Any = object()


def looping(snapshots: list[Any], then: Callable[[Loop, list[str]], Any]) -> Any:
    """A loop over an inventory that answers so, one after the other (exceptions are raised); what was told."""
    told: list[str] = []

    async def snapshot() -> Any:
        found = snapshots.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found

    async def run() -> Any:
        watch = SimpleNamespace(say=lambda kind, message: told.append(f"{kind}: {message}"))
        loop = Loop(
            cast(Any, watch), cast(Any, SimpleNamespace(something=asyncio.Event())), cast(Any, None),
            cast(Any, SimpleNamespace(snapshot=snapshot)), {}, interval=60.0, chance=lambda: 0.0, reread=lambda: None,
            beat=lambda: None,
        )  # fmt: skip
        for _ in range(len(snapshots)):
            await loop._work(INVENTORY, Priority.RESYNC)
            assert loop._queue.due() is not None
        return then(loop, told)

    return asyncio.run(run())


def test_an_inventory_that_fails_in_an_unforeseen_way_is_looked_at_again() -> None:
    told = looping([ValueError("what is this"), ValueError("what is this"), "an inventory"], lambda _, told: told)
    assert told == [
        "pass failed: the look at the inventory failed, and is tried again: ValueError: what is this",
        "pass works: the look at the inventory works again",
    ]


def test_what_somebody_else_cancels_is_looked_at_again() -> None:
    """A library that cancels what a key waits for must not take the key out of the queue for good."""
    told = looping([asyncio.CancelledError(), "an inventory"], lambda _, told: told)
    assert [line.partition(":")[0] for line in told] == ["pass failed", "pass works"]


def test_what_fails_again_and_again_is_tried_less_and_less_often() -> None:
    def waits(loop: Loop, _: list[str]) -> float:
        return loop._backoff.failed(f"work on {INVENTORY}")

    assert looping([KeyError("x")] * 6, waits) > looping([KeyError("x")], waits)


def test_a_host_that_is_gone_asks_for_no_pass_and_is_forgotten() -> None:
    """Until its connection has ended, it may report changes as often as it likes."""

    def noticed(loop: Loop, _: list[str]) -> tuple[list[bool], set[str]]:
        asked = []
        for addresses in ({"esx1": "esx1"}, {}):
            loop._addresses = addresses
            loop._forgive({})
            loop._triggers.something.clear()
            loop._change_noticed("esx1")
            asked.append(loop._triggers.something.is_set())
        return asked, set(loop._quick)

    assert looping([], noticed) == ([True, False], set())


def test_connections_last_of_hosts_that_are_known_or_asked_just_now() -> None:
    """A host may be called as a key of the queue is."""
    kept: list[set[str]] = []

    def ends(loop: Loop, _: list[str]) -> None:
        loop._hosts = cast(Any, SimpleNamespace(keep_only=kept.append))
        declared = SimpleNamespace(ref=ObjectRef(Kind.HOST, "esx2"))
        loop._watch = cast(Any, SimpleNamespace(desired=SimpleNamespace(hosts=[declared])))
        loop._addresses = {"esx1": "esx1"}
        tasks = [asyncio.get_running_loop().create_future() for _ in range(3)]
        loop._running = cast(Any, dict(zip(tasks, (SITE, INVENTORY, "host/esx3"), strict=True)))
        loop._end_connections()

    looping([], ends)
    assert kept == [{"esx1", "esx2", "esx3"}]


class Late:
    """An agent that answers when it is let."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.cancelled = False

    async def observe(self, question: Question) -> Any:  # noqa: ARG002 - as the port has it
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return ANSWER


def test_no_pass_waits_for_a_host_that_is_late_and_its_answer_is_still_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skip_unreachable, "PATIENCE", 0.01)

    async def run() -> None:
        late = Late()
        hosts = SkipUnreachable(cast(Hosts, SimpleNamespace(agent=lambda *_: late)), {})
        with pytest.raises(HostUnreachableError, match="esx1 has not answered"):
            await hosts.agent("esx1", "esx1").observe(Question())
        assert not late.cancelled
        late.may_answer.set()
        await asyncio.wait_for(asyncio.gather(*hosts._late), 10)
        assert await hosts.agent("esx1", "esx1").observe(Question()) is ANSWER
        assert hosts._patience == {"esx1": skip_unreachable.LONG_PATIENCE}

    asyncio.run(run())


def test_a_pass_that_is_given_up_takes_its_questions_back() -> None:
    async def run() -> None:
        late = Late()
        hosts = SkipUnreachable(cast(Hosts, SimpleNamespace(agent=lambda *_: late)), {})
        task = asyncio.create_task(hosts.agent("esx1", "esx1").observe(Question()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert late.cancelled

    asyncio.run(run())
