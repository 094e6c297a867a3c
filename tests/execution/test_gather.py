"""Doing things side by side: nobody is left behind, whatever ends the others."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.execution.gather import gather_all


def test_the_results_come_in_order() -> None:
    async def after(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    async def run() -> list[float]:
        return await gather_all([after(0.02), after(0), after(0.01)])

    assert asyncio.run(run()) == [0.02, 0, 0.01]
    assert asyncio.run(gather_all([])) == []


@pytest.mark.parametrize("interrupted", [True, False], ids=["interrupted", "a mistake in one of them"])
def test_nobody_is_left_behind(interrupted: bool) -> None:
    finished: list[str] = []

    async def takes_its_time() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0.05)  # an agent finishes what it writes
            finished.append("slow")

    async def quick() -> None:
        if not interrupted:
            raise ZeroDivisionError
        await asyncio.sleep(600)

    async def run() -> None:
        task = asyncio.create_task(gather_all([quick(), takes_its_time()]))
        await asyncio.sleep(0.01)
        if interrupted:
            task.cancel()
        with pytest.raises(asyncio.CancelledError if interrupted else ZeroDivisionError):
            await task
        assert finished == ["slow"]

    asyncio.run(run())
