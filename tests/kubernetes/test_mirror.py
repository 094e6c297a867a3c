"""Mirrors of a real Kubernetes API: they follow it through restarts, refusals and tokens that expire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from reconciler.operator.connection import api as requests
from reconciler.operator.connection.access import APIAccess, InCluster, open_access
from reconciler.operator.connection.api import API, APIError, path
from reconciler.operator.connection.mirror import Mirror
from tests.kubernetes.cluster import MISSING, Authority, Cluster, User

CONFIG_MAPS = path("configmaps", api="api/v1")


@asynccontextmanager
async def api_of(who: User | APIAccess) -> AsyncIterator[API]:
    api = API(open_access(who.kubeconfig) if isinstance(who, User) else who)
    try:
        yield api
    finally:
        await api.close()


class Mirrored:
    """A mirror that runs, and what was told about it."""

    def __init__(self, api: API, at: str) -> None:
        self._told = asyncio.Event()
        self.mirror = Mirror(api, at, self._told.set)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not true():
                self._told.clear()
                await self._told.wait()


@asynccontextmanager
async def mirrored(api: API, at: str) -> AsyncIterator[Mirrored]:
    made = Mirrored(api, at)
    task = asyncio.create_task(made.mirror.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def config_map(name: str, **annotations: str) -> dict[str, object]:
    metadata = {"name": name, "namespace": "default", "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def at(name: str = "") -> str:
    return path("configmaps", "default", name, api="api/v1")


def granted(*verbs: str) -> list[dict[str, object]]:
    """A role for config maps, and who has it: the service account `mirror`."""
    rbac: dict[str, object] = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "mirror"}}
    role = {"kind": "ClusterRole", "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]}
    who = {"kind": "ServiceAccount", "name": "mirror", "namespace": "default"}
    named = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "mirror"}
    return [rbac | role, rbac | {"kind": "ClusterRoleBinding", "subjects": [who], "roleRef": named}]


def test_follows_what_others_do(cluster: Cluster) -> None:
    name = "followed"

    async def scenario() -> None:
        async with api_of(cluster.admin) as api, mirrored(api, CONFIG_MAPS) as one:
            await one.mirror.synced.wait()
            made = await api.create(at(), config_map(name, a="1"))
            await one.until(lambda: ("default", name) in one.mirror.objects)
            assert (await api.get(at(name)))["metadata"]["uid"] == made["metadata"]["uid"]
            await api.patch(at(name), {"metadata": {"annotations": {"a": "2"}}})
            await one.until(lambda: one.mirror.objects["default", name].metadata.annotations == {"a": "2"})
            await api.apply(at(name), config_map(name, b="3"))
            await one.until(lambda: one.mirror.objects["default", name].metadata.annotations == {"a": "2", "b": "3"})
            with pytest.raises(APIError) as stale:
                await api.replace(at(name), made)
            assert (stale.value.status, stale.value.reason) == (409, "Conflict")
            await api.delete(at(name))
            await one.until(lambda: ("default", name) not in one.mirror.objects)

    asyncio.run(scenario())


def test_one_object_that_is_nested_too_deeply_hides_no_other(cluster: Cluster, tmp_path: Path) -> None:
    def nested(name: str) -> str:
        """A file with an object whose `managedFields` no decoder takes; the server does."""
        fields = '{"f:a":' * 3000 + "{}" + "}" * 3000
        entry = '"manager":"x","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1"'
        managed = f'[{{{entry},"fieldsV1":{{"f:data":{fields}}}}}]'
        metadata = f'{{"name":"{name}","annotations":{{"a":"1"}},"managedFields":{managed}}}'
        file = tmp_path / f"{name}.json"
        file.write_text(f'{{"apiVersion":"v1","kind":"ConfigMap","metadata":{metadata}}}')
        return str(file)

    async def scenario() -> None:
        async with api_of(cluster.admin) as api:
            assert cluster.admin.kubectl("create", "--raw", at(), "-f", nested("deep-1")).returncode == 0
            async with mirrored(api, CONFIG_MAPS) as one:
                async with asyncio.timeout(20):
                    await one.mirror.synced.wait()
                assert one.mirror.objects["default", "deep-1"].metadata.annotations == {"a": "1"}
                assert cluster.admin.kubectl("create", "--raw", at(), "-f", nested("deep-2")).returncode == 0
                await one.until(lambda: ("default", "deep-2") in one.mirror.objects)
                assert one.mirror.trouble == ""
            for name in ("deep-1", "deep-2"):
                await api.delete(at(name))

    asyncio.run(scenario())


def test_pages_and_watches_that_end_of_a_real_server(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "PAGE", 2)
    monkeypatch.setattr(requests, "WATCH", 1)
    names = {f"paged{number}" for number in range(5)}

    async def scenario() -> None:
        async with api_of(cluster.admin) as api:
            for name in names:
                await api.create(at(), config_map(name))
            pages = [page async for page in api.pages(at())]
            assert len(pages) >= 3
            assert names <= {item.metadata.name for page in pages for item in page.items or ()}
            async for event in api.watch(at(), pages[-1].metadata.version):
                assert event.type == "BOOKMARK"
            for name in names:
                await api.delete(at(name))

    asyncio.run(scenario())


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason="run `make peers`")
def test_goes_on_after_restarts_of_the_api_server_and_of_etcd(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "cluster")

    async def scenario() -> None:
        async with api_of(cluster.admin) as api, mirrored(api, at()) as one:
            await api.create(at(), config_map("restarted", a="1"))
            await one.until(lambda: ("default", "restarted") in one.mirror.objects)
            await asyncio.to_thread(cluster.crash, "kube-apiserver")
            while "cannot be reached: Connection refused" not in one.mirror.trouble:
                await asyncio.sleep(0.01)
            assert one.mirror.objects["default", "restarted"].metadata.annotations == {"a": "1"}
            await asyncio.to_thread(cluster.start_apiserver)
            await api.patch(at("restarted"), {"metadata": {"annotations": {"a": "2"}}})
            await one.until(lambda: one.mirror.objects["default", "restarted"].metadata.annotations == {"a": "2"})
            assert one.mirror.trouble == ""
            await asyncio.to_thread(cluster.crash, "etcd")
            await asyncio.to_thread(cluster.start_etcd)
            await asyncio.to_thread(cluster.wait)
            await api.patch(at("restarted"), {"metadata": {"annotations": {"a": "3"}}})
            await one.until(lambda: one.mirror.objects["default", "restarted"].metadata.annotations == {"a": "3"})

    try:
        cluster.start()
        asyncio.run(scenario())
    finally:
        cluster.stop()


def test_a_service_account_whose_token_is_wrong_then_not_allowed_then_right_and_rotates(
    cluster: Cluster, tmp_path: Path
) -> None:
    """In a pod: the token file is all that changes, and the mirror goes on by itself."""
    account: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "mirror", "namespace": "default"},
    }
    binding: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "first", "namespace": "default"},
    }
    (tmp_path / "ca.crt").write_bytes((cluster.folder / "ca.crt").read_bytes())
    (tmp_path / "namespace").write_text("default")
    (tmp_path / "token").write_text("wrong")

    def new_token(*bound: str) -> None:
        made = cluster.admin.kubectl("create", "token", "mirror", *bound)
        assert made.returncode == 0, made.stderr
        (tmp_path / "token").write_text(made.stdout.strip())

    async def trouble(mirror: Mirror, words: str) -> None:
        async with asyncio.timeout(60):
            while words not in mirror.trouble:
                await asyncio.sleep(0.01)

    async def scenario() -> None:
        pod = InCluster("127.0.0.1", str(cluster.port), tmp_path)
        async with api_of(cluster.admin) as admin, api_of(pod) as api, mirrored(api, at()) as one:
            await trouble(one.mirror, f"the Kubernetes API refuses GET {at()}: Unauthorized")
            for made in (account, binding):
                await admin.create(path(f"{str(made['kind']).lower()}s", "default", api="api/v1"), made)
            new_token("--bound-object-kind=Secret", "--bound-object-name=first")
            await trouble(one.mirror, 'User "system:serviceaccount:default:mirror" cannot list resource "configmaps"')
            assert not one.mirror.synced.is_set()
            for made in granted("list", "watch", "get"):
                kind = f"{str(made['kind']).lower()}s"
                await admin.create(path(kind, api="apis/rbac.authorization.k8s.io/v1"), made)
            await one.until(lambda: not one.mirror.trouble)
            new_token()
            await admin.delete(path("secrets", "default", "first", api="api/v1"))  # which ends the first token
            await admin.create(at(), config_map("rotated"))
            await one.until(lambda: ("default", "rotated") in one.mirror.objects)
            assert (await api.get(at("rotated")))["metadata"]["name"] == "rotated"
            with pytest.raises(APIError, match='cannot create resource "configmaps"') as refused:
                await api.create(at(), config_map("other"))
            assert (refused.value.status, refused.value.reason) == (403, "Forbidden")
            await admin.delete(at("rotated"))

    asyncio.run(scenario())


def test_a_server_that_another_authority_vouches_for_is_sent_nothing(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    Authority(tmp_path / "other")
    content = yaml.safe_load(cluster.admin.kubeconfig.read_text())
    content["clusters"][0]["cluster"]["certificate-authority"] = str(tmp_path / "other" / "ca.crt")
    (tmp_path / "config").write_text(yaml.safe_dump(content))

    async def scenario() -> None:
        async with api_of(open_access(tmp_path / "config")) as api:
            with pytest.raises(APIError, match=r"cannot be reached: its certificate is not trusted: .*verify failed"):
                await api.get(at())

    asyncio.run(scenario())


def test_a_kind_that_is_defined_later_and_then_no_more(cluster: Cluster) -> None:
    names = {"plural": "mirrored", "singular": "mirrored", "kind": "Mirrored", "listKind": "MirroredList"}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "mirrored.vdvs.test"},
        "spec": {"group": "vdvs.test", "scope": "Cluster", "names": names, "versions": [version]},
    }
    defined = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    kind = path("mirrored", api="apis/vdvs.test/v1")

    async def scenario() -> None:
        async with api_of(cluster.admin) as api, mirrored(api, kind) as one:
            while not one.mirror.trouble.startswith(f"the Kubernetes API does not know {kind}: install"):
                await asyncio.sleep(0.01)
            assert not one.mirror.synced.is_set()
            await api.create(defined, definition)
            await one.until(one.mirror.synced.is_set)
            await api.create(kind, {"apiVersion": "vdvs.test/v1", "kind": "Mirrored", "metadata": {"name": "only"}})
            await one.until(lambda: ("", "only") in one.mirror.objects)
            await api.delete(f"{defined}/mirrored.vdvs.test")
            async with asyncio.timeout(60):
                while one.mirror.synced.is_set():
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())
