"""The model agent of these tests against the real one: generated plans, carried out by both on the same rows.

Each plan is carried out where it was made for, and on another generated config DB, where much of it must be refused.
"""

from __future__ import annotations

import json
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from hypothesis import event, given, note
from msgspec.json import decode, encode
from msgspec.structs import replace

from reconciler.agent.db import objects
from reconciler.agent.db.schema import META, TABLES
from reconciler.hosts import wire
from reconciler.model.errors import AgentRefusedError
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB, Schema
from reconciler.model.kinds.vmgroup import PrivilegeRow, VMRow
from reconciler.model.plan import DBPlan
from reconciler.model.refs import Location
from reconciler.model.state import Observed
from reconciler.ports import Question
from tests.agent.world import DB, Agent
from tests.planning.interpreter import Rows, Site
from tests.planning.shown import shown_plan
from tests.planning.test_properties import look
from tests.planning.worlds import World, databases, worlds

NOW = datetime(2026, 11, 24, tzinfo=UTC)
_SHORT = re.compile(r"(id|fresh|uuid)-[\w/]+\Z", re.IGNORECASE)
# The dead rows that `worlds` knows, as SQLite has them.
_DEAD = {
    ("blob:AB",): ("vms", (b"\xab", "id-g1")),
    ("text:69", "text:70"): ("privileges", ("i", "p", 1, 0, 0)),
}


@cache
def spelt_out(word: str) -> str:
    """The UUID that a short name of `worlds` stands for, in the case of the name; any other text as it is."""
    if not _SHORT.match(word):
        return word
    uuid = "abcdef" + str(uuid5(NAMESPACE_URL, word.lower()))[6:]
    return uuid if word == word.lower() else uuid.upper()


def spelt_out_in(value: Any) -> Any:
    """The same in a whole request."""
    match value:
        case str():
            return spelt_out(value)
        case dict():
            return {key: spelt_out_in(item) for key, item in value.items()}
        case list():
            return [spelt_out_in(item) for item in value]
    return value


def limits(row: PrivilegeRow) -> tuple[Any, ...]:
    return row.tenant_id, row.url, row.allow_create, row.max_mb, row.total_mb


def write(path: Path, db: ObservedConfigDB) -> None:
    """Make the file that a host would report as `db`."""
    if db.state is DBState.EMPTY:
        path.touch()
    if db.state is not DBState.PRESENT:
        return
    named = db.schema is Schema.V1_2
    rows: list[tuple[str, tuple[Any, ...]]] = [("versions", (0, 1, 1 if db.schema is Schema.V1_1 else 2, 1, 0))]
    rows += [("tenants", (row.id, row.name, row.description, row.default_url)) for row in db.tenants]
    rows += [("vms", (row.vm_id, row.tenant_id, row.vm_name)[: 3 if named else 2]) for row in db.vms]
    rows += [("privileges", limits(row)) for row in db.privileges]
    rows += [("volumes", (use.tenant_id, use.url, "volume", use.used_mb)) for use in db.volume_use]
    for dead in db.dead_rows:
        table, values = _DEAD[dead.key]
        rows.append((table, (*values, None) if table == "vms" and named else values))
    statements = [table if named else table.replace("    vm_name TEXT,\n", "") for table in TABLES]
    if db.records is None:
        statements.append(objects.CREATE)
        rows.append(("vdvs_objects", ("of somebody else", None, "", "", None, 2, "", "", "")))
    elif db.records:
        statements.append(objects.CREATE)
        for each in db.records:
            rows.append(("vdvs_objects", (each.object, each.uid, each.set, each.digest, None, 0, "", "", "")))
    if db.writer is not None:
        statements.append(META)
        rows.append(("vdvs_meta", ("writer", db.writer)))
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
        for table, values in rows:
            marks = ", ".join("?" for _ in values)
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", spelt_out_in(list(values)))


def seen(db: ObservedConfigDB) -> dict[str, Any]:
    """What both must agree on."""
    records = db.records and [(each.object, spelt_out(each.uid or ""), each.set, each.digest) for each in db.records]
    return {
        "state": db.state,
        "schema": db.schema,
        "writer": db.writer,
        "tenants": {(spelt_out(row.id), row.name, row.description, row.default_url) for row in db.tenants},
        "vms": {(spelt_out(row.vm_id), spelt_out(row.tenant_id), row.vm_name) for row in db.vms},
        "privileges": {tuple(spelt_out_in(list(limits(row)))) for row in db.privileges},
        "dead": {(row.table, row.key) for row in db.dead_rows},
        "records": records and sorted(records),
        "breaks rules": bool(db.violations),
    }


@dataclass
class Answers:
    """What came of a plan: the reason for which all of it was refused, else the one of each group ("": done)."""

    refused: str | None
    groups: list[str]
    after: dict[str, Any]


def by_the_model(db: ObservedConfigDB, plan: DBPlan) -> Answers:
    site = Site(Observed({}, {plan.location: db}, {}))
    plan = replace(plan, fingerprint=site.dbs[plan.location].fingerprint())
    try:
        results = site.apply_db(plan)
    except AgentRefusedError as refused:
        return Answers(refused.reason, [], seen(site.dbs[plan.location].observed()))
    answers: Iterator[Any] = iter(results)
    groups = []
    for group in plan.groups:
        of_group = [next(answers) for _ in {action.ref for action in group}]
        groups.append(of_group[0].reason)
    return Answers(None, groups, seen(site.dbs[plan.location].observed()))


def by_the_agent(db: ObservedConfigDB, plan: DBPlan) -> Answers:
    with tempfile.TemporaryDirectory() as folder:
        agent = Agent(Path(folder))
        write(agent.db, db)

        def observed() -> ObservedConfigDB:
            answer = agent.ask("observe", config_dbs=[{"path": DB, "fingerprint": None}], deadline=0)
            return wire.report("esx1", Question((DB,)), decode(encode(answer), type=wire.Seen), {}).config_dbs[DB]

        before = observed()
        assert seen(before) == seen(db), "it is not the config DB that was generated"
        request = json.loads(wire.encode(wire.transaction(plan, NOW)))
        request |= {"path": DB, "fingerprint": before.fingerprint}
        reply = agent.reply(**spelt_out_in(request))
        if "error" in reply:
            return Answers(reply["error"]["reason"], [], seen(observed()))
        groups = [group.get("reason", "") for group in reply["result"]["groups"]]
        return Answers(None, groups, seen(observed()))


def as_written(db: ObservedConfigDB) -> ObservedConfigDB:
    """The same config DB, as far as there can be such a file: an old schema has no names of VMs."""
    if db.state is DBState.PRESENT and db.schema is not Schema.V1_2:
        db = replace(db, vms=tuple(VMRow(row.vm_id, row.tenant_id, None) for row in db.vms))
    return Rows.of(replace(db, copied_from=None, booked=None)).observed() if db.state is DBState.PRESENT else db


def plans(world: World) -> list[DBPlan]:
    """Those for shared config DBs that are read as they are."""
    known = {place: as_written(db) for place, db in world.observed.config_dbs.items()}
    _, _, steps = look(replace(world, observed=Site(replace(world.observed, config_dbs=known)).observed()))
    note(shown_plan(steps))
    moved = {Location(step.move.path) for step in steps.moves}
    return [
        step for step in steps.config_dbs if not step.location.host and step.location not in moved and not step.recover
    ]


@given(worlds())
def test_both_agents_do_the_same_with_what_was_planned(world: World) -> None:
    for plan in plans(world):
        db = as_written(world.observed.config_dbs[plan.location])
        assert by_the_agent(db, plan) == by_the_model(db, plan)


@given(worlds(), databases("d1", DBState.PRESENT))
def test_both_agents_refuse_the_same_of_what_was_planned_for_other_rows(world: World, other: ObservedConfigDB) -> None:
    for plan in plans(world):
        db = as_written(replace(other, path=plan.path))
        plan = replace(plan, create=False)
        theirs, ours = by_the_agent(db, plan), by_the_model(db, plan)
        event("refused" if ours.refused or any(ours.groups) else "done")
        assert theirs == ours
