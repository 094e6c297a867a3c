"""Writing what a pass found to the API: the status of objects, and events.

Rights that it needs, on all kinds of vdvs.io: `patch` of the subresource `status`; of events in events.k8s.io: `create`
and `patch`, in every namespace with objects, and in `default` for those of Sites.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import islice
from time import monotonic
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from reconciler.controller.backoff import Backoff
from reconciler.execution.gather import gather_all
from reconciler.model.base import clip
from reconciler.model.events import EventKind, Pass, ReportedEvent
from reconciler.model.outcome import Outcome
from reconciler.model.refs import KINDS, Kind, ObjectRef
from reconciler.operator.connection.api import API, APIError, path
from reconciler.operator.connection.objects import KubeObject
from reconciler.operator.event_queue import EventQueue
from reconciler.operator.keys import ObjectKey
from reconciler.operator.source import SiteObjects, declaring
from reconciler.operator.status import Terms, same, severity, statuses
from reconciler.ports import Clock
from reconciler.render.words import event_word, sides

_MOST_AN_HOUR: Final = 5000  # new events of a namespace, or of a Site; the server keeps them about as long
_HOUR: Final = 3600.0
_MOST_COUNTED: Final = 1000  # events of which a repeat is noticed
_AT_ONCE: Final = 16  # statuses
_AGAIN: Final = timedelta(minutes=10)  # after which statuses are compared though nothing changed: others may write them
_BELIEVED: Final = _AGAIN.total_seconds() / 2
_NOTE: Final = 1024  # bytes that the API takes
_OBJECT: Final = 200  # characters of the name of an object within that of an event
_GONE: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
_AWAY: Final = (
    0, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT
)  # fmt: skip
_IS_AWAY, _REFUSES = "is away", "refuses"  # what is backed off from: an object that is refused for long is no outage
_REFUSED: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
_NORMAL: Final = frozenset(
    {
        EventKind.HEALED, EventKind.IN_SYNC, EventKind.GONE, EventKind.STARTED, EventKind.STOPPED, EventKind.VALID,
        EventKind.RECOVERED, EventKind.REMARK,
    }
)  # fmt: skip
_ACTS: Final = (EventKind.HEALED, EventKind.FAILED, EventKind.BRAKED, EventKind.EXPOSED)
_VERSION: Final = re.compile(r"[0-9]{1,99}")
_EVENTS_API: Final = "apis/events.k8s.io/v1"
_log = logging.getLogger(__name__)


class _Waiting(Struct, frozen=True):
    """A status to be written. `uid`: of the object that it is about; `rank`: the smaller, the sooner, among those that
    were tried as often, of which those with the fewest `tries` go first."""

    site: str
    uid: str
    status: Mapping[str, Any]
    rank: int
    tries: int = 0


class _Sent(Struct, frozen=True):
    """A status that the mirror may not have yet, and the version of its object. `until` when that is believed: versions
    are smaller again after etcd was restored from a backup, and what was written since is not there."""

    version: int
    status: Mapping[str, Any]
    until: float


class Publisher:
    """Writes statuses and events of all sites, as long as `run` runs.

    `mirrored`: an object as the mirror has it; `held`: whether the lease of a site is ours, without which no status is
    written; `backoff`: says how long to wait after what failed; `instance`: who writes, in events. While the API is
    away, the newest status of each object waits, and so do the newest events; those that are dropped are counted in
    `lost`, as are those of whoever has too many. Namespaces have their events written in turn, and so have Sites. What
    the API does not take of one object, such as one that is as large as etcd allows, delays nothing about others.
    `now`: seconds that never go back.
    """

    def __init__(
        self,
        api: API,
        mirrored: Callable[[ObjectKey], KubeObject | None],
        held: Callable[[str], bool],
        backoff: Backoff,
        instance: str,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._api, self._mirrored, self._held, self._backoff, self._instance = api, mirrored, held, backoff, instance
        self._now = now
        self._statuses: dict[ObjectKey, _Waiting] = {}
        self._sent: dict[ObjectKey, _Sent] = {}
        self._events = EventQueue[_Told]()
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._made: dict[str, tuple[float, int]] = {}  # since when, and how many new events, by owner
        self._too_many = 0
        self._due, self._events_due = asyncio.Event(), asyncio.Event()

    @property
    def lost(self) -> int:
        """How many events were dropped."""
        return self._events.lost + self._too_many

    def known(self, key: ObjectKey) -> Mapping[str, Any]:
        """Return the status that an object has, or will have once all is written; empty: none."""
        if (waiting := self._statuses.get(key)) is not None:
            return waiting.status
        if self._is_ahead(key):
            return self._sent[key].status
        self._sent.pop(key, None)
        seen = self._mirrored(key)
        return {} if seen is None else seen.status

    def _is_ahead(self, key: ObjectKey) -> bool:
        """Return whether the mirror does not have yet what was sent last about an object that is there."""
        seen, sent = self._mirrored(key), self._sent.get(key)
        if sent is None or seen is None or self._now() >= sent.until:
            return False
        return _number(seen.metadata.resource_version) < sent.version

    def publish(self, objects: SiteObjects, statuses: Mapping[ObjectKey, Mapping[str, Any]]) -> None:
        """Have those written that differ, those that got worse first. `objects`: those that they are about."""
        self._sent = {key: sent for key, sent in self._sent.items() if self._is_ahead(key)}  # or it is gone
        fresh = {}
        for key, status in statuses.items():
            known = self.known(key)
            if not same(status, known):
                uid = objects.seen[key].metadata.uid
                fresh[key] = _Waiting(objects.site, uid, status, severity(known) - severity(status))
        if fresh:
            waiting = (self._statuses | fresh).items()
            self._statuses = dict(sorted(waiting, key=lambda item: (item[1].tries, item[1].rank)))
            self._due.set()

    def tell(self, key: ObjectKey, uid: str, reported: ReportedEvent) -> None:
        """Have an event written about the object with this key and UID."""
        before = self.lost
        self._events.add(key.namespace or str(key), _told(key, uid, reported, self._instance))
        if self.lost and not before:
            _log.warning("events are lost: there are more than the Kubernetes API takes, or it has been away for long")
        self._events_due.set()

    async def run(self) -> None:
        """Write, until cancelled."""
        await gather_all([self._write_statuses(), self._write_events()])

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self._statuses and not self._events

    async def _write_statuses(self) -> None:
        while True:
            await self._due.wait()
            while self._statuses:
                self._due.clear()
                first = list(islice(self._statuses.items(), _AT_ONCE))
                errors = await gather_all(self._write(key, waiting) for key, waiting in first)
                is_new = any(not waiting.tries for _, waiting in first)
                await self._after(errors, self._due, others=is_new)
            self._due.clear()

    async def _after(self, errors: Collection[APIError | None], due: asyncio.Event, *, others: bool) -> None:
        """Wait as long as is due after some attempts: while the API is away, or, if none worked and there are no
        `others`, until there are."""
        if None in errors:
            self._backoff.worked(_IS_AWAY)
            self._backoff.worked(_REFUSES)
        failed = [error for error in errors if error is not None]
        if any(error.status in _AWAY for error in failed):
            await asyncio.sleep(max(self._backoff.failed(_IS_AWAY), *(error.wait for error in failed)))
        elif failed and None not in errors and not others:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._backoff.failed(_REFUSES)):
                    await due.wait()

    async def _write(self, key: ObjectKey, waiting: _Waiting) -> APIError | None:
        """Write a status, if its site is ours and its object is there; return why it is to be tried again."""
        metadata = {"name": key.name} | ({"namespace": key.namespace} if key.namespace else {})
        body = {"apiVersion": "vdvs.io/v1", "kind": key.kind.value, "metadata": metadata, "status": waiting.status}
        try:
            if self._held(waiting.site) and self._is_there(key, waiting.uid):
                made = await self._api.apply(f"{path(KINDS[key.kind].plural, key.namespace, key.name)}/status", body)
                self._sent[key] = _Sent(_version(made), waiting.status, self._now() + _BELIEVED)
        except APIError as error:
            if error.status in _REFUSED:
                _log.error("the status of %s is not written, which is a bug in vdvs: %s", key, error)
            elif error.status not in _GONE:
                _log.info("the status of %s is not written yet: %s", key, error)
                if self._statuses.get(key) is waiting:  # behind the others, which may be accepted
                    del self._statuses[key]
                    self._statuses[key] = replace(waiting, tries=waiting.tries + 1)
                return error
        if self._statuses.get(key) is waiting:  # else there is a newer one by now
            del self._statuses[key]
        return None

    def _is_there(self, key: ObjectKey, uid: str) -> bool:
        """Return whether an object is still the same one. The API itself compares no UID when a status is applied."""
        seen = self._mirrored(key)
        return seen is not None and seen.metadata.uid == uid

    async def _write_events(self) -> None:
        failed: set[str] = set()  # owners, since all were tried
        while True:
            await self._events_due.wait()
            while self._events:
                self._events_due.clear()
                owner, first = self._events.first()
                is_new = first.name not in self._counts
                if is_new and not self._has_room(owner):
                    self._events.served(owner, first)
                    continue
                if (error := await self._write_event(first)) is None:
                    failed.discard(owner)
                    self._events.served(owner, first)
                else:
                    if is_new:  # it is not there, and is tried again
                        since, made = self._made[owner]
                        self._made[owner] = since, made - 1
                    failed.add(owner)
                    self._events.pass_turn(owner)
                others = not self._events.owners <= failed
                await self._after([error], self._events_due, others=others)
                if not others:
                    failed.clear()
            self._events_due.clear()

    def _has_room(self, owner: str) -> bool:
        """Return whether an owner may have one more event: each edit of a manifest makes one, and etcd is of all."""
        now = self._now()
        since, made = self._made.get(owner, (now, 0))
        if now >= since + _HOUR:
            since, made = now, 0
        self._made[owner] = since, made + 1
        if made == _MOST_AN_HOUR:
            _log.warning("events of %s are not written any more for up to an hour: there are too many", owner)
        self._too_many += made >= _MOST_AN_HOUR
        return made < _MOST_AN_HOUR

    async def _write_event(self, told: _Told) -> APIError | None:
        """Write an event; return why it is to be tried again."""
        try:
            count = await self._counted(told)
        except APIError as error:
            _log.info("an event on %s is not written: %s", told.name, error)
            return None if error.status in (*_REFUSED, *_GONE, HTTPStatus.FORBIDDEN) else error
        self._counts[told.name] = count
        self._counts.move_to_end(told.name)
        if len(self._counts) > _MOST_COUNTED:
            self._counts.popitem(last=False)
        return None

    async def _counted(self, told: _Told) -> int:
        """Create an event, or count it with the same one before. Return how often it happened."""
        count = self._counts.get(told.name)
        if count is None:
            try:
                await self._api.create(told.where, told.body)
            except APIError as error:
                if error.status != HTTPStatus.CONFLICT:
                    raise
                count = 1  # written before a restart, or by another replica
            else:
                return 1
        series = {"count": count + 1, "lastObservedTime": told.body["eventTime"]}
        try:
            await self._api.patch(f"{told.where}/{told.name}", {"series": series})
        except APIError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            await self._api.create(told.where, told.body)  # the server keeps events for an hour or so
            return 1
        return count + 1


class SitePublisher:
    """Implements `ports.Listener`: publishes the events of one site as they happen, and, while `run` runs, the statuses
    after each pass; after the last one, where that takes longer than a pass.

    `objects`, `terms`: those of the present pass.
    """

    def __init__(
        self,
        publisher: Publisher,
        objects: Callable[[], SiteObjects],
        terms: Callable[[], Terms],
        clock: Clock,
    ) -> None:
        self._publisher, self._objects, self._terms, self._clock = publisher, objects, terms, clock
        self._keys: tuple[Mapping[ObjectKey, ObjectRef], dict[ObjectRef, ObjectKey]] = ({}, {})
        self._last: tuple[Pass, SiteObjects, Terms] | None = None
        self._ended = asyncio.Event()
        self._published: tuple[object, ...] | None = None
        self._at: datetime | None = None

    def on_event(self, reported: ReportedEvent) -> None:
        """See `ports.Listener`. What no object declares is published for the Site."""
        objects, ref = self._objects(), reported.event.ref
        if self._keys[0] is not objects.refs:
            self._keys = objects.refs, declaring(objects.refs)
        site = ObjectKey(Kind.SITE, "", objects.site)
        key = site if ref is None else self._keys[1].get(ref, site)
        if key in objects.seen:
            self._publisher.tell(key, objects.seen[key].metadata.uid, reported)

    def on_pass(self, done: Pass) -> None:
        """See `ports.Listener`. The next pass may see other objects."""
        self._last = done, self._objects(), self._terms()
        self._ended.set()

    async def run(self) -> None:
        """Publish statuses, until cancelled."""
        while True:
            await self._ended.wait()
            self._ended.clear()
            if self._last is None:
                continue
            try:
                done, objects, terms = self._last
                await self.publish(done.outcome, done.failure, objects, terms)
            except Exception:
                _log.exception("the statuses of a site are not published; this is a bug in vdvs")

    async def publish(self, outcome: Outcome | None, failure: str, objects: SiteObjects, terms: Terms) -> None:
        """Publish the statuses after a pass; see `statuses`. Nothing is computed where nothing changed."""
        now = self._clock.now()
        arguments = (_identity(objects), _found(outcome), failure, terms)
        if arguments == self._published and self._at is not None and abs(now - self._at) < _AGAIN:
            return
        previous = {key: self._publisher.known(key) for key in objects.seen}
        made = await asyncio.to_thread(statuses, objects, outcome, failure, previous, now, terms)
        self._publisher.publish(objects, made)
        self._published, self._at = arguments, now


class _Told(Struct, frozen=True):
    """An event for the API: the path of the list that it goes into, its name, and the object itself."""

    where: str
    name: str
    body: dict[str, Any]


def _version(made: Mapping[str, Any]) -> int:
    """Return the version of an object that the API answered with; 0 if it is none."""
    found = made.get("metadata")
    return _number(found.get("resourceVersion")) if isinstance(found, dict) else 0


def _number(version: object) -> int:
    return int(version) if isinstance(version, str) and _VERSION.fullmatch(version) else 0


def _identity(objects: SiteObjects) -> tuple[object, ...]:
    versions = {key: (seen.metadata.uid, seen.metadata.generation) for key, seen in objects.seen.items()}
    return objects.site, versions, objects.refs, objects.held, objects.loaded.desired.digests


def _found(outcome: Outcome | None) -> tuple[object, ...]:
    """The part of an outcome that statuses are made from."""
    if outcome is None:
        return ()
    last = outcome.after or outcome.before
    return last.resolved, last.observed.content, last.diff, outcome.objects, outcome.plan.withheld


def _told(key: ObjectKey, uid: str, reported: ReportedEvent, instance: str) -> _Told:
    event = reported.event
    reason = "".join(part[:1].upper() + part[1:].lower() for part in event_word(event).split())
    fields = () if event.change is None else event.change.fields
    note = _cut("\n".join([event.message, *(f"{field.path}: {sides(field)}" for field in fields)]))
    same = hashlib.sha256("\0".join([uid, reason, note]).encode()).hexdigest()[:16]
    name, namespace = f"{key.name[:_OBJECT].rstrip('.-')}.{same}", key.namespace or "default"
    body = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "eventTime": reported.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "vdvs.io/operator",
        "reportingInstance": clip(instance, 100),
        "action": "Heal" if event.kind in _ACTS else "Observe",
        "reason": reason,
        "regarding": {"apiVersion": "vdvs.io/v1", "kind": key.kind.value, "name": key.name, "uid": uid}
        | ({"namespace": key.namespace} if key.namespace else {}),
        "note": note,
        "type": "Normal" if event.kind in _NORMAL else "Warning",
    }
    return _Told(path("events", namespace, api=_EVENTS_API), name, body)


def _cut(note: str) -> str:
    text = note.encode()
    return note if len(text) <= _NOTE else text[: _NOTE - 4].decode(errors="ignore") + " ..."
