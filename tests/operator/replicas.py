"""Replicas on a virtual clock, with leases in a fake API: each in an event loop of its own, which can be frozen."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from reconciler.operator.connection.api import API, APIError
from reconciler.operator.replicas.leases import SITE, Leases

Lease = dict[str, Any]
STEP = 0.25  # seconds in which nothing but answers happens


class Request:
    """A request on its way: to the server, and, once `served`, back."""

    def __init__(self, replica: Replica, do: Callable[[], Lease]) -> None:
        self.replica = replica
        self.do = do
        self.answer: asyncio.Future[Lease | None] = replica.loop.create_future()
        self.served: tuple[Lease | None, APIError | None] | None = None

    def serve(self, answered: bool = True) -> None:
        """Have the server do it, even if nobody waits for it any more; `answered`: the answer arrives, too."""
        if self.served is None:
            try:
                self.served = self.do(), None
            except APIError as refused:
                self.served = None, refused
        found, refusal = self.served
        if not answered or self.answer.done():
            return
        if refusal is None:
            self.answer.set_result(found)
        else:
            self.answer.set_exception(refusal)


class World:
    """The time, the leases that the API keeps, the network, and the replicas."""

    def __init__(self) -> None:
        self.time = 0.0
        self.leases: dict[str, Lease] = {}
        self._version = 0
        self.network: list[Request] = []
        self.replicas: list[Replica] = []

    def start(self, name: str, sites: tuple[str, ...] = ("x",), rate: float = 1.0) -> Replica:
        """Start a replica, whose clock runs at this rate."""
        self.replicas.append(Replica(self, name, sites, rate))
        self.replicas[-1].run()
        return self.replicas[-1]

    def holders(self, site: str) -> list[Replica]:
        """Return the replicas that would write to the site at this moment, were they to run now."""
        return [replica for replica in self.replicas if not replica.ended and replica.leases.held(site)]

    def settle(self) -> None:
        """Have all that can happen at this moment happen: every request is answered whose replica is not cut off."""
        for _ in range(100):
            for replica in self.replicas:
                replica.run()
            requests = [one for one in self.network if not one.replica.cut]
            if not requests:
                return
            self.network = [one for one in self.network if one.replica.cut]
            for request in requests:
                request.serve()
                self.check()
        raise AssertionError("the replicas never come to rest")

    def advance(self, seconds: float) -> None:
        """Let time pass, in which the network is quick."""
        for _ in range(round(seconds / STEP)):
            self.time += STEP
            self.check()
            self.settle()

    def advance_until(self, reached: Callable[[], bool], at_most: float = 60.0) -> float:
        """Let time pass until something is so; return how long that took."""
        begun = self.time
        while not reached():
            assert self.time - begun < at_most, "it does not happen"
            self.advance(STEP)
        return self.time - begun

    def check(self) -> None:
        """No two may write to one site at the same moment."""
        for site in {site for replica in self.replicas for site in replica.sites}:
            holders = [replica.name for replica in self.holders(site)]
            assert len(holders) <= 1, f"{site} is held by {holders} at {self.time}"

    def close(self) -> None:
        """End all replicas."""
        for replica in self.replicas:
            replica.close()

    def listed(self) -> Lease:
        return {"items": [copy.deepcopy(lease) for lease in self.leases.values()]}

    def create(self, body: Lease) -> Lease:
        if body["metadata"]["name"] in self.leases:
            raise APIError(409, "Conflict", "it has changed")
        return self._stored(body)

    def replace(self, body: Lease) -> Lease:
        known = self.leases.get(body["metadata"]["name"])
        if known is None:
            raise APIError(404, "NotFound", "there is none")
        if known["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise APIError(409, "Conflict", "it has changed")
        return self._stored(body)

    def delete(self, name: str) -> Lease:
        if self.leases.pop(name, None) is None:
            raise APIError(404, "NotFound", "there is none")
        return {}

    def _stored(self, body: Lease) -> Lease:
        self._version += 1
        lease = copy.deepcopy(body)
        lease["metadata"]["resourceVersion"] = str(self._version)
        lease["spec"] = {key: value for key, value in lease["spec"].items() if value is not None}
        self.leases[lease["metadata"]["name"]] = lease
        return copy.deepcopy(lease)

    def holder(self, site: str) -> str | None:
        """Return who holds a site, by its lease."""
        lease = self.leases.get(SITE + site)
        return None if lease is None else lease["spec"].get("holderIdentity")


class Loop(asyncio.SelectorEventLoop):
    """An event loop that runs what is due by another clock, and never waits."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock_of_it = clock

    def time(self) -> float:
        return self._clock_of_it()

    def run_ready(self) -> None:
        for _ in range(12):  # each runs what the one before made ready
            self.call_soon(self.stop)
            self.run_forever()


class Replica:
    """A process with leases. `frozen`: it does not run; `cut`: its requests do not arrive."""

    def __init__(self, world: World, name: str, sites: tuple[str, ...], rate: float) -> None:
        self.world = world
        self.name = name
        self.sites = sites
        self.rate = rate
        self.frozen = self.cut = self.ended = False
        self.busy: set[str] = set()
        self.told: list[frozenset[str]] = []
        self.loop = Loop(self.clock)
        self.leases = self._within(self._made())
        self._task = self.loop.create_task(self.leases.run())

    def clock(self) -> float:
        return self.world.time * self.rate

    def now(self) -> datetime:
        """The time of day, of which nothing depends: this clock is wrong by years."""
        number = self.world.replicas.index(self)
        return datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=99 * number, seconds=self.clock(), microseconds=number)

    async def _made(self) -> Leases:
        leases = Leases(
            cast(API, self), "vdvs", self.name, self, now=self.clock, busy=self.busy.__contains__, changed=self._changed
        )
        leases.want(self.sites)
        return leases

    def _changed(self) -> None:
        self.told.append(self.leases.assigned)

    def _within(self, made: Coroutine[Any, Any, Leases]) -> Leases:
        return self.loop.run_until_complete(made)

    def run(self) -> None:
        """Run what is due, unless it is frozen or has ended."""
        if not self.frozen and not self.ended:
            self.loop.run_ready()

    def stop(self) -> None:
        """End it as SIGTERM does; whoever calls lets time pass for it."""
        self._task.cancel()

    def end(self) -> None:
        """Kill it: nothing of it runs any more, and its requests are lost."""
        self.ended = True
        self.world.network = [request for request in self.world.network if request.replica is not self]

    def close(self) -> None:
        """Free what it has taken."""
        self.ended = True
        self._task.cancel()
        while not self._task.done():
            self.loop.run_ready()
        self.loop.close()

    async def get(self, _path: str, **_: str | int) -> Lease:
        return await self._asked(self.world.listed)

    async def create(self, _path: str, body: Lease) -> Lease:
        return await self._asked(lambda: self.world.create(body))

    async def replace(self, _path: str, body: Lease) -> Lease:
        return await self._asked(lambda: self.world.replace(body))

    async def delete(self, path: str, **_: str | int) -> Lease:
        return await self._asked(lambda: self.world.delete(path.rpartition("/")[2]))

    async def _asked(self, do: Callable[[], Lease]) -> Lease:
        if self.ended:
            raise APIError(0, "Unreachable", "nobody asks any more")
        request = Request(self, do)
        self.world.network.append(request)
        answer = await request.answer
        assert answer is not None
        return answer
