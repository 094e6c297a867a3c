"""Watching for real: the loop with the site, the manifests, the signals and whoever is told joined to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from time import monotonic

from msgspec import Struct
from msgspec.structs import replace

from reconciler import wiring
from reconciler.controller.loop import Loop
from reconciler.controller.mode import Mode
from reconciler.controller.skip_unreachable import SkipUnreachable
from reconciler.controller.triggers import Triggers
from reconciler.controller.watch import Edges, Loaded, Watch
from reconciler.model.diff import Diff
from reconciler.model.errors import UsageError
from reconciler.model.events import EventKind
from reconciler.model.kinds.site import SSH, Lab, Site
from reconciler.model.outcome import Assessment, Outcome
from reconciler.model.ownership import Applying
from reconciler.model.plan import Policy
from reconciler.model.state import Desired
from reconciler.ports import Listener
from reconciler.reconcile import reconcile


class Watching(Struct, frozen=True):
    """What to watch, and how. `loaded`: the manifests as they are now, `load` reads them again, `reread` makes it read
    everything anew; `beside`: what runs for as long as the watch does, such as a server; `beat`: called at least once
    a second."""

    site: Site
    loaded: Loaded
    paths: Sequence[str]
    load: Callable[[], Loaded]
    reread: Callable[[], None]
    interval: float
    mode: Mode
    listeners: Sequence[Listener]
    beside: Sequence[AbstractAsyncContextManager[object]]
    beat: Callable[[], None]


class _Foretelling:
    """Implements `ports.Observer` for a watch that is yet to be made."""

    def __init__(self) -> None:
        self.foretell: Callable[[Assessment], None] = lambda _found: None

    def progress(self, stage: str, done: int, total: int) -> None:
        """Nobody looks."""

    def about_to_write(self, found: Assessment) -> None:
        """See `ports.Observer`."""
        self.foretell(found)

    def planned_again(self, earlier: Diff, now: Diff) -> None:
        """What it finds is told when it is about to be written."""


async def watch(what: Watching) -> None:
    """Until SIGINT or SIGTERM. Raises what keeps it from starting; afterwards nothing ends it."""
    observer = _Foretelling()
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(wiring.open_world(what.site, observer))
        parked: dict[str, str] = {}
        patient = replace(world, hosts=SkipUnreachable(world.hosts, parked))

        async def one(desired: Desired, policy: Policy, applying: Applying | None) -> Outcome:
            return await reconcile(desired, patient, policy, applying)

        edges = Edges(what.load, one, what.listeners, world.clock, monotonic, world.new_uuid)
        watched = Watch(edges, what.loaded, what.site, what.mode)
        observer.foretell = watched.report_before_heal
        triggers = await stack.enter_async_context(Triggers(what.paths))
        for each in what.beside:
            await stack.enter_async_context(each)
        watched.say(EventKind.STARTED, _started(what))
        loop = Loop(
            watched, triggers, world.hosts, world.inventory, parked,
            interval=what.interval, chance=wiring.chance, reread=what.reread, beat=what.beat,
        )  # fmt: skip
        await loop.run()
        watched.say(EventKind.STOPPED, "the last pass is finished")


def _started(what: Watching) -> str:
    site, mode = what.site, str(what.mode)
    if isinstance(site.way, SSH) and site.way.ignore_host_keys:
        mode += ", host keys are NOT checked (insecureIgnoreHostKey)"
    return f"site {site.name}, {mode}, every {what.interval:g}s and when something changes"


def site_for_watch(desired: Desired, *, given: bool) -> Site:
    """The Site to watch. From the manifests only a lab: a push to git must not redirect root's sessions elsewhere."""
    if desired.site is None:
        raise UsageError("no Site: give --site FILE, or, for a lab, put its Site among the manifests given with -f")
    if not given and not isinstance(desired.site.way, Lab):
        raise UsageError("watch takes a Site that is not a lab from --site FILE only, not from the manifests")
    return desired.site
