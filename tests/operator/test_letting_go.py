"""Removing our finalizer from objects, and what else goes on meanwhile. The API itself: tests/kubernetes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest
from msgspec.structs import replace

from reconciler.model.refs import Kind
from reconciler.operator.connection.api import API, APIError
from reconciler.operator.connection.objects import KubeObject
from reconciler.operator.finalizers import Releases
from reconciler.operator.keys import ObjectKey
from reconciler.operator.operator import Operator, OperatorOptions
from reconciler.operator.replicas.leases import Leases
from tests.operator.looks import kube_object

BLUE = ObjectKey(Kind.VMGROUP, "team-a", "blue")


def going(*keys: ObjectKey) -> dict[ObjectKey, KubeObject]:
    found = {key: kube_object(key) for key in keys}
    for each in found.values():
        metadata = {"deletion_timestamp": "2026-11-29T22:00:00Z", "finalizers": ["vdvs.io/config-db"]}
        each.metadata = replace(each.metadata, **cast(Any, metadata))
    return found


class Slow:
    """An API whose webhook for the namespace `slow` does not answer. `let_go`: the objects that it has forgotten."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let_go: list[str] = []

    async def patch(self, path: str, _: Mapping[str, Any]) -> None:
        self.asked.append(path)
        if "/slow/" in path:
            await asyncio.Event().wait()
        self.let_go.append(path.rsplit("/", 1)[1])


def test_while_one_is_not_let_go_everything_else_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or else a webhook that does not answer would stand still all sites, and the probe of the pod fail."""
    api = Slow()
    slow, blue = ObjectKey(Kind.VMGROUP, "slow", "g"), BLUE

    async def run() -> None:
        options = OperatorOptions((), None, None, None, "one", 1)
        operator = Operator(options, cast(API, api), cast(API, api), "vdvs", lambda _: pytest.fail("no site"), print)
        monkeypatch.setattr(Leases, "assigned", frozenset())
        for mirror in operator._mirrored:
            mirror.synced.set()
        system = kube_object(ObjectKey(Kind.SITE, "", "kube-system"))
        monkeypatch.setattr(operator._namespaces, "_objects", {("", "kube-system"): system})
        (vmgroups,) = operator._mirrors[Kind.VMGROUP]
        for key in (slow, blue):
            vmgroups._objects[key.namespace, key.name] = going(key)[key]
            operator._changed_at = 0.0
            await operator._step()
        while not api.let_go:
            await asyncio.sleep(0)
        await operator._releases.close()

    asyncio.run(asyncio.wait_for(run(), 20))
    assert api.let_go == ["blue"]


def test_a_namespace_whose_objects_are_not_let_go_has_few_requests_under_way() -> None:
    api = Slow()
    many = [ObjectKey(Kind.VMGROUP, "slow", f"g{number}") for number in range(100)]

    async def run() -> None:
        releases = Releases(cast(API, api), lambda: 1.0, lambda: 0.0)
        for _ in range(2):
            releases(going(*many, BLUE))
            while not api.let_go:
                await asyncio.sleep(0)
        await releases.close()

    asyncio.run(asyncio.wait_for(run(), 20))
    assert len(api.asked) <= 20


def test_one_that_the_api_does_not_let_go_is_tried_less_and_less_often() -> None:
    free, now, allowed = going(BLUE), 0.0, False
    tries: list[float] = []

    class Forbidding:
        async def patch(self, *_: object) -> None:
            tries.append(now)
            if not allowed:
                raise APIError(403, "Forbidden", "no")

    async def run() -> None:
        nonlocal now, allowed
        releases = Releases(cast(API, Forbidding()), lambda: 1.0, lambda: now)

        async def attempt() -> None:
            releases(free)
            await releases.settled()

        await attempt()
        for _ in range(3600):
            now += 1.0
            if releases.due:
                await attempt()
        assert tries[:6] == [0, 1, 3, 7, 15, 31]
        assert len(tries) < 25
        await attempt()
        assert tries[-1] < now, "another change is no reason to try again"
        allowed, now = True, now + 300
        await attempt()
        assert (tries[-1], releases.due) == (now, False)

    asyncio.run(run())
