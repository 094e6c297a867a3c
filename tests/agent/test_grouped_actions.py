"""Groups of actions in one request: written together where possible, with the result of one request each."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.agent.world import G1, G2, VM1, VM2, Agent, access, act, member, outcomes, vmgroup

URLS = ("/vmfs/volumes/5a7b0002-0a0b0c0d-9bc3-000c29c1501d", "_ALL_DS://")
G3, VM3 = G2.replace("2", "3"), VM2.replace("2", "3")
groups_of = st.sampled_from([G1, G1, G2, G3])
names = st.sampled_from(["G1", "G2", "G3"])
vms = st.sampled_from([VM1, VM2, VM3])
new = st.builds(
    lambda n, members: vmgroup(n[0] * 8 + G1[8:], f"G{n}", members),
    st.sampled_from("123456"),
    st.lists(vms, max_size=1),
)
actions = st.one_of(
    new,
    new,
    st.builds(lambda uuid, vm: act("AddMember", uuid, member=member(vm)), groups_of, vms),
    st.builds(lambda uuid, vm: act("RemoveMember", uuid, member=member(vm)), groups_of, vms),
    st.builds(lambda uuid, url: act("SetAccess", uuid, access=access(url)), groups_of, st.sampled_from(URLS)),
    st.builds(lambda uuid, name: act("DeleteVMGroup", uuid, name=name), groups_of, names),
    st.builds(lambda uuid, old, name: act("RenameVMGroup", uuid, before=old, name=name), groups_of, names, names),
    st.builds(
        lambda name, uid: {
            "action": "RecordObject",
            "object": f"vmgroup/{name}",
            "uid": uid,
            "set": "s",
            "digest": "d",
        },
        names,
        groups_of,
    ),
    st.builds(lambda name: {"action": "ForgetObject", "object": f"vmgroup/{name}"}, names),
    st.just({"action": "AddMember", "uuid": G1}),  # not understood
    st.just(vmgroup(G2, "G4", access=[access(), access()])),
)


def rows(agent: Agent) -> dict[str, list[Any]]:
    """All that is in the DB, but for what makes no difference: the order of writing, and empty tables of ours."""
    tables = [name for (name,) in agent.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {table: sorted(agent.rows(f"SELECT * FROM {table}"), key=repr) for table in tables if table != "vdvs_meta"}
    return {table: held for table, held in found.items() if held}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(actions, min_size=1, max_size=2), min_size=2, max_size=4))
def test_together_or_one_by_one(groups: list[list[dict[str, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        together, singly = Agent(Path(folder, "together")), Agent(Path(folder, "singly"))
        for agent in (together, singly):
            agent.create([vmgroup(G1, "G1", [VM1])])
        found = outcomes(together.apply(*groups))
        one_by_one = [outcomes(singly.apply(group))[0] for group in groups]
        event("all succeed" if set(found) == {"ok"} else "all fail" if "ok" not in found else "some fail")
        assert found == one_by_one
        assert rows(together) == rows(singly)
