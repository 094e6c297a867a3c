"""The status of objects after a pass: what each state is called, and what those who wait make of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.controller.mode import Mode
from reconciler.controller.watch import without
from reconciler.model.base import Risk
from reconciler.model.diff import Diff, FieldChange
from reconciler.model.errors import Refusal
from reconciler.model.kinds.vmgroup import Joining, VMRef
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Reconcile, Treatment, Unresolved
from reconciler.operator.approval import Proposal, Proposals
from reconciler.operator.connection.objects import KubeObject, Metadata
from reconciler.operator.deletion import Obstacle
from reconciler.operator.keys import ObjectKey
from reconciler.operator.source import Held, SiteObjects
from reconciler.operator.status import BESIDE, CONDITIONS, StatusData, Terms, same, severity, statuses
from reconciler.planning.planner import plan
from tests.operator.kstatus import computed
from tests.operator.looks import (
    APPLIED,
    DECLARED,
    GROUP,
    HOST,
    MOVED,
    NEW,
    NOON,
    conditions,
    key,
    kube_object,
    look,
    objects_of,
    outcome_of,
    site,
    site_of,
    status_of,
)
from tests.planning import compact, golden

REPORT, HEAL = Mode(), Mode(heal=True)
ALL = Mode(heal=True, auto_apply=frozenset(Risk) - {Risk.DESTROYS})
SHRUNK = {"config_dbs": {"shared": {"vmgroups": {"g1": {"vms": []}}, "records": APPLIED}}}
LOCKED = {"config_dbs": {"shared": "Locked"}}
LATER = NOON + timedelta(minutes=5)


def kstatus(status: StatusData, generation: int = 1) -> str:
    return computed({"metadata": {"generation": generation}, "status": status})


STATES: dict[str, tuple[ObjectRef, dict[str, Any], dict[str, Any], Mode, str, str, str]] = {
    # object, manifests, observed, mode; then Ready, what is beside it, and the verdict of kstatus
    "in sync": (GROUP, {}, {}, REPORT, "True InSync", "", "Current"),
    "drift, only reported": (GROUP, {}, MOVED, REPORT, "False NotAllowedToHeal", "Stalled", "Failed"),
    "drift whose healing would widen": (GROUP, {}, SHRUNK, HEAL, "False NotAllowedToHeal", "Stalled", "Failed"),
    "a new manifest": (GROUP, NEW, {}, HEAL, "False AwaitingApproval", "", "InProgress"),
    "a new manifest, only reported": (GROUP, NEW, {}, REPORT, "False AwaitingApproval", "", "InProgress"),
    "a VM that is not there": (
        GROUP, {"vmgroups": {"g1": {"vms": ["vm9"]}}}, {}, HEAL, "False NotFound", "", "InProgress"
    ),
    "a default datastore without access": (
        GROUP, {"vmgroups": {"g1": {"vms": ["vm1"], "access": {}, "defaultDatastore": "shared"}}}, {}, HEAL,
        "False Blocked", "Stalled", "Failed",
    ),
    "a host that does not answer": (
        HOST, {}, {"hosts": {"esx1": "unreachable"}}, HEAL, "Unknown Unreachable", "", "InProgress"
    ),
    "a config DB that cannot be read": (GROUP, {}, LOCKED, HEAL, "Unknown Unknown", "", "InProgress"),
    "an open host, only reported": (
        HOST, {}, {"hosts": {"esx1": "open"}}, REPORT, "False NotAllowedToHeal", "Stalled", "Failed"
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("ref", "wanted", "observed", "mode", "ready", "beside", "verdict"), STATES.values(), ids=STATES
)
def test_a_state(
    ref: ObjectRef,
    wanted: dict[str, Any],
    observed: dict[str, Any],
    mode: Mode,
    ready: str,
    beside: str,
    verdict: str,
) -> None:
    status = status_of(ref, wanted, observed, mode)
    found = conditions(status)
    assert found["Ready"] == ready
    assert [each for each in BESIDE if each in found] == ([beside] if beside else [])
    assert kstatus(status) == verdict
    assert kstatus(status, generation=2) == "InProgress"  # the object was changed since


def test_drift_that_is_healed_is_reconciling_until_it_is() -> None:
    drifted, mended = look(*site_of(observed=MOVED)), look(*site_of())
    objects = objects_of(drifted.resolved)
    failed = statuses(objects, outcome_of(drifted, HEAL, drifted, "disk full"), "", {}, NOON, Terms(HEAL))[key(GROUP)]
    assert conditions(failed)["Ready"] == "False Failed"
    assert kstatus(failed) == "InProgress"
    assert "Reconciling" in conditions(failed)
    healed = statuses(objects, outcome_of(drifted, HEAL, mended), "", {}, NOON, Terms(HEAL))[key(GROUP)]
    assert kstatus(healed) == "Current"
    assert "pending" not in healed


def test_what_differs_is_pending() -> None:
    status = status_of(GROUP, observed=MOVED)
    (pending,) = status["pending"]
    assert (pending["field"], pending["from"], pending["risk"]) == ("vms", "vm3 (uuid-vm3)", "restricts")
    assert "may no longer create" in pending["effect"]
    assert status["pendingTotal"] == 1
    assert status["lastApplied"] == {"digest": "m1", "commit": "4f2c1ab", "by": "ann@ws"}
    assert (status["name"], status["uuid"]) == ("g1-vmgroup", "id-g1")


def test_a_vmgroup_that_was_there_before_belongs_to_no_object_of_a_bounded_namespace() -> None:
    resolved, seen = site_of({}, {})
    for was, ready in (("", "False Blocked"), ("id-other", "False Blocked"), ("id-g1", "True InSync")):
        bounded = replace(resolved, vmgroups=tuple(replace(each, was=was) for each in resolved.vmgroups))
        outcome = outcome_of(look(bounded, seen), HEAL)
        status = statuses(objects_of(bounded), outcome, "", {}, NOON, Terms(HEAL))[key(GROUP)]
        assert conditions(status)["Ready"] == ready
        assert ("uuid" in status, "name" in status) == (was == "id-g1", was == "id-g1")


def test_of_many_fields_the_first_twenty_are_shown() -> None:
    found = look(*site_of(observed=MOVED))
    fields = tuple(FieldChange(f"access[ds{n}].allowCreate", "y" * 10_000, True) for n in range(30))
    changes = (replace(each, fields=fields) if each.ref == GROUP else each for each in found.diff.changes)
    found = replace(found, diff=Diff(tuple(changes)))
    status = statuses(objects_of(found.resolved), outcome_of(found, REPORT), "", {}, NOON, Terms(REPORT))[key(GROUP)]
    assert (len(status["pending"]), status["pendingTotal"]) == (20, 30)
    assert len(status["pending"][0]["from"]) < 300


def test_a_plan_that_waits_is_named() -> None:
    status = status_of(GROUP, NEW, {}, HEAL, Proposal("12ab", "vms differ", frozenset({GROUP})))
    assert status["plan"] == {"id": "12ab", "summary": "vms differ"}
    assert "vdvs.io/approve: 12ab" in status["conditions"][0]["message"]
    found = look(*site_of(NEW))
    terms = Terms(
        HEAL,
        Proposals({}, Proposal("34cd", "1 object", frozenset({GROUP}))),
        {GROUP: "no longer", ObjectRef(Kind.SITE, "lab"): "old"},
    )
    made = statuses(objects_of(found.resolved), outcome_of(found, HEAL), "", {}, NOON, terms)
    assert made[site()]["plan"]["id"] == "34cd"
    assert made[site()]["conditions"][0]["message"].endswith("; old")
    assert made[key(GROUP)]["conditions"][0]["message"].endswith("; no longer")


@pytest.mark.parametrize(
    ("mode", "observed", "ready", "verdict"),
    [
        (Reconcile.REPORT, {}, "True Paused", "Current"),
        (Reconcile.REPORT, MOVED, "False Paused", "Failed"),
        (Reconcile.DISABLED, MOVED, "Unknown Paused", "InProgress"),
    ],
)
def test_a_paused_object_says_so(mode: Reconcile, observed: dict[str, Any], ready: str, verdict: str) -> None:
    resolved, seen = site_of(observed=observed)
    resolved = replace(resolved, treatments=(Treatment(GROUP, mode, "m1"),))
    adopting = replace(resolved, digests={**resolved.digests, GROUP: "m2"})  # it was not applied with its annotation
    unapplied = statuses(objects_of(adopting), outcome_of(look(adopting, seen), HEAL), "", {}, NOON, Terms(HEAL))
    assert conditions(unapplied[key(GROUP)])["Ready"].endswith(" Paused")
    found = look(resolved, seen)
    outcome = without(outcome_of(found, HEAL), frozenset({GROUP} if mode is Reconcile.DISABLED else ()))
    status = statuses(objects_of(resolved), outcome, "", {}, NOON, Terms(HEAL))[key(GROUP)]
    assert conditions(status)["Ready"] == ready
    assert kstatus(status) == verdict


def test_what_is_not_allowed_says_so_while_it_is_paused_or_deleted_too() -> None:
    """Else it would count as accepted, and hold others that claim what it may not have."""
    resolved, seen = site_of()
    wrong = Unresolved(GROUP, "VM /DC0/vm/b/x is in no folder whose VMs it may have", (), "NotAllowed", certain=True)
    kept = tuple(each for each in resolved.vmgroups if each.ref != GROUP)
    resolved = replace(resolved, vmgroups=kept, unresolved=(wrong,))
    paused = replace(resolved, treatments=(Treatment(GROUP, Reconcile.REPORT, "m1"),))
    for one, going in ((resolved, False), (resolved, True), (paused, False), (paused, True)):
        objects, found = objects_of(one), look(one, seen)
        objects.seen[key(GROUP)].metadata.deletion_timestamp = "2026-11-23T12:00:00Z" if going else None
        before = statuses(objects, outcome_of(found, HEAL), "", {}, NOON, Terms(HEAL))
        assert conditions(before[key(GROUP)])["Ready"] == "False NotAllowed"
        for failure, terms in (("no answer", Terms(HEAL)), ("", Terms(REPORT, off=True))):
            after = before | statuses(objects, None, failure, before, LATER, terms)
            assert conditions(after[key(GROUP)])["Ready"] == "False NotAllowed", "only a look can tell otherwise"


def test_a_membership_whose_vm_is_in_no_folder_of_its_namespace_says_so() -> None:
    joining = (Joining(VMRef("vm1"), ("/DC/vm/nosuch",)), Joining(VMRef("vm2")), Joining(VMRef("nosuch"), ("/DC/vm",)))
    ready = {}
    for each in joining:
        declared = compact.desired(DECLARED)
        groups = tuple(replace(group, joining=(each,)) for group in declared.vmgroups)
        found = look(*site_of())
        objects, of = objects_of(found.resolved), ObjectKey(Kind.MEMBERSHIP, "team-b", "one")
        seen = KubeObject(Metadata("one", "team-b", "u1", "1", 1), {"vmgroup": "g1", "vm": {"name": str(each.vm)}})
        loaded = replace(objects.loaded, desired=replace(objects.loaded.desired, vmgroups=groups))
        objects = SiteObjects("lab", loaded, {**objects.refs, of: GROUP}, {}, {**objects.seen, of: seen})
        made = statuses(objects, outcome_of(found, HEAL), "", {}, NOON, Terms(HEAL))
        ready[str(each.vm)] = conditions(made[of])["Ready"], conditions(made[key(GROUP)])["Ready"]
    in_sync = "True InSync"
    assert ready == {
        "vm1": ("False NotAllowed", in_sync), "vm2": (in_sync, in_sync), "nosuch": (in_sync, in_sync),
    }  # fmt: skip


def test_too_many_changes_are_held_back() -> None:
    found = look(*site_of(observed=MOVED | {"hosts": {"esx1": "open"}}))
    few = replace(HEAL.policy(objects_of(found.resolved).loaded.desired, ()), most=1)
    outcome = replace(outcome_of(found, HEAL), plan=plan(found.diff, found.resolved, found.observed, few), objects=())
    status = statuses(objects_of(found.resolved), outcome, "", {}, NOON, Terms(HEAL))[key(GROUP)]
    assert conditions(status)["Ready"] == "False HeldBack"
    assert "--max-changes" in status["conditions"][0]["message"]


MIXED = {"shared": {"allowCreate": True, "volumeMaxSize": "5MB", "volumeTotalSize": "900MB"}}  # takes, and gives


@pytest.mark.parametrize("edit", [{"description": "new"}, {"access": MIXED}], ids=["safe", "mixed"])
def test_whoever_edits_too_many_objects_keeps_nobody_s_drift_from_being_healed(edit: dict[str, Any]) -> None:
    edited = {"g2": {"vms": ["vm2"]}, "g3": {"vms": ["vm4"]}}
    wanted = {
        "vmgroups": {**DECLARED["vmgroups"], **{name: {**each, **edit} for name, each in edited.items()}},
        "digests": {f"vmgroup/{name}": "edited" for name in edited},
    }
    rows = {name: {**each, "access": {"shared": [1, 0, 500]}} for name, each in edited.items()}
    rows |= {"g1": {"vms": ["vm1", "vm3"]}}
    records = [*APPLIED, *([f"vmgroup/{name}", f"id-{name}", "team"] for name in edited)]
    found = look(*site_of(wanted, {"config_dbs": {"shared": {"vmgroups": rows, "records": records}}}))
    allowed = Mode(True, frozenset({Risk.SAFE, Risk.RESTRICTS}))
    policy = replace(allowed.policy(objects_of(found.resolved).loaded.desired, ()), most=1)
    steps = plan(found.diff, found.resolved, found.observed, policy)
    assert [action.ref for step in steps.steps for action in step.actions] == [GROUP]
    assert {held.ref.name for held in steps.withheld} == set(edited)


@pytest.mark.parametrize("reason", Refusal)
def test_a_held_object_is_stalled_whether_or_not_the_pass_worked(reason: Refusal) -> None:
    found = look(*site_of())
    objects = objects_of(found.resolved, held={key(GROUP): Held(reason, "why")})
    for outcome, failure in ((outcome_of(found, HEAL), ""), (None, "no vCenter"), (None, "")):
        status = statuses(objects, outcome, failure, {}, NOON, Terms(HEAL))[key(GROUP)]
        assert conditions(status) == {"Ready": f"False {reason}", "Stalled": f"True {reason}"}
        assert kstatus(status) == "Failed"


def test_an_object_that_cannot_be_deleted_is_stalled() -> None:
    found = look(*site_of())
    objects = objects_of(found.resolved)
    objects.seen[key(GROUP)].metadata.deletion_timestamp = "2026-11-23T12:00:00Z"
    going = statuses(objects, outcome_of(found, HEAL), "", {}, NOON, Terms(HEAL))[key(GROUP)]
    assert conditions(going)["Ready"] == "Unknown Deleting"
    terms = Terms(HEAL, obstacles={key(GROUP): Obstacle("HoldsVolumes", "it holds 2 volumes")})
    kept = statuses(objects, outcome_of(found, HEAL), "", {}, NOON, terms)[key(GROUP)]
    assert conditions(kept) == {"Ready": "False HoldsVolumes", "Stalled": "True HoldsVolumes"}


def test_after_a_pass_that_failed_nothing_is_true_from_an_old_look() -> None:
    found = look(*site_of())
    objects = objects_of(found.resolved)
    before = statuses(objects, outcome_of(found, HEAL), "", {}, NOON, Terms(HEAL))
    after = statuses(objects, None, "the inventory cannot be read: no answer", before, LATER, Terms(HEAL))
    assert conditions(after[site()]) == {
        "Ready": "False PassFailed", "Reconciling": "True PassFailed", "InSync": "Unknown PassFailed"
    }  # fmt: skip
    assert "no answer" in after[site()]["conditions"][0]["message"]
    for of in objects.refs:
        assert set(conditions(after[of]).values()) == {"Unknown SiteNotObserved"}
        assert kstatus(after[of]) == "InProgress"
    assert (after[key(GROUP)]["name"], after[key(GROUP)]["uuid"]) == ("g1-vmgroup", "id-g1")
    assert before.keys() == after.keys()


def test_of_a_site_that_is_off_nothing_is_true() -> None:
    found = look(*site_of())
    objects = objects_of(found.resolved)
    before = statuses(objects, outcome_of(found, HEAL), "", {}, NOON, Terms(HEAL))
    for status in statuses(objects, None, "", before, LATER, Terms(REPORT, off=True)).values():
        assert set(conditions(status).values()) == {"Unknown Paused"}


def test_nothing_is_said_before_the_first_look() -> None:
    objects = objects_of(look(*site_of()).resolved)
    assert statuses(objects, None, "", {}, NOON, Terms(HEAL)) == {}


def test_a_time_moves_only_with_its_status() -> None:
    found, drifted = look(*site_of()), look(*site_of(observed=MOVED))
    objects = objects_of(found.resolved)
    first = statuses(objects, outcome_of(found, REPORT), "", {}, NOON, Terms(REPORT))
    again = statuses(objects, outcome_of(found, REPORT), "", first, LATER, Terms(REPORT))
    assert again == first
    drift = statuses(objects, outcome_of(drifted, REPORT), "", first, LATER, Terms(REPORT))[key(GROUP)]
    times = {each["type"]: each["lastTransitionTime"] for each in drift["conditions"]}
    assert times["Ready"] == times["Stalled"] == times["InSync"] == "2026-11-23T12:05:00Z"
    assert times["Resolved"] == "2026-11-23T12:00:00Z"


def test_the_generation_is_that_of_the_object_that_the_pass_saw() -> None:
    found = look(*site_of())
    made = statuses(objects_of(found.resolved, generation=7), outcome_of(found, HEAL), "", {}, NOON, Terms(HEAL))
    for status in made.values():
        assert status["observedGeneration"] == 7
        assert {each["observedGeneration"] for each in status["conditions"]} == {7}
        assert status["site"] == "lab"
    assert made[key(GROUP)]["observedDigest"] == "m1"


def test_a_site_sums_up_what_is_there() -> None:
    drifted = look(*site_of(observed=MOVED))
    made = statuses(objects_of(drifted.resolved), outcome_of(drifted, HEAL), "", {}, NOON, Terms(HEAL))[site()]
    found = {each["type"]: each for each in made["conditions"]}
    assert (found["Ready"]["status"], found["InSync"]["status"]) == ("True", "False")
    assert found["InSync"]["message"] == "1 vmgroup drifted"
    assert "healing" in found["Ready"]["message"]


def test_texts_are_bounded() -> None:
    found = look(*site_of())
    long = "x" * 100_000
    objects = objects_of(found.resolved, held={key(GROUP): Held(Refusal.INVALID, long)})
    made = statuses(objects, None, long, {}, NOON, Terms(HEAL))
    assert all(len(each["message"]) < 1200 for status in made.values() for each in status["conditions"])


def test_the_order_of_conditions_and_those_of_others_make_no_difference() -> None:
    status = status_of(GROUP)
    other = {"type": "Audited", "status": "True"}
    assert same(status, {**status, "conditions": [other, *reversed(status["conditions"])]})
    assert not same(status, {**status, "conditions": status["conditions"][1:]})
    assert not same(status, {**status, "uuid": "another"})


def test_the_worse_the_higher() -> None:
    ready, waiting, drifted = status_of(GROUP), status_of(GROUP, NEW), status_of(GROUP, observed=MOVED)
    unknown = status_of(HOST, observed={"hosts": {"esx1": "unreachable"}})
    found = [severity(each) for each in (ready, unknown, waiting, drifted)]
    assert found == sorted(set(found))


@pytest.mark.parametrize("mode", [REPORT, HEAL, ALL], ids=str)
def test_never_reconciling_and_stalled_at_once_in_any_golden_world(mode: Mode) -> None:
    """Nor Ready with one of them, nor a condition that `same` does not know as ours."""
    for case in golden.cases():
        resolved, observed, *_ = golden.asked(golden.CASES / case)
        found = look(resolved, observed)
        outcomes = [outcome_of(found, mode), outcome_of(found, mode, found), outcome_of(found, mode, found, "failed")]
        for outcome in outcomes:
            for of, status in statuses(objects_of(resolved), outcome, "", {}, NOON, Terms(mode)).items():
                _check(case, of, status)


def _check(case: str, of: ObjectKey, status: StatusData) -> None:
    found = {each["type"]: each["status"] for each in status["conditions"]}
    assert len(found) == len(status["conditions"]), (case, of)
    assert found.keys() <= CONDITIONS, (case, of)
    beside = [each for each in BESIDE if each in found]
    assert len(beside) <= 1, (case, of)
    assert not beside or found["Ready"] != "True", (case, of)
    assert all(each["message"] and each["reason"].isalnum() for each in status["conditions"]), (case, of)
    assert kube_object(of).metadata.generation == status["observedGeneration"]


def test_the_page_has_every_condition() -> None:
    page = (Path(__file__).parents[2] / "docs" / "kubernetes-status.md").read_text()
    assert [each for each in sorted(CONDITIONS) if f"`{each}`" not in page] == []
