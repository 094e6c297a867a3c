"""A mirror beside a fake API that has every fault: it keeps what it knew, goes on, and is right in the end."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientTimeout, web

from reconciler.operator.connection import api as requests
from reconciler.operator.connection import mirror as mirrors
from reconciler.operator.connection.access import KubeConfig
from reconciler.operator.connection.api import API, APIError
from reconciler.operator.connection.mirror import Mirror
from tests.operator.fake_api import AT, FakeAPI, Fault, Here, cut, error, line, refused, said, silence

SOON = 20.0


class Scene:
    """A fake API, and a mirror of it that runs."""

    def __init__(self, fake: FakeAPI, api: API) -> None:
        self.fake = fake
        self.api = api
        self.seen: list[dict[str, Any]] = []
        self._told = asyncio.Event()
        self.mirror = Mirror(api, AT, self._changed, chance=lambda: 0.0)

    def _changed(self) -> None:
        assert self.mirror.synced.is_set()
        self.seen.append(self.shown())
        self._told.set()

    def shown(self) -> dict[str, Any]:
        assert all(namespace == "team-a" for namespace, _ in self.mirror.objects)
        return {name: item.spec for (_, name), item in self.mirror.objects.items()}

    async def until(self, **specs: Any) -> None:
        """Wait for the mirror to show exactly these."""
        async with asyncio.timeout(SOON):
            while self.shown() != specs or not self.mirror.synced.is_set():
                self._told.clear()
                await self._told.wait()

    async def trouble(self, part: str) -> str:
        """Wait for a trouble with this in it; return it. Empty: for the end of all trouble."""
        async with asyncio.timeout(SOON):
            while part not in self.mirror.trouble or (self.mirror.trouble and not part):
                await asyncio.sleep(0.001)
        return self.mirror.trouble

    @property
    def lists(self) -> int:
        """How often the list was begun."""
        return sum("watch" not in query and "continue" not in query for query in self.fake.asked)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "_FIRST", 0.002)
    monkeypatch.setattr(mirrors, "_LONGEST", 0.01)
    monkeypatch.setattr(mirrors, "_BRIEF", 0.001)


def play(play: Callable[[Scene], Awaitable[None]], prepare: Callable[[FakeAPI], object] = id) -> None:
    async def run() -> None:
        fake = FakeAPI()
        prepare(fake)
        async with fake.serving() as server:
            api = API(Here(server))
            scene = Scene(fake, api)
            running, playing = asyncio.create_task(scene.mirror.run()), asyncio.ensure_future(play(scene))
            try:
                await asyncio.wait([running, playing], return_when=asyncio.FIRST_COMPLETED)
                (running if running.done() else playing).result()
            finally:
                running.cancel()
                playing.cancel()
                await asyncio.gather(running, playing, return_exceptions=True)
                await api.close()

    asyncio.run(run())


def three(fake: FakeAPI) -> None:
    for name in ("a", "b", "c"):
        fake.put(name, spec=1)


def test_lists_page_by_page_and_shows_nothing_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "PAGE", 2)

    async def scenario(scene: Scene) -> None:
        await scene.until(a=1, b=1, c=1)
        assert scene.seen == [{"a": 1, "b": 1, "c": 1}]

    play(scenario, three)


def test_an_empty_list_is_a_site_without_objects() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until()
        assert scene.seen == [{}]

    play(scenario)


def test_follows_events_without_listing_again() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until(a=1, b=1, c=1)
        scene.fake.put("d", spec=4)
        scene.fake.put("a", spec=2)
        scene.fake.remove("b")
        await scene.until(a=2, c=1, d=4)
        assert scene.lists == 1

    play(scenario, three)


def test_a_status_is_in_the_object_and_causes_no_look() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until(a=1, b=1, c=1)
        before, looks = scene.mirror.objects["team-a", "a"], len(scene.seen)
        scene.fake.put("a", spec=1, status={"observedGeneration": 1})
        scene.fake.put("b", spec=2)
        await scene.until(a=1, b=2, c=1)
        after = scene.mirror.objects["team-a", "a"]
        assert after is before
        assert after.status == {"observedGeneration": 1}
        assert int(after.metadata.resource_version) + 1 == scene.fake.version
        assert len(scene.seen) == looks + 1

    play(scenario, three)


@pytest.mark.parametrize("own", [{"uuid": "u2", "site": "lab"}, {"uuid": "u1", "site": "prod"}, {}])
def test_another_vmgroup_in_a_status_causes_a_look(own: dict[str, str]) -> None:
    """The operator has made one, the status was lost, or whoever runs the site hands one over."""

    def prepare(fake: FakeAPI) -> None:
        fake.put("a", spec=1, status={"uuid": "u1", "site": "lab"})

    async def scenario(scene: Scene) -> None:
        await scene.until(a=1)
        looks = len(scene.seen)
        scene.fake.put("a", spec=1, status=own)
        async with asyncio.timeout(SOON):
            while len(scene.seen) == looks:
                scene._told.clear()
                await scene._told.wait()
        assert scene.mirror.objects["team-a", "a"].status == own

    play(scenario, prepare)


@pytest.mark.parametrize(("before", "after"), [("InSync", "NotAllowed"), ("NotAllowed", "InSync")])
def test_what_only_the_inventory_tells_to_be_not_allowed_causes_a_look(before: str, after: str) -> None:
    """What it claims is for others then, who may have been held for it."""

    def status(reason: str) -> dict[str, Any]:
        return {"site": "lab", "conditions": [{"type": "Ready", "status": "False", "reason": reason}]}

    async def scenario(scene: Scene) -> None:
        await scene.until(a=1)
        looks, kept = len(scene.seen), scene.mirror.objects["team-a", "a"]
        scene.fake.put("a", spec=1, status=status(after))
        async with asyncio.timeout(SOON):
            while len(scene.seen) == looks:
                scene._told.clear()
                await scene._told.wait()
        assert scene.mirror.objects["team-a", "a"] is not kept

    play(scenario, lambda fake: fake.put("a", spec=1, status=status(before)))


def test_watches_take_no_turn_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MOST_AT_ONCE", 1)

    async def scenario(scene: Scene) -> None:
        await scene.until(a=1, b=1, c=1)
        scene.fake.put("a", spec=2)
        await scene.until(a=2, b=1, c=1)  # it watches
        async with asyncio.timeout(SOON):
            assert [len(page.items or ()) async for page in scene.api.pages(AT)] == [3]

    play(scenario, three)


def test_what_is_nested_too_deeply_ends_there() -> None:
    def nested(levels: int, inner: str) -> Any:
        return [nested(levels - 1, inner)] if levels else inner

    async def scenario(scene: Scene) -> None:
        await scene.until(a={"vms": nested(31, "nested too deeply")}, b={"c": [{"d": 1}]})
        assert scene.mirror.objects["team-a", "a"].status == {"site": nested(31, "nested too deeply")}

    def prepare(fake: FakeAPI) -> None:
        fake.put("a", spec={"vms": nested(300, "deep")}, status={"site": nested(300, "deep")})
        fake.put("b", spec={"c": [{"d": 1}]})

    play(scenario, prepare)


def test_objects_that_did_not_change_stay_the_same_objects() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until(a=1, b=1, c=1)
        before = dict(scene.mirror.objects)
        scene.fake.put("b", spec=2)
        await scene.until(a=1, b=2, c=1)
        scene.fake.say(error(500))
        scene.fake.put("c", spec=3)
        await scene.until(a=1, b=2, c=3)
        assert scene.lists == 2
        assert scene.mirror.objects["team-a", "a"] is before["team-a", "a"]

    play(scenario, three)


LIST_FAULTS: dict[str, Fault] = {
    "too many requests": refused(429, Retry_After="0"),
    "unavailable": refused(503),
    "gone": refused(410),
    "internal error": refused(500),
    "forbidden": refused(403),
    "unknown": refused(404),
    "moved elsewhere": refused(302, Location="http://127.0.0.1:1/"),
    "cut at once": cut,
    "cut inside": said(b'{"kind": "VMGroupList", "metadata": {"resourceVersion": "9"}, "items": [', then=cut),
    "half of it, ended well": said(b'{"kind": "VMGroupList", "metadata": {"resourceVersion": "9"}, "items": ['),
    "nothing": said(b""),
    "null": said(b"null"),
    "an empty object": said(b"{}"),
    "no items": said(b'{"metadata": {"resourceVersion": "9"}}'),
    "no version": said(b'{"metadata": {}, "items": []}'),
    "an error page": said(b"<html>maintenance</html>"),
    "a number as items": said(b'{"metadata": {"resourceVersion": "9"}, "items": 1}'),
    "an object without a name": said(b'{"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {}}]}'),
    "an object that is none": said(b'{"metadata": {"resourceVersion": "9"}, "items": [{"metadata": [1]}]}'),
    "nested too deeply": said(b'{"metadata": {"resourceVersion": "9"}, "items": [{"a": ' + b"[" * 10**5),
    "not UTF-8": said(b'{"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": "\xff"}}]}'),
}


@pytest.mark.parametrize("fault", LIST_FAULTS.values(), ids=LIST_FAULTS.keys())
def test_no_fault_of_a_list_is_an_empty_site(fault: Fault) -> None:
    """At the start, and after a watch that failed: until a complete list has come, what was known stays."""

    async def scenario(scene: Scene) -> None:
        await scene.until(a=1, b=1, c=1)
        scene.fake.lists.append(fault)
        scene.fake.say(error(410))
        await scene.trouble("too old")
        scene.fake.put("d", spec=4)
        await scene.until(a=1, b=1, c=1, d=4)
        await scene.trouble("")
        assert scene.seen == [{"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 1, "c": 1, "d": 4}]

    def prepare(fake: FakeAPI) -> None:
        three(fake)
        fake.lists.append(fault)

    play(scenario, prepare)


WATCH_FAULTS: dict[str, Fault] = {
    "too many requests": refused(429),
    "unavailable": refused(503),
    "gone, as a status": refused(410),
    "gone, in the stream": said(line(error(410))),
    "forbidden": refused(403),
    "unknown": refused(404),
    "cut at once": cut,
    "cut in mid-line": said(b'{"type": "DELETED", "object": {"metadata": {"name": "a", "namesp', then=cut),
    "ended in mid-line": said(b'{"type": "DELETED", "object": {"metadata": {"name": "a", "namesp'),
    "ended at once": said(),
    "an error page": said(b"<html>\n</html>\n"),
    "null": said(b"null\n"),
    "an event without an object": said(b'{"type": "ADDED"}\n'),
    "an event without a version": said(b'{"type": "DELETED", "object": {"metadata": {"name": "a"}}}\n'),
    "an event without a name": said(b'{"type": "DELETED", "object": {"metadata": {"resourceVersion": "99"}}}\n'),
    "an error that is none": said(b'{"type": "ERROR", "object": {"code": "x"}}\n'),
    "nested too deeply": said(b'{"type": "ADDED", "object": {"a":' + b"[" * 10**5 + b"\n"),
}


@pytest.mark.parametrize("fault", WATCH_FAULTS.values(), ids=WATCH_FAULTS.keys())
def test_no_fault_of_a_watch_loses_an_event(fault: Fault) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until(a=1, b=1, c=1)
        scene.fake.watches.append(fault)
        scene.fake.hang_up()
        scene.fake.put("a", spec=2)
        scene.fake.remove("b")
        await scene.until(a=2, c=1)
        assert all(state.keys() & {"a", "c"} == {"a", "c"} for state in scene.seen)

    play(scenario, three)


def test_a_watch_that_was_cut_goes_on_where_it_was() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until(a=1, b=1, c=1)
        scene.fake.put("a", spec=2)
        await scene.until(a=2, b=1, c=1)
        scene.fake.hang_up()
        scene.fake.put("a", spec=3)
        await scene.until(a=3, b=1, c=1)
        assert scene.lists == 1

    play(scenario, three)


def test_a_bookmark_says_where_to_go_on() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until(a=1, b=1, c=1)
        scene.fake.bookmark()
        scene.fake.put("a", spec=2)
        await scene.until(a=2, b=1, c=1)
        scene.fake.compact()  # the list's own version is not known any more
        scene.fake.hang_up()
        scene.fake.put("a", spec=3)
        await scene.until(a=3, b=1, c=1)
        assert scene.lists == 1

    play(scenario, three)


def test_a_watch_that_ends_with_no_news_is_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    """As a real server does where nothing happens: not even a bookmark comes."""

    async def quiet(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.01)
        return web.Response()

    async def scenario(scene: Scene) -> None:
        await scene.until(a=1, b=1, c=1)
        while scene.fake.watches:
            await asyncio.sleep(0.001)
        scene.fake.put("a", spec=2)
        await scene.until(a=2, b=1, c=1)
        assert scene.lists == 1
        assert not caplog.records

    def prepare(fake: FakeAPI) -> None:
        three(fake)
        fake.watches.extend([quiet] * 3)

    play(scenario, prepare)


def test_a_silent_watch_is_given_up_and_the_list_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_WATCHING", ClientTimeout(total=0.1))

    async def scenario(scene: Scene) -> None:
        await scene.until(a=1, b=1, c=1)
        scene.fake.put("a", spec=2)  # which the silent one does not tell
        await scene.until(a=2, b=1, c=1)

    def prepare(fake: FakeAPI) -> None:
        three(fake)
        fake.watches.append(silence)

    play(scenario, prepare)


def test_a_token_of_a_list_that_expires_begins_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "PAGE", 2)

    async def scenario(scene: Scene) -> None:
        await scene.until(a=1, b=1, c=1)
        assert scene.seen == [{"a": 1, "b": 1, "c": 1}]
        assert scene.lists == 2

    def prepare(fake: FakeAPI) -> None:
        three(fake)
        fake.lists.extend([fake.answer_list, refused(410)])

    play(scenario, prepare)


def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "LARGEST", 3000)

    def prepare(fake: FakeAPI) -> None:
        for number in range(4):
            fake.put(f"large{number}", spec="x" * 2000)

    async def scenario(scene: Scene) -> None:
        await scene.until(**{f"large{number}": "x" * 2000 for number in range(4)})
        assert scene.fake.asked[-2]["limit"] == "1"

    play(scenario, prepare)


def test_what_is_wrong_for_all_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def run(scene: Scene) -> None:
        await scene.until()
        logged: set[str] = set()
        for words in ("away", "away", "late"):
            Mirror(scene.api, AT, lambda: None, logged=logged)._failed(APIError(0, "Away", words))

    play(run)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == ["away", "late"]


def test_an_object_that_is_too_large_is_trouble_and_nothing_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "LARGEST", 3000)

    async def scenario(scene: Scene) -> None:
        await scene.until(a=1, b=1, c=1)
        scene.fake.put("b", spec="x" * 100_000)
        await scene.trouble("with more than 3,000 bytes at once")
        assert scene.shown() == {"a": 1, "b": 1, "c": 1}
        scene.fake.put("b", spec=2)
        await scene.until(a=1, b=2, c=1)

    play(scenario, three)


def test_a_kind_that_is_not_defined_yet_is_not_empty() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.trouble(f"the Kubernetes API does not know {AT}: install the definitions")
        assert not scene.mirror.synced.is_set()
        await scene.until(a=1, b=1, c=1)
        scene.fake.lists.extend([refused(404)] * 10**4)
        scene.fake.say(error(410))
        await scene.trouble("does not know")
        assert not scene.mirror.synced.is_set()
        assert scene.shown() == {"a": 1, "b": 1, "c": 1}
        scene.fake.lists.clear()
        await scene.until(a=1, b=1, c=1)

    def prepare(fake: FakeAPI) -> None:
        three(fake)
        fake.lists.extend([refused(404)] * 3)

    play(scenario, prepare)


def test_trouble_says_what_and_since_when() -> None:
    async def scenario(scene: Scene) -> None:
        first = await scene.trouble(f"the Kubernetes API refuses GET {AT}: vmgroups is forbidden to you; grant it by")
        assert (await scene.trouble("down")).endswith(first[first.index(" (since 20") :])
        await scene.trouble("")
        await scene.until(a=1, b=1, c=1)

    def prepare(fake: FakeAPI) -> None:
        three(fake)
        fake.lists.extend([refused(403, "vmgroups is forbidden to you"), *[refused(500, "down")] * 20])

    play(scenario, prepare)


def test_waits_as_long_as_the_server_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    async def scenario(scene: Scene) -> None:
        monkeypatch.setattr(asyncio, "sleep", noted)
        await scene.until(a=1, b=1, c=1)
        monkeypatch.setattr(asyncio, "sleep", sleep)
        assert waits[:3] == [7.0, 60.0, pytest.approx(0.004, abs=0.004)]

    def prepare(fake: FakeAPI) -> None:
        three(fake)
        fake.lists.extend([refused(429, Retry_After=after) for after in ("7", "99999999", "soon")])

    play(scenario, prepare)


def test_what_a_server_says_is_one_line_of_bounded_length() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until()  # it watches, so the next answers are for us
        for message in ("a\nb\x1b[31m", "x" * 10**6):
            scene.fake.lists.append(refused(500, message))
            with pytest.raises(APIError) as raised:
                await scene.api.get(AT)
            assert str(raised.value).isprintable()
            assert len(str(raised.value)) < 1100
            assert (raised.value.status, raised.value.reason) == (500, "Because")

    play(scenario)


def test_all_else_goes_on_while_what_is_nested_too_deeply_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second for each change of an object as large as etcd takes: the leases would be lost."""
    flattened, began, other = requests._flattened, threading.Event(), threading.Event()

    def slow(text: bytes) -> bytes:
        began.set()
        assert other.wait(SOON), "nothing else has its turn"
        return flattened(text)

    async def scenario(scene: Scene) -> None:
        async with asyncio.timeout(SOON):
            while not began.is_set():
                await asyncio.sleep(0.001)
            other.set()
        await scene.until(a=1, b=1, c=1, deep=2)

    def prepare(fake: FakeAPI) -> None:
        three(fake)
        metadata = b'{"name": "deep", "namespace": "team-a", "resourceVersion": "9", "managedFields": '
        deep = metadata + b"[" * 3000 + b"]" * 3000 + b"}"
        fake.watches.append(said(b'{"type": "ADDED", "object": {"metadata": ' + deep + b', "spec": 2}}\n'))

    monkeypatch.setattr(requests, "_flattened", slow)
    play(scenario, prepare)


def test_a_redirection_is_not_followed() -> None:
    """It would take our token along."""

    async def scenario(scene: Scene) -> None:
        await scene.until()
        asked = len(scene.fake.asked)
        scene.fake.lists.append(refused(302, Location=f"{AT}?limit=1"))
        with pytest.raises(APIError) as raised:
            await scene.api.get(AT, limit=1)
        assert raised.value.status == 302
        assert [query for query in scene.fake.asked[asked:] if "watch" not in query] == [{"limit": "1"}]

    play(scenario)


def test_a_token_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    async def run() -> None:
        fake = FakeAPI()
        three(fake)
        shown: list[str | None] = []

        async def guarded(request: Any) -> Any:
            shown.append(request.headers.get("Authorization"))
            if shown[-1] == "Bearer new":
                return await fake.answer_list(request)
            (tmp_path / "token").write_text("new\n")
            return await refused(401)(request)

        fake.lists.extend([guarded, guarded])
        async with fake.serving() as server:
            (tmp_path / "token").write_text("old\n")
            (tmp_path / "config").write_text(yaml.safe_dump(kubeconfig(server, tokenFile="token")))
            api = API(KubeConfig([tmp_path / "config"]))
            try:
                assert [len(page.items or ()) async for page in api.pages(AT)] == [3]
                assert shown == ["Bearer old", "Bearer new"]
                fake.lists.extend([refused(401, "who are you?")] * 2)
                with pytest.raises(APIError, match=r"refuses GET .*: who are you\?"):
                    await api.get(AT)
                assert not fake.lists
            finally:
                await api.close()

    asyncio.run(run())


def kubeconfig(server: str, **user: Any) -> dict[str, Any]:
    return {
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }


@pytest.mark.parametrize("seed", range(5))
def test_is_right_in_the_end_whatever_happens(seed: int) -> None:
    """Edits and faults at random: no event is lost, and no state shown that never was, but for what changed at once."""
    draw = random.Random(seed)

    async def scenario(scene: Scene) -> None:
        fake = scene.fake
        for number in range(150):
            match draw.randrange(8):
                case 0:
                    fake.lists.append(draw.choice(list(LIST_FAULTS.values())))
                case 1:
                    fake.watches.append(draw.choice(list(WATCH_FAULTS.values())))
                case 2:
                    fake.hang_up()
                case 3:
                    fake.compact()
                case 4:
                    fake.bookmark()
                case 5 if len(fake.objects) > 1:
                    fake.remove(draw.choice(list(fake.objects)))
                case _:
                    fake.put(draw.choice("abcdef"), spec=number)
            await asyncio.sleep(draw.choice([0, 0, 0.002]))
        fake.put("last", spec=0)
        await scene.until(**{name: item["spec"] for name, item in fake.objects.items()})
        assert {} not in scene.seen

    play(scenario, three)
