"""What a person sees of a pass that takes long: from the first second, and never far from the truth."""

from __future__ import annotations

import asyncio
import os
import random
import re
import selectors
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Container, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.underway import progress
from reconciler.cli.underway.progress import TerminalProgress
from reconciler.execution.executor import execute
from reconciler.execution.prefetch import prefetch
from reconciler.model.base import Risk
from reconciler.model.errors import HostUnreachableError
from reconciler.model.kinds.host import DesiredHost, HostAction, RestartHostd
from reconciler.model.outcome import ActionResult
from reconciler.model.plan import HostPlan, Plan, Rollout
from reconciler.model.refs import Kind, ObjectRef, Source
from reconciler.model.state import Desired
from reconciler.ports import OBSERVING, HostAgent, Question, Report
from tests.cli.conftest import Folder
from tests.execution.fakes import NOW, FakeAgent

HOSTS = 500
SECONDS = {"s": 1, "min": 60, "h": 3600}


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while it waits, and then at once."""

    def __init__(self) -> None:
        self.at = 0.0
        super().__init__(selectors.SelectSelector())
        select = self._selector.select  # type: ignore[attr-defined]

        def jump(timeout: float | None = None) -> Any:
            self.at += timeout or 0
            return select(0)

        self._selector.select = jump  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.at


class Watched(TerminalProgress):
    """What a person is told, each time that something changed: (time, finished, left in seconds) of each stage."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(quiet=True, now=clock.time)
        self.clock = clock
        self.seen: dict[str, list[tuple[float, int, float | None]]] = {}

    def progress(self, stage: str, done: int, total: int, at_once: int | None = None) -> None:
        super().progress(stage, done, total, at_once)
        for name, finished, _, left in self.told():
            if name == stage:
                self.seen.setdefault(stage, []).append((self.clock.at, finished, seconds(left)))


def seconds(left: str) -> float | None:
    found = re.fullmatch(r"about (\d+) (s|min|h) left", left)
    return int(found[1]) * SECONDS[found[2]] if found else None


def run(do: Callable[[Watched], Awaitable[object]]) -> Watched:
    clock = Clock()
    observer = Watched(clock)
    with asyncio.Runner(loop_factory=lambda: clock) as runner:

        async def main() -> None:
            await do(observer)

        runner.run(main())
    return observer


def check(told: list[tuple[float, int, float | None]], end: float) -> None:
    """What was said to be left is at most three times, or a third of, what was left."""
    assert told[0][:2] == (0.0, 0)  # from the beginning
    said = [(at, left) for at, _, left in told if left is not None]
    assert len(said) > len(told) / 2
    for at, left in said:
        assert 1 / 3 < max(left, 1.0) / max(end - at, 1.0) < 3, f"at {at:.1f} s of {end:.1f} s, {left} s were said"


class SlowAgent(FakeAgent):
    """Connects in a second, when there is room, and looks for half of one; an apply takes `work` seconds."""

    def __init__(self, room: asyncio.Semaphore | None = None, work: float = 0.0) -> None:
        super().__init__()
        self.room = room or asyncio.Semaphore()
        self.work = work

    async def observe(self, question: Question) -> Report:  # noqa: ARG002 - as the port has it
        async with self.room:
            await asyncio.sleep(1)
        await asyncio.sleep(0.5)
        raise HostUnreachableError("it answers, and that is all that counts here")

    async def apply_host(self, actions: Sequence[HostAction]) -> tuple[ActionResult, ...]:
        await asyncio.sleep(self.work)
        return await super().apply_host(actions)


class SlowHosts:
    """Implements `ports.Hosts`: so many connect at once."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self.room = asyncio.Semaphore(at_once)

    def agent(self, name: str, address: str) -> HostAgent:  # noqa: ARG002 - as the port has it
        return SlowAgent(self.room)

    def keep_only(self, names: Container[str]) -> None: ...

    async def close(self) -> None: ...


def ref(number: int) -> ObjectRef:
    return ObjectRef(Kind.HOST, f"esx{number:03}")


@pytest.mark.parametrize("at_once", [16, 50])
def test_connecting_to_many_hosts(at_once: int) -> None:
    wanted = tuple(DesiredHost(ref(n), Source("hosts.yaml", 1, 1), f"10.0.0.{n}", ()) for n in range(HOSTS))
    told = run(lambda observer: prefetch(Desired(None, wanted, (), ()), SlowHosts(at_once), observer))
    check(told.seen[OBSERVING], -(-HOSTS // at_once) + 0.5)


def test_changing_many_hosts_some_of_which_take_turns() -> None:
    """Two clusters in which one host after the other is changed, and all the other hosts at the same time."""
    chance = random.Random(3)
    work = {ref(n).name: chance.uniform(200, 400) for n in range(20)}
    work |= {ref(n).name: chance.uniform(10, 30) for n in range(20, HOSTS)}

    def step(number: int) -> HostPlan:
        turns = Rollout(f"C{number % 2}", 1) if number < 20 else None
        return HostPlan(ref(number), ref(number).name, None, (RestartHostd(ref(number), Risk.SAFE),), turns)

    plan = Plan((), tuple(map(step, range(HOSTS))))
    told = run(lambda observer: execute(plan, lambda host: SlowAgent(work=work[host]), NOW, observer))
    for cluster in (0, 1):
        end = sum(work[ref(n).name] for n in range(cluster, 20, 2))
        check(told.seen[f"changing hosts of cluster C{cluster}"], end)
    check(told.seen["changing hosts"], max(work[ref(n).name] for n in range(20, HOSTS)))


def test_lines_where_nobody_watches_and_bars_only_of_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    printed = threading.Event()
    monkeypatch.setattr(progress, "_EVERY", 0.01)
    monkeypatch.setattr(progress, "tell", lambda text: (lines.append(text), printed.set()))
    with TerminalProgress() as observer:
        observer.progress("few", 1, 99)
        assert observer._thread is None
        observer.progress("many\x1b[2J", 100, 500, 10)
        assert printed.wait(30)
    assert re.fullmatch(r"vdvs: many\\x1b\[2J: 100 of 500(, about \d+ s left)?", lines[0])
    assert all("few" not in line for line in lines)


def test_with_a_log_there_are_no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    observer = TerminalProgress(quiet=True)
    observer.progress("many", 0, 500)
    assert observer._thread is None


def test_a_command_that_has_taken_long_already_shows_bars_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = threading.Event()
    bars = progress._progress
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress, "_AFTER", 1000.0)  # seconds
    monkeypatch.setattr(progress, "_progress", lambda: (drawn.set(), bars())[1])
    with TerminalProgress(since=0.0, now=lambda: 1000.0) as observer:
        observer.progress("many", 0, 0)
        assert drawn.wait(30)


def test_a_bar_is_drawn_while_nobody_has_finished(applied: Folder) -> None:
    """The config DB is locked, so the host that reads it does not answer; the bar is there nevertheless, and gone in
    the end."""
    (database,) = applied.lab.glob("datastores/*/dockvols/vmdkops_config.db")
    ours, theirs = os.openpty()
    variables = os.environ | {"TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "reconciler", "diff", "-f", "manifests"]
    text = ""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=variables, text=True) as process:
            os.close(theirs)
            while "observing hosts" not in text:
                text += os.read(ours, 65536).decode()
            other.execute("ROLLBACK")
            out, _ = process.communicate()
    os.close(ours)
    assert (process.returncode, out.splitlines()[-1]) == (0, "In sync.")
    assert "\x1b" not in out
