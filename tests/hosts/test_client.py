"""What the client makes of an agent that answers nonsense: a fact of that host, never a crash of the pass."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.agent import local_sh, verbs
from reconciler.agent.host import actions, facts
from reconciler.hosts import client
from reconciler.hosts.client import AgentClient
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.kinds.host import LinkDB, StartService
from reconciler.model.kinds.vmgroup import AddMember, Member
from reconciler.model.plan import DBPlan
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.risk import Risk
from reconciler.ports import Lookout, Question

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
    "kept_driver": None,
    "service": "running",
    "secure_boot": None,
    "log_level": None,
    "log_error": None,
    "volumes": {},
    "can_write": True,
    "journal": False,
}
DB: dict[str, Any] = {"state": "present", "reason": "", "message": "", "fingerprint": "f1", "tenants": []}
REPORT: dict[str, Any] = {"host": SEEN, "config_dbs": {}, "datastores": {}}


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


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"result": None},
        {"result": {}},
        {"result": []},
        {"result": changed(REPORT, host=changed(SEEN, db_mode="Sideways"))},
        {"result": changed(REPORT, host=changed(SEEN, local_sh=None))},
        {"result": changed(REPORT, host=changed(SEEN, kept_driver=["x" * 2000, "1.0"]))},
        {"result": changed(REPORT, config_dbs={"/db": changed(DB, state="gone")})},
        {"result": changed(REPORT, config_dbs={"/db": changed(DB, tenants=[["too", "short"]])})},
        {"result": changed(REPORT, config_dbs={"/db": changed(DB, unchanged=True)})},
        {"result": changed(REPORT, datastores={"/ds": {"error": None, "entries": {"x": ["door", None, 0]}}})},
        {"error": "no"},
        {"error": {}},
        {"id": 77, "result": REPORT},
        [],
        b"[" * 100_000 + b"\n",
        b"\xff\n",
    ],
    ids=lambda answer: str(answer)[:60],
)
def test_nonsense_in_answer_to_observe(answer: Any) -> None:
    channel = Scripted(answer)
    with pytest.raises(HostUnreachableError, match="esx1"):
        with_agent(channel, lambda agent: agent.observe(Question()))
    assert channel.closed


@pytest.mark.parametrize("greeting", [[], {"hello": []}, {"hello": None}, {"hello": {"protocol": 2}}, b"Welcome\n"])
def test_nonsense_instead_of_a_greeting(greeting: Any) -> None:
    channel = Scripted()
    channel.answers = [greeting]
    with pytest.raises(HostUnreachableError, match="esx1"):
        with_agent(channel, lambda agent: agent.observe(Question()))
    assert channel.closed


@pytest.mark.parametrize(
    "result", [None, {}, {"groups": [], "backup": None}, {"groups": [{}, {}], "backup": None}, {"groups": 2}]
)
def test_nonsense_in_answer_to_a_transaction(result: Any) -> None:
    with pytest.raises(HostUnreachableError, match="esx1"):
        with_agent(Scripted({"result": result}), lambda agent: agent.apply_db(PLAN, datetime(2026, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize("results", [None, [], [{}], [{"ok": True}, {"ok": True}], 7])
def test_nonsense_in_answer_to_host_actions(results: Any) -> None:
    actions = [StartService(HOST, Risk.SAFE)]
    with pytest.raises(HostUnreachableError, match="esx1"):
        with_agent(Scripted({"result": {"results": results}}), lambda agent: agent.apply_host(actions))


def test_an_object_in_two_groups_fails_if_one_of_them_does() -> None:
    groups = [{"ok": False, "reason": "Precondition", "message": "no"}, {"ok": True}]
    channel = Scripted({"result": {"groups": groups, "backup": None}})
    done = with_agent(channel, lambda agent: agent.apply_db(PLAN, datetime(2026, 1, 1, tzinfo=UTC)))
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

        assert await agent.watch(Lookout(), noticed)
        await asyncio.wait_for(enough.wait(), 10)
        return heard

    return int(with_agent(channel, watch))


def test_what_an_agent_says_unasked_is_heard() -> None:
    assert watching(Scripted({"result": {}}, {"event": ["link"]}, {"event": ["service"]}), 2) == 2


def test_an_event_before_a_reply_is_no_reply() -> None:
    channel = Scripted({"event": ["link"]}, {"result": REPORT})
    report = with_agent(channel, lambda agent: agent.observe(Question()))
    assert report.host.name == "esx1"


@pytest.mark.parametrize(
    "trouble",
    [HostUnreachableError("esx1: cut"), {"result": REPORT}, [], b"?\n"],
    ids=["cut", "unasked", "list", "noise"],
)
def test_a_connection_that_breaks_while_nobody_asks_is_heard_and_made_again(trouble: Any) -> None:
    first = Scripted({"result": {}}, trouble)
    channels = [first, Scripted({"result": REPORT})]

    async def connect() -> Scripted:
        return channels.pop(0)

    async def run() -> None:
        agent = AgentClient("esx1", connect)
        heard = asyncio.Event()
        assert await agent.watch(Lookout(), heard.set)
        first._questions.release()
        await asyncio.wait_for(heard.wait(), 10)
        report = await agent.observe(Question())
        assert report.host.name == "esx1"
        assert first.closed
        await agent.close()

    asyncio.run(run())


def test_an_agent_is_asked_once_to_look_out_and_again_for_something_else() -> None:
    channel = Scripted({"result": {}}, {"result": {}})

    async def watch(agent: AgentClient) -> list[bool]:
        places = (Lookout(), Lookout(), Lookout(("/db",)))
        return [await agent.watch(place, lambda: None) for place in places]

    assert with_agent(channel, watch) == [True, False, True]
    assert [asked["config_dbs"] for asked in channel.asked] == [[], ["/db"]]
