"""What is in dockvols for no vmgroup is told of, and what may be of a vmgroup that was not read is not called so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.model.events import Condition, Truth
from reconciler.model.outcome import Assessment
from reconciler.planning.conditions import conditions
from reconciler.planning.differ import diff
from reconciler.planning.resolve import resolve
from tests.planning import compact

KNOWN = {"hosts": ["esx1", "esx2"], "datastores": [{"name": "shared"}, {"name": "other"}], "vms": []}
OLD = "/vmfs/volumes/id-other/dockvols/id-gone"


def judged(dockvols: Any, hosts: Any = None, dbs: Any = None) -> dict[str, Condition]:
    """`NoOrphans` of the config DBs `a`, on `shared` with vmgroup g1, and `b`, on `other` with vmgroup g2."""
    inventory = compact.inventory(KNOWN)
    declared = {"a": {"datastore": "shared", "hosts": ["esx1"]}, "b": {"datastore": "other", "hosts": ["esx2"]}}
    resolved = resolve(compact.desired({"hosts": {"esx1": None, "esx2": None}, "configdbs": declared}), inventory)
    there = {"shared": {"vmgroups": {"g1": {}}}, "other": {"vmgroups": {"g2": {}}}} | (dbs or {})
    seen = {"hosts": hosts or {"esx1": "joined", "esx2": "joined"}, "config_dbs": there, "dockvols": dockvols}
    observed = compact.observed(seen, inventory)
    found = conditions(Assessment(resolved, observed, diff(resolved, observed, {}), datetime(2026, 1, 1, tzinfo=UTC)))
    return {str(one.ref): one for one in found if one.type == "NoOrphans"}


@pytest.mark.parametrize(
    ("dockvols", "message"),
    [
        (
            {"other": {"id-gone": 3}},
            "dockvols/id-gone on other holds 3 volumes of no vmgroup: one with spec.uuid id-gone would have them again",
        ),
        (
            {"other": {"g0": f"-> {OLD}"}},
            f"dockvols/g0 on other is left over and leads to {OLD}: a vmgroup of this name would be served from there",
        ),
        (
            {"shared": {"a.vmdk": "file", "a-flat.vmdk": "file", "b.vmdk": "file", "b-000001.vmdk": "file"}},
            "2 volumes of no vmgroup directly in dockvols on shared: no vmgroup is served from there",
        ),
    ],
)
def test_what_is_of_no_vmgroup_is_told_of_once(dockvols: Any, message: str) -> None:
    found = judged(dockvols)
    assert found["configdb/a"].status is Truth.FALSE
    assert found["configdb/a"].message == message
    assert found["configdb/b"].status is Truth.TRUE  # the datastores are told of with the first that uses them


def test_what_is_of_a_vmgroup_of_any_config_db_is_no_orphan() -> None:
    links = {"g1": "-> /vmfs/volumes/id-shared/dockvols/id-g1", "g2": "-> /vmfs/volumes/id-shared/dockvols/id-g2"}
    found = judged({"shared": {"id-g1": 1, "id-g2": 1, "id-empty": 0, "policies": 0, **links}})
    assert {one.status for one in found.values()} == {Truth.TRUE}


@pytest.mark.parametrize(
    ("hosts", "dbs", "message"),
    [
        ({"esx1": "joined", "esx2": "unreachable"}, None, "host/esx2 could not be reached"),
        (None, {"other": "Locked"}, "could not be read"),
    ],
)
def test_what_may_be_of_a_vmgroup_that_was_not_seen_is_not_called_an_orphan(hosts: Any, dbs: Any, message: str) -> None:
    found = judged({"shared": {"id-g2": 1}}, hosts, dbs)
    assert found["configdb/a"].status is Truth.UNKNOWN
    assert message in found["configdb/a"].message


def test_of_many_the_first_are_told() -> None:
    found = judged({"shared": {f"id-gone{number}": 1 for number in range(7)}})
    assert found["configdb/a"].message.endswith("id-gone4 would have them again; and 2 more")
