"""Names that are not in the inventory."""

from __future__ import annotations

from reconciler.model.kinds.vmgroup import VMRef
from reconciler.planning.lookup import InventoryLookup
from tests.planning import compact

KNOWN = compact.inventory({"hosts": ["esx"], "datastores": [{"name": "shared"}], "vms": [{"name": "database"}]})


def test_of_thousands_of_misspelt_names_a_few_are_compared_with_all() -> None:
    refs = [VMRef(f"databaze{number}") for number in range(25)]
    refs += [VMRef(inventory_path=f"{vm.path}{number}") for vm in KNOWN.vms for number in range(25)]
    _, unclear = InventoryLookup(KNOWN).members(refs)
    assert len(unclear) == 50
    assert 0 < sum("did you mean" in each.reason for each in unclear) <= 20
