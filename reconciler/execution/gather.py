"""Concurrent steps, all awaited to their end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from reconciler.ports import Observer

_log = logging.getLogger(__name__)
_Value = TypeVar("_Value")


_One = TypeVar("_One")


_Other = TypeVar("_Other")


async def gather_all(steps: Iterable[Coroutine[Any, Any, _Value]]) -> list[_Value]:
    """Run all concurrently and return their results, in order. When interrupted, wait for each step to end first:
    `asyncio.gather` would return after the first, and the agents of the others would be killed while they write."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(step) for step in steps]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def gather_told(
    observer: Observer, stage: str, steps: Sequence[Coroutine[Any, Any, _Value]], at_once: int | None = None
) -> list[_Value]:
    """Like `gather_all`; each finished step is reported to the observer. `at_once`: see `Observer.progress`."""
    done = 0

    async def told(step: Coroutine[Any, Any, _Value]) -> _Value:
        nonlocal done
        try:
            return await step
        finally:
            done += 1
            observer.progress(stage, done, len(steps), at_once)

    if not steps:
        return []
    observer.progress(stage, 0, len(steps), at_once)
    begun = monotonic()
    found = await gather_all(told(step) for step in steps)
    _log.info("%s: %d done in %.2f s", stage, len(steps), monotonic() - begun)
    return found


async def gather_both(one: Coroutine[Any, Any, _One], other: Coroutine[Any, Any, _Other]) -> tuple[_One, _Other]:
    """Like `gather_all`, for two steps with results of different types."""
    found: list[Any] = await gather_all([one, other])
    return found[0], found[1]
