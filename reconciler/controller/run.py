"""Watching for real: the loop with the site, the manifests and the signals joined to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reconciler import wiring
from reconciler.controller.waiting import Waiting
from reconciler.controller.watch import Edges, Watch
from reconciler.model.desired import Desired, Site
from reconciler.model.errors import UsageError
from reconciler.model.events import Event, EventKind, Told
from reconciler.model.outcome import Outcome
from reconciler.model.policy import Policy
from reconciler.model.site import SSH, Lab
from reconciler.ports import Observer
from reconciler.reconcile import reconcile


@dataclass(frozen=True, slots=True)
class Watching:
    """What to watch. `site_given`: whether the Site was named outside the manifests."""

    paths: Sequence[str]
    load: Callable[[], Desired]
    interval: float
    heal: bool
    site_given: bool


async def watch(what: Watching, tell: Callable[[Told], None], observer: Observer) -> None:
    """Until SIGINT or SIGTERM. Raises what is wrong at the start; afterwards nothing ends it."""
    desired = what.load()
    site = site_for_watch(desired, given=what.site_given)
    async with wiring.open_world(site, observer) as world, Waiting(what.paths, what.interval) as waiting:

        async def one(desired: Desired, policy: Policy) -> Outcome:
            return await reconcile(desired, world, policy)

        def say(kind: EventKind, message: str) -> None:
            tell(Told(world.clock.now(), Event(kind, None, message)))

        mode = "healing" if what.heal else "reporting only"
        if isinstance(site.way, SSH) and site.way.ignore_host_keys:
            mode += ", host keys are NOT checked (insecureIgnoreHostKey)"
        say(EventKind.STARTED, f"site {site.name}, {mode}, every {what.interval:g}s and when manifests change")
        await Watch(Edges(what.load, one, waiting.wait, tell, world.clock), desired, site, heal=what.heal).run()
        say(EventKind.STOPPED, "the last pass is finished")


def site_for_watch(desired: Desired, *, given: bool) -> Site:
    """The Site to watch. From the manifests only a lab: a push to git must not redirect root's sessions elsewhere."""
    if desired.site is None:
        raise UsageError("no Site: give --site FILE, or, for a lab, put its Site among the manifests given with -f")
    if not given and not isinstance(desired.site.way, Lab):
        raise UsageError("watch takes a Site that is not a lab from --site FILE only, not from the manifests")
    return desired.site
