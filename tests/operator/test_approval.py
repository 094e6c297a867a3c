"""Plans that wait for approval: what their ids stand for, and what an approval lets through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from reconciler.model.diff import Op
from reconciler.model.outcome import ActionResult, Assessment
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Reconcile, Treatment
from reconciler.operator.approval import (
    Approval,
    Approvals,
    Granted,
    Proposal,
    Proposals,
    done_with,
    granted,
    obsolete,
    planned,
    proposals,
)
from reconciler.planning.differ import diff, without_uuid
from tests.operator.looks import GROUP, NOON, look, site_of

OTHER, NEW = ObjectRef(Kind.VMGROUP, "g2"), ObjectRef(Kind.VMGROUP, "new")
SITE = ObjectRef(Kind.SITE, "lab")
GROUPS: dict[str, Any] = {
    "configdbs": {"shared": {"datastore": "shared"}},
    "vmgroups": {"g1": {"vms": ["vm1", "vm2"]}, "g2": {"vms": []}},
}
CREATED = {"defaultDatastore": "shared", "access": {"shared": {"allowCreate": True}}}
LIVE = {"config_dbs": {"shared": {"vmgroups": {"g1": {"vms": ["vm1"]}, "g2": {"vms": []}}}}}
MOVED = {"config_dbs": {"shared": {"vmgroups": {"g1": {"vms": ["vm1"]}, "g2": {"vms": ["vm2"]}}}}}


def waiting(found: Assessment, site: str = "lab") -> Proposals:
    """The plans of a site whose mode lets nothing through."""
    return proposals(site, found, {change.ref for change in found.diff.changes})


def of(wanted: Mapping[str, Any] = GROUPS, observed: Mapping[str, Any] = LIVE, site: str = "lab") -> Proposals:
    return waiting(look(*site_of(wanted, observed)), site)


def decide(found: Proposals, site: str = "", namespaces: Mapping[ObjectRef, str] = {}, **ids: str) -> Granted:
    """What these approvals let through: of the Site, and of objects, by their names."""
    named = dict.fromkeys(found.by_object, "team-a") | dict(namespaces)
    refs = {ObjectRef(Kind.VMGROUP, name): plan_id for name, plan_id in ids.items()}
    given = {ref: frozenset({Approval(named.get(ref, ""), plan_id)}) for ref, plan_id in refs.items()}
    return granted(found, Approvals(site, given, named), SITE)


def test_an_id_does_not_change_with_what_is_drawn_anew_for_each_look() -> None:
    resolved, observed = site_of({"vmgroups": {"new": CREATED}})
    looks = []
    for number in range(2):
        fresh = dict.fromkeys(without_uuid(resolved, observed), f"0000-{number}")
        looks.append(Assessment(resolved, observed, diff(resolved, observed, fresh), NOON))
    assert looks[0].diff != looks[1].diff
    assert waiting(looks[0]).by_object[NEW].id == waiting(looks[1]).by_object[NEW].id


def test_an_id_changes_with_the_manifest_with_the_rows_and_with_the_site() -> None:
    ids = {
        of().by_object[GROUP].id,
        of({**GROUPS, "vmgroups": {**GROUPS["vmgroups"], "g1": {"vms": ["vm1", "vm3"]}}}).by_object[GROUP].id,
        of({**GROUPS, "digests": {"vmgroup/g1": "another"}}).by_object[GROUP].id,
        of(observed={"config_dbs": {"shared": {"vmgroups": {"g1": {"vms": []}, "g2": {"vms": []}}}}})
        .by_object[GROUP]
        .id,
        of(site="other").by_object[GROUP].id,
    }
    assert len(ids) == 5


def test_the_rows_of_other_objects_are_no_part_of_an_id() -> None:
    live = {"config_dbs": {"shared": {"vmgroups": {"g1": {"vms": ["vm1"]}, "g2": {"vms": ["vm4"]}}}}}
    assert of(observed=live).by_object[GROUP].id == of().by_object[GROUP].id
    assert of(observed=live).whole != of().whole


def test_objects_tied_by_a_vm_that_moves_share_a_plan() -> None:
    found = of(observed=MOVED)
    assert found.by_object[GROUP] == found.by_object[OTHER]
    assert found.by_object[GROUP].objects == {GROUP, OTHER}


def test_a_plan_of_two_namespaces_needs_approval_in_both_or_of_the_site() -> None:
    found = of(observed=MOVED)
    plan_id, theirs = found.by_object[GROUP].id, {OTHER: "team-b"}
    alone = decide(found, namespaces=theirs, g1=plan_id)
    assert alone.plans == ()
    assert "waits for one of an object in namespace team-b" in alone.refused[GROUP]
    assert decide(found, namespaces=theirs, g1=plan_id, g2=plan_id).plans == (found.by_object[GROUP],)
    assert found.whole is not None
    assert decide(found, site=found.whole.id, namespaces=theirs).plans == (found.whole,)


def test_an_approval_of_another_plan_is_refused_in_words() -> None:
    refused = decide(of(), g1="0" * 40, site="1" * 40).refused
    assert refused[GROUP].startswith(
        "the approval of plan 000000000000 is not carried out, as the site or the manifests"
    )
    assert refused[GROUP].endswith(f"now it would be {of().by_object[GROUP].id[:12]}")
    assert "111111111111" in refused[SITE]


def test_an_approval_with_nothing_to_do_is_refused_in_words() -> None:
    assert decide(of({}, {}), g1="0" * 40).refused[GROUP].endswith("nothing waits for approval now")


def test_a_plan_has_only_what_was_approved_and_all_of_it() -> None:
    wanted = {**GROUPS, "vmgroups": {"g1": {"vms": ["vm1", "vm2"]}, "g2": {"vms": ["vm3"]}}}
    found = look(*site_of(wanted, LIVE))
    steps = planned(found, frozenset({GROUP}), None)
    assert {action.ref for step in steps.steps for action in step.actions} == {GROUP}
    absent = look(
        *site_of({"vmgroups": {"new": CREATED}}, {"config_dbs": {"shared": "absent"}, "hosts": {"esx1": "open"}})
    )
    refused = planned(absent, frozenset({NEW}), None)
    assert refused.empty
    assert "configdb/shared is not there" in refused.withheld[0].reason


def test_a_plan_that_was_carried_out_is_done_with_though_another_one_failed() -> None:
    one, two = (Proposal(name, "", frozenset({ref})) for name, ref in (("one", GROUP), ("two", OTHER)))
    results = [ActionResult(GROUP, True), ActionResult(OTHER, False, "Locked", "another process writes")]
    assert done_with([one, two], results) == ["one"]
    both = Proposal("both", "", frozenset({GROUP, OTHER}))
    assert done_with([both], results) == []


def test_an_approval_of_what_is_as_declared_by_now_counts_no_longer() -> None:
    """Else the same drift, weeks later, would be carried out at once."""
    stale = frozenset({Approval("team-a", "1")})
    settled, waits = look(*site_of()), look(*site_of(GROUPS, LIVE))
    assert obsolete(Approvals(objects={GROUP: stale}), Proposals(), settled.diff) == {"1"}
    assert obsolete(Approvals(objects={GROUP: stale}), waiting(waits), waits.diff) == frozenset()
    assert obsolete(Approvals("1"), Proposals(), settled.diff) == {"1"}
    assert obsolete(Approvals("1"), Proposals(), waits.diff) == frozenset()
    undeclared = {"config_dbs": {"shared": {"vmgroups": {"g1": {"vms": ["vm1"]}, "g2": {"vms": []}, "x": {}}}}}
    beside = look(*site_of({**GROUPS, "vmgroups": {"g1": {"vms": ["vm1"]}, "g2": {"vms": []}}}, undeclared))
    assert Op.UNMANAGED in {change.op for change in beside.diff.changes}
    assert obsolete(Approvals("1"), Proposals(), beside.diff) == {"1"}, "what nobody declares is part of no plan"
    of_another = frozenset({Approval("team-a", next(iter(waiting(waits).ids)))})
    assert obsolete(Approvals(objects={OTHER: of_another}), waiting(waits), waits.diff) == frozenset()


def test_what_no_object_declares_is_never_part_of_a_plan() -> None:
    wanted = {"configdbs": {"shared": {"datastore": "shared", "unmanaged": "Delete"}}}
    found = look(*site_of(wanted, LIVE))
    assert [change.ref for change in found.diff.changes if change.op is Op.DELETE] == [OTHER]
    assert waiting(found) == Proposals()
    assert planned(found, frozenset({OTHER}), None).empty


def test_an_object_that_is_to_be_left_alone_is_not_part_of_a_plan() -> None:
    resolved, observed = site_of(GROUPS, LIVE)
    alone = replace(resolved, treatments=(Treatment(GROUP, Reconcile.REPORT, "m1"),))
    assert waiting(look(resolved, observed)).by_object.keys() == {GROUP}
    assert waiting(look(alone, observed)) == Proposals()
