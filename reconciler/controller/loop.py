"""The loop: takes keys from the queue and works on them concurrently until it is stopped.

There are three kinds of keys. The site: a pass over all of it. The inventory: whether it changed. A host that did not
answer: whether it answers again; meanwhile passes skip it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from reconciler.controller.backoff import Backoff
from reconciler.controller.queue import Priority, WorkQueue
from reconciler.controller.scheduling import next_pass
from reconciler.controller.triggers import Triggers
from reconciler.controller.watch import Watch
from reconciler.model.base import clip
from reconciler.model.errors import AgentRefusedError, HostUnreachableError, InventoryError
from reconciler.model.events import Bucket, EventKind, Trigger
from reconciler.model.inventory import Inventory
from reconciler.ports import Hosts, InventorySource, Question, WatchRequest

SITE: Final = "site"
INVENTORY: Final = "inventory"
_HOST = "host/"
_INVENTORY_SECONDS = 1.0
_MOMENT = 0.1  # seconds; a simultaneous change on many hosts needs one pass only
# A host that reports changes again and again causes a pass only so often.
_QUICK_PASSES, _QUICK_PASSES_A_SECOND, _DAMPED = 20, 0.1, 5.0
_STEADY = 300.0  # seconds that a host must have been fine before its next failure counts as its first
_ORDER = (
    Trigger.START,
    Trigger.SIGNAL,
    Trigger.MANIFESTS,
    Trigger.HOST,
    Trigger.INVENTORY,
    Trigger.RETRY,
    Trigger.RESYNC,
)


class Loop:
    """The loop over one watch.

    `parked`: why a host is skipped for now, by name; `hosts` reaches those as well. `beat` is called at least once a
    second while the loop runs; `reread` when everything must be read anew. `interval`: seconds between resyncs.
    """

    def __init__(
        self,
        watch: Watch,
        triggers: Triggers,
        hosts: Hosts,
        inventory: InventorySource,
        parked: dict[str, str],
        *,
        interval: float,
        chance: Callable[[], float],
        reread: Callable[[], None],
        beat: Callable[[], None],
    ) -> None:
        self._watch = watch
        self._triggers = triggers
        self._hosts = hosts
        self._inventory = inventory
        self._parked = parked
        self._interval = interval
        self._backoff = Backoff(chance)
        self._reread = reread
        self._beat = beat
        self._queue: WorkQueue[str] = WorkQueue()
        self._why: set[Trigger] = set()
        self._running: dict[asyncio.Task[None], str] = {}
        self._known: Inventory | None = None
        self._addresses: Mapping[str, str] = {}
        self._failed_at: dict[str, float] = {}
        self._quick: dict[str, Bucket] = {}
        self._troubles: dict[str, str] = {}
        self._now: Callable[[], float] = asyncio.get_running_loop().time

    async def run(self) -> None:
        """Run until the triggers request a stop. A running pass is finished; nothing else is waited for."""
        self._request_pass(Trigger.START)
        self._queue.add(INVENTORY, self._now() + _INVENTORY_SECONDS, Priority.RESYNC)
        try:
            while not self._triggers.stopped:
                self._beat()
                self._triggers.rearm()
                self._check_triggers()
                while (taken := self._queue.take(self._now())) is not None:
                    self._begin(*taken)
                await self._wait_for_work()
            await asyncio.gather(*(task for task, key in self._running.items() if key == SITE))
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _request_pass(self, why: Trigger, within: float = 0.0, priority: Priority = Priority.CHANGE) -> None:
        self._why.add(why)
        self._queue.add(SITE, self._now() + within, priority)
        self._triggers.something.set()

    def _check_triggers(self) -> None:
        if self._triggers.was_hung_up():
            self._reread()
            for name in self._parked:
                self._queue.add(_HOST + name, self._now())
            self._request_pass(Trigger.SIGNAL)
        due = self._triggers.manifests_due()
        if due is not None and due <= self._now():
            self._triggers.manifests_read()
            self._request_pass(Trigger.MANIFESTS)

    async def _wait_for_work(self) -> None:
        """Wait until there is work, or the next beat is due."""
        moments = [self._queue.due(), self._triggers.manifests_due(), self._now() + _INVENTORY_SECONDS]
        try:
            async with asyncio.timeout_at(min(moment for moment in moments if moment is not None)):
                await self._triggers.something.wait()
        except TimeoutError:
            return
        self._triggers.something.clear()

    def _begin(self, key: str, priority: Priority) -> None:
        task = asyncio.create_task(self._work(key, priority))
        self._running[task] = key

        def finished(done: asyncio.Task[None]) -> None:
            self._running.pop(done, None)
            self._queue.done(key)
            self._triggers.something.set()

        task.add_done_callback(finished)

    async def _work(self, key: str, priority: Priority) -> None:
        """Work on a key. Whatever it raises is an event, and the key is worked on again later."""
        try:
            if key == SITE:
                await self._pass(priority)
            elif key == INVENTORY:
                await self._check_inventory()
            else:
                await self._retry_host(key.removeprefix(_HOST))
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # by us; else what was waited for was cancelled by somebody
                raise
            trouble = clip(f"{type(error).__name__}: {error}".splitlines()[0])
            if self._troubles.get(key) != trouble:
                self._watch.say(EventKind.FAULT, f"{_about(key)} failed, and is tried again: {trouble}")
            self._troubles[key] = trouble
            self._queue.add(key, self._now() + self._backoff.failed(f"work on {key}"), Priority.RETRY)
        else:
            self._backoff.worked(f"work on {key}")
            if self._troubles.pop(key, None) is not None:
                self._watch.say(EventKind.RECOVERED, f"{_about(key)} works again")

    async def _pass(self, priority: Priority) -> None:
        why = min(self._why, key=_ORDER.index) if priority is Priority.CHANGE and self._why else _untriggered(priority)
        self._why.clear()
        done = await self._watch.one_pass(why)
        upcoming = next_pass(done, self._watch.desired)
        wait = self._backoff.failed(SITE) if upcoming.again else self._interval
        if not upcoming.again:
            self._backoff.worked(SITE)
        self._queue.add(SITE, self._now() + min(wait, self._interval), upcoming.priority)
        if done.outcome is not None:
            self._known, self._addresses = done.outcome.before.resolved.inventory, upcoming.addresses
            self._end_connections()
        for name, reason in upcoming.silent.items():
            if name not in self._parked:
                self._park(name, reason)
        self._forgive(upcoming.silent)
        if await self._start_watching(upcoming.watches):
            self._request_pass(Trigger.HOST)  # for changes between the look and the start of the watch

    def _end_connections(self) -> None:
        """End those to hosts that are gone: neither declared nor in the inventory any more, and not asked just now."""
        asked = {key.removeprefix(_HOST) for key in self._running.values() if key.startswith(_HOST)}
        declared = {host.ref.name for host in self._watch.desired.hosts}
        self._hosts.keep_only(self._addresses.keys() | declared | asked)

    def _park(self, name: str, reason: str) -> None:
        self._parked[name] = reason
        self._failed_at[name] = self._now()
        self._queue.add(_HOST + name, self._now() + self._backoff.failed(name), Priority.RETRY)

    def _forgive(self, silent: Mapping[str, str]) -> None:
        """Forget the failures of hosts that have been fine for long: one that answers and then fails again does not
        begin anew each time. Forget the changes of hosts that are gone, too."""
        for name, at in tuple(self._failed_at.items()):
            if name not in silent and name not in self._parked and self._now() - at > _STEADY:
                del self._failed_at[name]
                self._backoff.worked(name)
        self._quick = {name: quick for name, quick in self._quick.items() if name in self._addresses}

    async def _start_watching(self, watches: Mapping[str, WatchRequest]) -> bool:
        """Start change watches on hosts; return whether any of them is new."""

        async def start(name: str, request: WatchRequest) -> bool:
            try:
                return await self._hosts.agent(name, self._addresses[name]).watch(
                    request, partial(self._change_noticed, name)
                )
            except (HostUnreachableError, AgentRefusedError):
                return False  # the next pass notices that as well

        return any(await asyncio.gather(*(start(*one) for one in watches.items())))

    def _change_noticed(self, name: str) -> None:
        if name not in self._addresses:  # gone, and its connection is being ended
            return
        quick = self._quick.setdefault(name, Bucket(_QUICK_PASSES_A_SECOND, _QUICK_PASSES)).take(self._now())
        self._request_pass(Trigger.HOST, _MOMENT if quick else _DAMPED)

    async def _check_inventory(self) -> None:
        with suppress(InventoryError):  # the pass that needs the inventory reports it
            found = await self._inventory.snapshot()
            if self._known is not None and found is not self._known and found != self._known:
                self._request_pass(Trigger.INVENTORY)
            self._known = found
        self._queue.add(INVENTORY, self._now() + _INVENTORY_SECONDS, Priority.RESYNC)

    async def _retry_host(self, name: str) -> None:
        if name not in self._addresses:  # neither declared nor in the inventory any more
            self._parked.pop(name, None)
            return
        try:
            await self._hosts.agent(name, self._addresses[name]).observe(Question())
        except (HostUnreachableError, AgentRefusedError) as error:
            self._park(name, str(error))
        else:
            self._parked.pop(name, None)
            self._request_pass(Trigger.HOST)


def _about(key: str) -> str:
    return "the look at " + {SITE: "the site", INVENTORY: "the inventory"}.get(key, key)


def _untriggered(priority: Priority) -> Trigger:
    return Trigger.RETRY if priority is Priority.RETRY else Trigger.RESYNC
