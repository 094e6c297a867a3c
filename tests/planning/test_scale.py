"""Work grows with the size of the site, not with its square: counted in steps of the interpreter, not in seconds.

Calls would not do: a loop over all rows inside a comprehension makes none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import pytest

from reconciler.dashboard.board import access_json, page_json
from reconciler.model.outcome import Assessment
from reconciler.model.plan import APPLY
from reconciler.planning.conditions import conditions
from reconciler.planning.differ import diff, without_uuid
from reconciler.planning.joined import Joined
from reconciler.planning.planner import plan
from reconciler.planning.resolve import resolve
from reconciler.render.describe import describe_data, describe_text
from reconciler.render.kinds import VIEWS
from reconciler.render.page.access import AccessMap
from reconciler.render.page.commands import NO_COMMANDS
from reconciler.render.page.look import Look
from reconciler.render.status import Overview, status_text
from reconciler.render.tables import TABLES, rows, table_text
from tests.planning import compact

KINDS = ["in sync", "selected", "every VM moves on", "new"]
SMALL, LARGE = 50, 200


def site(size: int, kind: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """`size` vmgroups with 3 VMs each and as many hosts: desired, inventory, observed, in the short form."""
    hosts = [f"h{number}" for number in range(size // 5)]
    members = {f"g{group}": [f"v{group}-{number}" for number in range(3)] for group in range(size)}
    vms = [{"name": vm, "path": f"/vm/{group}/{vm}"} for group, names in members.items() for vm in names]
    known = {"hosts": hosts, "datastores": [{"name": "shared"}, {"name": "other"}], "vms": vms}
    groups = {name: {"defaultDatastore": "shared", "access": {"shared": "create"}} for name in members}
    rows: dict[str, dict[str, Any]] = {name: {"vms": vms} for name, vms in members.items()}
    booked = [[f"id-{name}", "shared", "disk", 10] for name in members]
    records = [[f"vmgroup/{name}", f"id-{name}", "set", "digest"] for name in members]
    for position, name in enumerate(members):
        match kind:
            case "in sync":
                groups[name]["vms"] = members[name]
            case "selected":
                groups[name]["vmSelector"] = {"folder": f"/vm/{name}", "namePattern": "v*"}
            case "every VM moves on":  # one chain through all vmgroups
                groups[name]["vms"] = members[f"g{(position + 1) % size}"]
            case "new":
                groups[name]["vms"] = members[name]
                rows, booked, records = {}, [], []
    wanted = {"hosts": dict.fromkeys(hosts), "configdbs": {"a": {"datastore": "shared"}}, "vmgroups": groups}
    db = {"vmgroups": rows, "rows": {"volumes": booked}, "records": records}
    seen = {"hosts": dict.fromkeys(hosts, "joined"), "config_dbs": {"shared": db}}
    return wanted, known, seen


def steps(work: Callable[[], object]) -> int:
    """How many bytecode instructions `work` takes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def planning(size: int, kind: str) -> Callable[[], Assessment]:
    """Planning of such a site."""
    wanted, known, seen = site(size, kind)
    desired, inventory = compact.desired(wanted), compact.inventory(known)
    observed = compact.observed(seen, inventory)

    def work() -> Assessment:
        resolved = resolve(desired, inventory)
        fresh = {ref: f"new-{ref.name}" for ref in without_uuid(resolved, observed)}
        found = diff(resolved, observed, fresh)
        plan(found, resolved, observed, APPLY)
        return Assessment(resolved, observed, found, datetime(2026, 11, 23, tzinfo=UTC))

    return work


def tables(found: Assessment) -> None:
    joined = Joined(found)
    for table in TABLES.values():
        listed = table.rows(joined, None)
        table_text(table, listed, wide=True)
        list(map(table.data, listed))


def descriptions(found: Assessment) -> None:
    joined = Joined(found)
    for kind in VIEWS:
        for row in rows(joined, kind):
            describe_text(row, ())
            describe_data(row, ())


def status(found: Assessment) -> None:
    status_text(Overview("lab", Look(found, None, NO_COMMANDS), conditions(found)))


def page(found: Assessment) -> None:
    page_json({"site": "lab"}, Look(found, None, NO_COMMANDS))


def access_map(found: Assessment) -> None:
    access_json(1, AccessMap(Look(found, None, NO_COMMANDS)))


def assert_linear(small: int, large: int) -> None:
    assert large < small * (LARGE // SMALL) * 1.3, f"{large / small:.1f} times the steps"


@pytest.mark.parametrize("kind", KINDS)
def test_planning(kind: str) -> None:
    assert_linear(steps(planning(SMALL, kind)), steps(planning(LARGE, kind)))


@pytest.mark.parametrize("show", [tables, descriptions, status, page, access_map])
def test_showing(show: Callable[[Assessment], None]) -> None:
    small, large = planning(SMALL, "in sync")(), planning(LARGE, "in sync")()
    assert_linear(steps(lambda: show(small)), steps(lambda: show(large)))
