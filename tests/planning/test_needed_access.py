"""Access rows and attached disks: whoever can detach a disk before a plan can detach it after it."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, note

from reconciler.planning.differ import diff
from reconciler.planning.resolve import resolve
from reconciler.planning.rights.decision import Lookup, deciding_row, vmgroup_of
from reconciler.planning.vmgroup.state import VMGroupState, observed_states
from tests.planning import compact
from tests.planning.shown import shown_diff, shown_plan
from tests.planning.test_properties import carried_out, look
from tests.planning.worlds import STORES, URLS, World, worlds


def detachable(world: World, states: Mapping[str, VMGroupState]) -> set[tuple[str, str, str]]:
    """(VM, its vmgroup, disk) of every disk that a row lets its VM detach."""
    found = set()
    for vm in world.inventory.vms:
        group = vmgroup_of(vm.uuid, states)
        for disk in vm.volumes:
            url = URLS[STORES.index(disk[1:].partition("]")[0])]
            if group and deciding_row(group, vm.datastore or "", url, Lookup.SINCE_0_17) is not None:
                found.add((vm.uuid, group.uuid, disk))
    return found


@given(worlds())
def test_who_can_detach_a_disk_still_can(world: World) -> None:
    resolved, found, steps = look(world)
    note(shown_diff(found) + shown_plan(steps))
    site = carried_out(world, steps)
    for db in resolved.config_dbs:
        before = observed_states(world.observed.config_dbs[db.location])
        after = observed_states(site.dbs[db.location].observed())
        served = {vm.uuid: group.uuid for vm in world.inventory.vms if (group := vmgroup_of(vm.uuid, after))}
        kept = {(vm, group, disk) for vm, group, disk in detachable(world, before) if served.get(vm) == group}
        assert kept <= detachable(world, after)


def test_what_is_held_for_another_reason_is_told_where_a_row_goes() -> None:
    known = compact.inventory({"hosts": ["h1"], "datastores": [{"name": "shared"}, {"name": "other"}], "vms": []})
    gone = {"uuid": "564d171f-2de0-95b7-f9b8-9d9c42841b70"}
    group = {"defaultDatastore": "shared", "access": {"shared": "create"}, "vms": [gone]}
    wanted = {"hosts": {"h1": {}}, "configdbs": {"a": {"datastore": "shared"}}, "vmgroups": {"g": group}}
    rows = {"g": {"access": {"shared": [1, 0, 0], "other": [1, 0, 0]}}}
    seen = compact.observed({"hosts": {"h1": "joined"}, "config_dbs": {"shared": {"vmgroups": rows}}}, known)
    found = diff(resolve(compact.desired(wanted), known), seen, {})
    [change] = [each for each in found.changes if each.ref.name == "g"]
    assert [field.path for field in change.fields] == ["access[other]"]
    assert change.held == (f"no VM with the BIOS UUID {gone['uuid']} in the inventory",)
