"""Access rows and attached disks: whoever can detach a disk before a plan can detach it after it."""

from __future__ import annotations

from hypothesis import given, note

from reconciler.planning.rights.decision import Lookup, deciding_row, vmgroup_of
from reconciler.planning.vmgroup.state import VMGroupState, observed_states
from tests.planning.shown import shown_diff, shown_plan
from tests.planning.test_properties import carried_out, look
from tests.planning.worlds import STORES, URLS, World, worlds


def detachable(world: World, states: dict[str, VMGroupState]) -> set[tuple[str, str, str]]:
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
