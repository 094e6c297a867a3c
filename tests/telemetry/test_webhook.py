"""Delivery of events to a real HTTP server: in order, complete, and after it was unreachable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import pytest
from aiohttp import web

from reconciler.model.events import EventKind
from reconciler.model.kinds.site import Secret
from reconciler.telemetry import webhook
from reconciler.telemetry.webhook import Webhook
from tests.telemetry.passes import drift, told

SOON = 20.0


class Receiver:
    """Answers with these statuses, then with 204; remembers what it took."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.taken: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.asked = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.asked += 1
        status = self.statuses.pop(0) if self.statuses else 204
        self.headers.append(dict(request.headers))
        if status < 300:
            self.taken.append(await request.json())
        return web.Response(status=status)


def with_receiver(receiver: Receiver, use: Callable[[str], Awaitable[None]]) -> None:
    async def run() -> None:
        app = web.Application()
        app.router.add_post("/hook", receiver.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            await asyncio.wait_for(use(f"http://127.0.0.1:{runner.addresses[0][1]}/hook"), SOON)
        finally:
            await runner.cleanup()

    asyncio.run(run())


def caller(url: str, **more: Any) -> Webhook:
    numbers = count(1)
    return Webhook(url, "lab", lambda: f"id-{next(numbers)}", lambda worked: 0.0 if worked else 0.01, **more)


def delivered(receiver: Receiver, told_: int, taken: int) -> list[str]:
    """The ids of what the receiver took, of so many events, when it has taken so many."""

    async def use(url: str) -> None:
        hook = caller(url)
        async with hook.running():
            for minute in range(told_):
                hook.on_event(told(EventKind.DRIFTED, drift(), minute))
            # Until it knows, too: what is under way at the end is sent once more, as nobody knows that it came.
            await until(lambda: len(receiver.taken) == taken and not hook._waiting)

    with_receiver(receiver, use)
    return [event["id"] for event in receiver.taken]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def test_an_event_arrives_as_a_cloud_event() -> None:
    receiver = Receiver()

    async def use(url: str) -> None:
        hook = caller(url, token=Secret("s3cret"))
        async with hook.running():
            hook.on_event(told(EventKind.DRIFTED, drift(), 1))
            hook.on_event(told(EventKind.FAULT, minute=2))
            await until(lambda: len(receiver.taken) == 2)

    with_receiver(receiver, use)
    first, second, *again = receiver.taken
    assert all(event == second for event in again), "one whose answer is on the way at the end may be sent once more"
    assert {key: first[key] for key in ("specversion", "id", "source", "type", "time", "subject")} == {
        "specversion": "1.0",
        "id": "id-1",
        "source": "/vdvs/site/lab",
        "type": "io.vdvs.drifted",
        "time": "2026-11-23T12:01:00Z",
        "subject": "host/esxiz10",
    }
    assert first["data"]["change"]["fields"][0]["path"] == "service"
    assert second["type"] == "io.vdvs.pass-failed"
    assert "subject" not in second
    assert receiver.headers[0]["Content-Type"].startswith("application/cloudevents+json")
    assert receiver.headers[0]["Authorization"] == "Bearer s3cret"


def test_what_could_not_be_delivered_is_tried_again_in_order() -> None:
    receiver = Receiver(503, 429, 500)
    assert delivered(receiver, 5, 5) == [f"id-{number}" for number in range(1, 6)]
    assert receiver.asked == 8


def test_what_is_refused_for_good_does_not_stand_in_the_way() -> None:
    assert delivered(Receiver(400, 302), 3, 1) == ["id-3"]


def test_the_last_event_is_delivered_before_the_end() -> None:
    receiver = Receiver()

    async def use(url: str) -> None:
        hook = caller(url)
        async with hook.running():
            hook.on_event(told(EventKind.STOPPED))

    with_receiver(receiver, use)
    assert [event["type"] for event in receiver.taken] == ["io.vdvs.stopped"]


def test_a_receiver_that_is_away_costs_a_bounded_amount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "MOST_WAITING", 10)

    async def use() -> None:
        hook = caller("http://127.0.0.1:9/")
        async with hook.running():
            for minute in range(25):
                hook.on_event(told(EventKind.DRIFTED, drift(), minute))
            await asyncio.sleep(0)
        assert len(hook._waiting) == 10
        assert hook.lost == 15

    asyncio.run(asyncio.wait_for(use(), SOON))
