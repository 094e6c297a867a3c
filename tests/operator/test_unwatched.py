"""Sites that no watch looks at."""

from __future__ import annotations

import asyncio
import gc
import math
from typing import Any, cast

import pytest
from msgspec.structs import replace

from reconciler.controller.watch import NOTHING
from reconciler.operator.connection.api import API
from reconciler.operator.keys import ObjectKey
from reconciler.operator.operator import Operator, OperatorOptions
from reconciler.operator.replicas.leases import Leases
from reconciler.operator.site import SiteManifests
from reconciler.operator.source import SiteObjects, source
from reconciler.operator.status import StatusData
from tests.operator.kstatus import computed
from tests.operator.looks import kube_object
from tests.operator.looks import site as site_key
from tests.operator.test_source import (
    EVERYTHING,
    INFRA,
    NAMESPACES,
    SHARED,
    TEAMS,
    accepted,
    as_objects,
    group,
    site,
    thing,
)

SHARED_THERE = {**SHARED, "spec": {**SHARED["spec"], "site": "lab"}}


def kept() -> int:
    gc.collect()
    return sum(isinstance(each, SiteObjects) and each.site.startswith("gone-") for each in gc.get_objects())


def test_those_that_are_deleted_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    options = OperatorOptions((), None, None, None, "one", 1)
    unusable = SiteObjects("", NOTHING, {}, {}, {})

    async def run() -> int:
        api = cast(API, object())
        operator = Operator(options, api, api, "vdvs", lambda _: pytest.fail("none is watched"), print)
        for number in range(10):
            name = f"gone-{number}"
            with monkeypatch.context() as now:
                now.setattr(Leases, "assigned", frozenset({name}))
                there = replace(unusable, site=name, seen={site_key(name): kube_object(site_key(name))})
                now.setattr(operator, "_sites", {name: SiteManifests(there)})
                await operator._step()
        return kept()

    assert asyncio.run(run()) <= 2


def told(objects: SiteObjects, monkeypatch: pytest.MonkeyPatch, failure: str = "") -> dict[str, StatusData]:
    """What an operator says of the objects of a site that no watch looks at, by their names."""
    said: dict[str, StatusData] = {}

    async def run() -> None:
        api = cast(API, object())
        options = OperatorOptions((), None, None, None, "one", 1)
        operator = Operator(options, api, api, "vdvs", lambda _: pytest.fail("none is watched"), print)
        monkeypatch.setattr(Leases, "assigned", frozenset({"lab"}))
        monkeypatch.setattr(operator, "_sites", {"lab": SiteManifests(objects)})
        monkeypatch.setattr(operator, "_failures", {"lab": failure} if failure else {})
        monkeypatch.setattr(operator, "_not_before", {"lab": math.inf})
        monkeypatch.setattr(operator._publisher, "known", lambda key: objects.seen[key].status)

        def publish(_: SiteObjects, made: dict[ObjectKey, StatusData]) -> None:
            said.update({key.name: each for key, each in made.items()})

        monkeypatch.setattr(operator._publisher, "publish", publish)
        await operator._step()

    asyncio.run(run())
    return said


def test_objects_of_a_site_that_cannot_be_used_are_not_ready_from_an_old_look(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = site(INFRA)
    broken["spec"]["ssh"] = {"port": 0}
    ready = accepted(group("infra/g1", site="lab"), name="g1")
    shared = {**SHARED, "spec": {**SHARED["spec"], "site": "lab"}}
    objects = source(as_objects([broken, shared, ready]), NAMESPACES, "cluster")["lab"]
    assert objects.loaded is NOTHING
    made = told(objects, monkeypatch)
    found = {name: computed({"metadata": {"generation": 1}, "status": each}) for name, each in made.items()}
    assert found == {"lab": "Failed", "g1": "InProgress", "shared": "InProgress"}


def test_nobody_gains_a_claim_while_a_site_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is checked then, so that nothing may count as accepted afterwards."""
    broken, usable = site(INFRA, TEAMS), site(INFRA, TEAMS)
    broken["spec"]["ssh"] = {"port": 0}
    there: dict[str, Any] = {"site": "lab"}
    theirs = accepted(group("team-b/payments", **there), name="payments")
    rule = {"names": ["team-a"], **EVERYTHING, "configDBs": ["a-*"]}
    claims = (
        accepted(group("team-a/mine", name="payments", **there), "Conflict", name="mine"),
        accepted(group("team-a/mine", name="payments", **there), generation=0, name="mine"),
        group("team-a/mine", name="payments", **there),
    )
    for claim in claims:
        for other in (theirs, {**theirs, "status": {**theirs["status"], "observedGeneration": 0}}):
            found = after_it_could_not_be_used(broken, usable, [SHARED_THERE, claim, other], monkeypatch)["lab"]
            assert [key.name for key in found.held] == ["mine"]
    stranger = group("other/db", **there)
    found = after_it_could_not_be_used(broken, usable, [SHARED_THERE, stranger], monkeypatch)["lab"]
    assert not found.held, "its Site does not admit the namespace, and never did"
    database = thing("ConfigDB", "team-a/other", {"datastore": "b-1", "hosts": {"cluster": "/DC0/host/b"}, **there})
    usable = site(INFRA, rule)
    found = after_it_could_not_be_used(broken, usable, [SHARED_THERE, group("infra/db"), database], monkeypatch)["lab"]
    assert [key.name for key in found.held] == ["other"]


def after_it_could_not_be_used(
    broken: dict[str, Any], usable: dict[str, Any], documents: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> dict[str, SiteObjects]:
    """The objects of each site once it can be used again, with the statuses that they got before."""
    objects = as_objects([broken, *documents])
    made = told(source(objects, NAMESPACES, "cluster")["lab"], monkeypatch)
    again = as_objects([usable, *documents])
    for of in again.values():
        for (_, name), each in of.items():
            each.status = made.get(name, each.status)
    return source(again, NAMESPACES, "cluster")


@pytest.mark.parametrize(
    ("annotations", "reason"), [({}, "NotObserved"), ({"vdvs.io/reconcile": "disabled"}, "Paused")]
)
def test_what_is_deleted_there_says_how_to_let_it_go(
    annotations: dict[str, str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    the_site = site(INFRA)
    the_site["metadata"]["annotations"] = annotations
    going = group("infra/g1")
    going["metadata"] |= {
        "deletionTimestamp": "2026-11-29T22:00:00Z",
        "finalizers": ["vdvs.io/config-db"],
        "annotations": {"vdvs.io/deletion-policy": "Delete", "vdvs.io/confirm-delete": "g1"},
    }
    objects = source(as_objects([the_site, SHARED, going]), NAMESPACES, "cluster")["lab"]
    found = {each["type"]: each for each in told(objects, monkeypatch, "no key")["g1"]["conditions"]}
    assert (found["Stalled"]["status"], found["Stalled"]["reason"]) == ("True", reason)
    assert "vdvs.io/deletion-policy: Retain lets it go" in found["Stalled"]["message"]


def test_what_is_deleted_while_its_site_cannot_be_used_says_so_and_gains_no_claim(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = site(INFRA)
    broken["spec"]["ssh"] = {"port": 0}
    going = group("infra/g1", site="lab")
    going["metadata"] |= {
        "deletionTimestamp": "2026-11-29T22:00:00Z",
        "finalizers": ["vdvs.io/config-db"],
        "annotations": {"vdvs.io/deletion-policy": "Delete", "vdvs.io/confirm-delete": "g1"},
    }
    edited = accepted(going, generation=0, name="another")
    made = told(source(as_objects([broken, SHARED_THERE, edited]), NAMESPACES, "cluster")["lab"], monkeypatch)["g1"]
    found = {each["type"]: each for each in made["conditions"]}
    assert (found["Stalled"]["status"], found["Stalled"]["reason"]) == ("True", "NotObserved")
    assert "vdvs.io/deletion-policy: Retain lets it go" in found["Stalled"]["message"]
    assert (made["observedGeneration"], made["name"]) == (0, "another")
    refused = accepted(going, "Conflict", name="another")
    objects = source(as_objects([broken, SHARED_THERE, refused]), NAMESPACES, "cluster")["lab"]
    assert "g1" not in told(objects, monkeypatch)


def test_sites_that_cannot_be_watched_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no series of their own that an alert could be about."""
    off = site(INFRA, name="off")
    off["metadata"]["annotations"] = {"vdvs.io/reconcile": "disabled"}
    found = source(as_objects([site(INFRA), site(INFRA, name="other"), site(INFRA, name="theirs"), off]), {}, "cluster")

    async def run() -> float:
        api = cast(API, object())
        options = OperatorOptions((), None, None, None, "one", 1)
        operator = Operator(options, api, api, "vdvs", lambda _: pytest.fail("none is watched"), print)
        monkeypatch.setattr(Leases, "assigned", frozenset({"lab", "off", "other", "-unassigned"}))
        monkeypatch.setattr(operator, "_sites", {name: SiteManifests(each) for name, each in found.items()})
        monkeypatch.setattr(operator, "_watches", {"lab": object()})
        return operator._gauges()["vdvs_operator_sites_unwatched"][1]()

    assert asyncio.run(run()) == 1
