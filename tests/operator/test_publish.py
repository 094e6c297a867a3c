"""What is written, in which order, and what happens while the API is away. The API itself: tests/kubernetes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.model.events import Event, EventKind, ReportedEvent
from reconciler.model.refs import Kind
from reconciler.operator import publish
from reconciler.operator.connection.api import API, APIError
from reconciler.operator.connection.objects import KubeObject
from reconciler.operator.event_queue import MOST_WAITING
from reconciler.operator.keys import ObjectKey
from reconciler.operator.publish import Publisher
from reconciler.operator.source import SiteObjects
from tests.operator.looks import NOON, kube_object, look, objects_of, site_of


class Server(API):
    """Keeps what is written. `answers`: a status for each of the next requests, 200 or an error; then all is taken."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.begun = 0
        self.asked: list[str] = []
        self.statuses: dict[str, Any] = {}
        self.version = 1
        self.refused: set[str] = set()

    async def apply(
        self, path: str, body: dict[str, Any], _manager: str = "vdvs", _force: bool = True
    ) -> dict[str, Any]:
        await self._asked_for(path)
        self.version += 1
        self.statuses[path.rsplit("/", 2)[1]] = body["status"]
        return {"metadata": {"resourceVersion": str(self.version)}}

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        await self._asked_for(path)
        return body

    async def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        await self._asked_for(path)
        return body

    async def _asked_for(self, path: str) -> None:
        self.begun += 1
        await asyncio.sleep(0)
        self.asked.append(path)
        status = self.answers.pop(0) if self.answers else 403 if path.rsplit("/", 2)[1] in self.refused else 200
        if status != 200:
            raise APIError(status, "Refused", "why")


def group(number: int) -> ObjectKey:
    return ObjectKey(Kind.VMGROUP, "default", f"g{number}")


def objects(number: int = 3) -> SiteObjects:
    return replace(objects_of(look(*site_of()).resolved), seen={group(n): kube_object(group(n)) for n in range(number)})


def status(ready: str) -> dict[str, Any]:
    return {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": ready}]}


def seen(**statuses: str) -> Callable[[ObjectKey], KubeObject]:
    """A mirror that never hears of what is written."""
    return lambda of: replace(kube_object(of), status=status(statuses[of.name]) if of.name in statuses else {})


def run(publisher: Publisher, work: Callable[[], Awaitable[None]] | None = None) -> None:
    """Write until nothing waits, and do `work` before."""

    async def together() -> None:
        running = asyncio.create_task(publisher.run())
        if work is not None:
            await work()
        while not publisher.idle and not running.done():
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(together(), 20))


def publisher(server: Server, mirrored: Callable[[ObjectKey], Any] = seen(), held: bool = True) -> Publisher:  # noqa: B008
    return Publisher(server, mirrored, lambda _site: held, lambda _worked: 0.0, "test")


def test_what_got_worse_is_written_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_AT_ONCE", 1)
    server = Server()
    one = publisher(server, seen(g0="False", g1="True", g2="True"))
    one.publish(objects(), {group(0): status("True"), group(1): status("True"), group(2): status("False")})
    run(one)
    assert [path.rsplit("/", 2)[1] for path in server.asked] == ["g2", "g0"]


def test_a_status_that_failed_is_retried_with_the_newest_one() -> None:
    server = Server(503, 0)
    one = publisher(server)
    one.publish(objects(), {group(0): status("True")})

    async def work() -> None:
        while server.answers:
            await asyncio.sleep(0)
        one.publish(objects(), {group(0): status("False")})

    run(one, work)
    assert server.statuses == {"g0": status("False")}
    assert len(server.asked) == 3


def test_what_was_sent_is_not_sent_again_though_the_mirror_is_late() -> None:
    server = Server()
    one = publisher(server)
    for _ in range(3):
        one.publish(objects(), {group(0): status("True")})
        run(one)
    assert len(server.asked) == 1
    assert one.known(group(0)) == status("True")


def test_what_was_sent_of_objects_that_come_and_go_is_forgotten() -> None:
    there: dict[ObjectKey, Any] = {}
    server = Server()
    one = publisher(server, there.get)

    def kept() -> int:
        gc.collect()
        return sum(isinstance(each, dict) and each.get("of") == "a run" for each in gc.get_objects())

    for number in range(20):
        there.clear()
        there[group(number)] = kube_object(group(number))
        one.publish(objects(20), {group(number): status("True") | {"of": "a run"}})
        run(one)
        server.statuses.clear()
    assert kept() <= 2


@pytest.mark.parametrize("answer", [404, 409, 422])
def test_nothing_is_retried_that_cannot_work(answer: int) -> None:
    server = Server(answer)
    one = publisher(server)
    one.publish(objects(), {group(0): status("True")})
    run(one)
    assert len(server.asked) == 1


def test_objects_that_are_refused_do_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_AT_ONCE", 2)
    server = Server()
    server.refused = {"g0", "g1"}
    one = publisher(server)
    one.publish(objects(6), {group(n): status("True") for n in range(6)})

    async def work() -> None:
        while len(server.statuses) < 4:
            await asyncio.sleep(0)
        server.refused.clear()

    run(one, work)
    assert len(server.statuses) == 6


def test_nothing_is_written_for_a_site_that_is_not_ours() -> None:
    server = Server()
    one = publisher(server, held=False)
    one.publish(objects(), {group(0): status("True")})
    run(one)
    assert server.asked == []


def test_events_of_a_server_that_is_away_do_not_pile_up() -> None:
    server = Server()
    one = publisher(server)
    for number in range(MOST_WAITING + 5):
        one.tell(group(0), "uid", ReportedEvent(NOON, Event(EventKind.BLOCKED, None, f"reason {number}")))
    assert one.lost == 5
    server.answers = [0, 503]
    run(one)
    assert len(server.asked) == MOST_WAITING + 2


def test_a_namespace_with_many_events_delays_and_loses_only_its_own() -> None:
    server = Server()
    one = publisher(server)
    loud, quiet = (ObjectKey(Kind.VMGROUP, namespace, "g") for namespace in ("loud", "quiet"))

    def tell(key: ObjectKey, number: int) -> None:
        one.tell(key, "uid", ReportedEvent(NOON, Event(EventKind.BLOCKED, None, f"reason {number}")))

    tell(quiet, 0)
    for number in range(MOST_WAITING + 5):
        tell(loud, number)
    tell(quiet, 1)
    assert one.lost == 7
    run(one)
    owners = [path.split("/")[5] for path in server.asked]
    assert owners[:5] == ["quiet", "loud", "quiet", "loud", "loud"]
    assert len(owners) == MOST_WAITING


def test_an_event_that_is_dropped_while_it_is_written_is_not_lost() -> None:
    server = Server()
    one = publisher(server)

    def tell(number: int) -> None:
        one.tell(group(0), "uid", ReportedEvent(NOON, Event(EventKind.BLOCKED, None, f"reason {number}")))

    for number in range(MOST_WAITING):
        tell(number)

    async def work() -> None:
        while not server.begun:
            await asyncio.sleep(0)
        tell(MOST_WAITING)
        assert one.lost == 1, "if it fails"

    run(one, work)
    assert (len(server.asked), one.lost) == (MOST_WAITING + 1, 0)
