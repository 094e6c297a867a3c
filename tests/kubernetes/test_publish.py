"""Statuses and events on a real API server, as kubectl sees them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from msgspec import convert
from msgspec.structs import replace

from reconciler.controller.backoff import Backoff
from reconciler.controller.mode import Mode
from reconciler.model.diff import Change, FieldChange, Op
from reconciler.model.events import Event, EventKind, ReportedEvent
from reconciler.model.refs import KINDS, Kind, ObjectRef
from reconciler.operator.approval import Proposal, Proposals
from reconciler.operator.connection.access import open_access
from reconciler.operator.connection.api import API, path
from reconciler.operator.connection.objects import KubeObject
from reconciler.operator.keys import ObjectKey
from reconciler.operator.publish import Publisher, SitePublisher
from reconciler.operator.source import SiteObjects
from reconciler.operator.status import Terms, same, statuses
from tests.kubernetes.cluster import Cluster, User
from tests.kubernetes.test_crds import DEPLOY, manifest
from tests.operator.looks import GROUP, HOST, MOVED, NOON, REPORT, key, look, objects_of, outcome_of, site_of

HEAL = Mode(heal=True)
MERGE = "application/merge-patch+json"
RIGHTS = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: publisher}
rules:
- {apiGroups: [vdvs.io], resources: ["*/status"], verbs: [patch]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: publisher}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: publisher}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: publisher}]
"""


class Clock:
    def now(self) -> Any:
        return NOON


class Counting(API):
    """Counts the requests that write."""

    written = 0

    async def apply(self, path: str, body: dict[str, Any], manager: str = "vdvs", force: bool = True) -> dict[str, Any]:
        self.written += 1
        return await super().apply(path, body, manager, force)

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.written += 1
        return await super().create(path, body)

    async def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.written += 1
        return await super().patch(path, body)


@pytest.fixture(scope="module")
def user(cluster: Cluster) -> User:
    """Who may do what the publisher needs, and nothing else."""
    made = cluster.admin.kubectl("apply", "--server-side", "-f", str(DEPLOY / "crds"))
    assert made.returncode == 0, made.stderr
    waited = cluster.admin.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    assert waited.returncode == 0, waited.stderr
    made = cluster.admin.kubectl("apply", "-f", "-", stdin=RIGHTS)
    assert made.returncode == 0, made.stderr
    return cluster.user("publisher")


@pytest.fixture
def there(cluster: Cluster, user: User) -> Iterator[SiteObjects]:
    """The objects of the small site of `tests.operator.looks`, on the server."""
    objects = objects_of(look(*site_of()).resolved)
    specs = {
        Kind.SITE: {"lab": {}},
        Kind.CONFIG_DB: {"datastore": "shared"},
        Kind.HOST: {},
        Kind.VMGROUP: {"name": "g1", "vms": ["vm1"]},
    }
    for of in objects.seen:
        answer = cluster.admin.request("POST", where(of, list_only=True), manifest(of.kind, specs[of.kind], of.name))
        assert answer[0] == 201, answer
    yield replace(objects, seen={of: convert(stored(cluster, of), KubeObject) for of in objects.seen})
    for of in objects.seen:
        cluster.admin.request("DELETE", where(of))


def where(of: ObjectKey, list_only: bool = False) -> str:
    plurals = {Kind.SITE: "sites", Kind.CONFIG_DB: "configdbs", Kind.HOST: "hosts", Kind.VMGROUP: "vmgroups"}
    return path(plurals[of.kind], of.namespace, "" if list_only else of.name)


def stored(cluster: Cluster, of: ObjectKey) -> dict[str, Any]:
    status, body = cluster.admin.request("GET", where(of))
    assert status == 200, body
    return dict(body)


def publishing(
    cluster: Cluster,
    user: User,
    objects: SiteObjects,
    work: Callable[[Publisher, SitePublisher, Counting], Awaitable[None]],
) -> None:
    """Do `work` while a publisher runs, whose mirror is always current."""

    async def run() -> None:
        api = Counting(open_access(user.kubeconfig))

        def mirrored(of: ObjectKey) -> KubeObject | None:
            status, body = cluster.admin.request("GET", where(of))
            return convert(body, KubeObject) if status == 200 else None

        publisher = Publisher(api, mirrored, lambda _site: True, Backoff(lambda: 1.0, 0.05, 0.05), "test")
        running = asyncio.create_task(publisher.run())
        try:
            await work(publisher, SitePublisher(publisher, lambda: objects, lambda: Terms(HEAL), Clock()), api)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await api.close()

    asyncio.run(run())


async def written(publisher: Publisher) -> None:
    """Wait until nothing waits."""
    while not publisher.idle:
        await asyncio.sleep(0.01)


def waited(cluster: Cluster, condition: str, ref: ObjectRef = GROUP) -> bool:
    of = key(ref)
    found = cluster.admin.kubectl(
        "wait", f"--for=condition={condition}", "--timeout=1s", f"{of.kind.lower()}/{of.name}"
    )
    return found.returncode == 0


def test_kubectl_waits_until_an_object_is_ready(cluster: Cluster, user: User, there: SiteObjects) -> None:
    drifted, mended = look(*site_of(observed=MOVED)), look(*site_of())
    assert not waited(cluster, "Ready")

    async def work(publisher: Publisher, site: SitePublisher, api: Counting) -> None:
        await site.publish(outcome_of(drifted, REPORT), "", there, Terms(REPORT))
        await written(publisher)
        assert waited(cluster, "Stalled")
        assert stored(cluster, key(GROUP))["status"]["pending"][0]["field"] == "vms"
        await site.publish(outcome_of(drifted, HEAL, mended), "", there, Terms(HEAL))
        await written(publisher)
        assert waited(cluster, "Ready")
        assert not waited(cluster, "Stalled")
        assert "pending" not in stored(cluster, key(GROUP))["status"]
        assert api.written == len(there.refs) + 1 + 2  # then only the vmgroup and its Site

    publishing(cluster, user, there, work)
    shown = cluster.admin.kubectl("get", "vmg", key(GROUP).name).stdout.split("\n")[1].split()
    assert shown[:4] == [key(GROUP).name, "g1", "True", "InSync"]
    edit = {"spec": {"vms": ["vm2"]}}
    assert cluster.admin.request("PATCH", where(key(GROUP)), edit, MERGE)[0] == 200
    assert not waited(cluster, "Ready"), "of the object as it was before it was edited"


def test_nothing_is_written_on_a_quiet_pass(cluster: Cluster, user: User, there: SiteObjects) -> None:
    async def work(publisher: Publisher, site: SitePublisher, api: Counting) -> None:
        await site.publish(outcome_of(look(*site_of()), HEAL), "", there, Terms(HEAL))
        await written(publisher)
        before = api.written
        for _ in range(5):
            other = SitePublisher(
                publisher, lambda: there, lambda: Terms(HEAL), Clock()
            )  # as after a restart: it knows what the API knows
            for one in (site, other):
                await one.publish(outcome_of(look(*site_of()), HEAL), "", there, Terms(HEAL))
            await written(publisher)
        assert api.written == before > 0

    publishing(cluster, user, there, work)


def test_a_status_never_brings_an_object_back(cluster: Cluster, user: User, there: SiteObjects) -> None:
    """Neither one that was deleted, nor onto another one of the same name."""
    found = outcome_of(look(*site_of()), HEAL)
    assert cluster.admin.request("DELETE", where(key(HOST)))[0] == 200
    assert cluster.admin.request("DELETE", where(key(GROUP)))[0] == 200
    again = manifest(Kind.VMGROUP, {"name": "g1", "vms": ["vm2"]}, key(GROUP).name)
    assert cluster.admin.request("POST", where(key(GROUP), list_only=True), again)[0] == 201

    async def work(publisher: Publisher, site: SitePublisher, _api: Counting) -> None:
        await site.publish(found, "", there, Terms(HEAL))
        await written(publisher)

    publishing(cluster, user, there, work)
    assert cluster.admin.request("GET", where(key(HOST)))[0] == 404
    assert stored(cluster, key(GROUP))["status"] == {"observedGeneration": -1}
    assert waited(cluster, "Ready", ObjectRef(Kind.CONFIG_DB, "shared")), "the others are written"


def test_events_are_those_of_transitions_and_repeats_are_counted(
    cluster: Cluster, user: User, there: SiteObjects
) -> None:
    change = Change(GROUP, Op.UPDATE, "differs", (FieldChange("vms", "vm3", None),))

    def told(kind: EventKind, ref: ObjectRef | None, message: str, change: Change | None = None) -> ReportedEvent:
        return ReportedEvent(NOON, Event(kind, ref, message, change))

    async def work(publisher: Publisher, site: SitePublisher, _api: Counting) -> None:
        for _ in range(3):
            site.on_event(told(EventKind.DRIFTED, GROUP, "the site was changed", change))
        site.on_event(told(EventKind.HEALED, GROUP, "é" * 5000))
        site.on_event(told(EventKind.FAULT, None, "no answer"))
        site.on_event(told(EventKind.UNMANAGED, ObjectRef(Kind.VMGROUP, "stranger"), "nobody declares it"))
        await written(publisher)

    publishing(cluster, user, there, work)
    publishing(cluster, user, there, work)  # after a restart
    events = json.loads(cluster.admin.kubectl("get", "events.events.k8s.io", "-A", "-o", "json").stdout)["items"]
    mine = {each["reason"]: each for each in events if each["reportingController"] == "vdvs.io/operator"}
    assert sorted(mine) == ["Drifted", "Healed", "PassFailed", "Unmanaged"]
    drift = mine["Drifted"]
    assert (drift["type"], drift["note"]) == ("Warning", "the site was changed\nvms: live vm3, not declared")
    assert drift["series"]["count"] == 4
    assert drift["metadata"]["name"].startswith(f"{key(GROUP).name}.")
    assert mine["Healed"]["type"] == "Normal"
    assert mine["PassFailed"]["regarding"]["kind"] == mine["Unmanaged"]["regarding"]["kind"] == "Site"
    assert "the site was changed" in cluster.admin.kubectl("describe", "vmg", key(GROUP).name).stdout


def test_an_event_that_the_server_has_forgotten_is_made_anew(cluster: Cluster, user: User, there: SiteObjects) -> None:
    async def work(publisher: Publisher, site: SitePublisher, _api: Counting) -> None:
        for number in range(2):
            site.on_event(ReportedEvent(NOON, Event(EventKind.BLOCKED, HOST, "why")))
            await written(publisher)
            (found,) = events_on(cluster, key(HOST))
            assert "series" not in found
            if number == 0:
                assert cluster.admin.kubectl("delete", "event", found["metadata"]["name"]).returncode == 0

    publishing(cluster, user, there, work)


def events_on(cluster: Cluster, of: ObjectKey) -> list[dict[str, Any]]:
    found = cluster.admin.kubectl("get", "events.events.k8s.io", "-A", "-o", "json").stdout
    return [each for each in json.loads(found)["items"] if each["regarding"]["name"] == of.name]


def test_every_column_and_every_state_is_taken_as_it_is(cluster: Cluster, user: User, there: SiteObjects) -> None:
    """The server prunes what its schema does not know, so that it would be written again and again."""
    assert user
    found = look(*site_of(observed=MOVED))
    waits = Proposal("12ab", "what it does", frozenset({GROUP}))
    terms = Terms(REPORT, Proposals({GROUP: waits}, waits))
    made = statuses(there, outcome_of(found, REPORT), "", {}, NOON, terms)
    assert set(made[key(GROUP)]) >= {"uuid", "lastApplied", "pending", "pendingTotal", "plan", "observedDigest", "site"}

    async def work(publisher: Publisher, _site: SitePublisher, _api: Counting) -> None:
        publisher.publish(there, made)
        await written(publisher)
        assert all(same(publisher.known(of), status) for of, status in made.items())
        assert all(same(stored(cluster, of)["status"], status) for of, status in made.items())

    publishing(cluster, user, there, work)
    assert "NotAllowedToHeal" in cluster.admin.kubectl("get", "vdvs", "-o", "wide").stdout


def test_argo_cd_is_given_the_checks(cluster: Cluster, user: User) -> None:
    assert user
    kubectl, folder = cluster.admin.kubectl, DEPLOY / "argocd"
    assert kubectl("create", "configmap", "argocd-cm", "--from-literal=url=https://cd").returncode == 0
    patched = kubectl("patch", "configmap", "argocd-cm", "--patch-file", str(folder / "argocd-cm.yaml"))
    assert patched.returncode == 0, patched.stderr
    data = json.loads(kubectl("get", "configmap", "argocd-cm", "-o", "json").stdout)["data"]
    assert data.pop("url") == "https://cd"
    assert len(data) == len(KINDS)
    assert set(data.values()) == {(folder / "health.lua").read_text()}
