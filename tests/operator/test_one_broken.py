"""One broken object never takes another with it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.model.refs import ALL_DS, Kind, Source
from reconciler.operator.operator import UNASSIGNED
from reconciler.operator.replicas.leases import SITE as LEASE
from reconciler.operator.source import NO_SITE, Sources
from tests.operator.test_source import CLUSTER, EVERYTHING, as_objects, group, site, thing

ALL = site({"names": ["*"], **EVERYTHING})
NAMESPACES = ("a", "b")
NOWHERE = Source("", 0, 0)
Document = dict[str, Any]


@st.composite
def sets(draw: st.DrawFn) -> list[Document]:
    """Objects of each kind, in two namespaces that use the same names."""
    count = st.integers(0, 3)
    found = [thing("ConfigDB", "a/shared", {"datastore": "D", "hosts": {"matchLabels": {"db": "shared"}}})]
    if draw(st.booleans()):
        found.append(thing("ConfigDB", "b/other", {"datastore": "E", "hosts": {"names": ["h"]}}))
        found.append(thing("Host", "b/h", {"address": "h.lab.local"}))
    for where in NAMESPACES:
        for number in range(draw(count)):
            access = [{"datastore": draw(st.sampled_from(["D", ALL_DS]))}]
            spec = {"name": f"{where}-{number}", "configDB": "shared", "access": access, "vms": [f"{where}{number}"]}
            found.append(group(f"{where}/g{number}", **spec))
            if draw(st.booleans()):
                volume = {"vmgroup": f"g{number}", "datastore": "D", "access": "read-only"}
                found.append(thing("Volume", f"{where}/v{number}", volume))
        for number in range(draw(count)):
            found.append(
                thing(
                    "Host", f"{where}/e{number}", {"name": f"{where}{number}", "address": f"{where}{number}.lab.local"}
                )
            )
        for number in range(draw(count)):
            content = '(("locality" i1))'
            found.append(thing("StoragePolicy", f"{where}/p{number}", {"name": f"{where}{number}", "content": content}))
    return draw(st.permutations(found))


def unknown_field(document: Document) -> None:
    document["spec"]["nosuch"] = 1


def number_as_name(document: Document) -> None:
    document["spec"]["name"] = 5


def wrong_annotation(document: Document) -> None:
    document["metadata"]["annotations"] = {"vdvs.io/reconcile": "never"}


def nothing_at_all(document: Document) -> None:
    document["spec"] = ["not", "a", "mapping"]


def of_no_site(document: Document) -> None:
    document["spec"]["site"] = "nosuch"


BREAKAGES: list[Callable[[Document], None]] = [
    unknown_field, number_as_name, wrong_annotation, nothing_at_all, of_no_site,
]  # fmt: skip


@given(sets(), st.data())
def test_all_others_are_declared_as_before(documents: list[Document], data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(documents) - 1))
    broken = copy.deepcopy(documents)
    data.draw(st.sampled_from(BREAKAGES))(broken[number])
    broken[number]["status"] = {"site": "lab"}  # it was reconciled before
    objects = as_objects([ALL, *broken])
    before = Sources(CLUSTER)(as_objects([ALL, *documents]), {})["lab"]
    found = Sources(CLUSTER)(objects, {})
    assert NO_SITE not in found
    after = found["lab"]
    (key,) = (
        key for key in after.seen
        if (key.kind.value, key.namespace, key.name)
        == (documents[number]["kind"], *(documents[number]["metadata"][field] for field in ("namespace", "name")))
    )  # fmt: skip
    assert key in after.held
    dependents = {
        other for other, each in after.seen.items()
        if other.kind is Kind.VOLUME and key.kind is Kind.VMGROUP
        and (other.namespace, each.spec["vmgroup"]) == (key.namespace, key.name)
    }  # fmt: skip
    assert set(after.held) <= {key} | dependents
    were = {each.ref: replace(each, source=NOWHERE) for each in before.loaded.desired.objects}
    now = {each.ref: replace(each, source=NOWHERE) for each in after.loaded.desired.objects}
    others = {before.refs[other] for other in before.refs if other != key and other not in dependents}
    assert {ref: now.get(ref) for ref in others} == {ref: were[ref] for ref in others}
    assert before.refs[key] not in now
    assert len(after.loaded.desired.held) == len(after.held)


def test_no_site_shares_the_lease_of_objects_that_belong_to_none() -> None:
    label = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
    assert label.fullmatch(LEASE + UNASSIGNED)
    assert not label.fullmatch(UNASSIGNED)
