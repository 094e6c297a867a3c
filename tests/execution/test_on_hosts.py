"""Hosts that take turns, and vCenter's part in what is done on one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from reconciler.execution.executor import execute
from reconciler.model.base import Risk
from reconciler.model.errors import VCenterRefusedError
from reconciler.model.kinds.host import EnterMaintenance, ExitMaintenance, RestartHostd
from reconciler.model.outcome import ActionResult
from reconciler.model.plan import HostPlan, Plan, Rollout
from reconciler.model.refs import Kind, ObjectRef
from tests.execution.fakes import NOW, FakeAgent, Nobody

CLUSTER = "/DC0/host/C0"


@dataclass
class VCenter:
    """Puts hosts into maintenance mode, but for those that refuse; remembers how many were in it at once."""

    refusing: frozenset[str] = frozenset()
    inside: set[str] = field(default_factory=set)
    most: int = 0
    entered: list[str] = field(default_factory=list)

    async def enter(self, host: str, seconds: int) -> None:
        assert seconds == 60
        await asyncio.sleep(0)
        if host in self.refusing:
            raise VCenterRefusedError("Timeout", f"{host} is full of VMs")
        self.inside.add(host)
        self.entered.append(host)
        self.most = max(self.most, len(self.inside))
        await asyncio.sleep(0)

    async def exit(self, host: str, seconds: int) -> None:
        assert seconds == 60
        self.inside.discard(host)
        await asyncio.sleep(0)


def ref(number: int) -> ObjectRef:
    return ObjectRef(Kind.HOST, f"esx{number}")


def step(number: int, at_once: int = 1) -> HostPlan:
    name, who = f"esx{number}", ref(number)
    enter, leave = EnterMaintenance(who, Risk.DISRUPTS, name, 60), ExitMaintenance(who, Risk.SAFE, name, 60)
    actions = (enter, RestartHostd(who, Risk.DISRUPTS), leave)
    return HostPlan(who, name, None, actions, Rollout(CLUSTER, at_once))


def run(vcenter: VCenter | None, agent: FakeAgent, *steps: HostPlan) -> dict[str, ActionResult]:
    plan = Plan((), steps)
    done = asyncio.run(execute(plan, lambda _: agent, NOW, Nobody(), vcenter))
    return {result.ref.name: result for result in done.results}


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_no_more_at_once_than_may_be(at_once: int) -> None:
    vcenter, agent = VCenter(), FakeAgent()
    results = run(vcenter, agent, *(step(number, at_once) for number in range(5)))
    assert all(result.ok for result in results.values())
    assert (vcenter.most, vcenter.inside) == (at_once, set())
    assert agent.told == [("host", "RestartHostd")] * 5


def test_after_the_first_failure_no_other_is_begun() -> None:
    vcenter, agent = VCenter(), FakeAgent(failing={ref(1): "DiskFull"})
    results = run(vcenter, agent, *map(step, range(4)))
    assert [(result.ok, result.reason) for result in results.values()] == [
        (True, ""),
        (False, "DiskFull"),
        (False, "Skipped"),
        (False, "Skipped"),
    ]
    assert results["esx3"].message == f"host/esx1 failed, so no other host of cluster {CLUSTER} is begun"
    assert vcenter.inside == {"esx1"}  # its driver is half changed: no VM is to run there
    assert vcenter.entered == ["esx0", "esx1"]


def test_what_does_not_enter_is_not_touched() -> None:
    vcenter, agent = VCenter(refusing=frozenset({"esx0"})), FakeAgent()
    results = run(vcenter, agent, step(0))
    assert results["esx0"] == ActionResult(ref(0), False, "Timeout", "esx0 is full of VMs")
    assert agent.told == []


def test_other_hosts_do_not_wait_for_a_rollout() -> None:
    apart = HostPlan(ref(9), "esx9", None, (RestartHostd(ref(9), Risk.DISRUPTS),))
    results = run(VCenter(refusing=frozenset({"esx0"})), FakeAgent(), step(0), step(1), apart)
    assert [name for name, result in results.items() if result.ok] == ["esx9"]


def test_without_a_vcenter_that_is_said() -> None:
    agent = FakeAgent()
    result = run(None, agent, step(0))["esx0"]
    assert (result.reason, agent.told) == ("NoVCenter", [])
    assert "spec.vsphere" in result.message
