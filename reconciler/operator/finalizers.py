"""Removing our finalizer from objects, so that the API forgets them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from reconciler.controller.backoff import Backoff
from reconciler.model.refs import KINDS
from reconciler.operator.connection.api import API, APIError, path
from reconciler.operator.connection.objects import KubeObject
from reconciler.operator.deletion import FINALIZER
from reconciler.operator.keys import ObjectKey

_AT_ONCE: Final = 16  # of a namespace
_log = logging.getLogger(__name__)


def path_of(key: ObjectKey) -> str:
    """Return the path of an object on the API server."""
    return path(KINDS[key.kind].plural, key.namespace, key.name)


async def release(api: API, key: ObjectKey, found: KubeObject) -> bool:
    """Remove our finalizer from an object; return whether it is done. What has changed meanwhile is looked at anew."""
    others = [each for each in found.metadata.finalizers or () if each != FINALIZER]
    patch = {"metadata": {"resourceVersion": found.metadata.resource_version, "finalizers": others}}
    try:
        await api.patch(path_of(key), patch)
    except APIError as error:
        _log.info("the finalizer of %s is not removed yet: %s", key, error)
        return error.status == HTTPStatus.NOT_FOUND
    return True


class Releases:
    """Removes our finalizer from objects, while all else goes on: a webhook may take long for one. Those of a namespace
    wait for each other only. Backs off from one of which the API does not take that."""

    def __init__(self, api: API, chance: Callable[[], float], now: Callable[[], float]) -> None:
        self._api, self._now = api, now
        self._backoff = Backoff(chance)
        self._not_before: dict[ObjectKey, float] = {}
        self._under_way: dict[ObjectKey, asyncio.Task[None]] = {}
        self._turns: dict[str, asyncio.Semaphore] = {}  # by namespace

    @property
    def due(self) -> bool:
        """Whether it is time to try one again."""
        return any(moment <= self._now() for key, moment in self._not_before.items() if key not in self._under_way)

    def __call__(self, free: Mapping[ObjectKey, KubeObject]) -> None:
        """Begin to let the API forget these objects, but for those that wait for another try."""
        for key in self._not_before.keys() - free.keys():
            self._worked(key)
        for key, found in free.items():
            if key not in self._under_way and self._not_before.get(key, 0.0) <= self._now():
                self._under_way[key] = asyncio.create_task(self._try(key, found))

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        await asyncio.gather(*self._under_way.values())

    async def close(self) -> None:
        """End what is under way."""
        tasks = tuple(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _try(self, key: ObjectKey, found: KubeObject) -> None:
        try:
            async with self._turns.setdefault(key.namespace, asyncio.Semaphore(_AT_ONCE)):
                released = await release(self._api, key, found)
        finally:
            del self._under_way[key]
            if not self._under_way:
                self._turns.clear()
        if released:
            self._worked(key)
        else:
            self._not_before[key] = self._now() + self._backoff.failed(key)

    def _worked(self, key: ObjectKey) -> None:
        self._backoff.worked(key)
        self._not_before.pop(key, None)
