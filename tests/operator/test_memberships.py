"""Memberships: somebody else's VM in a vmgroup, as far as the Site allows it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from reconciler.model.events import Event, EventKind, ReportedEvent
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Desired
from reconciler.operator.approval import Approvals, Proposal, Proposals, granted
from reconciler.operator.keys import ObjectKey
from reconciler.operator.operator import Operator, OperatorOptions
from reconciler.operator.publish import Publisher, SitePublisher
from reconciler.operator.site import SiteManifests
from reconciler.operator.source import SiteObjects
from reconciler.operator.status import Terms
from reconciler.wiring.clock_and_chance import SystemClock
from tests.operator.looks import NOON, REPORT
from tests.operator.test_source import INFRA, TEAM, accepted, group, held, the_site, thing

SHARING = {"names": ["team-b"], **TEAM, "kinds": ["Membership"], "folders": ["/DC0/vm/b"], "vmgroups": ["shared-*"]}
TEAM_A = {"names": ["team-a"], **TEAM}
GROUP = group("team-a/shared-batch", vms=["a-1"])


def membership(name: str, vmgroup: str, vm: Any) -> dict[str, Any]:
    return thing("Membership", f"team-b/{name}", {"vmgroup": vmgroup, "vm": vm})


def found(*documents: dict[str, Any]) -> SiteObjects:
    return the_site(*documents, admitted=(INFRA, TEAM_A, SHARING))


def joining(desired: Desired) -> list[tuple[str, tuple[str, ...] | None, str]]:
    (declared,) = desired.vmgroups
    return [(str(each.vm), each.folders, each.why) for each in declared.joining]


def test_it_joins_a_vmgroup_of_another_namespace_with_vms_of_its_own_folders() -> None:
    objects = found(GROUP, membership("mine", "shared-batch", {"inventoryPath": "/DC0/vm/b/x"}))
    assert held(objects) == {}
    assert joining(objects.loaded.desired) == [("/DC0/vm/b/x", ("/DC0/vm/b",), "")]
    assert [str(ref) for key, ref in objects.refs.items() if key.kind == "Membership"] == ["vmgroup/shared-batch"]


def test_a_vmgroup_that_another_joins_is_not_the_one_that_was_applied() -> None:
    digests = [
        dict(objects.loaded.desired.digests)[objects.loaded.desired.vmgroups[0].ref]
        for objects in (
            found(GROUP),
            found(GROUP, membership("one", "shared-batch", "b-1")),
            found(GROUP, membership("one", "shared-batch", "b-1"), membership("two", "shared-batch", "b-2")),
            found(GROUP, membership("two", "shared-batch", "b-2"), membership("one", "shared-batch", "b-1")),
        )
    ]
    assert len(set(digests)) == 3
    assert digests[2] == digests[3]


def test_what_the_site_does_not_allow_has_no_effect() -> None:
    where = "spec.allow.namespaces of Site lab does not allow"
    objects = found(
        GROUP,
        group("team-a/own", vms=[]),
        membership("other-group", "own", "b-1"),
        membership("other-folder", "shared-batch", {"inventoryPath": "/DC0/vm/a/x"}),
    )
    assert held(objects) == {
        "membership team-b/other-group": (
            "NotAllowed",
            f'spec.vmgroup: {where} the vmgroup "own" here (vmgroups: "shared-*")',
        ),
        "membership team-b/other-folder": ("NotAllowed", f'spec.vm: {where} this VM here (folders: "/DC0/vm/b")'),
    }
    assert [each.joining for each in objects.loaded.desired.vmgroups] == [(), ()]
    assert objects.loaded.desired.held == ()


def test_one_that_cannot_be_used_keeps_its_vmgroup_from_losing_anybody() -> None:
    objects = found(GROUP, membership("broken", "shared-batch", {"uuid": "no uuid"}))
    (why,) = held(objects).values()
    assert why[0] == "Invalid"
    assert joining(objects.loaded.desired) == [("None", None, "membership team-b/broken cannot be used")]


def test_of_two_for_one_vm_the_older_counts() -> None:
    objects = found(GROUP, membership("one", "shared-batch", "b-1"), membership("two", "shared-batch", "b-1"))
    assert held(objects) == {
        "membership team-b/two": (
            "Conflict",
            'spec.vm: VM "b-1" is already in membership/one (membership team-b/one)',
        )
    }
    assert joining(objects.loaded.desired) == [("b-1", ("/DC0/vm/b",), "")]


def test_what_is_misspelt_a_thousand_times_is_compared_with_all_names_a_few_times_only() -> None:
    own = {**SHARING, "kinds": ["VMGroup", "Membership"]}
    names = group("team-b/mine", name="shared-mine", vms=[]), group("team-a/theirs", name="shared-theirs", vms=[])
    many = [membership(f"m{number}", f"shared-{which}{number}", "b-1") for number in range(50) for which in
            (("mime",) if number % 2 else ("theirz",))]  # fmt: skip
    messages = [message for _, message in held(the_site(*names, *many, admitted=(INFRA, TEAM_A, own))).values()]
    assert len(messages) == 50
    suggested = [message for message in messages if "did you mean" in message]
    assert 0 < len(suggested) <= 20
    assert all("shared-mine" in message for message in suggested), "names of other namespaces are not told"


def shared(*documents: dict[str, Any]) -> SiteObjects:
    """Both namespaces may have VMs of the same folders."""
    return the_site(*documents, admitted=(INFRA, {**TEAM_A, "folders": ["/DC0/vm"]}, SHARING))


def test_of_a_vmgroup_and_a_membership_of_another_one_the_older_has_the_vm() -> None:
    other = group("team-a/other", vms=["b-1"])
    first = shared(GROUP, membership("one", "shared-batch", "b-1"), other)
    assert held(first) == {
        "vmgroup team-a/other": (
            "Conflict",
            'spec.vms[0]: VM "b-1" is already in membership/one (membership team-b/one)',
        )
    }
    assert joining(first.loaded.desired) == [("b-1", ("/DC0/vm/b",), "")]
    assert list(held(shared(GROUP, other, membership("one", "shared-batch", "b-1")))) == ["membership team-b/one"]


def test_a_membership_takes_no_vm_that_cannot_be_in_its_folders() -> None:
    squatting = accepted(membership("one", "shared-batch", "a-2"))
    for edited in (group("team-a/other", vms=["a-2"]), group("infra/other", vms=["a-2"])):
        outside = accepted(membership("one", "shared-batch", "a-2"), "NotAllowed")
        assert held(found(GROUP, outside, edited)) == {}, "the pass has said that it is none of its folders"
    assert held(found(GROUP, squatting, group("team-a/other", vms=["a-2"]))) == {}, "no folder is below another's"
    assert list(held(found(GROUP, squatting, group("infra/other", vms=["a-2"])))) == ["vmgroup infra/other"]


def test_a_vmgroup_may_list_a_vm_that_a_membership_has_added_to_it() -> None:
    listing = group("team-a/shared-batch", vms=["a-1", "b-1"])
    objects = shared(membership("one", "shared-batch", "b-1"), listing)
    assert list(held(objects)) == ["membership team-b/one"]


def test_whoever_claims_the_name_of_a_vmgroup_has_no_say_about_who_joins_it() -> None:
    claiming = {"names": ["team-c"], **TEAM, "kinds": ["VMGroup"], "folders": ["/DC0/vm/c"]}
    joined = membership("one", "shared-batch", "b-1")
    for claim in (group("team-c/x", name="shared-batch"), group("team-c/x", name="shared-batch", vms=["b-1"])):
        objects = the_site(
            accepted(GROUP, name="shared-batch"), joined, claim, admitted=(INFRA, TEAM_A, SHARING, claiming)
        )
        assert list(held(objects)) == ["vmgroup team-c/x"]
        assert joining(objects.loaded.desired) == [("b-1", ("/DC0/vm/b",), "")]


def test_a_namespace_takes_no_name_of_a_vmgroup_that_is_not_for_it() -> None:
    bounded = {"names": ["team-b"], **TEAM, "vmgroups": ["b-*"]}
    objects = the_site(
        group("team-b/b-1"), group("team-b/mine", name="shared-batch"), group("team-b/b-2", previousNames=["a-1"]),
        admitted=(INFRA, bounded),
    )  # fmt: skip
    where = "spec.allow.namespaces of Site lab does not allow the vmgroup"
    assert held(objects) == {
        "vmgroup team-b/mine": ("NotAllowed", f'spec.name: {where} "shared-batch" here (vmgroups: "b-*")'),
        "vmgroup team-b/b-2": ("NotAllowed", f'spec.previousNames[0]: {where} "a-1" here (vmgroups: "b-*")'),
    }


def test_what_a_vmgroup_may_adopt_is_bounded_as_its_name_and_its_vms_are() -> None:
    everywhere = {"names": ["team-b"], **TEAM, "folders": ["*"]}

    def may_be(*rules: dict[str, Any]) -> tuple[str | None, tuple[str, ...]]:
        objects = the_site(accepted(group("team-b/b-1"), uuid="U1"), admitted=(INFRA, *rules))
        (declared,) = objects.loaded.desired.vmgroups
        return declared.was, declared.adopts

    assert may_be(everywhere) == (None, ())
    assert may_be({**everywhere, "vmgroups": ["b-*"]}) == ("u1", ("b-*",))
    assert may_be({**everywhere, "vmgroups": ["b-*"]}, {**everywhere, "vmgroups": ["c"]}) == ("u1", ("b-*", "c"))
    assert may_be({**everywhere, "vmgroups": ["b-*"]}, everywhere) == (None, ())
    assert may_be({**everywhere, "vmgroups": ["b-*"], "folders": ["/DC0/vm/b"]}) == ("u1", ())


SHARED, OTHER, THE_SITE = (
    ObjectRef(Kind.VMGROUP, "shared-batch"),
    ObjectRef(Kind.VMGROUP, "theirs"),
    ObjectRef(Kind.SITE, "lab"),
)
PLAN, OLD = "1" * 40, "0" * 40


def approved(document: dict[str, Any], plan_id: str) -> dict[str, Any]:
    return {**document, "metadata": {**document["metadata"], "annotations": {"vdvs.io/approve": plan_id}}}


def approvals(*documents: dict[str, Any]) -> Approvals:
    everywhere = {"names": ["team-b"], **TEAM, "kinds": ["*"], "folders": ["*"], "vmgroups": ["*"]}
    objects = the_site(*documents, admitted=(INFRA, TEAM_A, everywhere))
    assert held(objects) == {}
    return SiteManifests(objects).approvals({})


def test_the_namespace_of_a_vmgroup_approves_its_plan_whoever_has_joined_it() -> None:
    """A VM moves from a vmgroup of team-a, which a Membership of team-b joins, to one of team-b."""
    plan = Proposal(PLAN, "moves a VM", frozenset({SHARED, OTHER}))
    waiting = Proposals(dict.fromkeys(plan.objects, plan))
    joined, theirs = membership("one", "shared-batch", "b-1"), group("team-b/theirs", vms=[])
    alone = granted(waiting, approvals(GROUP, approved(joined, PLAN), approved(theirs, PLAN)), THE_SITE)
    assert alone.plans == ()
    assert "waits for one of an object in namespace team-a" in alone.refused[SHARED]
    both = approvals(approved(GROUP, PLAN), joined, approved(theirs, PLAN))
    assert granted(waiting, both, THE_SITE).plans == (plan,)


def test_an_old_approval_of_a_membership_is_not_in_the_way_of_a_new_one_of_its_vmgroup() -> None:
    waiting = Proposals({SHARED: Proposal(PLAN, "1 to update", frozenset({SHARED}))})
    given = approvals(approved(GROUP, PLAN), approved(membership("one", "shared-batch", "b-1"), OLD))
    assert [each.id for each in granted(waiting, given, THE_SITE).plans] == [PLAN]


def test_a_vmgroup_that_is_deleted_with_its_memberships_is_removed_as_it_says() -> None:
    def going(document: dict[str, Any], **annotations: str) -> dict[str, Any]:
        metadata: dict[str, Any] = {"deletionTimestamp": "2026-11-29T22:00:00Z", "finalizers": ["vdvs.io/config-db"]}
        metadata["annotations"] = {f"vdvs.io/{name.replace('_', '-')}": text for name, text in annotations.items()}
        return {**document, "metadata": {**document["metadata"], **metadata}}

    removed = going(
        accepted(GROUP, name="shared-batch", uuid="u1"), deletion_policy="Delete", confirm_delete="shared-batch"
    )
    objects = found(removed, going(membership("one", "shared-batch", "b-1"), confirm_delete="one"))
    assert SiteManifests(objects).to_remove() == {SHARED: ObjectKey(Kind.VMGROUP, "team-a", "shared-batch")}


def test_what_happens_to_a_vmgroup_is_told_of_it_and_of_no_membership() -> None:
    objects = found(GROUP, membership("one", "shared-batch", "b-1"))
    told: list[ObjectKey] = []

    class Telling:
        def tell(self, key: ObjectKey, *_: object) -> None:
            told.append(key)

    published = SitePublisher(cast(Publisher, Telling()), lambda: objects, lambda: Terms(REPORT), SystemClock())
    published.on_event(ReportedEvent(NOON, Event(EventKind.BLOCKED, SHARED, "why")))
    assert told == [ObjectKey(Kind.VMGROUP, "team-a", "shared-batch")]


def test_an_operator_of_some_namespaces_looks_at_their_memberships_only() -> None:
    class Listing:
        def __init__(self) -> None:
            self.asked: list[str] = []

        def pages(self, path: str) -> Any:
            self.asked.append(path)
            raise RuntimeError("no more is asked for")

    async def paths() -> list[str]:
        api = cast(Any, Listing())
        options = OperatorOptions(("team-a", "team-b"), None, None, None, "one", 1)
        operator = Operator(options, api, api, "vdvs", lambda _: cast(Any, None), print)
        for mirror in operator._mirrors[Kind.MEMBERSHIP]:
            await asyncio.gather(mirror.run(), return_exceptions=True)
        return cast("list[str]", api.asked)

    assert asyncio.run(paths()) == [f"/apis/vdvs.io/v1/namespaces/{name}/memberships" for name in ("team-a", "team-b")]
