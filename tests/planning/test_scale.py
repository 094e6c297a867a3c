"""Work grows with the size of the site, not with its square: counted in function calls, so no clock is involved."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from reconciler.model.plan import APPLY
from reconciler.planning.differ import diff, without_uuid
from reconciler.planning.planner import plan
from reconciler.planning.resolve import resolve
from tests.planning import compact


def site(size: int, kind: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """`size` vmgroups with 3 VMs each and as many hosts: desired, inventory, observed, in the short form."""
    hosts = [f"h{number}" for number in range(size // 5)]
    members = {f"g{group}": [f"v{group}-{number}" for number in range(3)] for group in range(size)}
    vms = [{"name": vm, "path": f"/vm/{group}/{vm}"} for group, names in members.items() for vm in names]
    known = {"hosts": hosts, "datastores": [{"name": "shared"}, {"name": "other"}], "vms": vms}
    groups = {name: {"defaultDatastore": "shared", "access": {"shared": "create"}} for name in members}
    rows: dict[str, dict[str, Any]] = {name: {"vms": vms} for name, vms in members.items()}
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
                rows = {}
    wanted = {"hosts": dict.fromkeys(hosts), "configdbs": {"a": {"datastore": "shared"}}, "vmgroups": groups}
    seen = {"hosts": dict.fromkeys(hosts, "joined"), "config_dbs": {"shared": {"vmgroups": rows}}}
    return wanted, known, seen


def calls(size: int, kind: str) -> int:
    """How many functions are called to plan such a site."""
    wanted, known, seen = site(size, kind)
    desired, inventory = compact.desired(wanted), compact.inventory(known)
    observed = compact.observed(seen, inventory)
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        resolved = resolve(desired, inventory)
        fresh = {ref: f"new-{ref.name}" for ref in without_uuid(resolved, observed)}
        plan(diff(resolved, observed, fresh), resolved, observed, APPLY)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("kind", ["in sync", "selected", "every VM moves on", "new"])
def test_twice_the_site_is_twice_the_work(kind: str) -> None:
    small, large = calls(50, kind), calls(200, kind)
    assert large < small * 4 * 1.3
