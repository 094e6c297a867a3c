"""Generated config DBs of schema 1.1, through all of it: the agent reads, planning plans, the agent writes."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.json import decode, encode
from msgspec.structs import replace

from reconciler.agent.db.checks import rules
from reconciler.hosts import wire
from reconciler.model.diff import Op
from reconciler.model.inventory import Datastore, ESXiHost, Inventory, VirtualMachine
from reconciler.model.kinds.configdb import ObservedConfigDB, ResolvedConfigDB, Unmanaged
from reconciler.model.kinds.host import HostSpec, ResolvedHost
from reconciler.model.plan import APPLY
from reconciler.model.refs import Kind, Location, ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.configdb.old_schema import lifted
from reconciler.planning.differ import diff
from reconciler.planning.planner import plan
from reconciler.ports import Question
from tests.agent import old_db
from tests.agent.world import DB, DEFAULT, G1, G2, URL, VM1, VM2, VOLUME, Agent, outcomes

REF, STORE = ObjectRef(Kind.CONFIG_DB, "shared"), Datastore("SHARED", URL, "VMFS", None, frozenset(["esx1"]))
VMS = (VirtualMachine("photon-01", "/vm/photon-01", VM1, None, None, None, ()),)
RESOLVED = Resolved(
    Inventory((ESXiHost("esx1"),), (STORE,), VMS),
    (ResolvedConfigDB(REF, STORE, ("esx1",), None, Unmanaged.IGNORE, 10),),
    (ResolvedHost(ObjectRef(Kind.HOST, "esx1"), "esx1", REF, STORE, HostSpec()),),
    (),
    (),
)
urls = st.sampled_from([URL, "/vmfs/volumes/other", "_DEFAULT_URL"])
defaults = st.sampled_from(["", "", URL, None, "_DEFAULT_URL"])
limits = st.sampled_from([0, 100, 2**40])


@st.composite
def old_dbs(draw: st.DrawFn) -> dict[str, list[tuple[Any, ...]]]:
    names = draw(st.lists(st.sampled_from([(DEFAULT, "_DEFAULT"), (G1, "G1"), (G2, "grüppe")]), unique=True))
    tenants = [(uuid, name, draw(st.sampled_from(["", "text"])), draw(defaults)) for uuid, name in names]
    keys = draw(st.sets(st.tuples(st.sampled_from([uuid for uuid, _ in names]), urls))) if names else set()
    access = [(*key, draw(st.sampled_from([0, 1])), draw(limits), draw(limits)) for key in sorted(keys)]
    owners = [uuid for uuid, _ in names if uuid != DEFAULT]
    vms = [(vm, draw(st.sampled_from(owners))) for vm in draw(st.sets(st.sampled_from([VM1, VM2])))] if owners else []
    return {"tenants": tenants, "vms": sorted(vms), "access": access}


def observed(agent: Agent) -> Observed:
    question = [{"path": DB, "fingerprint": None}]
    seen = agent.ask("observe", config_dbs=question, datastores=[URL], deadline=0)
    report = wire.report("esx1", Question((DB,), (URL,)), decode(encode(seen), type=wire.Seen), {})
    host = replace(report.host, driver="0.21.2-0.0.1", driver_error=None)  # this host has no esxcli to ask
    return Observed({"esx1": host}, {Location(DB): report.config_dbs[DB]}, report.datastores)


def rows(db: ObservedConfigDB) -> tuple[Any, ...]:
    names = {vm.uuid: vm.name for vm in VMS}
    vms = {(row.vm_id, row.tenant_id, names.get(row.vm_id, row.vm_name)) for row in db.vms}
    return set(db.tenants), vms, set(db.privileges)


@settings(max_examples=60)
@given(old_dbs(), st.sampled_from(["1.1", "version", "no column"]))
def test_after_the_upgrade_every_rule_holds(written: dict[str, Any], state: str) -> None:
    """From schema 1.1, and from whatever vDVS may have left of its own upgrade."""
    with tempfile.TemporaryDirectory() as folder:
        agent = Agent(Path(folder))
        old_db.write(agent.db, **written)
        if state == "version":
            old_db.upgrade_as_vdvs(agent.db, {}, until="version")
        elif state == "no column":
            agent.sql("UPDATE versions SET minor_ver = 2")
        before = observed(agent)
        found = diff(RESOLVED, before, {})
        for step in plan(found, RESOLVED, before, APPLY).config_dbs:
            request = json.loads(wire.encode(wire.transaction(step, datetime(2026, 11, 24, tzinfo=UTC))))
            assert set(outcomes(agent.ask(request.pop("do"), **request))) == {"ok"}
        after = observed(agent)
        with closing(sqlite3.connect(agent.db)) as connection:
            left = [violation.sentence for violation in rules.violations(connection)]
        known = after.config_dbs[Location(DB)]
        assert rows(known) == rows(lifted(before.config_dbs[Location(DB)]))
        assert known.schema == "1.2"
        assert not left or state == "version"  # not every half of an upgrade is known for one
        assert diff(RESOLVED, after, {}).changes[0].op is Op.KEEP
        assert VOLUME in after.hosts["esx1"].volumes  # type: ignore[union-attr]
