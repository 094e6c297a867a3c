"""A local agent seen from our side: real processes, broken in every way that a process can break."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from reconciler.hosts import client, conversation, local, wire
from reconciler.hosts.local import LocalHosts
from reconciler.model.base import Risk
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.kinds.configdb import DBState
from reconciler.model.kinds.host import DBMode, LinkDB, WriteSection
from reconciler.model.refs import Kind, ObjectRef
from reconciler.ports import Question, WatchRequest

pytestmark = pytest.mark.usefixtures("started_agents")

HOST = ObjectRef(Kind.HOST, "esxi")
VOLUME = "582b1324-e49d9a0e-9bc3-000c29c1501d"
DB = f"/vmfs/volumes/{VOLUME}/dockvols/vmdkops_config.db"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "vmfs" / "volumes" / VOLUME).mkdir(parents=True)
    return tmp_path


def with_hosts(root: Path, use: Callable[[LocalHosts], Awaitable[None]]) -> None:
    async def run() -> None:
        hosts = LocalHosts(lambda _: root)
        try:
            await use(hosts)
        finally:
            await hosts.close()

    asyncio.run(run())


def test_an_absent_db_is_absent_and_one_on_a_missing_volume_is_unknown(root: Path) -> None:
    async def use(hosts: LocalHosts) -> None:
        elsewhere = DB.replace(VOLUME, "another-volume")
        report = await hosts.agent("esxi", "esxi").observe(Question((DB, elsewhere)))
        assert report.config_dbs[DB].state is DBState.ABSENT
        assert report.config_dbs[elsewhere].state is DBState.UNKNOWN
        assert report.config_dbs[elsewhere].reason == "NotMounted"

    with_hosts(root, use)


def test_a_link_is_made_and_seen_through_the_same_connection(root: Path) -> None:
    async def use(hosts: LocalHosts) -> None:
        agent = hosts.agent("esxi", "esxi")
        results = await agent.apply_host([LinkDB(HOST, Risk.RESTRICTS, DB, None)])
        assert [result.ok for result in results] == [True]
        report = await agent.observe(Question())
        assert (report.host.db_mode, report.host.db_reason) == (DBMode.BROKEN_LINK, "Missing")
        assert report.host.link == DB

    with_hosts(root, use)


def test_after_a_failure_the_rest_of_a_host_is_not_tried(root: Path) -> None:
    async def use(hosts: LocalHosts) -> None:
        moved = LinkDB(HOST, Risk.RESTRICTS, DB, before="/somewhere/else")
        results = await hosts.agent("esxi", "esxi").apply_host([moved, WriteSection(HOST, Risk.SAFE, VOLUME)])
        assert [(result.ok, result.reason) for result in results] == [(False, "Moved"), (False, "Skipped")]
        assert not (root / "etc" / "rc.local.d").exists()

    with_hosts(root, use)


def test_an_unknown_folder_is_an_unreachable_host() -> None:
    def nowhere(name: str) -> Path:
        raise HostUnreachableError(f"no host {name}")

    async def run() -> None:
        with pytest.raises(HostUnreachableError, match="no host esxi"):
            await LocalHosts(nowhere).agent("esxi", "esxi").observe(Question())

    asyncio.run(run())


def test_an_agent_that_was_killed_is_unreachable_once_and_started_again(root: Path) -> None:
    async def use(hosts: LocalHosts) -> None:
        agent = hosts.agent("esxi", "esxi")
        await agent.observe(Question())
        os.kill(_pid_of(agent), signal.SIGKILL)
        with pytest.raises(HostUnreachableError, match="ended unexpectedly"):
            await agent.observe(Question())
        assert (await agent.observe(Question())).host.db_mode is DBMode.NOT_CONFIGURED

    with_hosts(root, use)


def test_an_agent_that_hangs_is_given_up_and_ended(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_OBSERVE_TIMEOUT", 0.2)
    monkeypatch.setattr(local, "_PATIENCE", 0.2)

    async def use(hosts: LocalHosts) -> None:
        agent = hosts.agent("esxi", "esxi")
        monkeypatch.setattr(client, "_OBSERVE_TIMEOUT", 30)
        await agent.observe(Question())
        monkeypatch.setattr(client, "_OBSERVE_TIMEOUT", 0.2)
        pid = _pid_of(agent)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(HostUnreachableError, match="did not answer"):
            await agent.observe(Question())
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    with_hosts(root, use)


def test_a_program_that_is_no_agent_is_unreachable(root: Path, tmp_path: Path) -> None:
    impostor = tmp_path / "impostor"
    impostor.write_text("#!/bin/sh\necho 3.11\necho no JSON here\nexec cat >/dev/null\n")
    impostor.chmod(0o755)

    async def run() -> None:
        hosts = LocalHosts(lambda _: root, interpreter=str(impostor))
        with pytest.raises(HostUnreachableError, match="prints a line of its own before the agent answers"):
            await hosts.agent("esxi", "esxi").observe(Question())
        await hosts.close()

    asyncio.run(run())


def test_a_root_that_vanishes_under_the_agent_is_not_an_empty_host(root: Path) -> None:
    async def use(hosts: LocalHosts) -> None:
        agent = hosts.agent("esxi", "esxi")
        await agent.observe(Question())
        away = root.rename(root.with_name("away"))
        with pytest.raises(AgentRefusedError, match="is gone"):
            await agent.observe(Question())
        away.rename(root)
        await agent.observe(Question())

    with_hosts(root, use)


def test_a_refusal_carries_its_reason(root: Path) -> None:
    async def use(hosts: LocalHosts) -> None:
        agent = hosts.agent("esxi", "esxi")
        with pytest.raises(AgentRefusedError) as refused:
            await agent._ask({"do": "no such verb"}, 10, wire.Nothing, str)  # type: ignore[attr-defined]
        assert refused.value.reason

    with_hosts(root, use)


def impostor_of(folder: Path, script: str) -> str:
    path = folder / "impostor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_an_interpreter_that_cannot_be_started_is_an_unreachable_host(root: Path) -> None:
    async def run() -> None:
        hosts = LocalHosts(lambda _: root, interpreter=str(root / "no-such-python"))
        with pytest.raises(HostUnreachableError, match="cannot be started: No such file"):
            await hosts.agent("esxi", "esxi").observe(Question())
        await hosts.close()

    asyncio.run(run())


def test_an_agent_that_never_reads_is_given_up_and_ended(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_OBSERVE_TIMEOUT", 0.5)
    monkeypatch.setattr(local, "_PATIENCE", 0.2)
    impostor = impostor_of(root, f"echo $$ > {root}/pid; exec sleep 600")

    async def run() -> None:
        hosts = LocalHosts(lambda _: root, interpreter=impostor)
        with pytest.raises(HostUnreachableError, match="did not answer"):
            await hosts.agent("esxi", "esxi").observe(Question())
        await hosts.close()
        with pytest.raises(ProcessLookupError):
            os.kill(int((root / "pid").read_text()), 0)

    asyncio.run(run())


def test_an_agent_that_never_stops_talking_is_ended_with_its_children(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "GREETING_LIMIT", 100_000)
    monkeypatch.setattr(local, "_PATIENCE", 0.2)
    talk = f"(while :; do printf %01000d 0; printf . >> {root}/alive; done) &"
    impostor = impostor_of(root, f"exec 3<&0; cat <&3 >/dev/null & {talk} wait")  # it takes the whole bundle

    async def run() -> None:
        hosts = LocalHosts(lambda _: root, interpreter=impostor)
        with pytest.raises(HostUnreachableError, match="too long"):
            await asyncio.wait_for(hosts.agent("esxi", "esxi").observe(Question()), 20)
        await hosts.close()

    asyncio.run(run())
    said = (root / "alive").stat().st_size
    time.sleep(0.2)
    assert (root / "alive").stat().st_size == said


def test_an_apply_that_is_given_up_is_finished_by_the_agent(root: Path) -> None:
    """Ctrl-C: the agent goes on to the end of what it was asked, then ends by itself."""
    program = root / "sbin" / "auto-backup.sh"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {root}/started; sleep 1; touch {root}/saved\n")
    program.chmod(0o755)

    async def use(hosts: LocalHosts) -> None:
        agent = hosts.agent("esxi", "esxi")
        task = asyncio.create_task(agent.apply_host([WriteSection(HOST, Risk.SAFE, VOLUME)]))
        while not (root / "started").exists():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (root / "saved").exists()
        assert (await agent.observe(Question())).host.section.saved

    with_hosts(root, use)


@pytest.mark.parametrize("where", ["etc/vmware/vmdkops/auth-db", "etc/rc.local.d/local.sh", "own.db"])
def test_what_changes_on_a_host_is_told_by_its_agent(root: Path, where: str) -> None:
    async def use(hosts: LocalHosts) -> None:
        agent, heard = hosts.agent("esxi", "esxi"), asyncio.Event()
        assert await agent.watch(WatchRequest(("/own.db",), every=0.05), heard.set)
        (root / where).parent.mkdir(parents=True, exist_ok=True)
        (root / where).write_text("changed by hand")
        await asyncio.wait_for(heard.wait(), 10)

    with_hosts(root, use)


def test_the_death_of_a_watched_agent_is_told(root: Path) -> None:
    async def use(hosts: LocalHosts) -> None:
        agent, heard = hosts.agent("esxi", "esxi"), asyncio.Event()
        assert await agent.watch(WatchRequest(), heard.set)
        os.kill(_pid_of(agent), signal.SIGKILL)
        await asyncio.wait_for(heard.wait(), 10)
        assert await agent.watch(WatchRequest(), heard.set)  # by a new one

    with_hosts(root, use)


def test_agents_that_are_killed_before_they_are_asked_leave_no_complaint(root: Path) -> None:
    """asyncio complains of every future whose error nobody took, on standard error, for months (up to Python 3.11.2 at
    least). The loop stands still meanwhile, so that it writes before it knows."""
    complaints: list[object] = []

    async def use(hosts: LocalHosts) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
        for number in range(5):
            agent = hosts.agent("esxi", "esxi")
            await agent.watch(WatchRequest(every=60.0 + number), lambda: None)
            os.kill(_pid_of(agent), signal.SIGKILL)
            time.sleep(0.05)
            with contextlib.suppress(HostUnreachableError):
                await agent.observe(Question())
        gc.collect()

    with_hosts(root, use)
    assert complaints == []


def _pid_of(agent: object) -> int:
    pid: int = agent._talk._channel._process.pid  # type: ignore[attr-defined]
    return pid
