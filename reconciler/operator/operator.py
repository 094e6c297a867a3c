"""The operator: one watch for each site whose lease this replica holds, fed by mirrors of the Kubernetes API.

    mirrors --> source --> SiteObjects, a site each --> SiteWatch (loop, world, passes) --> status, events, finalizers

A site's failure is its own: its watch is begun anew after a while, and the others go on.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from time import monotonic
from typing import Final

from msgspec import Struct

from reconciler.controller.backoff import Backoff
from reconciler.controller.mode import Mode
from reconciler.model.base import clip
from reconciler.model.errors import UsageError
from reconciler.model.events import Pulse
from reconciler.model.refs import KINDS, Kind
from reconciler.model.state import RECONCILE, Reconcile
from reconciler.operator import deletion
from reconciler.operator.connection.access import open_access
from reconciler.operator.connection.api import API, path
from reconciler.operator.connection.mirror import Mirror
from reconciler.operator.connection.objects import KubeObject
from reconciler.operator.connection.secrets import ClusterSecrets
from reconciler.operator.deletion import DeletionPolicy
from reconciler.operator.finalizers import Releases
from reconciler.operator.keys import ObjectKey
from reconciler.operator.publish import Publisher, SitePublisher
from reconciler.operator.replicas.leases import Leases
from reconciler.operator.site import Services, SiteManifests, SiteWatch, annotations_of
from reconciler.operator.source import SiteObjects, Sources
from reconciler.operator.status import Terms, statuses
from reconciler.ports import Listener
from reconciler.wiring.clock_and_chance import SystemClock, chance
from reconciler.wiring.pages import Pages, ServerOptions
from reconciler.wiring.watch_services import history_in

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,198}[a-z0-9])?")
_QUIET: Final = 0.05  # seconds; what one `kubectl apply` changes is looked at together
_BEAT: Final = 1.0  # seconds
_AGAIN: Final = 5.0  # seconds after what should not fail did
_UNUSABLE: Final = "its Site cannot be used"
_log = logging.getLogger(__name__)
_CORE: Final = "api/v1"
UNASSIGNED: Final = "-unassigned"  # the lease of the objects that belong to no Site; no Site can have this name


class OperatorOptions(Struct, frozen=True):
    """The options of `vdvs operator`; None: not given. `namespaces`: empty: all. `history_dir`: of the histories."""

    namespaces: tuple[str, ...]
    kubeconfig: str | None
    context: str | None
    namespace: str | None
    replica_id: str | None
    at_once: int
    history_dir: str | None = None
    server: ServerOptions = ServerOptions()
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
        if operator.pages is not None:
            await stack.enter_async_context(operator.pages.running(operator.stuck, operator.ready, report))
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
        self._trouble = ""
        self._changed_at: float | None = None
        self._sites: dict[str, SiteManifests] = {}
        self._sources: Sources | None = None
        self._watches: dict[str, SiteWatch] = {}
        self._unwatched: dict[str, tuple[SiteObjects, str]] = {}
        self._failures: dict[str, str] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._backoff = Backoff(chance)
        self._not_before: dict[str, float] = {}
        self._releases = Releases(api, chance, monotonic)
        identity = (options.replica_id or os.environ.get("HOSTNAME") or socket.gethostname()).lower()
        if not _NAME.fullmatch(identity):
            raise UsageError(f"--replica-id {identity}: use lower-case letters, digits, '-' and '.', 200 at most")
        self._leases = Leases(apart, namespace, identity, SystemClock(), busy=self._busy, changed=self._something.set)
        logged: set[str] = set()
        self._namespaces = Mirror(api, path("namespaces", api=_CORE), self._changed, logged=logged)
        within = options.namespaces or ("",)
        self._mirrors = {
            kind: [
                Mirror(api, path(spec.plural, where), self._changed, logged=logged)
                for where in (("",) if spec.alone else within)
            ]
            for kind, spec in KINDS.items()
        }
        self._publisher = Publisher(
            api,
            self._object,
            lambda site: self._leases.held(site or UNASSIGNED),
            Backoff(chance),
            identity,
        )
        self._mirrored = [self._namespaces, *(each for some in self._mirrors.values() for each in some)]
        self._pulse = Pulse(monotonic, math.inf)  # of the loop alone: each site has one of its own
        self.pages = None if options.server.listen is None else Pages(options.server, self._gauges())
        self._history_dir = options.history_dir
        self._services = Services(
            api,
            ClusterSecrets(api, namespace),
            self._leases.permit,
            asyncio.Semaphore(options.at_once),
            self._leases.pass_ended,
            options.audit_log,
        )

    def stuck(self) -> str:
        """Return why this replica makes no progress; empty: it does. Metrics show a site that makes none."""
        return self._pulse.stuck()

    def ready(self) -> str:
        """Return why this replica cannot work yet; empty: it can."""
        if self._sources is not None:
            return ""
        troubles = (mirror.trouble for mirror in self._mirrored if mirror.trouble)
        return next(troubles, "not all objects of the Kubernetes API are known yet")

    def _gauges(self) -> dict[str, tuple[str, Callable[[], float]]]:
        watches = self._watches.values
        return {
            "vdvs_operator_sites": ("Sites that this replica watches.", lambda: len(self._watches)),
            "vdvs_operator_sites_unwatched": (
                "Sites that this replica should watch, and cannot: the status of each says why.",
                lambda: sum(
                    name in self._leases.assigned and name not in self._watches and bool(name) and not _is_off(each)
                    for name, each in self._sites.items()
                ),
            ),
            "vdvs_operator_replicas": ("Replicas that live.", lambda: len(self._leases.live)),
            "vdvs_operator_objects": (
                "Objects of the API that are mirrored.",
                lambda: sum(len(each.objects) for each in self._mirrored),
            ),
            "vdvs_operator_passes": ("Passes that run.", lambda: sum(watch.gate.busy for watch in watches())),
            "vdvs_operator_passes_waiting": (
                "Passes that wait for others to end.",
                lambda: sum(watch.gate.waits for watch in watches()),
            ),
            "vdvs_operator_lists_outdated": (
                "Lists of the API that are not up to date.",
                lambda: sum(bool(each.trouble) for each in self._mirrored),
            ),
            "vdvs_operator_events_lost": (
                "Events that were not written, as the API was away, or as there were too many.",
                lambda: self._publisher.lost,
            ),
        }

    def stop(self) -> None:
        """End after the running passes. A second signal ends the process."""
        self._stopped = True
        self._something.set()
        for number in _ENDING:
            asyncio.get_running_loop().remove_signal_handler(number)

    async def run(self) -> None:
        """Run until `stop` is called."""
        work = [*(mirror.run() for mirror in self._mirrored), self._publisher.run()]
        background = [asyncio.create_task(each) for each in work]
        leases = asyncio.create_task(self._leases.run())
        try:
            while not self._stopped:
                await self._wait()
                self._pulse.beat()
                for task in (leases, *background):
                    if task.done():
                        task.result()  # it never ends but by a bug, without which nothing is right
                try:
                    await self._step()
                except Exception as error:
                    self._changed_at = monotonic() + _AGAIN
                    if repr(error) != self._trouble:
                        _log.exception("the objects of the Kubernetes API are not looked at; this is a bug in vdvs")
                    self._trouble = repr(error)
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
            await self._releases.close()

    async def _step(self) -> None:
        if all(mirror.synced.is_set() for mirror in self._mirrored) and self._due():
            self._changed_at = None
            await self._read()
            self._trouble = ""
        self._supervise()
        await self._tell_unwatched()

    def _object(self, key: ObjectKey) -> KubeObject | None:
        found = (mirror.objects.get((key.namespace, key.name)) for mirror in self._mirrors[key.kind])
        return next((each for each in found if each is not None), None)

    def _changed(self) -> None:
        if self._changed_at is None:
            self._changed_at = monotonic()
        self._something.set()

    def _due(self) -> bool:
        changed = self._changed_at is not None and monotonic() >= self._changed_at + _QUIET
        return changed or self._releases.due

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
        labels = {name: dict(each.metadata.labels or {}) for (_, name), each in namespaces.items()}
        cluster = namespaces["", "kube-system"].metadata.uid
        self._sources = self._sources or Sources(cluster)
        found = await asyncio.to_thread(self._sources, objects, labels)
        going = frozenset(name for (_, name), each in namespaces.items() if deletion.is_going(each))
        self._sites = {name: SiteManifests(each, going) for name, each in found.items()}
        self._let_go()

    def _let_go(self) -> None:
        """Let the API forget what is being deleted and stays in vDVS, and Sites that nothing refers to any more."""

        def is_free(site: SiteManifests, key: ObjectKey) -> bool:
            if key.kind is Kind.SITE:
                return len(site.objects.seen) == 1
            return site.policy(key) is DeletionPolicy.RETAIN

        free = {
            key: each
            for site in self._sites.values()
            for key, each in site.objects.seen.items()
            if deletion.is_awaited(each) and is_free(site, key)
        }
        self._releases(free)

    def _supervise(self) -> None:
        """Begin and end watches, so that there is one for each site whose lease is held."""
        sites = {name: each for name, each in self._sites.items() if each.site is not None and not _is_off(each)}
        if self._sources is not None:
            self._leases.want(name or UNASSIGNED for name in self._sites)
        mine = self._leases.assigned
        for name, watch in self._watches.items():
            if name not in mine or name not in sites or not watch.follows(sites[name]):
                watch.stop()
            else:
                watch.feed(sites[name])
        for name in sorted(mine & sites.keys() - self._watches.keys()):
            if monotonic() >= self._not_before.get(name, 0.0):
                self._begin(name, sites[name])

    async def _tell_unwatched(self) -> None:
        """Publish the statuses of what no watch looks at: Sites that are off or cannot be used, and objects of none."""
        self._unwatched = {name: told for name, told in self._unwatched.items() if name in self._sites}
        for name, manifests in self._sites.items():
            objects, is_off = manifests.objects, _is_off(manifests)
            is_mine = (name or UNASSIGNED) in self._leases.assigned
            failure = _UNUSABLE if name and manifests.site is None else self._failures.get(name, "")
            if not is_mine or name in self._watches or (manifests.site is not None and not is_off and not failure):
                self._unwatched.pop(name, None)
            elif (told := self._unwatched.get(name)) is None or told[0] is not objects or told[1] != failure:
                previous = {key: self._publisher.known(key) for key in objects.seen}
                why = deletion.PAUSED if is_off else deletion.NOT_OBSERVED
                obstacles = dict.fromkeys(manifests.kept_waiting(), why)
                now, terms = SystemClock().now(), Terms(Mode(), obstacles=obstacles, off=is_off)
                made = await asyncio.to_thread(statuses, objects, None, failure, previous, now, terms)
                self._publisher.publish(objects, made)
                self._unwatched[name] = objects, failure

    def _begin(self, name: str, manifests: SiteManifests) -> None:
        published = SitePublisher(self._publisher, lambda: watch.seen.objects, lambda: watch.terms, SystemClock())
        watch = SiteWatch(manifests, self._services, (self._terminal(name), published))
        history = history_in(self._history_dir, name, self._report)
        if history is not None:
            watch.listeners += (history,)
            watch.lasting = history.lasting()
        if self.pages is not None:
            kept = None if history is None else history.path
            watch.listeners += self.pages.add(name, watch.site, str(watch.mode), watch.pulse, history=kept)
        self._watches[name] = watch
        self._tasks[name] = task = asyncio.create_task(self._watched(watch, published))

        def ended(done: asyncio.Task[None]) -> None:
            del self._watches[name], self._tasks[name]
            if history is not None:
                history.close()
            if self.pages is not None:
                self.pages.drop(name)
            self._something.set()
            self._failures.pop(name, None)
            if done.cancelled() or (error := done.exception()) is None:
                self._backoff.worked(name)
                return
            self._failures[name] = clip(str(error) or type(error).__name__)
            self._not_before[name] = monotonic() + self._backoff.failed(name)
            self._report(f"site {name} cannot be watched, and is tried again: {self._failures[name]}")

        task.add_done_callback(ended)

    async def _watched(self, watch: SiteWatch, published: SitePublisher) -> None:
        """Watch a site, and publish the statuses after each pass."""
        publishing = asyncio.create_task(published.run())
        try:
            await watch.run()
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)

    def _busy(self, name: str) -> bool:
        watch = self._watches.get(name)
        return watch is not None and watch.gate.busy


def _is_off(manifests: SiteManifests) -> bool:
    found = manifests.objects.seen.get(manifests.key)
    return annotations_of(found).get(RECONCILE) == Reconcile.DISABLED
