"""Several things side by side, awaited to the very end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_Value = TypeVar("_Value")


_One = TypeVar("_One")


_Other = TypeVar("_Other")


async def gather_all(steps: Iterable[Coroutine[Any, Any, _Value]]) -> list[_Value]:
    """Their results, in order. When it is interrupted, it ends only when each of them has: `asyncio.gather` would go on
    after the first, and the agents of the others would be ended while they write."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(step) for step in steps]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def gather_both(one: Coroutine[Any, Any, _One], other: Coroutine[Any, Any, _Other]) -> tuple[_One, _Other]:
    """Like `together`, for two of different kinds."""
    found: list[Any] = await gather_all([one, other])
    return found[0], found[1]
