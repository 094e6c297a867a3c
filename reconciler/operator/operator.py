"""The operator: one watch for each site whose lease this replica holds, fed by mirrors of the Kubernetes API.

    mirrors --> source --> SiteObjects, a site each --> SiteWatch (loop, world, passes) --> status, events, finalizers

A site's failure is its own: its watch is begun anew after a while, and the others go on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from time import monotonic
from typing import Final

from msgspec import Struct

from reconciler.controller.backoff import Backoff
from reconciler.execution.gather import gather_all
from reconciler.model.base import clip
from reconciler.model.refs import KINDS, Kind
from reconciler.model.state import RECONCILE, Reconcile
from reconciler.operator import deletion
from reconciler.operator.access import open_access
from reconciler.operator.api import API, path
from reconciler.operator.deletion import DeletionPolicy
from reconciler.operator.keys import ObjectKey
from reconciler.operator.leases import Leases
from reconciler.operator.mirror import Mirror
from reconciler.operator.publish import Publisher, SitePublisher
from reconciler.operator.site import Document, Services, SiteWatch, Snapshot, release
from reconciler.operator.source import Sources
from reconciler.ports import Listener
from reconciler.wiring.world import SystemClock, chance

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)
_QUIET: Final = 0.05  # seconds; what one `kubectl apply` changes is looked at together
_BEAT: Final = 1.0  # seconds
_CORE: Final = "api/v1"
_log = logging.getLogger(__name__)


class OperatorOptions(Struct, frozen=True):
    """The options of `vdvs operator`; None: not given. `namespaces`: empty: all."""

    namespaces: tuple[str, ...]
    kubeconfig: str | None
    context: str | None
    namespace: str | None
    replica_id: str | None
    at_once: int
    listen: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    token_file: str | None = None
    allow_name: tuple[str, ...] = ()
    audit_log: str | None = None


def run_operator(options: OperatorOptions, terminal: Callable[[str], Listener], report: Callable[[str], None]) -> None:
    """Run until SIGINT or SIGTERM. `terminal` returns the listener of a site; `report` prints a line for the user.

    Raises UsageError if it cannot start; afterwards nothing ends it.
    """
    os.umask(0o077)
    asyncio.run(_run(options, terminal, report))


async def _run(options: OperatorOptions, terminal: Callable[[str], Listener], report: Callable[[str], None]) -> None:
    access = open_access(None if options.kubeconfig is None else Path(options.kubeconfig), options.context)
    async with AsyncExitStack() as stack:
        api, apart = API(access), API(access)  # Leases never wait behind other requests
        stack.push_async_callback(api.close)
        stack.push_async_callback(apart.close)
        operator = Operator(options, api, apart, options.namespace or access.namespace, terminal, report)
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, operator.stop)
            stack.callback(loop.remove_signal_handler, number)
        await operator.run()


class Operator:
    """One replica."""

    def __init__(
        self,
        options: OperatorOptions,
        api: API,
        apart: API,
        namespace: str,
        terminal: Callable[[str], Listener],
        report: Callable[[str], None],
    ) -> None:
        self._api = api
        self._terminal = terminal
        self._report = report
        self._something = asyncio.Event()
        self._stopped = False
        self._changed_at: float | None = None
        self._sites: dict[str, Snapshot] = {}
        self._documents: dict[ObjectKey, Document] = {}
        self._sources: Sources | None = None
        self._watches: dict[str, SiteWatch] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._backoff = Backoff(chance)
        self._not_before: dict[str, float] = {}
        identity = options.replica_id or os.environ.get("HOSTNAME") or socket.gethostname()
        self._leases = Leases(
            apart, namespace, identity.lower(), SystemClock(), busy=self._busy, changed=self._something.set
        )
        self._namespaces = Mirror(api, path("namespaces", api=_CORE), self._changed)
        within = options.namespaces or ("",)
        self._mirrors = {
            kind: [Mirror(api, path(KINDS[kind].plural, where), self._changed) for where in within]
            for kind in KINDS
            if kind is not Kind.SITE
        }
        self._mirrors[Kind.SITE] = [Mirror(api, path(KINDS[Kind.SITE].plural), self._changed)]
        publishing = Backoff(chance)

        def wait(worked: bool) -> float:
            if worked:
                publishing.worked("api")
                return 0.0
            return publishing.failed("api")

        self._publisher = Publisher(api, lambda key: self._documents.get(key), wait, identity)
        self._services = Services(
            api, self._leases.permit, asyncio.Semaphore(options.at_once), self._leases.wake, options.audit_log,
            lambda _entry: None,
        )  # fmt: skip

    def stop(self) -> None:
        """End after the running passes. A second signal ends the process."""
        self._stopped = True
        self._something.set()
        for number in _ENDING:
            asyncio.get_running_loop().remove_signal_handler(number)

    async def run(self) -> None:
        """Run until `stop` is called."""
        mirrors = [self._namespaces, *(each for some in self._mirrors.values() for each in some)]
        work = [*(mirror.run() for mirror in mirrors), self._publisher.run()]
        background = [asyncio.create_task(each) for each in work]
        leases = asyncio.create_task(self._leases.run())
        try:
            while not self._stopped:
                await self._wait()
                for task in (leases, *background):
                    if task.done():
                        task.result()  # it never ends but by a bug, without which nothing is right
                if all(mirror.synced.is_set() for mirror in mirrors) and self._due():
                    self._changed_at = None
                    await self._read()
                self._supervise()
            for watch in self._watches.values():
                watch.stop()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    while not self._publisher.idle:
                        await asyncio.sleep(0.05)
        finally:
            for task in (*self._tasks.values(), leases, *background):
                task.cancel()
            await asyncio.gather(*self._tasks.values(), leases, *background, return_exceptions=True)

    def _changed(self) -> None:
        if self._changed_at is None:
            self._changed_at = monotonic()
        self._something.set()

    def _due(self) -> bool:
        return self._changed_at is not None and monotonic() >= self._changed_at + _QUIET

    async def _wait(self) -> None:
        """Wait for something to do, or the next beat."""
        seconds = _BEAT
        if self._changed_at is not None and (due := self._changed_at + _QUIET - monotonic()) > 0:
            seconds = due
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._something.wait()
        self._something.clear()

    async def _read(self) -> None:
        """Read what the mirrors have, and hand each site its objects."""
        objects = {
            kind: {key: each for mirror in some for key, each in mirror.objects.items()}
            for kind, some in self._mirrors.items()
        }
        namespaces = dict(self._namespaces.objects)
        labels = {name: dict(each["metadata"].get("labels") or {}) for (_, name), each in namespaces.items()}
        cluster = str(namespaces["", "kube-system"]["metadata"]["uid"])
        self._sources = self._sources or Sources(cluster)
        found = await asyncio.to_thread(self._sources, objects, labels)
        going = frozenset(name for (_, name), each in namespaces.items() if deletion.is_going(each))
        self._sites = {name: Snapshot(each, going) for name, each in found.items()}
        self._documents = {key: each for some in found.values() for key, each in some.seen.items()}
        await self._let_go()

    async def _let_go(self) -> None:
        """Let the API forget what is being deleted and stays in vDVS, and Sites that nothing refers to any more."""

        def is_free(site: Snapshot, key: ObjectKey) -> bool:
            if key.kind is Kind.SITE:
                return len(site.objects.seen) == 1
            return site.policy(key) is DeletionPolicy.RETAIN

        free = [
            release(self._api, key, each)
            for site in self._sites.values()
            for key, each in site.objects.seen.items()
            if deletion.is_awaited(each) and is_free(site, key)
        ]
        await gather_all(free)

    def _supervise(self) -> None:
        """Begin and end watches, so that there is one for each site whose lease is held."""
        sites = {name: each for name, each in self._sites.items() if each.site is not None and not _is_off(each)}
        if self._sources is not None:
            self._leases.want(sites)
        mine = self._leases.assigned
        for name, watch in self._watches.items():
            if name not in mine or name not in sites or not watch.follows(sites[name]):
                watch.stop()
            else:
                watch.feed(sites[name])
        for name in sorted(mine & sites.keys() - self._watches.keys()):
            if monotonic() >= self._not_before.get(name, 0.0):
                self._begin(name, sites[name])

    def _begin(self, name: str, snapshot: Snapshot) -> None:
        published = SitePublisher(self._publisher, lambda: watch.told, SystemClock())
        watch = SiteWatch(snapshot, self._services, (self._terminal(name), published))
        self._watches[name] = watch
        self._tasks[name] = task = asyncio.create_task(self._watched(watch, published))

        def ended(done: asyncio.Task[None]) -> None:
            del self._watches[name], self._tasks[name]
            self._something.set()
            if done.cancelled() or (error := done.exception()) is None:
                self._backoff.worked(name)
                return
            self._not_before[name] = monotonic() + self._backoff.failed(name)
            self._report(f"the watch of site {name} ended, and begins anew: {clip(f'{type(error).__name__}: {error}')}")

        task.add_done_callback(ended)

    async def _watched(self, watch: SiteWatch, published: SitePublisher) -> None:
        """Watch a site, and publish the statuses after each pass."""
        publishing = asyncio.create_task(_publish(watch, published))
        try:
            await watch.run()
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)

    def _busy(self, name: str) -> bool:
        watch = self._watches.get(name)
        return watch is not None and watch.gate.busy


async def _publish(watch: SiteWatch, published: SitePublisher) -> None:
    """Publish the statuses after each pass; if that takes long, after the last one."""
    while True:
        done = await watch.passed()
        try:
            await published.publish(done, watch.mode, watch.plans)
        except Exception:
            _log.exception("the statuses of site %s are not published; this is a bug in vdvs", watch.name)


def _is_off(snapshot: Snapshot) -> bool:
    return snapshot.annotations.get(RECONCILE) == Reconcile.DISABLED
