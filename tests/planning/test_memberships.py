"""VMs that Memberships add, looked up: each has folders of its own, and a doubtful one removes nobody."""

from __future__ import annotations

from msgspec.structs import replace

from reconciler.model.kinds.vmgroup import Joining, ResolvedVMGroup, VMRef
from reconciler.planning.resolve import resolve
from tests.planning import compact

_VMS = [{"name": "v1", "path": "/DC0/vm/a/v1"}, {"name": "v2", "path": "/DC0/vm/b/v2"}]
INVENTORY = compact.inventory({"datastores": [{"name": "d1"}], "hosts": ["h1"], "vms": _VMS})
DESIRED = compact.desired(
    {"hosts": {"h1": {}}, "configdbs": {"shared": {"datastore": "d1"}}, "vmgroups": {"g": {"vms": ["v1"]}}}
)


def looked_up(*joining: Joining, folders: tuple[str, ...] | None = None) -> ResolvedVMGroup:
    (group,) = DESIRED.vmgroups
    desired = replace(DESIRED, vmgroups=(replace(group, joining=joining, folders=folders),))
    (found,) = resolve(desired, INVENTORY).vmgroups
    return found


def members(found: ResolvedVMGroup) -> list[str]:
    return [str(member.name) for member in found.members or ()]


def test_a_vm_of_its_own_folders_joins_whatever_the_vmgroup_itself_may_have() -> None:
    found = looked_up(Joining(VMRef("v2"), ("/DC0/vm/b",)), folders=("/DC0/vm/a",))
    assert (members(found), found.unclear_members) == (["v1", "v2"], ())


def test_one_of_other_folders_is_not_added_and_stays_where_it_is() -> None:
    found = looked_up(Joining(VMRef("v2"), ("/DC0/vm/c",)))
    (unclear,) = found.unclear_members
    assert members(found) == ["v1"]
    assert unclear.meant == frozenset({"uuid-v2"})
    assert (unclear.reason, found.unclear) == ("", ()), "the vmgroup does not wait for it, nor say so"


def test_one_that_cannot_be_told_may_be_any_member() -> None:
    found = looked_up(Joining(None, None, "it cannot be used"))
    assert members(found) == ["v1"]
    assert [(each.reason, each.meant) for each in found.unclear_members] == [("it cannot be used", None)]


def test_while_its_place_is_not_known_a_vm_joins_no_vmgroup_of_certain_folders() -> None:
    inventory = replace(INVENTORY, gaps=("vCenter vc2 does not answer",))
    behind = VMRef(uuid="uuid-v9")
    (group,) = DESIRED.vmgroups
    for bounded in (
        replace(group, vms=(*(group.vms or ()), behind), folders=("/DC0/vm/a",)),
        replace(group, joining=(Joining(behind, ("/DC0/vm/a",)),)),
    ):
        (found,) = resolve(replace(DESIRED, vmgroups=(bounded,)), inventory).vmgroups
        assert members(found) == ["v1"]
        assert [each.meant for each in found.unclear_members] == [frozenset({"uuid-v9"})]
    (free,) = resolve(replace(DESIRED, vmgroups=(replace(group, vms=(behind,)),)), inventory).vmgroups
    assert [member.uuid for member in free.members or ()] == ["uuid-v9"]
