"""The watch of a site: the loop joined to the world, the manifests and the listeners."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext, suppress
from time import monotonic
from typing import Any, Final

from msgspec.structs import replace

from reconciler import loader
from reconciler.controller.loop import Loop
from reconciler.controller.mode import Mode
from reconciler.controller.skip_unreachable import SkipUnreachable
from reconciler.controller.triggers import FileTriggers, Triggers
from reconciler.controller.watch import NOTHING, Edges, Loaded, Watch
from reconciler.model.diff import Diff
from reconciler.model.errors import InvalidManifestsError
from reconciler.model.events import EventKind, Lasting, Revision
from reconciler.model.kinds.site import SSH, Site
from reconciler.model.outcome import Assessment, Outcome
from reconciler.model.ownership import Applier, Applying
from reconciler.model.plan import Policy
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Desired
from reconciler.ports import Books, Listener, Secrets
from reconciler.provenance import UnsignedError, applying, check_apart
from reconciler.reconcile import World, learn, reconcile
from reconciler.render.page.commands import Commands
from reconciler.wiring.books import SiteBooks
from reconciler.wiring.clock_and_chance import SystemClock, chance, new_uuid
from reconciler.wiring.state import LargeEvents, LastUsed, known_state_folder, last_used_file
from reconciler.wiring.watch_services import WatchOptions, WatchServices
from reconciler.wiring.world import open_world

_GIT_SECONDS: Final = 30.0  # a commit changes no file of the manifests, so git is asked regularly


class Manifests:
    """The manifests at `paths`, with the Site of the file `site`, read again only if they may have changed.

    `signers`, `tell`, `named`, `prune`: see `provenance.applying`. `used`: where the last commit that was used is kept,
    if only signed ones are.
    """

    def __init__(
        self,
        paths: tuple[str, ...],
        site: str | None,
        signers: str | None = None,
        tell: Callable[[str], None] = lambda _: None,
        used: LastUsed | None = None,
        named: str | None = None,
        prune: bool = False,
    ) -> None:
        self._used = used or LastUsed(None)
        self._paths = paths
        self._site = site
        self._signers = signers
        self._named = named
        self._prune = prune
        self._tell = tell
        self._told = ""
        self._read: tuple[loader.Stamps, loader.Loaded | InvalidManifestsError] | None = None
        self._kept: Loaded | None = None
        self._asked: float | None = None

    def read(self) -> loader.Loaded:
        """Read the manifests. Raises InvalidManifestsError."""
        return loader.load(self._paths, site=self._site)

    def load(self) -> Loaded:
        """Return the manifests as they are now. Raises InvalidManifestsError, and UnsignedError without a signature."""
        stamps = loader.stamps(self._paths, self._site)
        if self._read is None or self._read[0] != stamps:
            self._read, self._asked = None, None
            read = self._load()
            self._read = None if stamps is None else (stamps, read)
        else:
            read = self._read[1]
        if isinstance(read, InvalidManifestsError):
            raise InvalidManifestsError(read.errors, read.files)  # anew: one that is raised again grows
        if self._kept is None or self._asked is None or monotonic() >= self._asked + _GIT_SECONDS:
            self._asked = None
            last = None if self._signers is None else self._used.read()
            behalf = applying(
                self._paths, read.seen, named=self._named, prune=self._prune,
                signers=self._signers, after=last, tell=self._tell_once,
            )  # fmt: skip
            if self._signers is not None and behalf.stamp.commit is not None:
                self._used.note(behalf.stamp.commit)
            self._kept = Loaded(read.desired, Revision(behalf.stamp.commit, behalf.stamp.dirty), behalf)
            self._asked = monotonic()
        return self._kept

    def _load(self) -> loader.Loaded | InvalidManifestsError:
        """Read everything. Errors are kept like manifests: reading them takes as long."""
        try:
            return self.read()
        except InvalidManifestsError as error:
            return error

    def _tell_once(self, text: str) -> None:
        if text != self._told:
            self._tell(text)
        self._told = text

    def behalf(self) -> Applying | None:
        """Return on whose behalf the manifests in force are applied; None: they were not read yet."""
        return None if self._kept is None else self._kept.applying

    def reread(self) -> None:
        """Read everything again at the next load."""
        self._read = None


def run_watch(
    paths: tuple[str, ...],
    site: str | None,
    *,
    signers: str | None,
    named: str | None = None,
    interval: float,
    mode: Mode,
    options: WatchOptions,
    terminal: Listener,
    report: Callable[[str], None],
) -> None:
    """Watch until SIGINT or SIGTERM, with a full pass every `interval` seconds.

    Raises InvalidManifestsError or UsageError if it cannot start; afterwards nothing ends it. Where commits are to be
    signed and the Site is not of the manifests, it starts whatever was pushed, and waits for some that may be used.
    """
    os.umask(0o077)  # what the watch writes is for its owner: history, state, and what SQLite puts beside them
    manifests = Manifests(paths, site, signers, report, LastUsed(last_used_file(paths)), named, mode.prune)
    if signers is None or site is None:
        found = manifests.read()
        for note in found.notes:
            report(note)
        watched, loaded = found.site, manifests.load()
    else:
        check_apart(paths, signers, site)
        watched, loaded = loader.load((), site=site).site, NOTHING
        with suppress(InvalidManifestsError, UnsignedError):  # the first pass reports it
            loaded = manifests.load()
    services = WatchServices(options, watched, str(mode), interval, report, Commands.of(paths, site, named))
    asyncio.run(
        _watch(paths, manifests, loaded, watched, interval, mode, terminal, services, options.audit_log, report)
    )


async def _watch(
    paths: Sequence[str],
    manifests: Manifests,
    loaded: Loaded,
    site: Site,
    interval: float,
    mode: Mode,
    terminal: Listener,
    services: WatchServices,
    audit_log: str | None,
    report: Callable[[str], None],
) -> None:
    loop = asyncio.get_running_loop()

    def hand_on(entry: dict[str, Any]) -> None:
        loop.call_soon_threadsafe(services.log, entry)  # entries are written in a thread

    books = SiteBooks(site, SystemClock(), new_uuid, audit_log, hand_on, manifests.behalf)
    async with AsyncExitStack() as stack:
        triggers = await stack.enter_async_context(FileTriggers(paths, report))
        for service in services.running:
            await stack.enter_async_context(service)
        await watch_site(
            site, mode, interval, loaded, triggers,
            load=manifests.load, reread=manifests.reread, beat=services.beat, books=books,
            listeners=(terminal, *services.listeners), lasting=services.lasting, fresh=services.pulse.stale_after,
        )  # fmt: skip


Reconciler = Callable[[Desired, World, Policy, Applying | None], Awaitable[Outcome]]


async def watch_site(
    site: Site,
    mode: Mode,
    interval: float,
    started_with: Loaded,
    triggers: Triggers,
    *,
    load: Callable[[], Loaded],
    reread: Callable[[], None],
    beat: Callable[[], None],
    books: Books,
    listeners: Sequence[Listener],
    lasting: Mapping[ObjectRef, Lasting],
    fresh: float,
    guarded: Callable[[World], World] = lambda world: world,
    each_pass: Reconciler = reconcile,
    gate: AbstractAsyncContextManager[object] | None = None,
    secrets: Secrets | None = None,
) -> None:
    """Watch one site until the triggers request a stop.

    `load`, `started_with`, `listeners`, `lasting`, `fresh`, `gate`: see `Edges` and `Watch`; `reread`, `beat`: see
    `Loop`. `guarded` wraps the world; `each_pass` does a pass; `secrets`: see `world.open_hosts`.
    """
    observer = _BeforeHealing()
    async with open_world(site, observer, books, secrets) as opened:
        world = guarded(opened)
        parked: dict[str, str] = {}
        patient = replace(world, hosts=SkipUnreachable(world.hosts, parked))

        async def one(desired: Desired, policy: Policy, behalf: Applying | None) -> Outcome:
            outcome = await each_pass(desired, patient, policy, behalf)
            if not policy.risks:
                await learn(patient, outcome.before)
            return outcome

        state = known_state_folder()
        large = LargeEvents(state and state / "events", world.clock.now)
        edges = Edges(
            load, one, listeners, world.clock, monotonic, world.new_uuid, large.keep, lasting, fresh,
            gate or nullcontext(),
        )  # fmt: skip
        watch = Watch(edges, started_with, site, mode)
        observer.report = watch.report_before_heal
        watch.say(EventKind.STARTED, _started(site, mode, interval))
        loop = Loop(
            watch, triggers, world.hosts, world.inventory, parked,
            interval=interval, chance=chance, reread=reread, beat=beat,
        )  # fmt: skip
        await loop.run()
        watch.say(EventKind.STOPPED, "the last pass is finished")


class _BeforeHealing:
    """Implements `ports.Observer` for a watch that is created later."""

    def __init__(self) -> None:
        self.report: Callable[[Assessment], Awaitable[None]] | None = None

    def progress(self, stage: str, done: int, total: int, at_once: int | None = None) -> None:
        """Ignore it: a watch shows no progress."""

    async def about_to_write(self, found: Assessment) -> None:
        """See `ports.Observer`."""
        if self.report is not None:
            await self.report(found)

    def meanwhile(self, others: Sequence[Applier], wait: float) -> None:
        """Ignore it: a watch announces nothing, and waits for nobody."""

    def planned_again(self, earlier: Diff, now: Diff) -> None:
        """Ignore it: `about_to_write` reports what the new plan is made from."""


def _started(site: Site, mode: Mode, interval: float) -> str:
    text = str(mode)
    if isinstance(site.way, SSH) and site.way.ignore_host_keys:
        text += ", host keys are NOT checked (insecureIgnoreHostKey)"
    return f"site {site.name}, {text}, every {interval:g}s and when something changes"
