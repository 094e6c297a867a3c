"""Statuses and events on a real API server, as kubectl sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from reconciler.controller.mode import Mode
from reconciler.model.events import Pass, Revision, Trigger
from reconciler.model.outcome import Outcome
from reconciler.model.refs import Kind, ObjectRef
from reconciler.operator.access import KubeConfig
from reconciler.operator.api import API, path
from reconciler.operator.keys import ObjectKey
from reconciler.operator.publish import Publisher, SitePublisher
from tests.kubernetes.cluster import Cluster, User
from tests.kubernetes.test_crds import DEPLOY, manifest
from tests.operator.looks import APPLIED, GROUP, NOON, Objects, key, look, objects_of, outcome_of, site_of

HEAL = Mode(heal=True)
GROUPS = "/apis/vdvs.io/v1/namespaces/default/vmgroups"
MOVED = {"config_dbs": {"shared": {"vmgroups": {"g1": {"vms": ["vm1", "vm3"]}}, "records": APPLIED}}}
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
def there(cluster: Cluster, user: User) -> Iterator[Objects]:
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
    yield Objects(objects.site, objects.loaded, objects.refs, {of: stored(cluster, of) for of in objects.seen})
    for of in objects.seen:
        cluster.admin.request("DELETE", where(of))


def where(of: ObjectKey, list_only: bool = False) -> str:
    plurals = {Kind.SITE: "sites", Kind.CONFIG_DB: "configdbs", Kind.HOST: "hosts", Kind.VMGROUP: "vmgroups"}
    return path(plurals[of.kind], of.namespace, "" if list_only else of.name)


def stored(cluster: Cluster, of: ObjectKey) -> dict[str, Any]:
    status, body = cluster.admin.request("GET", where(of))
    assert status == 200, body
    return dict(body)


def a_pass(outcome: Outcome | None, failure: str = "") -> Pass:
    return Pass("p", Trigger.RESYNC, NOON, NOON, Revision(), outcome, failure, ())


def publishing(
    cluster: Cluster,
    user: User,
    objects: Objects,
    work: Callable[[Publisher, SitePublisher, Counting], Awaitable[None]],
) -> None:
    """Do `work` while a publisher runs, whose mirror is always current."""

    async def run() -> None:
        api = Counting(KubeConfig(user.kubeconfig))
        mirrored = lambda of: cluster.admin.request("GET", where(of))[1]  # noqa: E731
        publisher = Publisher(api, mirrored, lambda worked: 0.0 if worked else 0.05, "test")
        running = asyncio.create_task(publisher.run())
        try:
            await work(publisher, SitePublisher(publisher, lambda: objects, Clock()), api)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await api.close()

    asyncio.run(run())


async def written(publisher: Publisher) -> None:
    """Wait until nothing waits."""
    while not publisher.idle:
        await asyncio.sleep(0.01)


def waited(cluster: Cluster, ref: ObjectRef, condition: str) -> bool:
    of = key(ref)
    found = cluster.admin.kubectl(
        "wait", f"--for=condition={condition}", "--timeout=1s", f"{of.kind.lower()}/{of.name}"
    )
    return found.returncode == 0


def test_kubectl_waits_until_an_object_is_ready(cluster: Cluster, user: User, there: Objects) -> None:
    drifted, mended = look(*site_of(observed=MOVED)), look(*site_of())
    assert not waited(cluster, GROUP, "Ready")

    async def work(publisher: Publisher, site: SitePublisher, api: Counting) -> None:
        await site.publish(a_pass(outcome_of(drifted, Mode())), Mode())
        await written(publisher)
        assert waited(cluster, GROUP, "Stalled")
        assert stored(cluster, key(GROUP))["status"]["pending"][0]["field"] == "vms"
        await site.publish(a_pass(outcome_of(drifted, HEAL, mended)), HEAL)
        await written(publisher)
        assert waited(cluster, GROUP, "Ready")
        assert not waited(cluster, GROUP, "Stalled")
        assert "pending" not in stored(cluster, key(GROUP))["status"]

    publishing(cluster, user, there, work)
    shown = cluster.admin.kubectl("get", "vmg", key(GROUP).name).stdout.split("\n")[1].split()
    assert shown[:4] == [key(GROUP).name, "g1", "True", "InSync"]
