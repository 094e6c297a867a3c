"""What the client makes of an agent that answers nonsense: a fact of that host, never a crash of the pass."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.agent import local_sh, verbs
from reconciler.agent.host import actions, facts
from reconciler.hosts import client, conversation
from reconciler.hosts.client import AgentClient, AgentPool
from reconciler.model.base import Risk
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.kinds.configdb import DBState, MoveDB
from reconciler.model.kinds.host import LinkDB, StartService
from reconciler.model.kinds.storagepolicy import ObservedStoragePolicies, StoragePolicyFile, WriteStoragePolicy
from reconciler.model.kinds.vmgroup import AddMember, Member
from reconciler.model.kinds.volume import Attached, ObservedVolumes
from reconciler.model.plan import DBPlan, MovePlan
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import DockvolsEntry, EntryKind, VolumeFile
from reconciler.ports import Question, WatchRequest

HELLO = {"hello": {"protocol": 1, "python": "3.8", "sqlite": "3.40"}}
HOST = ObjectRef(Kind.HOST, "esx1")
GROUP = ObjectRef(Kind.VMGROUP, "G1")
PLAN = DBPlan(
    ref=ObjectRef(Kind.CONFIG_DB, "shared"),
    path="/vmfs/volumes/v/dockvols/vmdkops_config.db",
    writer="esx1",
    fingerprint="f",
    create=False,
    with_default=False,
    recover=False,
    backups_to_keep=3,
    groups=tuple((AddMember(GROUP, Risk.SAFE, "g", Member(vm, None)),) for vm in ("vm1", "vm2")),
    clear_links=(),
    make_links=(),
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = WriteStoragePolicy(ObjectRef(Kind.STORAGE_POLICY, "gold"), Risk.SAFE, "/vmfs/volumes/v", "gold", "()", None)
MOVE = MovePlan(PLAN.ref, "esx1", MoveDB(PLAN.ref, Risk.SAFE, "/new", "absent", "/old", "", "f", copies=True))
SEEN: dict[str, Any] = {
    "db_mode": "NotConfigured",
    "db_reason": "",
    "link": None,
    "link_path": None,
    "local_sh": {
        "form": "missing",
        "datastore": None,
        "saved": True,
        "runs": False,
        "why": "",
        "hindrance": "",
    },
    "driver": None,
    "driver_error": None,
    "service": "running",
    "secure_boot": None,
    "settings": {},
    "volumes": {},
    "can_write": True,
    "journal": False,
}
DB: dict[str, Any] = {"state": "present", "reason": "", "message": "", "fingerprint": "f1", "tenants": []}
DATASTORE: dict[str, Any] = {
    "error": None,
    "entries": {"MYVMGROUP": ["link", "/vmfs/volumes/v/dockvols/id1", 0]},
    "volumes": {"id1": [["web", None]]},
    "missing": False,
    "files": [
        {
            "kind": "StoragePolicy",
            "error": None,
            "looked": None,
            "files": {"gold": ["text", ""]},
            "users": {},
            "unread": None,
        },
        {
            "kind": "Volume",
            "error": None,
            "looked": ["web"],
            "found": {
                "id1": {
                    "web": {
                        "state": "read",
                        "why": "",
                        "digest": "d",
                        "access": None,
                        "attached": ["42", None],
                    }
                }
            },
        },
    ],
}
ASKED = Question(("/db", "/good"), ("/ds",))
REPORT: dict[str, Any] = {"host": SEEN, "kept_driver": None, "config_dbs": {}, "datastores": {}}


class Scripted:
    """A channel whose agent says hello, and one of these lines to each question; an answer without an id gets that of
    the question. An event is said unasked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = [HELLO, *answers]
        self.asked: list[Any] = []
        self.closed = False
        self._questions = asyncio.Semaphore(1)  # the greeting needs none

    async def send(self, line: bytes) -> None:
        self.asked.append(json.loads(line))
        self._questions.release()

    async def receive(self) -> bytes:
        if not (self.answers and isinstance(self.answers[0], dict) and "event" in self.answers[0]):
            await self._questions.acquire()
        answer = self.answers.pop(0)
        if isinstance(answer, HostUnreachableError):
            raise answer
        if isinstance(answer, bytes):
            return answer
        if isinstance(answer, dict) and "hello" not in answer:
            answer = {"id": self.asked[-1]["id"], **answer}
        return json.dumps(answer).encode() + b"\n"

    async def close(self) -> None:
        self.closed = True


def with_agent(channel: Scripted, use: Callable[[AgentClient], Awaitable[Any]]) -> Any:
    async def connect() -> Scripted:
        return channel

    async def run() -> Any:
        agent = AgentClient("esx1", connect)
        try:
            return await use(agent)
        finally:
            await agent.close()

    return asyncio.run(run())


def changed(whole: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**whole, **fields}


def without(whole: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in whole.items() if name != field}


def on_datastore(**fields: Any) -> dict[str, Any]:
    """An answer with a datastore that differs in these fields."""
    return {"result": changed(REPORT, datastores={"/ds": changed(DATASTORE, **fields)})}


POLICIES, VOLUMES = DATASTORE["files"]


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({}, "missing required field `result`"),
        ({"result": None}, "Expected `object`, got `null`"),
        ({"result": {}}, "missing required field `host`"),
        ({"result": []}, "Expected `object`, got `array`"),
        ({"result": changed(REPORT, weather="fine")}, "unknown field `weather`"),
        (
            {"result": changed(REPORT, host=changed(SEEN, db_mode="Sideways"))},
            r"'Sideways' - at `\$.host.db_mode`",
        ),
        (
            {"result": changed(REPORT, host=changed(SEEN, journal=1))},
            r"Expected `bool`, got `int` - at `\$.host.journal`",
        ),
        ({"result": changed(REPORT, host=changed(SEEN, local_sh=None))}, r"at `\$.host.local_sh`"),
        ({"result": changed(REPORT, host=changed(SEEN, beard=True))}, r"unknown field `beard` - at `\$.host`"),
        ({"result": changed(REPORT, host=without(SEEN, "journal"))}, "missing required field `journal`"),
        ({"result": changed(REPORT, kept_driver=["x" * 2000, "1.0"])}, r"to keep - at `\$.kept_driver`"),
        ({"result": changed(REPORT, config_dbs=[DB])}, r"at `\$.config_dbs`"),
        (
            {"result": changed(REPORT, config_dbs={"/of/others": DB})},
            "tells of '/of/others', which it was not asked for",
        ),
        ({"result": changed(REPORT, datastores={"/of/others": DATASTORE})}, "tells of '/of/others'"),
        ({"result": changed(REPORT, host=changed(SEEN, name="esx2"))}, "unknown field `name`"),
        ({"result": changed(REPORT, host=changed(SEEN, link="x" * 100_000))}, "length <= 65536"),
        ({"result": changed(REPORT, config_dbs={"/db": changed(DB, unchanged=True)})}, "rows of /db are left out"),
        (on_datastore(entries={"x": ["door", None, 0]}), r"'door' - at `\$.datastores\[...\].entries"),
        (on_datastore(entries={"x": ["link", None]}), "at least length 3"),
        (on_datastore(entries={"x": ["link", None, 0, 0]}), "at most length 3"),
        (on_datastore(volumes={"id1": [["web", "big"]]}), "Expected `int | null`, got `str`"),
        (on_datastore(volumes={"id1": [["web", 2**63]]}), "at `"),
        (on_datastore(files=[POLICIES]), "of each kind once"),
        (on_datastore(files=[POLICIES, VOLUMES, VOLUMES]), "of each kind once"),
        (on_datastore(files=[POLICIES, changed(VOLUMES, kind="Firewall")]), "Invalid value 'Firewall'"),
        (on_datastore(files=[changed(POLICIES, files={"gold": "text"}), VOLUMES]), r"\.files\[0\].files\[...\]`"),
        (on_datastore(files=[POLICIES, changed(VOLUMES, looked="web")]), r"\.files\[1\].looked`"),
        ({"error": "no"}, "Expected `object | null`"),
        ({"error": {}}, "missing required field `reason`"),
        ({"id": 77, "result": REPORT}, "another question"),
        ({"id": "1", "result": REPORT}, r"at `\$.id`"),
        ([], "Expected `object`, got `array`"),
        (b"[" * 100_000 + b"\n", "Expected `object`"),
        (b'{"id": 1, "result": ' + b"[" * 100_000 + b"\n", "not JSON"),
        (b'{"id": 1, "result": {"host": NaN}}\n', "not JSON"),
        (b"\xff\n", "not JSON"),
        (b"x" * (conversation.REPLY_LIMIT + 1), "too long"),
        (b'{"id":1,"result":[' + b"{}," * conversation.MOST_VALUES + b"{}]}\n", "too many values"),
    ],
    ids=lambda answer: str(answer)[:60],
)
def test_nonsense_in_answer_to_observe(answer: Any, complaint: str) -> None:
    channel = Scripted(answer)
    with pytest.raises(HostUnreachableError, match=f"esx1.*{complaint}"):
        with_agent(channel, lambda agent: agent.observe(ASKED))
    assert channel.closed


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"state": "gone"}, r"'gone' - at `\$.state`"),
        ({"tenants": [["too", "short"]]}, r"at `\$.tenants\[0\]`"),
        ({"tenants": [[None, "one", "", ""]]}, r"Expected `str`, got `null` - at `\$.tenants\[0\]\[0\]`"),
        ({"vms": [["vm", "id1"]]}, r"at `\$.vms\[0\]`"),
        ({"privileges": [["id1", "url", 1.5, 0, 0]]}, r"at `\$.privileges\[0\]\[2\]`"),
        ({"objects": [["vmgroup/G1"]]}, "length 9"),
        ({"copied_from": ["/db"]}, r"at `\$.copied_from`"),
        ({"colour": "red"}, "unknown field `colour`"),
        ({"path": "/other"}, "unknown field `path`"),
        ({"read_from": "esx2"}, "unknown field `read_from`"),
        ({"unchanged": "f1"}, "Expected `bool`"),
        ({"privileges": [["id1", "url", 1, 0, 10**30]]}, r"at `\$.privileges\[0\]\[4\]`"),
    ],
    ids=lambda fields: str(fields)[:60],
)
def test_nonsense_in_a_config_db_makes_that_unknown_and_nothing_else(fields: dict[str, Any], complaint: str) -> None:
    channel = Scripted({"result": changed(REPORT, config_dbs={"/db": changed(DB, **fields), "/good": DB})})
    report = with_agent(channel, lambda agent: agent.observe(ASKED))
    found = report.config_dbs["/db"]
    assert (found.state, found.reason, found.read_from) == (DBState.UNKNOWN, "ReadError", "esx1")
    assert re.search(complaint, found.message)
    assert report.config_dbs["/good"].state is DBState.PRESENT


def test_all_of_a_datastore_is_read() -> None:
    report = with_agent(Scripted(on_datastore()), lambda agent: agent.observe(ASKED))
    found = report.datastores["/ds"]
    assert (found.url, found.read_from) == ("/ds", "esx1")
    assert found.entries == {"MYVMGROUP": DockvolsEntry(EntryKind.LINK, "/vmfs/volumes/v/dockvols/id1", 0)}
    assert found.volumes == {"id1": (VolumeFile("web", None),)}
    assert found.files_of(ObservedStoragePolicies).files == {"gold": StoragePolicyFile("text")}
    volumes = found.files_of(ObservedVolumes)
    assert volumes.looked == {"web"}
    assert volumes.found["id1"]["web"].attached == Attached("42", None)


@pytest.mark.parametrize(
    ("ask", "result"),
    [
        (lambda agent: agent.backups("/db"), {"backups": [["name"]]}),
        (lambda agent: agent.backups("/db"), {"backups": [["name", "1 MB"]]}),
        (lambda agent: agent.read_backup("/db", "name"), {"config_db": None}),
        (lambda agent: agent.watch(WatchRequest(), print), {"event": []}),
        (lambda agent: agent.copy_db(MOVE, NOW), {}),
        (lambda agent: agent.copy_db(MOVE, NOW), {"fingerprint": None}),
        (lambda agent: agent.retire_db(MOVE, NOW), {}),
        (lambda agent: agent.retire_db(MOVE, NOW), {"kept": 7}),
        (lambda agent: agent.apply_files([POLICY]), {"results": []}),
        (lambda agent: agent.apply_files([POLICY]), {"results": [{"ok": "yes"}]}),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
def test_nonsense_in_any_other_answer(ask: Callable[[AgentClient], Awaitable[Any]], result: Any) -> None:
    channel = Scripted({"result": result})
    with pytest.raises(HostUnreachableError, match="esx1: the agent's answer is not what its protocol says"):
        with_agent(channel, ask)
    assert channel.closed


@pytest.mark.parametrize("greeting", [[], {"hello": []}, {"hello": None}, {"hello": {"protocol": 2}}, b"Welcome\n"])
def test_nonsense_instead_of_a_greeting(greeting: Any) -> None:
    channel = Scripted()
    channel.answers = [greeting]
    with pytest.raises(HostUnreachableError, match="esx1"):
        with_agent(channel, lambda agent: agent.observe(Question()))
    assert channel.closed


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        {"groups": [], "backup": None, "fingerprint": "g"},
        {"groups": [{}, {}], "backup": None, "fingerprint": "g"},
        {"groups": 2},
    ],
)
def test_nonsense_in_answer_to_a_transaction(result: Any) -> None:
    with pytest.raises(HostUnreachableError, match="esx1"):
        with_agent(Scripted({"result": result}), lambda agent: agent.apply_db(PLAN, NOW))


@pytest.mark.parametrize("results", [None, [], [{}], [{"ok": True}, {"ok": True}], 7])
def test_nonsense_in_answer_to_host_actions(results: Any) -> None:
    actions = [StartService(HOST, Risk.SAFE)]
    with pytest.raises(HostUnreachableError, match="esx1"):
        with_agent(Scripted({"result": {"results": results}}), lambda agent: agent.apply_host(actions))


def test_an_object_in_two_groups_fails_if_one_of_them_does() -> None:
    groups = [{"ok": False, "reason": "Precondition", "message": "no"}, {"ok": True}]
    channel = Scripted({"result": {"groups": groups, "backup": None, "fingerprint": "g"}})
    done = with_agent(channel, lambda agent: agent.apply_db(PLAN, NOW))
    assert [(result.ref, result.ok, result.reason) for result in done.results] == [(GROUP, False, "Precondition")]


def test_a_refusal_leaves_the_agent_running() -> None:
    channel = Scripted({"error": {"reason": "Locked", "message": "busy"}}, {"result": REPORT})

    async def use(agent: AgentClient) -> None:
        with pytest.raises(AgentRefusedError):
            await agent.observe(Question())
        await agent.observe(Question())
        assert not channel.closed

    with_agent(channel, use)


def test_rows_that_were_left_out_are_those_of_the_fingerprint_that_was_sent() -> None:
    """Two looks at once: the second answer may refer to what the first question knew."""
    rows = {"one": [["id1", "one", "", ""]], "two": [["id2", "two", "", ""]]}
    answers = [
        {"result": changed(REPORT, config_dbs={"/db": changed(DB, fingerprint=name, tenants=rows[name])})}
        for name in ("one", "two")
    ]
    unchanged = {"result": changed(REPORT, config_dbs={"/db": changed(DB, fingerprint="one", unchanged=True)})}
    channel = Scripted(answers[0], answers[1], unchanged)

    async def use(agent: AgentClient) -> Any:
        question = Question(("/db",))
        await agent.observe(question)
        return await asyncio.gather(agent.observe(question), agent.observe(question))

    _, report = with_agent(channel, use)
    assert channel.asked[2]["config_dbs"] == [{"path": "/db", "fingerprint": "one"}]
    assert [row.name for row in report.config_dbs["/db"].tenants] == ["one"]


def test_the_client_is_more_patient_than_the_agent() -> None:
    """Else a program of ESXi that hangs would cost the whole host, and an agent would be ended while it writes."""
    looking = verbs.DEADLINE + 3 * facts.QUESTION_SECONDS  # driver, service, Secure Boot
    installing = actions.INSTALL_SECONDS + facts.QUESTION_SECONDS
    starting = actions.SERVICE_SECONDS + 2 * facts.QUESTION_SECONDS
    assert looking < client._OBSERVE_TIMEOUT
    assert installing + starting + local_sh.AUTO_BACKUP_SECONDS < client._APPLY_HOST_TIMEOUT


def test_all_that_is_sent_is_json_of_the_protocol() -> None:
    channel = Scripted({"result": {"results": [{"ok": True}]}})
    with_agent(channel, lambda agent: agent.apply_host([LinkDB(HOST, Risk.SAFE, "/db", None)]))
    assert channel.asked == [
        {"id": 1, "do": "apply_host", "actions": [{"action": "LinkDB", "path": "/db", "before": None}]}
    ]


def test_what_was_asked_ahead_is_not_asked_again_and_only_once_answered_by_that() -> None:
    channel = Scripted(*[{"result": REPORT}] * 2)

    async def use(agent: AgentClient) -> None:
        agent.connect(Question())
        agent.connect(Question(linked=True))  # it is connecting already
        await agent.observe(Question())
        await agent.observe(Question())

    with_agent(channel, use)
    assert [asked["linked"] for asked in channel.asked] == [None, None]


def test_another_question_than_the_one_asked_ahead_is_asked_after_it() -> None:
    channel = Scripted(*[{"result": REPORT}] * 2)

    async def use(agent: AgentClient) -> None:
        agent.connect(Question(linked=True))
        await agent.observe(Question())

    with_agent(channel, use)
    assert [asked["linked"] for asked in channel.asked] == [{}, None]


def test_what_went_wrong_ahead_is_told_when_it_is_asked() -> None:
    async def use(agent: AgentClient) -> None:
        agent.connect(Question())
        await asyncio.sleep(0)
        with pytest.raises(HostUnreachableError, match="esx1"):
            await agent.observe(Question())

    with_agent(Scripted(b"no JSON\n"), use)


@pytest.mark.parametrize("steps", range(6))
def test_closing_while_it_is_asked_ahead_leaves_nothing(steps: int) -> None:
    channel = Scripted({"result": REPORT})

    async def use(agent: AgentClient) -> None:
        agent.connect(Question())
        for _ in range(steps):
            await asyncio.sleep(0)
        await agent.close()

    with_agent(channel, use)
    assert channel.closed or not channel.asked


def watching(channel: Scripted, until: int) -> int:
    """How often a watched agent made itself heard, when it has done so `until` times."""
    heard = 0

    async def watch(agent: AgentClient) -> int:
        enough = asyncio.Event()

        def noticed() -> None:
            nonlocal heard
            heard += 1
            if heard >= until:
                enough.set()

        assert await agent.watch(WatchRequest(), noticed)
        await asyncio.wait_for(enough.wait(), 10)
        return heard

    return int(with_agent(channel, watch))


def test_what_an_agent_says_unasked_is_heard() -> None:
    assert watching(Scripted({"result": {}}, {"event": ["link"]}, {"event": ["service"]}), 2) == 2


def test_an_event_before_a_reply_is_no_reply() -> None:
    channel = Scripted({"result": {}}, {"event": ["link"]}, {"result": REPORT})

    async def use(agent: AgentClient) -> Any:
        await agent.watch(WatchRequest(), lambda: None)
        return await agent.observe(Question())

    assert with_agent(channel, use).host.name == "esx1"


@pytest.mark.parametrize(
    ("trouble", "complaint"),
    [
        (HostUnreachableError("esx1: cut"), ""),
        ({"result": REPORT}, "answered though nothing was asked"),
        ([], "not what its protocol says"),
        (b"?\n", "not JSON"),
        (b"x" * (conversation.EVENT_LIMIT + 1), "too long"),
        ({"event": ["/db/of/others"]}, "a change of '/db/of/others', unasked"),
        ((b'{"event":["link"]}\n') * 1000, "more events than it can have seen"),
    ],
    ids=["cut", "unasked", "list", "noise", "no end", "others", "flood"],
)
def test_a_connection_that_breaks_while_nobody_asks_is_heard_and_made_again(trouble: Any, complaint: str) -> None:
    """But an agent that broke the protocol is not the network: the next request tells what it did."""
    first = Scripted({"result": {}}, trouble)
    channels = [first, Scripted({"result": REPORT})]

    async def connect() -> Scripted:
        return channels.pop(0)

    async def run() -> None:
        agent = AgentClient("esx1", connect)
        heard = asyncio.Event()
        assert await agent.watch(WatchRequest(), heard.set)
        first._questions.release()
        await asyncio.wait_for(heard.wait(), 10)
        if complaint:
            with pytest.raises(HostUnreachableError, match=complaint):
                await asyncio.wait_for(until_told(agent), 10)
        report = await agent.observe(Question())
        assert report.host.name == "esx1"
        assert first.closed
        await agent.close()

    asyncio.run(run())


async def until_told(agent: AgentClient) -> None:
    """Ask until an answer fails: of a flood, the first events are heard like any."""
    while True:
        await agent.observe(Question())


@pytest.mark.parametrize("error", [ValueError("?"), KeyError("x"), RuntimeError("a library"), AssertionError()])
def test_whatever_a_peer_makes_a_library_raise_is_trouble_of_that_host(error: Exception) -> None:
    async def connect() -> Scripted:
        raise error

    async def run() -> None:
        with pytest.raises(HostUnreachableError, match="esx1: it cannot be talked to"):
            await AgentClient("esx1", connect).observe(Question())

    asyncio.run(run())


def test_an_agent_is_asked_once_to_look_out_and_again_for_something_else() -> None:
    channel = Scripted({"result": {}}, {"result": {}})

    async def watch(agent: AgentClient) -> list[bool]:
        places = (WatchRequest(), WatchRequest(), WatchRequest(("/db",)))
        return [await agent.watch(place, lambda: None) for place in places]

    assert with_agent(channel, watch) == [True, False, True]
    assert [asked["config_dbs"] for asked in channel.asked] == [[], ["/db"]]


class Silent(Scripted):
    """A channel whose agent says hello, and nothing more."""

    async def receive(self) -> bytes:
        if not self.answers:
            await asyncio.Event().wait()
        return await super().receive()


def test_what_a_host_that_is_gone_was_asked_ends_with_its_connection_and_makes_no_other() -> None:
    async def run() -> None:
        channels: list[Silent] = []

        async def connect() -> Silent:
            channels.append(Silent())
            return channels[-1]

        pool = AgentPool()
        agent = pool.agent("esx1", "esx1", lambda: AgentClient("esx1", connect))
        asked = [asyncio.create_task(agent.observe(Question())) for _ in range(2)]
        while not channels or not channels[0].asked:
            await asyncio.sleep(0)
        pool.keep_only(())
        answers = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)
        assert [type(answer) for answer in answers] == [HostUnreachableError] * 2
        assert [channel.closed for channel in channels] == [True]

    asyncio.run(run())
