"""Several things side by side, awaited to the very end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_Value = TypeVar("_Value")


async def together(steps: Iterable[Coroutine[Any, Any, _Value]]) -> list[_Value]:
    """Their results, in order. When it is interrupted, it ends only when each of them has: `asyncio.gather` would go on
    after the first, and the agents of the others would be ended while they write."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(step) for step in steps]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
