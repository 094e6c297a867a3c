"""Rights: each rule of vDVS as a case in `tests/golden/rights/`; `compare` against asking for everything there is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.model.base import Risk, worst
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.vmgroup import Access
from reconciler.model.refs import VM_DS_URL
from reconciler.planning.rights.cells import cell
from reconciler.planning.rights.change import by_release
from reconciler.planning.rights.decision import ANY_OTHER, Lookup, Request, Right, compare, decide, vmgroup_of
from reconciler.planning.spelling import DisplayNames
from reconciler.planning.vmgroup.state import VMGroupState
from tests.planning.compact import url_of
from tests.planning.test_properties import allowed
from tests.planning.worlds import URLS, states

FILES = sorted((Path(__file__).parents[1] / "golden" / "rights").glob("*.yaml"))
CASES = [(path.stem, case) for path in FILES for case in yaml.safe_load(path.read_text())]


DOMAIN = Path(__file__).parents[2] / "docs" / "domain.md"
CAN_I = yaml.safe_load((Path(__file__).parents[1] / "golden" / "can_i" / "cases.yaml").read_text())
PROOFS = {
    "short name": ["a short name is decided by the row of the default datastore", "and no other one"],
    "`name@datastore`, which has a row of its own": [
        "a name with a datastore is decided by the row of that datastore first",
        "its denial decides as well, though _VM_DS and _ALL_DS would allow",
        "before 0.17 the datastore's own row still comes first",
    ],
    "`name@datastore`, the VM's own datastore, without a row": [
        "without a row of its own, the datastore of the VM falls back to _VM_DS",
        "a _VM_DS row that only mounts beats an _ALL_DS row that creates",
        "before 0.17 it was the other way round",
        "and to _ALL_DS where there is no _VM_DS",
    ],
    "`name@datastore`, any other without a row": [
        "everything else falls back to _ALL_DS",
        "a _VM_DS row says nothing about other datastores",
    ],
    "mount": ["any row allows to mount, whatever its limits", "no row at all"],
    "delete": ["nor does it delete", "a row that creates deletes as well, over quota too"],
    "create": ["a row that only mounts does not create", "one MB more is not", "but not exceeded"],
    "the host is NotConfigured": ["NotConfigured allows everything"],
    "the host is SingleNode or MultiNode": ["a row decides"],
    "the host is BrokenLink": ["BrokenLink refuses everything"],
    "another writer holds the lock": ["a lock that another writer holds may be gone in a moment"],
    "the schema is neither 1.1 (which vDVS upgrades at the first request) nor 1.2": [
        "a schema that vDVS does not know"
    ],
    "the config DB is an empty file": ["an empty config DB fails every request"],
    "the config DB is no SQLite database": ["a file that is no config DB"],
    "SQLite would find damage in the config DB": ["vDVS does not look for damage"],
    "`tenants`, `vms` or `privileges` is missing": ["an access table is missing"],
    "`volumes` is missing": ["the table of booked volumes is missing", "without it the rows say what is mounted"],
    "the last writer was interrupted (a hot journal), or there is a write-ahead log": [
        "a config DB with an interrupted write is recovered by the next request",
        "so is one with a write-ahead log",
    ],
    "the VM is in no vmgroup": ["a VM in no vmgroup is in _DEFAULT", "any other to _DEFAULT, found by its name"],
    "the VM is in no vmgroup and there is no `_DEFAULT`": [
        "and without _DEFAULT in none",
        "a VM in no vmgroup, and no _DEFAULT",
    ],
    "the VM's row names a vmgroup that is gone": ["a row of a vmgroup that is gone does not fall back to _DEFAULT"],
    "the vmgroup has no default datastore": [
        "no default datastore refuses by full name too",
        "a vmgroup without a default datastore refuses short names",
        "and even names with a datastore that has a row",
    ],
    "in other capitals, since 0.17": ["a datastore spelt in another case, since 0.17"],
    "in other capitals, before 0.17": ["and before", "a host without a config DB before 0.17, and other capitals"],
    "the host has two that differ by case only, since 0.17": [
        "two datastores on the host whose names differ by case only, since 0.17",
        "before 0.17 each is found by its exact name",
    ],
    "an at sign in it": ["a datastore with an at sign in its name has no full name", "by a short name it is served"],
    "an apostrophe in it, while `dockvols` is not there": [
        "a datastore with an apostrophe in its name, which has no dockvols yet",
        "once it has one, it is served",
    ],
}
"""Each row of the tables about rights in docs/domain.md, and the cases that prove it."""


def test_every_row_of_the_documentation_is_proven() -> None:
    section = DOMAIN.read_text().partition("## Who may do what")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    assert [row for row in rows if row not in ("request", "right", "state", "name of the datastore")] == list(PROOFS)
    known = {case["case"] for _, case in CASES} | {case["case"] for case in CAN_I}
    assert {case for cases in PROOFS.values() for case in cases} <= known


def group(name: str, plain: Mapping[str, Any]) -> VMGroupState:
    """A vmgroup of a case."""
    access = {url_of(store): row_of(url_of(store), row) for store, row in plain["access"].items()}
    default = plain["default"] and url_of(plain["default"])
    return VMGroupState(name, name, "", default, access, dict.fromkeys(plain.get("vms", ())))


def row_of(url: str, row: list[Any] | None) -> Access | None:
    """A row of a case; None: not readable."""
    return Access(url, {"create": True, "mount": False}[row[0]], row[1], row[2]) if row else None


def test_there_are_cases() -> None:
    assert len(FILES) >= 3
    assert len(CASES) >= 30


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{stem}: {case['case']}") for stem, case in CASES])
def test_golden(case: Mapping[str, Any]) -> None:
    if "groups" in case:
        owner = vmgroup_of("vm1", {name: group(name, plain) for name, plain in case["groups"].items()})
    else:
        owner = case["group"] and group("own", case["group"])
    asked = case["request"]
    store = asked.get("datastore")
    request = Request(Right(asked["right"]), store and url_of(store), asked.get("size", 100))
    lookup = Lookup(case.get("lookup", "0.17 and later"))
    decision = decide(owner, url_of(case.get("vm", "elsewhere")), request, case.get("used", 0), lookup)
    rule = case["rule"] if " " in case["rule"] else url_of(case["rule"])
    assert (decision.allowed, decision.rule) == (case["allowed"], rule)
    assert decision.reason


@given(states(), states())
def test_widening_is_what_lets_somebody_do_something_new(before: VMGroupState, after: VMGroupState) -> None:
    """By the order of look-up of either release: a site may run both."""
    expected = []
    for lookup in Lookup:
        then, now = allowed(before, lookup), allowed(after, lookup)
        expected.append(Risk.WIDENS if now - then else Risk.RESTRICTS if then - now else Risk.SAFE)
    assert compare(before, after) is worst(expected)


@given(states())
def test_nothing_widens_into_itself_and_no_rights_are_the_least(state: VMGroupState) -> None:
    assert compare(state, state) is Risk.SAFE
    assert compare(state, replace(state, description="other", members={"vm": None})) is Risk.SAFE
    some = bool(allowed(state))
    assert compare(None, state) is (Risk.WIDENS if some else Risk.SAFE)
    assert compare(state, None) is (Risk.RESTRICTS if some else Risk.SAFE)


@given(states(), st.sampled_from([*((lookup,) for lookup in Lookup), tuple(Lookup)]))
def test_a_cell_of_the_map_is_the_most_that_any_vm_of_the_vmgroup_may_do(
    state: VMGroupState, lookups: tuple[Lookup, ...]
) -> None:
    """Of all that is asked for: on each datastore, by each name, of a VM on it and of one elsewhere."""
    each = [allowed(state, lookup) for lookup in lookups]
    may = set().union(*each)
    for url in (*URLS, OTHER):
        found = cell(state, url, lookups)
        creates = {own for own in (False, True) if any(one[:3] == (url, own, Right.CREATE) for one in may)}
        mounts = {own for own in (False, True) if (url, own, Right.MOUNT) in may}
        assert (found is not None, found is not None and bool(found.way.creates)) == (bool(mounts), bool(creates))
        if found is not None:
            assert found.only_own is (False not in (creates or mounts))
            most = {any(one[0] == url and one[2] is Right.CREATE for one in alone) for alone in each}
            mounted = {any(one[0] == url for one in alone) for alone in each}
            assert found.unsure is (len(most) > 1 or len(mounted) > 1)
    other, any_other = cell(state, OTHER, lookups), cell(state, ANY_OTHER, lookups)
    assert (other is None) is (any_other is None)
    if other is not None and any_other is not None:
        assert replace(other.way, looked_up=()) == replace(any_other.way, looked_up=())
        assert (other.only_own, other.unsure) == (any_other.only_own, any_other.unsure)


URL, OTHER = url_of("ds1"), "/vmfs/volumes/another"
CREATES, MOUNTS = Access(URL, True, 0, 0), Access(URL, False, 0, 0)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, None, Risk.SAFE),  # the same row, whatever it means
        (CREATES, None, Risk.WIDENS),  # it may mean anything
        (None, CREATES, Risk.WIDENS),  # it may have meant nothing
        (None, MOUNTS, Risk.WIDENS),
    ],
)
def test_a_row_that_cannot_be_read_is_judged_by_the_worst_it_may_mean(
    before: Access | None, after: Access | None, expected: Risk
) -> None:
    state = VMGroupState("g", "g", "", VM_DS_URL, {URL: before}, {})
    assert compare(state, replace(state, description="new", access={URL: after})) is expected


def test_a_row_that_cannot_be_read_may_go() -> None:
    state = VMGroupState("g", "g", "", VM_DS_URL, {URL: None}, {})
    assert compare(state, replace(state, access={})) is Risk.RESTRICTS


def test_two_ways_of_naming_a_datastore_are_not_mixed_into_one() -> None:
    """By its own name small volumes without end, by the short name large ones up to a quota: not both at once."""
    rows = {URL: Access(URL, True, 100, 0), VM_DS_URL: Access(VM_DS_URL, True, 0, 200)}
    before = VMGroupState("g", "g", "", VM_DS_URL, rows, {})
    after = replace(before, access={**rows, URL: CREATES})
    assert compare(before, after) is Risk.WIDENS


@given(states(), states())
def test_what_is_told_of_a_change_is_its_risk(before: VMGroupState, after: VMGroupState) -> None:
    told = list(by_release(before, after, DisplayNames(Inventory((), (), ()))))
    expected = Risk.WIDENS if any(step[3] for step, _ in told) else Risk.RESTRICTS if told else Risk.SAFE
    assert compare(before, after) is expected
    assert all(step[1] != step[2] for step, _ in told)
