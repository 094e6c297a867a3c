"""What is written, in which order, and what happens while the API is away. The API itself: tests/kubernetes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Hashable
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.controller.backoff import Backoff
from reconciler.controller.mode import Mode
from reconciler.model.events import Event, EventKind, ReportedEvent
from reconciler.model.refs import Kind
from reconciler.operator import publish
from reconciler.operator.connection.api import API, APIError
from reconciler.operator.connection.objects import KubeObject, Metadata
from reconciler.operator.event_queue import MOST_WAITING
from reconciler.operator.keys import ObjectKey
from reconciler.operator.publish import Publisher, SitePublisher
from reconciler.operator.source import SiteObjects
from reconciler.operator.status import Terms
from tests.operator.looks import NOON, kube_object, look, objects_of, outcome_of, site_of

AT_ONCE, NEVER_AGAIN = Backoff(lambda: 1.0, 0.0), Backoff(lambda: 1.0, 3600.0, 3600.0)


class Recording(Backoff):
    """Keeps what it says."""

    def __init__(self, first: float = 1.0) -> None:
        super().__init__(lambda: 1.0, first, 3600.0)
        self.waits: list[float] = []

    def failed(self, key: Hashable) -> float:
        self.waits.append(super().failed(key))
        return self.waits[-1]


class Server(API):
    """Keeps what is written. `answers`: a status for each of the next requests, 200 or an error; then all is taken."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.begun = 0
        self.asked: list[str] = []
        self.statuses: dict[str, Any] = {}
        self.version = 1
        self.refused: set[str] = set()
        self.too_large: set[str] = set()
        self.wait = 0.0  # seconds that it asks for where it refuses

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
        name = path.rsplit("/", 2)[1]
        usual = 403 if name in self.refused else 500 if name in self.too_large else 200
        status = self.answers.pop(0) if self.answers else usual
        if status != 200:
            raise APIError(status, "Refused", "why", self.wait)


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
    return Publisher(server, mirrored, lambda _site: held, AT_ONCE, "test")


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


def test_a_status_that_a_restored_etcd_does_not_have_is_written_again() -> None:
    """Versions begin again at those of the backup, and say nothing of what was written before."""
    server, now = Server(), [0.0]
    server.version = 1_000_000
    one = Publisher(server, seen(g0="False"), lambda _site: True, NEVER_AGAIN, "test", lambda: now[0])

    async def both() -> None:
        running = asyncio.create_task(one.run())
        for _ in range(2):
            one.publish(objects(), {group(0): status("True")})
            while not one.idle:
                await asyncio.sleep(0)
            now[0] += 24 * 3600
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(both(), 20))
    assert len(server.asked) == 2


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


def test_an_object_that_has_no_room_for_a_status_delays_nobody_s() -> None:
    """Whoever may create objects can make one as large as etcd takes: each write to it is an error of the server."""
    server = Server()
    server.too_large = {f"g{number}" for number in range(40)}
    one = Publisher(server, seen(), lambda _site: True, NEVER_AGAIN, "test")

    async def written(number: int) -> None:
        while f"g{number}" not in server.statuses:
            await asyncio.sleep(0)

    async def together() -> None:
        running = asyncio.create_task(one.run())
        one.publish(objects(41), {group(number): status("True") for number in range(41)})
        await written(40)
        while len(server.asked) < 41:
            await asyncio.sleep(0)
        one.publish(objects(42), {group(41): status("True")})
        await written(41)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(together(), 20))


def test_an_object_that_is_refused_for_long_makes_nobody_wait_longer_for_a_server_that_is_away_for_a_moment() -> None:
    server, backoff = Server(), Recording()
    server.too_large, waits = {"g0"}, backoff.waits
    one = Publisher(server, seen(), lambda _site: True, backoff, "test")

    async def together() -> None:
        running = asyncio.create_task(one.run())
        for number in range(9):
            one.publish(objects(), {group(0): status(str(number))})
            while len(waits) <= number:
                await asyncio.sleep(0)
        server.answers = [503]
        one.publish(objects(), {group(1): status("True")})
        while len(waits) <= 9:
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(together(), 20))
    assert waits[8] > 200
    assert waits[9] == 1


def test_a_namespace_whose_events_are_refused_delays_nobody_s() -> None:
    server = Server()
    server.too_large = {"refused"}
    one = Publisher(server, seen(), lambda _site: True, NEVER_AGAIN, "test")

    def tell(namespace: str) -> None:
        key = ObjectKey(Kind.VMGROUP, namespace, "g")
        one.tell(key, "uid", ReportedEvent(NOON, Event(EventKind.BLOCKED, None, "reason")))

    async def asked(*last: str) -> None:
        while [path.split("/")[5] for path in server.asked[-len(last) :]] != [*last]:
            await asyncio.sleep(0)

    async def together() -> None:
        running = asyncio.create_task(one.run())
        tell("refused")
        tell("first")
        await asked("refused", "first", "refused")
        tell("second")
        await asked("second")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(together(), 20))


@pytest.mark.parametrize(
    ("answer", "ours", "its"),
    [(0, 3600.0, 0.0), (429, 0.0, 3600.0), (502, 3600.0, 0.0), (503, 1.0, 3600.0), (504, 3600.0, 1.0)],
)
def test_a_server_that_is_away_is_asked_for_few_at_a_time(
    answer: int, ours: float, its: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not before it asks for it."""
    monkeypatch.setattr(publish, "_AT_ONCE", 2)
    server = Server(*([answer] * 100))
    server.wait = its
    backoff = Recording(ours)
    one = Publisher(server, seen(), lambda _site: True, backoff, "test")

    async def together() -> None:
        running = asyncio.create_task(one.run())
        one.publish(objects(6), {group(number): status("True") for number in range(6)})
        while not backoff.waits:
            await asyncio.sleep(0)
        one.publish(objects(6), {group(number): status("False") for number in range(6)})
        for _ in range(10):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(together(), 20))
    assert (len(server.asked), backoff.waits) == (2, [ours])


@pytest.mark.parametrize("answer", [{}, {"metadata": None}, {"metadata": {"resourceVersion": "9" * 5000}}])
def test_an_answer_that_is_no_object_ends_nothing(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]) -> None:
    server = Server()
    one = publisher(server, lambda of: KubeObject(Metadata(of.name, of.namespace, f"uid-{of.name}", "?")))
    for ready in ("True", "False"):
        with monkeypatch.context() as odd:
            odd.setattr(server, "apply", answering(server, answer))
            one.publish(objects(), {group(0): status(ready)})
            run(one)
    one.publish(objects(), {group(1): status("True")})
    run(one)
    assert server.statuses == {"g0": status("False"), "g1": status("True")}


def answering(server: Server, answer: dict[str, Any]) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Writes a status, and says something else."""
    taken = server.apply

    async def apply(path: str, body: dict[str, Any]) -> dict[str, Any]:
        await taken(path, body)
        return answer

    return apply


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


def test_a_namespace_cannot_fill_etcd_with_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever edits a manifest again and again makes an event of each edit, which the server keeps for an hour."""
    monkeypatch.setattr(publish, "_MOST_AN_HOUR", 5)
    server, now = Server(), [0.0]
    one = Publisher(server, seen(), lambda _site: True, AT_ONCE, "test", lambda: now[0])

    async def made(namespace: str, *texts: str) -> int:
        before = len(server.asked)
        for text in texts:
            key = ObjectKey(Kind.VMGROUP, namespace, "g")
            one.tell(key, "uid", ReportedEvent(NOON, Event(EventKind.BLOCKED, None, text)))
        while not one.idle:
            await asyncio.sleep(0)
        return len(server.asked) - before

    async def told() -> None:
        running = asyncio.create_task(one.run())
        assert await made("loud", *(f"edit {number}" for number in range(20))) == 5
        assert await made("quiet", "one") == 1
        assert await made("loud", "edit 0") == 1, "one that is there is counted"
        assert await made("loud", "another") == 0
        assert one.lost == 16
        now[0] += 3600
        assert await made("loud", "another") == 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(told(), 20))


def test_an_event_that_is_refused_again_and_again_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_MOST_AN_HOUR", 2)
    server = Server(*[500] * 9)
    one = publisher(server)
    one.tell(group(0), "uid", ReportedEvent(NOON, Event(EventKind.BLOCKED, None, "reason")))
    run(one)
    assert (len(server.asked), one.lost) == (10, 0)


@pytest.mark.parametrize("hours", [-24, 24])
def test_statuses_are_compared_again_after_the_clock_was_put_right(hours: int) -> None:
    found, times = look(*site_of()), [NOON, NOON + timedelta(hours=hours)]
    server, there = Server(), objects_of(found.resolved)

    class Clock:
        def now(self) -> datetime:
            return times.pop(0)

    async def passes() -> None:
        one = publisher(server)
        site = SitePublisher(one, lambda: there, lambda: Terms(Mode()), Clock())
        for _ in range(2):
            one._sent.clear()  # somebody has written all statuses since
            await site.publish(outcome_of(found, Mode()), "", there, Terms(Mode()))
            assert not one.idle
            one._statuses.clear()

    asyncio.run(passes())
