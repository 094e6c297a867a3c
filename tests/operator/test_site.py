"""What a pass of the operator goes by: deletions, approvals, and the mode of its Site."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import pytest
from msgspec.structs import replace

from reconciler.controller.mode import Limit, Mode
from reconciler.model.base import Risk
from reconciler.model.errors import InventoryError, Refusal
from reconciler.model.outcome import Outcome
from reconciler.model.plan import REPORT_ONLY
from reconciler.model.refs import Kind, ObjectRef
from reconciler.operator import deletion
from reconciler.operator import site as site_module
from reconciler.operator.connection.api import API, APIError
from reconciler.operator.connection.objects import KubeObject, Metadata
from reconciler.operator.deletion import Obstacle
from reconciler.operator.keys import ObjectKey
from reconciler.operator.site import Services, SiteManifests, SiteWatch, mode_of
from reconciler.operator.source import Held, SiteObjects, source
from tests.operator.looks import look, outcome_of, site_of

EVERYTHING = {"names": ["*"], "kinds": ["*"], "datastores": ["*"], "folders": ["*"]}
SITE: dict[str, Any] = {"lab": {"directory": "/lab"}, "allow": {"namespaces": [EVERYTHING]}}
BLUE, REF = ObjectKey(Kind.VMGROUP, "team-a", "blue"), ObjectRef(Kind.VMGROUP, "BLUE")


def kube_object(name: str, namespace: str, spec: Mapping[str, Any], **metadata: Any) -> KubeObject:
    return KubeObject(Metadata(name, namespace, f"uid-{name}", "1", 1, **metadata), spec)


def objects(
    site: Mapping[str, Any] = SITE, of_site: Mapping[str, Any] = MappingProxyType({}), **metadata: Any
) -> SiteObjects:
    """A site with a ConfigDB and a vmgroup, whose metadata are given."""
    found = {
        Kind.SITE: {("", "lab"): kube_object("lab", "", site, **of_site)},
        Kind.CONFIG_DB: {("team-a", "db"): kube_object("db", "team-a", {"datastore": "shared"})},
        Kind.VMGROUP: {("team-a", "blue"): kube_object("blue", "team-a", {"name": "BLUE"}, **metadata)},
    }
    return source(found, {"team-a": {}}, "cluster-uid")["lab"]


GOING: dict[str, Any] = {
    "deletion_timestamp": "2026-11-29T22:00:00Z",
    "finalizers": ["vdvs.io/config-db"],
    "annotations": {"vdvs.io/deletion-policy": "Delete", "vdvs.io/confirm-delete": "blue"},
}


def test_only_what_was_seen_to_be_deleted_and_is_confirmed_is_removed() -> None:
    assert SiteManifests(objects(**GOING)).to_remove() == {REF: BLUE}
    for missing in GOING:
        rest = {name: value for name, value in GOING.items() if name != missing}
        assert SiteManifests(objects(**rest)).to_remove() == {}, missing


def test_what_was_removed_is_not_made_anew_while_others_keep_its_object() -> None:
    """Such as `kubectl delete --cascade=foreground`, or a finalizer of whoever has it."""
    kept = SiteManifests(objects(**{**GOING, "finalizers": ["foregroundDeletion"]}))
    assert (kept.ending(), kept.to_remove()) == ({REF: BLUE}, {})
    retained = SiteManifests(objects(**{**GOING, "finalizers": ["foregroundDeletion"], "annotations": {}}))
    assert retained.ending() == {}
    assert SiteManifests(objects(annotations=GOING["annotations"])).asks != kept.asks


def test_while_a_site_cannot_be_looked_at_a_deletion_says_how_to_let_the_object_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise InventoryError("vCenter does not answer")

    async def run() -> Mapping[ObjectKey, Obstacle]:
        services = Services(cast("API", None), cast("Any", None), lambda _: bool, asyncio.Semaphore(1), print, None)
        watch = SiteWatch(SiteManifests(objects(**GOING)), services, ())
        loaded = watch._load()
        with pytest.raises(InventoryError):
            await watch._pass(loaded.desired, cast("Any", None), REPORT_ONLY, loaded.applying)
        return watch.terms.obstacles

    monkeypatch.setattr(site_module, "reconcile", away)
    obstacles = asyncio.run(run())
    assert {key: each.reason for key, each in obstacles.items()} == {BLUE: "NotObserved"}
    assert "vdvs.io/deletion-policy: Retain lets it go" in obstacles[BLUE].message


def test_an_object_that_is_held_removes_nothing_as_it_may_claim_what_is_another_s() -> None:
    found = objects(**GOING)
    assert SiteManifests(replace(found, held={BLUE: Held(Refusal.CONFLICT, "another")})).to_remove() == {}


def test_a_pass_goes_by_what_is_asked_and_not_by_statuses() -> None:
    found = objects()
    asks = SiteManifests(found).asks
    told = {key: replace(each, status={"site": "lab"}) for key, each in found.seen.items()}
    assert SiteManifests(replace(found, seen=told)).asks == asks
    assert SiteManifests(objects(annotations={"vdvs.io/approve": "1"})).asks != asks
    assert SiteManifests(objects(**GOING)).asks != asks
    assert SiteManifests(found, going=frozenset({"team-a"})).asks != asks


def test_the_mode_of_a_site() -> None:
    writes = {"mode": "heal", "autoApply": ["safe", "widens"], "maxChanges": "5%"}
    plain, paused = (
        objects({**SITE, "reconcile": writes}),
        objects(of_site={"annotations": {"vdvs.io/reconcile": "report"}}),
    )
    site = plain.loaded.desired.site
    assert site is not None
    assert mode_of(site, {}) == Mode(True, frozenset({Risk.SAFE, Risk.WIDENS}), Limit(5, percent=True))
    assert mode_of(site, SiteManifests(paused).annotations) == Mode()
    assert SiteManifests(paused).paused


def test_approvals_that_were_carried_out_count_no_more() -> None:
    manifests = SiteManifests(
        objects(annotations={"vdvs.io/approve": "1"}, of_site={"annotations": {"vdvs.io/approve": "2"}})
    )
    assert manifests.approvals({}).ids == {"1", "2"}
    assert manifests.approvals({BLUE: "1"}).ids == {"2"}
    assert manifests.approvals({BLUE: "0"}).ids == {"1", "2"}


def test_approvals_count_once_though_the_api_is_slow_and_an_object_is_deleted_meanwhile() -> None:
    approved = {"annotations": {"vdvs.io/approve": "1"}}
    manifests = SiteManifests(objects(**approved, of_site=approved))
    rest = SiteManifests(
        replace(manifests.objects, seen={manifests.key: manifests.objects.seen[manifests.key]}, refs={})
    )
    counting: list[frozenset[str]] = []
    watches: list[SiteWatch] = []

    class Slow:
        async def patch(self, *_: object) -> None:
            counting.append(manifests.approvals(watches[0]._spent).ids)
            watches[0].seen = rest

    async def spend() -> None:
        services = Services(cast("API", Slow()), cast("Any", None), lambda _: bool, asyncio.Semaphore(1), print, None)
        watches.append(SiteWatch(manifests, services, ()))
        await watches[0]._spend(["1"])

    asyncio.run(spend())
    assert counting == [frozenset(), frozenset()]


def test_an_approval_that_was_given_meanwhile_is_not_removed_with_the_last_one() -> None:
    """A pass may take minutes, and what it goes by is as old as its begin."""
    before, after = (SiteManifests(objects(annotations={"vdvs.io/approve": plan_id})) for plan_id in "12")
    patched: list[Mapping[str, Any]] = []

    class Patched:
        async def patch(self, _: str, patch: Mapping[str, Any]) -> None:
            patched.append(patch)

    async def spend(latest: SiteManifests) -> None:
        services = Services(
            cast("API", Patched()), cast("Any", None), lambda _: bool, asyncio.Semaphore(1), print, None
        )
        watch = SiteWatch(before, services, ())
        watch.feed(latest)
        await watch._spend(["1"])

    asyncio.run(spend(after))
    assert patched == []
    asyncio.run(spend(before))
    removed = {"resourceVersion": "1", "annotations": {"vdvs.io/approve": None}}  # of this very version
    assert patched == [{"metadata": removed}]


def test_a_finalizer_that_the_api_did_not_take_is_put_at_the_next_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else need happen until then, and without it a deletion would not be seen."""
    manifests, outcome = SiteManifests(objects()), outcome_of(look(*site_of()), Mode())
    monkeypatch.setattr(deletion, "applied", lambda *_: frozenset({REF}))
    applying = manifests.objects.loaded.applying
    assert applying is not None
    finalized: list[str] = []

    class Busy:
        tries = 0

        async def apply(self, path: str, *_: object) -> None:
            self.tries += 1
            if self.tries <= 2:
                raise APIError(429, "TooManyRequests", "later")
            finalized.append(path.rsplit("/", 1)[1])

    async def passes() -> None:
        services = Services(cast("API", Busy()), cast("Any", None), lambda _: bool, asyncio.Semaphore(1), print, None)
        watch = SiteWatch(manifests, services, ())
        for _ in range(2):
            await watch._finalize(outcome, applying)
            await asyncio.gather(*watch._background)

    asyncio.run(passes())
    assert finalized == ["blue", "lab"]


def test_a_pass_does_not_wait_until_the_api_lets_go_what_was_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook of one namespace may take long, and a site is of many."""
    manifests, outcome = SiteManifests(objects(**GOING)), outcome_of(look(*site_of()), Mode())
    applying = manifests.objects.loaded.applying
    assert applying is not None
    asked: list[str] = []
    answer = asyncio.Event()

    async def removed(*_: object) -> Outcome:
        return outcome

    class Slow:
        async def patch(self, path: str, _: Mapping[str, Any]) -> None:
            asked.append(path.rsplit("/", 1)[1])
            await answer.wait()

    async def passes() -> None:
        services = Services(cast("API", Slow()), cast("Any", None), lambda _: bool, asyncio.Semaphore(1), print, None)
        watch = SiteWatch(manifests, services, ())
        for _ in range(2):
            desired = manifests.objects.loaded.desired
            assert await watch._remove(desired, cast("Any", None), applying, manifests.to_remove()) == {}
            await asyncio.sleep(0)
        answer.set()
        await asyncio.gather(*watch._background)

    monkeypatch.setattr(site_module, "reconcile", removed)
    monkeypatch.setattr(deletion, "obstacles", lambda *_: {})
    asyncio.run(asyncio.wait_for(passes(), 20))
    assert asked == ["blue"]


def test_what_waits_for_its_turn_is_let_go_though_its_status_is_written_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else each of thousands that are deleted at once is refused, as it has changed, and waits for the next pass."""
    found, outcome = objects(**GOING), outcome_of(look(*site_of()), Mode())
    metadata = replace(found.seen[BLUE].metadata, resource_version="2")
    written = SiteManifests(replace(found, seen={**found.seen, BLUE: replace(found.seen[BLUE], metadata=metadata)}))
    asked: list[str] = []

    async def removed(*_: object) -> Outcome:
        return outcome

    class Patched:
        async def patch(self, _: str, body: Mapping[str, Any]) -> None:
            asked.append(body["metadata"]["resourceVersion"])

    async def passes() -> None:
        services = Services(
            cast("API", Patched()), cast("Any", None), lambda _: bool, asyncio.Semaphore(1), print, None
        )
        watch = SiteWatch(SiteManifests(found), services, ())
        applying = found.loaded.applying
        assert applying is not None
        await watch._remove(found.loaded.desired, cast("Any", None), applying, watch.seen.to_remove())
        watch.feed(written)
        await asyncio.gather(*watch._background)

    monkeypatch.setattr(site_module, "reconcile", removed)
    monkeypatch.setattr(deletion, "obstacles", lambda *_: {})
    asyncio.run(passes())
    assert asked == ["2"]
