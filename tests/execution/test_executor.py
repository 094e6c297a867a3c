"""Carrying out a plan: in the right order, and nobody's failure stops the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from reconciler.execution.executor import Execution, execute
from reconciler.model.base import Risk
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.kinds.host import LinkDB
from reconciler.model.kinds.vmgroup import RenameVMGroup
from reconciler.model.ownership import RecordObject
from reconciler.model.plan import DBPlan, HostPlan, Plan
from tests.execution.fakes import DB, G1, G2, HOST, NOW, FakeAgent, Nobody, add, clear, create, db_plan, link

JOIN = HostPlan(HOST, "esx1", DB, (LinkDB(HOST, Risk.RESTRICTS, "/db", None),))


def carry_out(agent: FakeAgent, databases: Sequence[DBPlan], hosts: Sequence[HostPlan] = ()) -> Execution:
    plan = Plan(tuple(databases), tuple(hosts))
    return asyncio.run(execute(plan, lambda _: agent, NOW, Nobody()))


def failures(done: Execution) -> dict[str, tuple[str, str]]:
    return {str(result.ref): (result.reason, result.message) for result in done.results if not result.ok}


def test_wrong_links_go_then_the_transaction_then_new_links_then_hosts() -> None:
    agent = FakeAgent()
    plan = db_plan((add(G1),), clear_links=[clear(G1)], make_links=[link(G2)])
    done = carry_out(agent, [plan], [JOIN])
    assert agent.told == [
        ("RemoveNameLink", "G1"),
        ("transaction", "vmgroup/G1"),
        ("SetNameLink", "G2"),
        ("host", "LinkDB"),
    ]
    assert failures(done) == {}
    assert [backup.name for backup in done.backups] == ["backup"]


def test_a_link_that_cannot_be_removed_holds_back_only_its_own_vmgroup() -> None:
    agent = FakeAgent({G1: "NotALink"})
    plan = db_plan((add(G1),), (add(G2),), clear_links=[clear(G1), clear(G2)], make_links=[link(G1), link(G2)])
    done = carry_out(agent, [plan])
    assert agent.told == [
        ("RemoveNameLink", "G1"),
        ("RemoveNameLink", "G2"),
        ("transaction", "vmgroup/G2"),
        ("SetNameLink", "G2"),
    ]
    assert failures(done) == {"vmgroup/G1": ("NotALink", "vmgroup/G1 failed")}


def test_a_vmgroup_that_could_not_be_renamed_gets_no_link_of_its_new_name() -> None:
    agent = FakeAgent({G1: "Precondition"})
    rename = RenameVMGroup(G1, Risk.SAFE, "id-1", "old", "G1")
    done = carry_out(agent, [db_plan((rename,), make_links=[link(G1)])])
    assert agent.told == [("transaction", "vmgroup/G1")]
    assert failures(done)["vmgroup/G1"][0] == "Precondition"


def test_what_is_tied_to_a_vmgroup_that_is_held_back_waits_too_and_says_so() -> None:
    agent = FakeAgent({G1: "NotALink"})
    done = carry_out(agent, [db_plan((add(G1), add(G2)), clear_links=[clear(G1)])])
    assert agent.told == [("RemoveNameLink", "G1")]
    assert failures(done)["vmgroup/G1"] == ("NotALink", "vmgroup/G1 failed")
    assert failures(done)["vmgroup/G2"] == ("Skipped", "it is written together with vmgroup/G1, which failed")


def test_no_link_is_made_for_a_vmgroup_that_was_not() -> None:
    agent = FakeAgent({G1: "Precondition"})
    carry_out(agent, [db_plan((create(G1),), (create(G2),), make_links=[link(G1), link(G2)])])
    assert agent.told == [("transaction", "vmgroup/G1", "vmgroup/G2"), ("SetNameLink", "G2")]


def test_hosts_are_not_pointed_at_a_db_that_was_not_made() -> None:
    agent = FakeAgent(error=AgentRefusedError("DiskFull", "no space"))
    done = carry_out(agent, [db_plan((create(G1),), makes_db=True)], [JOIN])
    assert agent.told == [("transaction", "vmgroup/G1")]
    assert failures(done)["configdb/shared"] == ("DiskFull", "no space")
    assert failures(done)["host/esx1"] == ("Skipped", "configdb/shared was not made")


def test_a_refusal_keeps_its_reason_and_silence_is_unreachable() -> None:
    refused = carry_out(FakeAgent(error=AgentRefusedError("AgentError", "a bug")), [], [JOIN])
    silent = carry_out(FakeAgent(error=HostUnreachableError("no answer")), [], [JOIN])
    assert failures(refused) == {"host/esx1": ("AgentError", "a bug")}
    assert failures(silent) == {"host/esx1": ("Unreachable", "no answer")}


def test_who_is_only_recorded_has_not_failed_where_nothing_could_be_written() -> None:
    agent = FakeAgent(error=AgentRefusedError("Locked", "busy"))
    records = [RecordObject(ref, Risk.SAFE, str(ref), None, "team", "d1") for ref in (HOST, G2, G1)]
    done = carry_out(agent, [db_plan((records[0],), (records[1],), (add(G1), records[2]))])
    assert failures(done) == {"configdb/shared": ("Locked", "busy"), "vmgroup/G1": ("Locked", "busy")}
