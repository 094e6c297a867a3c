"""The access map as the terminal shows it: effective rights, what they add up to, as they are and as declared."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from reconciler.model.outcome import Assessment
from reconciler.planning.differ import diff
from reconciler.planning.resolve import resolve
from reconciler.render.graph import Graph, graph
from reconciler.render.graph.declared import DeclaredAccess
from reconciler.render.kinds.host import access
from reconciler.render.kinds.view import NONE
from reconciler.render.page.access import AccessMap
from reconciler.render.page.commands import NO_COMMANDS
from reconciler.render.page.look import Look
from reconciler.render.status.load import load
from tests.planning import compact

KNOWN = {"hosts": ["esx1"], "datastores": [{"name": "shared"}, {"name": "other"}], "vms": [{"name": "vm1"}]}
GB = 1024


def look(groups: Any, rows: Any = None, declared: Any = None, host: Any = "joined") -> Look:
    """Look at vmgroups in the config DB `a`. Each datastore holds 100 GB."""
    inventory = compact.inventory(KNOWN)
    plain = {"hosts": {"esx1": None}, "configdbs": {"a": {"datastore": "shared"}}, "vmgroups": declared or {}}
    resolved = resolve(compact.desired(plain), inventory)
    seen = {"hosts": {"esx1": host}, "config_dbs": {"shared": {"vmgroups": groups, "rows": rows or {}}}}
    observed = compact.observed(seen, inventory)
    found = diff(resolved, observed, {})
    return Look(Assessment(resolved, observed, found, datetime(2026, 1, 1, tzinfo=UTC)), None, NO_COMMANDS)


def shown(drawn: Graph) -> dict[str, dict[str, str]]:
    names = {each.datastore.url: each.datastore.name for each in drawn.datastores}
    return {group.name: {names[right.url]: right.text for right in group.rights} for group in drawn.groups}


def test_the_row_of_a_datastore_decides_before_those_of_all() -> None:
    groups = {"g1": {"access": {"shared": [0, 0, 0], "_ALL_DS": [1, 0, 5 * GB]}}}
    found = shown(graph(AccessMap(look(groups, {"volume_use": [["id-g1", "other", GB, 2]]}))))
    assert found["g1"] == {
        "other": "mount, delete, and create up to 5GB in all (1GB of 5GB used)",
        "shared": "mount",
    }


def test_a_right_for_vms_beside_it_alone() -> None:
    found = shown(graph(AccessMap(look({"g1": {"access": {"shared": [1, 0, GB], "_VM_DS": [1, 0, 0]}}}))))
    assert found["g1"]["other"] == "create, delete and mount without limit, VMs on it only"


def test_promises_add_up_and_no_limit_promises_nothing() -> None:
    groups = {
        "g1": {"access": {"shared": [1, 0, 60 * GB]}},
        "g2": {"access": {"shared": [1, 0, 50 * GB], "other": [1, 0, 0]}},
        "g3": {"access": {"shared": [0, 0, 500 * GB]}},
    }
    shared, other = load(AccessMap(look(groups, {"volume_use": [["id-g1", "shared", GB, 1]]}))).datastores
    assert (shared.promises.promised_mb, shared.promises.limited, shared.promises.unlimited) == (110 * GB, 2, 0)
    assert (shared.used_mb, shared.share) == (GB, 1.1)
    assert (other.promises.promised_mb, other.promises.unlimited, other.share) == (0, 1, 0)


def test_what_is_declared_is_shown_before_its_first_apply_too() -> None:
    rules = {"shared": {"allowCreate": True, "volumeTotalSize": "1GB"}}
    declared = {"new": {"defaultDatastore": "shared", "access": rules, "vms": ["vm1"]}}
    found = look({"g1": {}}, declared=declared, host="open")
    assert list(shown(graph(AccessMap(found)))) == ["every VM on esx1", "g1", "new"]
    drawn = graph(DeclaredAccess(found))
    assert shown(drawn) == {"new": {"shared": "mount, delete, and create up to 1GB in all (0MB of 1GB used)"}}
    assert drawn.groups[0].vms == ("vm1",)


def test_a_host_that_is_open_lets_every_vm_do_everything() -> None:
    drawn = graph(AccessMap(look({}, host="open")))
    everything = "create, delete and mount without limit"
    assert shown(drawn) == {"every VM on esx1": {"other": everything, "shared": everything}}


def test_without_a_driver_nothing_is_enforced_whatever_the_link() -> None:
    def word(**host: Any) -> str:
        (found,) = look({}, host={"is": "joined", **host}).joined.hosts.values()
        return access(found)

    assert word(driver=None, service="not installed") == NONE
    assert word(driver=None, service="not installed", driver_error="?") == "enforced"
    assert word(driver=None) == "enforced", "it still runs"
