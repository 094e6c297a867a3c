"""A replica without its lease writes nothing, wherever a call of it was when the lease was lost."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import pytest

from reconciler.hosts.local import LocalHosts
from reconciler.model.base import Risk
from reconciler.model.kinds.host import LinkDB
from reconciler.model.refs import Kind, ObjectRef
from reconciler.operator.replicas.fence import READS, FencedHosts, FencedMaintenance, LostLeaseError
from reconciler.ports import HostAgent, MaintenanceMode, Question

WRITES = {"apply_db", "announce", "copy_db", "retire_db", "apply_links", "apply_files", "apply_host"}
LINK = LinkDB(ObjectRef(Kind.HOST, "esxi"), Risk.SAFE, "/vmfs/volumes/v/dockvols/db", None)


def methods(port: type[Any]) -> set[str]:
    return {name for name, _ in inspect.getmembers(port, inspect.isfunction) if not name.startswith("_")}


def test_every_method_of_an_agent_is_known_to_read_or_to_write() -> None:
    assert methods(HostAgent) == READS | WRITES
    assert methods(MaintenanceMode) == methods(FencedMaintenance)


class Recorder:
    """An agent, or maintenance mode, that notes what reaches it."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    def __getattr__(self, method: str) -> Callable[..., Any]:
        async def call(*_: Any) -> None:
            self.reached.append(method)

        return call


class OneHost:
    at_once = None

    def __init__(self, agent: Any) -> None:
        self._agent = agent

    def agent(self, _name: str, _address: str) -> Any:
        return self._agent

    def keep_only(self, names: Container[str]) -> None:
        pass

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("method", sorted(WRITES | {"a_verb_of_tomorrow"}))
def test_a_write_reaches_the_host_with_the_lease_only(method: str) -> None:
    async def run() -> None:
        agent, held = Recorder(), [True]
        fenced = FencedHosts(OneHost(agent), lambda: held[0]).agent("esxi", "esxi")
        await getattr(fenced, method)()
        held[0] = False
        with pytest.raises(LostLeaseError, match="does not hold the lease"):
            await getattr(fenced, method)()
        assert agent.reached == [method]

    asyncio.run(run())


@pytest.mark.parametrize("method", sorted(READS))
def test_reads_need_no_lease(method: str) -> None:
    async def run() -> None:
        agent = Recorder()
        await getattr(FencedHosts(OneHost(agent), lambda: False).agent("esxi", "esxi"), method)()
        assert agent.reached == [method]

    asyncio.run(run())


@pytest.mark.parametrize("method", ["enter", "exit"])
def test_maintenance_mode_is_changed_with_the_lease_only(method: str) -> None:
    async def run() -> None:
        vcenter, held = Recorder(), [True]
        fenced = FencedMaintenance(vcenter, lambda: held[0])
        await getattr(fenced, method)("esxi", 60)
        held[0] = False
        with pytest.raises(LostLeaseError):
            await getattr(fenced, method)("esxi", 60)
        assert vcenter.reached == [method]

    asyncio.run(run())


def test_a_write_that_waits_for_its_connection_is_held_back_when_the_lease_is_lost_meanwhile(tmp_path: Path) -> None:
    """The agent is a real one, which is still being started when the write is asked for."""

    async def run() -> None:
        (tmp_path / "vmfs" / "volumes").mkdir(parents=True)
        asked, lost = asyncio.Event(), asyncio.Event()
        hosts = LocalHosts(lambda _: tmp_path)
        open_channel = hosts._open

        async def slowly(name: str) -> Any:
            channel = await open_channel(name)
            asked.set()
            await lost.wait()
            return channel

        hosts._open = slowly  # type: ignore[method-assign]
        try:
            agent = FencedHosts(hosts, lambda: not lost.is_set()).agent("esxi", "esxi")
            writing = asyncio.create_task(agent.apply_host([LINK]))
            await asked.wait()
            lost.set()
            with pytest.raises(LostLeaseError):
                await writing
            assert (await agent.observe(Question())).host.link is None  # and the connection is as good as before
        finally:
            await hosts.close()

    asyncio.run(run())
