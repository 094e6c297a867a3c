"""VMs that are named by what others call them: who is meant is told."""

from __future__ import annotations

import pytest

from reconciler.model.inventory import Inventory, VirtualMachine
from reconciler.model.kinds.vmgroup import VMRef
from reconciler.planning.lookup import InventoryLookup, NotFoundError
from tests.planning import compact

BIOS, INSTANCE = "564d865d-9979-5dd2-aeac-9a90bfbdfcb7", "50219711-7f35-c0c5-1d36-2b0a5a1b7a51"
IN_THE_GUEST = "5d864d56-7999-d25d-aeac-9a90bfbdfcb7"
SITE = Inventory((), (), (VirtualMachine("web", "/DC0/vm/a/web", BIOS, INSTANCE, None, None, ()),))
KNOWN = compact.inventory({"hosts": ["esx"], "datastores": [{"name": "shared"}], "vms": [{"name": "database"}]})


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (VMRef(uuid=INSTANCE), f"is the instance UUID of VM web; vDVS knows it by its BIOS UUID, {BIOS}"),
        (VMRef(uuid=IN_THE_GUEST), f"is how a guest may show the BIOS UUID of VM web; vDVS knows it by {BIOS}"),
        (VMRef(name="/DC0/vm/a/web"), "a path is given as inventoryPath"),
        (VMRef(name=BIOS), f"web is given as `uuid: {BIOS}`"),
        (VMRef(name=f"{{{BIOS.upper()}}}"), f"web is given as `uuid: {BIOS}`"),
        (VMRef(name="56 4d 86 5d 99 79 5d d2-ae ac 9a 90 bf bd fc b7"), f"web is given as `uuid: {BIOS}`"),
        (VMRef(name="weeb"), 'did you mean "web"'),
    ],
)
def test_who_is_meant_is_told(wanted: VMRef, said: str) -> None:
    with pytest.raises(NotFoundError, match=said) as raised:
        InventoryLookup(SITE).member(wanted)
    assert raised.value.unclear.meant == (frozenset({BIOS}) if wanted.uuid else None)


def test_a_uuid_that_nothing_has_is_nobodys() -> None:
    nobody = "12345678-1234-1234-1234-123456789abc"
    lookup = InventoryLookup(SITE)
    assert lookup.unknown(lookup.member(VMRef(uuid=nobody)))


def test_of_thousands_of_misspelt_names_a_few_are_compared_with_all() -> None:
    refs = [VMRef(f"databaze{number}") for number in range(25)]
    refs += [VMRef(inventory_path=f"{vm.path}{number}") for vm in KNOWN.vms for number in range(25)]
    _, unclear = InventoryLookup(KNOWN).members(refs)
    assert len(unclear) == 50
    assert 0 < sum("did you mean" in each.reason for each in unclear) <= 20
