"""Mirrors of a real Kubernetes API: they follow it through restarts, refusals and tokens that expire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from reconciler.operator.access import open_access
from reconciler.operator.api import API, APIError, path
from reconciler.operator.mirror import Mirror
from tests.kubernetes.cluster import Cluster, User

CONFIG_MAPS = path("configmaps", api="api/v1")


@asynccontextmanager
async def api_of(user: User) -> AsyncIterator[API]:
    api = API(open_access(user.kubeconfig))
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


def config_map(name: str, **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


def test_follows_what_others_do(cluster: Cluster) -> None:
    async def scenario() -> None:
        async with api_of(cluster.admin) as api, mirrored(api, CONFIG_MAPS) as one:
            await one.mirror.synced.wait()
            made = await api.create(path("configmaps", "default", api="api/v1"), config_map("followed", a="1"))
            await one.until(lambda: ("default", "followed") in one.mirror.objects)
            at = path("configmaps", "default", "followed", api="api/v1")
            assert (await api.get(at))["metadata"]["uid"] == made["metadata"]["uid"]
            await api.patch(at, {"data": {"a": "2"}})
            await one.until(lambda: one.mirror.objects["default", "followed"]["data"] == {"a": "2"})
            await api.apply(at, config_map("followed", b="3"))
            await one.until(lambda: one.mirror.objects["default", "followed"]["data"] == {"a": "2", "b": "3"})
            assert "managedFields" not in one.mirror.objects["default", "followed"]["metadata"]
            with pytest.raises(APIError) as stale:
                await api.replace(at, made)
            assert (stale.value.status, stale.value.reason) == (409, "Conflict")
            await api.delete(at)
            await one.until(lambda: ("default", "followed") not in one.mirror.objects)

    asyncio.run(scenario())
