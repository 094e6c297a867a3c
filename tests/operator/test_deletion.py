"""Deleting objects: what is removed from vDVS, what stays, and what keeps an object from being let go."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.execution.verdicts import verdicts
from reconciler.model.outcome import Outcome
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Reconcile, Treatment, Unresolved
from reconciler.operator import deletion
from reconciler.operator.connection.objects import KubeObject, Metadata
from reconciler.operator.deletion import DeletionPolicy, applied, obstacles, policy, removing, without
from reconciler.planning.differ import diff
from reconciler.planning.planner import plan
from tests.operator.looks import APPLIED, DECLARED, GROUP, HOST, LIVE, NOON, look, site_of
from tests.planning import compact

RETAIN, DELETE = DeletionPolicy.RETAIN, DeletionPolicy.DELETE
DB = ObjectRef(Kind.CONFIG_DB, "shared")
MINE = Applying("team", Stamp("operator"))
CONFIRMED = {"vdvs.io/confirm-delete": "blue"}
SAYS_DELETE, SAYS_RETAIN = {"vdvs.io/deletion-policy": "Delete"}, {"vdvs.io/deletion-policy": "Retain"}

POLICIES: dict[str, tuple[dict[str, str], DeletionPolicy, bool, DeletionPolicy]] = {
    # annotations, default of the Site, whether the namespace goes; then what becomes of it
    "nothing is said": ({}, RETAIN, False, RETAIN),
    "the Site says Delete, nobody confirms": ({}, DELETE, False, RETAIN),
    "it says Delete, nobody confirms": (SAYS_DELETE, RETAIN, False, RETAIN),
    "another name is confirmed": (SAYS_DELETE | {"vdvs.io/confirm-delete": "green"}, RETAIN, False, RETAIN),
    "it says Delete, confirmed": (SAYS_DELETE | CONFIRMED, RETAIN, False, DELETE),
    "the Site says Delete, confirmed": (CONFIRMED, DELETE, False, DELETE),
    "it says Retain, the Site Delete": (SAYS_RETAIN | CONFIRMED, DELETE, False, RETAIN),
    "what it says is no policy": ({"vdvs.io/deletion-policy": "delete"} | CONFIRMED, DELETE, False, RETAIN),
    "the namespace goes, the Site says Delete": (CONFIRMED, DELETE, True, RETAIN),
    "the namespace goes, it says Delete, confirmed": (SAYS_DELETE | CONFIRMED, RETAIN, True, DELETE),
}


@pytest.mark.parametrize(("annotations", "default", "going", "becomes"), POLICIES.values(), ids=POLICIES)
def test_what_becomes_of_it(
    annotations: dict[str, str], default: DeletionPolicy, going: bool, becomes: DeletionPolicy
) -> None:
    found = KubeObject(Metadata("blue", annotations=annotations))
    assert policy(Kind.VMGROUP, found, default, namespace_going=going) is becomes


@pytest.mark.parametrize("kind", [Kind.CONFIG_DB, Kind.HOST])
def test_a_config_db_and_a_host_are_never_removed(kind: Kind) -> None:
    found = KubeObject(Metadata("blue", annotations=SAYS_DELETE | CONFIRMED))
    assert policy(kind, found, DELETE, namespace_going=False) is RETAIN


def removal(
    observed: dict[str, Any], of: str = "team", others: dict[str, Any] | None = None, was: str | None = None,
    held: tuple[Unresolved, ...] = (),
) -> tuple[Outcome, set[ObjectRef]]:  # fmt: skip
    """A pass that removes vmgroup g1, which was deleted and is in no manifest; and what it changes. `others`: vmgroups
    that are declared, which may be those with the UUID `was` only; `held`: objects that cannot be used."""
    rest = {kind: objects for kind, objects in DECLARED.items() if kind != "vmgroups"}
    resolved, found = site_of({**rest, "vmgroups": others or {}}, observed)
    groups = tuple(replace(each, was=was) for each in resolved.vmgroups)
    resolved = replace(resolved, vmgroups=groups, unresolved=(*resolved.unresolved, *held))
    allowed, applying = removing(frozenset({GROUP}), replace(MINE, set=of))
    differs = diff(resolved, found, {}, applying)
    steps = plan(differs, resolved, found, allowed)
    before = replace(look(resolved, found), diff=differs)
    changed = {action.ref for step in steps.steps for action in step.actions}
    return Outcome(before, steps, (), None, verdicts(differs, steps, (), None)), changed


def test_only_what_was_deleted_is_removed() -> None:
    """Others that the set applied, and no object declares any more, stay: their deletion was not seen."""
    records = [*APPLIED, ["vmgroup/g2", "id-g2", "team"]]
    rows = {"vmgroups": {"g1": LIVE, "g2": {"vms": ["vm2"]}}, "records": records}
    _, changed = removal({"config_dbs": {"shared": rows}})
    assert changed == {GROUP}


def test_what_another_set_applied_last_is_not_removed_and_not_in_the_way() -> None:
    outcome, changed = removal({}, of="another")
    assert changed == set()
    assert obstacles(outcome, [GROUP], {GROUP: DB}) == {}


def test_volumes_are_in_the_way() -> None:
    outcome, changed = removal({"dockvols": {"shared": {"id-g1": 1}}})
    assert changed == set()
    (obstacle,) = obstacles(outcome, [GROUP], {GROUP: DB}).values()
    assert obstacle.reason == "HoldsVolumes"
    assert "1 volume" in obstacle.message
    assert "vdvs.io/deletion-policy: Retain lets it go" in obstacle.message


def test_a_config_db_that_cannot_be_read_is_in_the_way_of_its_vmgroups_only() -> None:
    outcome, changed = removal({"config_dbs": {"shared": "Locked"}})
    assert changed == set()
    assert obstacles(outcome, [GROUP], {GROUP: DB})[GROUP].reason == "NotObserved"
    assert obstacles(outcome, [GROUP], {GROUP: ObjectRef(Kind.CONFIG_DB, "other")}) == {}


CLAIMS: dict[str, Any] = {"its uuid": {"g2": {"uuid": "id-g1"}}, "its name": {"g2": {"previousNames": ["g1"]}}}


@pytest.mark.parametrize("others", CLAIMS.values(), ids=CLAIMS)
def test_what_another_object_may_be_about_is_not_said_to_be_removed(others: dict[str, Any]) -> None:
    outcome, changed = removal({}, others=others)
    assert GROUP not in changed
    (obstacle,) = obstacles(outcome, [GROUP], {GROUP: DB}).values()
    assert obstacle.reason == "DeletionBlocked"
    assert obstacle.message.startswith("another object names the vmgroup g1, by a previous name or its uuid id-g1")


def test_who_names_what_is_found_out_once_for_all_deletions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A namespace with a thousand vmgroups may be deleted at once."""
    asked: list[object] = []
    monkeypatch.setattr(deletion, "mentioned", lambda *_: asked.append(_) or {"g1"})
    gone = [ObjectRef(Kind.VMGROUP, f"gone-{number}") for number in range(20)]
    assert set(obstacles(removal({}, others=CLAIMS["its uuid"])[0], [GROUP, *gone], {})) == {GROUP}
    assert len(asked) == 1


def test_what_a_held_object_names_is_not_said_to_be_removed() -> None:
    for names in (("g1",), ("id-g1",)):
        held = Unresolved(ObjectRef(Kind.VMGROUP, "g2"), "its manifest is invalid", names, certain=True)
        outcome, changed = removal({}, held=(held,))
        assert changed == set()
        assert obstacles(outcome, [GROUP], {GROUP: DB})[GROUP].reason == "DeletionBlocked"


@pytest.mark.parametrize("others", CLAIMS.values(), ids=CLAIMS)
def test_whoever_names_what_is_another_s_keeps_nobody_from_removing_it(others: dict[str, Any]) -> None:
    assert removal({}, others=others, was="")[1] == {GROUP}


def test_what_is_gone_is_let_go() -> None:
    rows = {"vmgroups": {}, "records": APPLIED[:2]}
    assert obstacles(removal({"config_dbs": {"shared": rows}})[0], [GROUP], {GROUP: DB}) == {}


def test_the_finalizer_goes_on_what_the_set_applied_and_is_as_declared() -> None:
    found = look(*site_of())
    assert applied(found, "team") == {DB, HOST, GROUP}
    assert applied(found, "another") == frozenset()
    assert applied(look(*site_of({"vmgroups": {"g1": {"vms": ["vm2"]}}})), "team") == {DB, HOST}
    assert found.observed_at == NOON


def test_what_is_declared_loses_the_deleted_objects_and_nothing_else() -> None:
    declared = compact.desired({**DECLARED, "vmgroups": {"g1": {}, "g2": {}}, "volumes": {"g1/v@shared": "read-write"}})
    held = Unresolved(ObjectRef(Kind.VMGROUP, "g3"), "its manifest is invalid")
    treated = tuple(Treatment(each.ref, Reconcile.REPORT, "m1") for each in declared.vmgroups)
    declared = replace(declared, held=(held,), treatments=treated)
    left = without(declared, frozenset({GROUP}))
    assert {each.ref.name for each in left.objects} == {"esx1", "shared", "g2"}, "nor a volume of it"
    assert (left.held, [each.ref.name for each in left.treatments]) == ((held,), ["g2"])
    assert GROUP not in dict(left.digests)
    assert without(declared, frozenset()) is declared
