"""Memberships: somebody else's VM in a vmgroup, as far as the Site allows it."""

from __future__ import annotations

from typing import Any

from reconciler.model.state import Desired
from reconciler.operator.source import SiteObjects
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


def test_of_a_vmgroup_and_a_membership_of_another_one_the_older_has_the_vm() -> None:
    other = group("team-a/other", vms=["b-1"])
    first = found(GROUP, membership("one", "shared-batch", "b-1"), other)
    assert held(first) == {
        "vmgroup team-a/other": (
            "Conflict",
            'spec.vms[0]: VM "b-1" is already in membership/one (membership team-b/one)',
        )
    }
    assert joining(first.loaded.desired) == [("b-1", ("/DC0/vm/b",), "")]
    assert list(held(found(GROUP, other, membership("one", "shared-batch", "b-1")))) == ["membership team-b/one"]


def test_a_vmgroup_may_list_a_vm_that_a_membership_has_added_to_it() -> None:
    listing = group("team-a/shared-batch", vms=["a-1", "b-1"])
    objects = found(membership("one", "shared-batch", "b-1"), listing)
    assert list(held(objects)) == ["membership team-b/one"]


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
