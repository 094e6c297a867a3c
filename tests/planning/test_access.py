"""The access map: effective rights by vmgroup and datastore, and what they add up to."""

from __future__ import annotations

from typing import Any

from reconciler.planning.resolve import resolve
from reconciler.planning.rights.access import AccessMap, declared_access, live_access
from tests.planning import compact

DATASTORES = [{"name": name} for name in ("shared", "other")]
GB = 1024


def access(groups: Any, rows: Any = None, declared: Any = None, hosts: Any = None) -> dict[str, AccessMap]:
    """The map as it is, and as it is declared. Each datastore holds 100 GB."""
    inventory = compact.inventory({"hosts": ["esx1", "esx2"], "datastores": DATASTORES, "vms": []})
    desired = compact.desired(
        {"hosts": {"esx1": None}, "configdbs": {"a": {"datastore": "shared"}}, "vmgroups": declared or {}}
    )
    resolved = resolve(desired, inventory)
    dbs = {"shared": {"vmgroups": groups, "rows": rows or {}}}
    observed = compact.observed({"hosts": hosts or {"esx1": "joined"}, "config_dbs": dbs}, inventory)
    return {"live": live_access(resolved, observed), "declared": declared_access(resolved, observed)}


def shown(found: AccessMap) -> dict[str, dict[str, tuple[Any, ...]]]:
    names = {datastore.url: datastore.name for datastore in found.datastores}
    return {
        ref.name: {
            names[url]: (
                "mount" if cell.use.mounts else "create", "beside" if cell.use.beside else "anywhere",
                cell.use.limit_mb, cell.used_mb,
            )
            for url, cell in group.cells.items()
        }
        for ref, group in found.groups.items()
    }  # fmt: skip


def test_the_row_of_a_datastore_decides_before_those_of_all() -> None:
    groups = {"g1": {"access": {"shared": [0, 0, 0], "_ALL_DS": [1, 0, 5 * GB]}}}
    rows = {"volume_use": [["id-g1", "other", GB, 2]]}
    found = access(groups, rows)["live"]
    assert shown(found)["g1"] == {
        "shared": ("mount", "anywhere", 0, 0),
        "other": ("create", "anywhere", 5 * GB, GB),
    }


def test_a_right_for_vms_beside_it_alone() -> None:
    found = access({"g1": {"access": {"shared": [1, 0, GB], "_VM_DS": [1, 0, 0]}}})["live"]
    assert shown(found)["g1"]["other"] == ("create", "beside", None, 0)


def test_promises_add_up_and_no_limit_promises_nothing() -> None:
    groups = {
        "g1": {"access": {"shared": [1, 0, 60 * GB]}},
        "g2": {"access": {"shared": [1, 0, 50 * GB], "other": [1, 0, 0]}},
        "g3": {"access": {"shared": [0, 0, 500 * GB]}},
    }
    other, shared = access(groups, {"volume_use": [["id-g1", "shared", GB, 1]]})["live"].promised()
    assert (shared.promised_mb, shared.limited, shared.unlimited, shared.used_mb) == (110 * GB, 2, 0, GB)
    assert shared.overcommitted
    assert (other.promised_mb, other.limited, other.unlimited, other.overcommitted) == (0, 0, 1, False)


def test_what_is_declared_and_not_there_yet() -> None:
    rules = {"shared": {"allowCreate": True, "volumeTotalSize": "1GB"}}
    declared = {"new": {"defaultDatastore": "shared", "access": rules}}
    found = access({"g1": {"access": {"shared": [1, 0, 0]}}}, declared=declared)
    assert list(shown(found["live"])) == ["g1"]
    assert shown(found["declared"]) == {"new": {"shared": ("create", "anywhere", GB, 0)}}


def test_a_host_that_is_open() -> None:
    found = access({}, hosts={"esx1": "open"})["live"]
    assert list(found.open_on) == ["esx1"]
