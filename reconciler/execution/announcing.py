"""Announce an apply in the config DBs that it writes, and learn who else applies. Source:
docs/domain.md#who-applied-what
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from reconciler.execution.gather import gather_all
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.ownership import Applier
from reconciler.model.plan import Plan
from reconciler.planning.records.appliers import going_on, note, over
from reconciler.ports import Clock, HostAgent, Observer

_EVERY: Final = 0.5  # seconds between two looks while waiting

_Place = tuple[str, str]  # the host that writes, and the path of the config DB
_Notes = tuple[tuple[str, str], ...]


@asynccontextmanager
async def announced(
    steps: Plan, agent: Callable[[str], HostAgent], by: Applier, clock: Clock, observer: Observer, wait: float
) -> AsyncIterator[bool]:
    """Announce `by` for as long as the context lasts; tell `observer` who else applies, and wait up to `wait` seconds
    until they have ended. Yield whether it waited, so that the site may differ from what was seen.

    A config DB whose host does not answer is left out: carrying out the plan says so.
    """
    places = [(step.writer, step.path) for step in steps.config_dbs if not step.create and not step.recover]

    async def at(place: _Place, put: tuple[str, str] | None, drop: Sequence[str]) -> _Notes:
        try:
            return await agent(place[0]).announce(place[1], put, drop)
        except (HostUnreachableError, AgentRefusedError):
            return ()

    async def everywhere(put: tuple[str, str] | None = None, drop: Sequence[str] = ()) -> _Notes:
        found = await gather_all(at(place, put, drop) for place in places)
        return tuple(each for notes in found for each in notes if each[0] != by.run)

    notes: _Notes = ()
    try:
        notes = await everywhere((by.run, note(by)))
        others = going_on(notes, clock.now())
        if others:
            observer.meanwhile(others, wait)
        waited = bool(others) and wait > 0
        until = asyncio.get_running_loop().time() + wait
        while others and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_EVERY)
            there = set(going_on(await everywhere(), clock.now()))
            others = tuple(each for each in others if each in there)  # not those who came after, and wait for us
        if waited and others:
            observer.meanwhile(others, 0)
        yield waited
    finally:
        await everywhere(drop=(by.run, *over(notes, clock.now())))
