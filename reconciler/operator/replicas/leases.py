"""Leases: one a replica, which says that it lives; one a site, whose holder may write to the site.

Nothing is judged by comparing the clocks of two machines. Our own lease counts from before the request that renewed it
was sent; that of another until we have seen it unchanged for as long as a lease lasts. As ours counts for less than
that, two replicas never hold the same site, however long a request is under way or a process is suspended.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

from msgspec import Struct

from reconciler.execution.gather import gather_all
from reconciler.model.base import clip
from reconciler.operator.connection.api import API, APIError, path
from reconciler.operator.replicas.shards import owner
from reconciler.ports import Clock

SITE: Final = "vdvs-site-"
REPLICA: Final = "vdvs-replica-"
_COORDINATION: Final = "apis/coordination.k8s.io/v1"
_CHANGED: Final = (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND)  # by somebody else
_FORGOTTEN: Final = 20  # times as long as a lease lasts: then that of a replica that died is deleted
_UNANSWERED: Final = 100  # renewals of one lease; the oldest was sent minutes ago, and is not under way any more
_NEVER: Final = float("-inf")
_log = logging.getLogger(__name__)


class Timing(Struct, frozen=True):
    """Seconds: how long a lease `lasts` for others, and is `safe` to write with for its holder; how often it is
    renewed, and how long a request may take."""

    lasts: float = 15.0
    safe: float = 10.0
    every: float = 2.0
    patience: float = 3.0


USUAL: Final = Timing()


def boottime() -> float:
    """Return seconds that go on while this process, or the whole machine, is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class _Seen(Struct, frozen=True):
    """A lease as it was last seen, and `since` when, by our clock, it has been seen unchanged. One that is none is
    nobody's."""

    document: Mapping[str, Any]
    since: float

    @property
    def version(self) -> str:
        return self._text("metadata", "resourceVersion")

    @property
    def holder(self) -> str:
        return self._text("spec", "holderIdentity")

    @property
    def renewed(self) -> str:
        return self._text("spec", "renewTime")

    def _text(self, part: str, name: str) -> str:
        found = self.document.get(part)
        return str(found.get(name) or "") if isinstance(found, dict) else ""


class _Hold:
    """One time of holding a lease without interruption: `until`, by our clock, unless it is renewed."""

    def __init__(self) -> None:
        self.until = _NEVER


class Leases:
    """The leases of one replica. `identity` is part of a name: lower-case letters, digits, `-` and `.`.

    `busy`: whether a pass over a site is running, which another replica that should have the site waits for; `changed`
    is called when `assigned` has changed. `now`: seconds by a clock that no suspension stops.
    """

    def __init__(
        self,
        api: API,
        namespace: str,
        identity: str,
        clock: Clock,
        *,
        busy: Callable[[str], bool] = lambda _site: False,
        changed: Callable[[], None] = lambda: None,
        timing: Timing = USUAL,
        now: Callable[[], float] = boottime,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._identity = identity
        self._clock = clock
        self._busy = busy
        self._changed = changed
        self._timing = timing
        self._now = now
        self._wanted: frozenset[str] | None = None
        self._wake = asyncio.Event()
        self._began: float | None = None
        self._met = _NEVER  # when a lease of another replica was last seen to change, even of one with our identity
        self._seen: dict[str, _Seen] = {}
        self._vanished: dict[str, float] = {}
        self._sent: dict[str, deque[str]] = {}  # the times in the renewals that may have been written, by lease
        self._holds: dict[str, _Hold] = {}
        self._owners: dict[str, str | None] = {}
        self._told: frozenset[str] = frozenset()
        self._troubles: dict[str, str] = {}
        self._failed: dict[str, str] = {}  # in this round, so far

    @property
    def live(self) -> frozenset[str]:
        """The replicas that live, this one among them."""
        now = self._now()
        others = (name for name, seen in self._seen.items() if now - seen.since < self._timing.lasts)
        return frozenset(_less(REPLICA, others)) | {self._identity}

    @property
    def assigned(self) -> frozenset[str]:
        """The sites that passes may begin on: held, and not about to be handed over."""
        mine = (site for site, replica in self._owners.items() if replica == self._identity)
        return frozenset(site for site in mine if self.held(site))

    @property
    def troubles(self) -> Mapping[str, str]:
        """Why leases could not be renewed or taken in the last round, by their names (empty: all of them)."""
        return self._troubles

    def want(self, sites: Iterable[str]) -> None:
        """Set the sites that there are. Before the first call this replica does not show that it lives: it would be
        given sites that it does not know."""
        wanted = frozenset(sites)
        if wanted != self._wanted:
            self._wanted = wanted
            self._wake.set()

    def pass_ended(self, site: str) -> None:
        """Hand the site over at once, if it is another replica's, which waits for this pass to end."""
        if self._owners.get(site) != self._identity:
            self._wake.set()

    def held(self, site: str) -> bool:
        """Return whether this replica may write to the site at this moment."""
        return self.permit(site)()

    def permit(self, site: str) -> Callable[[], bool]:
        """Return what says whether the site has been held without interruption since this call: the permission of one
        pass, which must not go on with what it saw before another replica may have written."""
        hold = self._holds.get(site)
        return lambda: hold is not None and self._now() < hold.until

    async def run(self) -> None:
        """Take and renew leases until it is cancelled; then release them."""
        try:
            while self._wanted is None:
                await self._pause(None)
            while True:
                begun = self._now()
                await self._round(self._wanted)
                await self._pause(self._next(begun) - self._now())
        finally:
            await self._leave()

    async def _pause(self, seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    def _next(self, begun: float) -> float:
        """Return when the next round is due: earlier when somebody's lease ends before."""
        ends = (seen.since + self._timing.lasts for name, seen in self._seen.items() if not self._is_ours(name))
        return min([begun + self._timing.every, *(end for end in ends if end > begun)])

    async def _round(self, wanted: Collection[str]) -> None:
        if await self._attempted("", self._look()):
            now, live = self._now(), self.live
            sites = frozenset(wanted) | frozenset(_less(SITE, filter(self._is_ours, self._seen)))
            self._owners = {site: owner(site, live) if site in wanted else None for site in sites}
            known = self._is_ours(REPLICA + self._identity)
            lives = known or await self._live_on()
            steps = [self._site(site, replica, now, takes=lives) for site, replica in self._owners.items()]
            steps += [self._bury(name, now) for name in self._seen if name.startswith(REPLICA)]
            await gather_all([*steps, self._live_on()] if known else steps)
        self._troubles, self._failed = self._failed, {}
        if self._told != self.assigned:
            self._told = self.assigned
            self._changed()

    def _at(self, name: str = "") -> str:
        return path("leases", self._namespace, name, api=_COORDINATION)

    async def _look(self) -> None:
        """Read all leases, and note which of them have changed."""
        found = await self._api.get(self._at())
        now = self._now()
        self._began = now if self._began is None else self._began
        documents = {str(document["metadata"]["name"]): document for document in found["items"]}
        listed = {name: one for name, one in documents.items() if name.startswith((SITE, REPLICA))}
        self._vanished |= dict.fromkeys(self._seen.keys() - listed.keys(), now)
        recently = ((name, at) for name, at in self._vanished.items() if now - at < self._timing.lasts)
        self._vanished = {name: at for name, at in recently if name not in listed}
        self._seen = {name: self._observed(name, document, now) for name, document in listed.items()}
        others = (seen.since for name, seen in self._seen.items() if seen.holder and not self._is_ours(name))
        self._met = max([self._met, *others])

    def _observed(self, name: str, document: Mapping[str, Any], now: float) -> _Seen:
        before, seen = self._seen.get(name), _Seen(document, now)
        return before if before is not None and before.version == seen.version else seen

    def _is_ours(self, name: str) -> bool:
        """Return whether the lease is as this very process wrote it: somebody else may have the same identity, and the
        answer to a renewal may have been lost."""
        seen = self._seen.get(name)
        return seen is not None and seen.holder == self._identity and seen.renewed in self._sent.get(name, ())

    async def _live_on(self) -> bool:
        return await self._attempted(REPLICA + self._identity, self._put(REPLICA + self._identity, self._identity))

    async def _bury(self, name: str, now: float) -> None:
        if now - self._seen[name].since > _FORGOTTEN * self._timing.lasts:
            await self._attempted(name, self._api.delete(self._at(name)))

    async def _site(self, site: str, replica: str | None, now: float, *, takes: bool) -> None:
        """Renew, take or release the lease of a site, which `replica` should have. `takes`: others can see that this
        one lives, so that they do not take a lease that is missing for one that nobody ever had."""
        name = SITE + site
        if self._is_ours(name):
            if replica == self._identity or self._busy(site):
                await self._attempted(name, self._hold(site))
            else:
                await self._release(site)
        elif replica == self._identity and takes and self._is_free(name, now):
            await self._attempted(name, self._hold(site))

    def _is_free(self, name: str, now: float) -> bool:
        if (seen := self._seen.get(name)) is not None:
            return not seen.holder or now - seen.since >= self._timing.lasts
        # Somebody may have deleted it while a replica that is there writes by it.
        gone = max(self._vanished.get(name, _NEVER), now if self._began is None else self._began)
        return now - min(gone, self._met) >= self._timing.lasts

    async def _hold(self, site: str) -> None:
        """Renew the lease of the site, or take it."""
        begun = self._now()
        await self._put(SITE + site, self._identity)
        hold = self._holds.get(site)
        if hold is None or self._now() >= hold.until:  # what began before must not go on
            hold = self._holds[site] = _Hold()
        hold.until = begun + self._timing.safe

    async def _release(self, site: str) -> None:
        self._drop(site)
        await self._attempted(SITE + site, self._put(SITE + site, ""))

    def _drop(self, site: str) -> None:
        hold = self._holds.pop(site, None)
        if hold is not None:
            hold.until = _NEVER

    async def _put(self, name: str, holder: str) -> None:
        """Write the lease, if it is still as it was seen. Raises APIError."""
        seen, renewed = self._seen.get(name), f"{self._clock.now():%Y-%m-%dT%H:%M:%S.%fZ}"
        before: Mapping[str, Any] = {} if seen is None else seen.document["spec"]
        spec = {**before, "leaseDurationSeconds": max(1, round(self._timing.lasts)), "renewTime": renewed}
        if before.get("holderIdentity") != holder:
            spec |= {"acquireTime": renewed, "leaseTransitions": int(before.get("leaseTransitions") or 0) + 1}
            spec = {**spec, "holderIdentity": holder} if holder else {**spec, "holderIdentity": None}
        metadata = {"name": name} if seen is None else {**seen.document["metadata"], "managedFields": None}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        self._sent.setdefault(name, deque(maxlen=_UNANSWERED)).append(renewed)
        if seen is None:
            document = await self._api.create(self._at(), body)
        else:
            document = await self._api.replace(self._at(name), body)
        written = _Seen(document, self._now())
        if (written.holder, written.renewed) != (holder, renewed):
            raise APIError(0, "Malformed", "the Kubernetes API answers with another lease than was written")
        self._sent[name] = deque([renewed], _UNANSWERED)
        self._seen[name] = written

    async def _attempted(self, name: str, attempt: Any) -> bool:
        """Return whether it worked. A lease that somebody else has written is not held any more."""
        try:
            async with asyncio.timeout(self._timing.patience):
                await attempt
        except TimeoutError:
            trouble = f"the Kubernetes API did not answer within {self._timing.patience:.0f} s"
        except Exception as error:  # no answer, whatever it is, may end the renewing of the others
            trouble = clip(str(error) or type(error).__name__)
            if isinstance(error, APIError) and error.status in _CHANGED:
                for site in _less(SITE, [name]):
                    self._drop(site)
                    # Whoever wrote it goes on, though somebody deletes it before it is seen here.
                    self._met = self._vanished[name] = self._now()
        else:
            return True
        self._failed[name] = trouble
        if self._troubles.get(name) != trouble:
            _log.warning("%s: %s", name or "leases", trouble)
        return False

    async def _leave(self) -> None:
        """Release what is held, so that nobody has to wait for its end."""
        for site in tuple(self._holds):
            self._drop(site)
        if self._began is not None and await self._attempted("", self._look()):
            ours = _less(SITE, filter(self._is_ours, tuple(self._seen)))
            gone = self._api.delete(self._at(REPLICA + self._identity))
            await gather_all([self._attempted("", gone), *(self._release(site) for site in ours)])


def _less(prefix: str, names: Iterable[str]) -> list[str]:
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
