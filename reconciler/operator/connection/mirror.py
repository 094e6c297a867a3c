"""A mirror of the objects of one list of the Kubernetes API, kept up to date by a watch.

    mirror = Mirror(api, path("vmgroups"), changed)          # of all namespaces
    task = asyncio.create_task(mirror.run())                 # ends only when it is cancelled
    await mirror.synced.wait()                               # a complete list has come
    mirror.objects["team-a", "blue"].spec                    # read only; ask for `objects` anew each time

`changed` is called after each change, once or for many at once: it only says "look again". Where only the status of an
object has changed, which is for us to write, the object stays the same one with another status, and `changed` is not
called: unless it is the vmgroup of the object that has changed, of which whoever runs the site has a say, too, or
whether what it names is allowed, which the inventory tells: others may be held for what it claims.
`synced` is set while `objects` is what a complete list said, plus what a watch told since; before the first one, and
while the API does not know the kind, it is not, and then `objects` says nothing about what there is. `trouble` is
empty, or says what keeps the objects from being up to date, and since when; meanwhile they are the last known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from http import HTTPStatus
from time import monotonic
from typing import Final, Never

from msgspec.structs import replace

from reconciler.controller.backoff import Backoff
from reconciler.model.errors import Refusal
from reconciler.operator.connection.api import API, APIError
from reconciler.operator.connection.compact import compact
from reconciler.operator.connection.objects import KubeObject, reason_of
from reconciler.ports import Clock
from reconciler.wiring.clock_and_chance import SystemClock, chance

Key = tuple[str, str]
"""Namespace (empty for a kind that is in none) and name."""

_FIRST: Final = 0.5  # seconds
_LONGEST: Final = 30.0  # seconds between attempts, so that it goes on soon after an hour of silence
_BRIEF: Final = 1.0  # seconds; a watch that ends sooner is not followed by the next at once
_log = logging.getLogger(__name__)


class Mirror:
    """Mirrors the list at `path`. Objects are kept as `compact` makes them.

    `logged`: troubles that are in the log already, of several mirrors: an API that is away is so for all of them.
    """

    def __init__(
        self,
        api: API,
        path: str,
        changed: Callable[[], None],
        *,
        chance: Callable[[], float] = chance,
        clock: Clock | None = None,
        logged: set[str] | None = None,
    ) -> None:
        self._logged: set[str] = set() if logged is None else logged
        self._words = ""
        self.synced = asyncio.Event()
        self.trouble = ""
        self._api = api
        self._path = path
        self._changed = changed
        self._objects: dict[Key, KubeObject] = {}
        self._version = ""  # that the watch goes on from; empty: list anew
        self._backoff = Backoff(chance, _FIRST, _LONGEST)
        self._now = (clock or SystemClock()).now
        self._since = ""

    @property
    def objects(self) -> Mapping[Key, KubeObject]:
        """The objects, by namespace and name."""
        return self._objects

    async def run(self) -> Never:
        """Keep `objects` up to date, whatever happens to the API, until cancelled."""
        while True:
            began = monotonic()
            try:
                if not self._version:
                    await self._list()
                await self._follow()
                wait = _BRIEF if monotonic() - began < _BRIEF else 0.0
            except APIError as error:
                self._version = ""
                self._failed(error)
                wait = max(error.wait, self._backoff.failed(self._path))
            await asyncio.sleep(wait)

    async def _list(self) -> None:
        fresh: dict[Key, KubeObject] = {}
        version = ""
        async with aclosing(self._api.pages(self._path)) as pages:
            async for page in pages:
                version = page.metadata.version
                for item in page.items or ():
                    compact(item)
                    key = _key(item)
                    known = self._objects.get(key)  # most are as they were, and need no memory again
                    fresh[key] = item if known is None or not _updated(known, item) else known
        if not version:
            raise APIError(0, "Malformed", f"the Kubernetes API gives {self._path} without a version")
        differs = fresh.keys() != self._objects.keys() or any(
            item is not self._objects[key] for key, item in fresh.items()
        )
        self._objects, self._version = fresh, version
        self._worked()
        if differs or not self.synced.is_set():
            self.synced.set()
            self._changed()

    async def _follow(self) -> None:
        """Take in the events of one watch, to its end. That may bring nothing: then nothing has happened, unless it was
        dead, or ended at once. A watch that was cut goes on where it was."""
        began, heard = monotonic(), False
        ended = APIError(0, "Brief", f"the Kubernetes API ends each watch of {self._path} at once")
        try:
            async with aclosing(self._api.watch(self._path, self._version)) as events:
                async for event in events:
                    heard = True
                    self._worked()
                    version = _version(event.object)
                    if event.type != "BOOKMARK":
                        self._take(event.type, event.object)
                    self._version = version
        except APIError as error:
            if error.reason != "Cut":
                raise
            ended = error
        if not heard and monotonic() - began < _BRIEF:
            raise ended

    def _take(self, type: str, item: KubeObject) -> None:
        compact(item)
        key = _key(item)
        known = self._objects.get(key)
        if type == "DELETED":
            self._objects.pop(key, None)
        elif known is not None and _updated(known, item):
            return
        else:
            self._objects[key] = item
        self._changed()

    def _failed(self, error: APIError) -> None:
        words = str(error)
        if error.status == HTTPStatus.NOT_FOUND:
            self.synced.clear()
            words = f"the Kubernetes API does not know {self._path}: install the definitions in deploy/kubernetes/crds"
        elif error.status == HTTPStatus.FORBIDDEN:
            words += "; grant it by a ClusterRole or Role"
        if not self.trouble:
            self._since = self._now().isoformat(timespec="seconds").replace("+00:00", "Z")
            if words not in self._logged:
                _log.warning("%s", words)
            self._logged.add(words)
            self._words = words
        self.trouble = f"{words} (since {self._since})"

    def _worked(self) -> None:
        self._backoff.worked(self._path)
        if self.trouble:
            _log.info("%s is up to date again", self._path)
            self._logged.discard(self._words)
            self.trouble = ""


def _key(item: KubeObject) -> Key:
    if not item.metadata.name:
        raise APIError(0, "Malformed", "an object of the Kubernetes API has no name")
    return item.metadata.namespace, item.metadata.name


def _updated(known: KubeObject, item: KubeObject) -> bool:
    """Give an object the status of its next version, if that is all that differs; return whether it is."""
    if _but_status(known) != _but_status(item):
        return False
    known.metadata, known.status = item.metadata, item.status
    return True


def _but_status(item: KubeObject) -> KubeObject:
    """Leave out the status, but for which vmgroup is that of the object, and whether it is refused: passes go by it."""
    status = item.status
    own: dict[str, object] = {"uuid": status["uuid"], "site": status.get("site")} if "uuid" in status else {}
    own["refused"] = reason_of(status) == Refusal.NOT_ALLOWED
    return KubeObject(replace(item.metadata, resource_version=""), item.spec, own)


def _version(item: KubeObject) -> str:
    if not item.metadata.resource_version:
        raise APIError(0, "Malformed", "an event of the Kubernetes API has no version")
    return item.metadata.resource_version
