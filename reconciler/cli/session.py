"""The common part of the commands: loading the manifests, and one pass over the site."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.cli.errors import report
from reconciler.cli.options import AGAINST, AUDIT, VERBOSE
from reconciler.cli.underway.progress import TerminalProgress
from reconciler.loader.files import Seen
from reconciler.model.diff import Diff
from reconciler.model.errors import UsageError
from reconciler.model.kinds.site import SSH, Site
from reconciler.model.ownership import Applying
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Desired
from reconciler.planning.selector import Selector
from reconciler.ports import OBSERVING
from reconciler.wiring import known_names
from reconciler.wiring.connections import Connections

if TYPE_CHECKING:
    from reconciler.loader import Loaded
    from reconciler.model.outcome import Assessment, Outcome
    from reconciler.model.plan import Policy
    from reconciler.reconcile import World
    from reconciler.snapshot import Snapshot

Value = TypeVar("Value")
_PROGRESS = "vdvs.progress"


class Session(Struct, frozen=True):
    """The manifests of one command, the objects that -l selects (None: all), who applies them (None: they are not
    applied), and what was read of them. `documents`: the manifests themselves, if they were asked for. `taken`: the
    snapshot in place of the site.
    """

    connections: Connections
    desired: Desired
    site: Site
    paths: tuple[str, ...]
    only: frozenset[ObjectRef] | None
    applying: Applying | None = None
    seen: Seen = field(default_factory=Seen)
    documents: tuple[Any, ...] = ()
    taken: Snapshot | None = None

    def run(self, policy: Policy, wait: float = 0) -> Outcome:
        """Run one pass over the site. `wait`: see `reconcile`."""
        from reconciler.reconcile import reconcile  # imported while the hosts answer

        outcome = self.in_world(lambda world: reconcile(self.desired, world, policy, self.applying, wait))
        self.keep_names(outcome.after or outcome.before)
        return outcome

    def keep_names(self, found: Assessment) -> None:
        """Keep the names that a look at the site saw, for completion."""
        if self.taken is None:
            known_names.keep(self.site, found)

    def in_world(self, do: Callable[[World], Awaitable[Value]]) -> Value:
        """Run `do` with the world of the site and return its result."""
        if self.taken is None and isinstance(self.site.way, SSH) and self.site.way.ignore_host_keys:
            report("warning: host keys are not checked (insecureIgnoreHostKey): any server may pose as the host")

        audit = click.get_current_context().meta.get(AUDIT)

        observer = progress()
        observer.selected = self.selected

        async def look() -> Value:
            if self.taken is not None:
                from reconciler.wiring.clock_and_chance import new_uuid
                from reconciler.wiring.snapshots import world_of

                return await do(world_of(self.taken, observer, new_uuid))
            async with self.connections.world(self.site, observer, audit) as world:
                return await do(world)

        try:
            return self.connections.run(look)
        finally:
            observer.stop()

    def with_applying(self, applying: Applying) -> Session:
        """Return the same session, applying as this."""
        return replace(self, applying=applying)

    def selected(self, diff: Diff) -> Diff:
        """Return the part of a diff that -l selects."""
        return diff.of(self.only)


def connections() -> Connections:
    """Return the connections of the running command, which end with it."""
    return click.get_current_context().with_resource(Connections())


def progress() -> TerminalProgress:
    """Return what shows the progress of the running command, and ends with it."""
    context = click.get_current_context()
    if _PROGRESS not in context.meta:
        quiet = bool(context.meta.get(VERBOSE))  # the log says more
        context.meta[_PROGRESS] = context.with_resource(TerminalProgress(quiet=quiet))
    found: TerminalProgress = context.meta[_PROGRESS]
    return found


def site_of(loaded: Loaded) -> Site:
    """Return the Site of these manifests, and report those that are not used. Raises UsageError if there is none."""
    site = loaded.site
    for note in loaded.notes:
        report(note)
    return site


def open_session(
    paths: Sequence[str],
    site: str | None,
    selector: str | None = None,
    *,
    early: bool = True,
    keep_documents: bool = False,
) -> Session:
    """Load the manifests; every error in them is raised at once. `early`: see `Connections.load`."""
    stdin = sys.stdin.buffer if "-" in paths else None
    made, taken = connections(), _taken()
    if early := early and taken is None:
        progress().progress(OBSERVING, 0, 0)  # hosts are connected to while manifests are read
    loaded = made.load(paths, site, stdin, early=early, keep_documents=keep_documents)
    desired = loaded.desired
    reached = site_of(loaded) if taken is None else _site_then(taken, desired.site)
    only = None
    if selector:
        labels = Selector.parse(selector)
        only = labels.select(desired)
        misspelt = list(labels.misspelt(desired))
        if not only:
            misspelt.insert(0, f"no object has these labels ({selector})")
        if misspelt:
            report(f"warning: {'; '.join(misspelt)}")
    return Session(
        made, replace(desired, site=reached), reached, tuple(paths), only, seen=loaded.seen,
        documents=loaded.documents, taken=taken,
    )  # fmt: skip


def _taken() -> Snapshot | None:
    """Return the snapshot that --against names, and report how old it is; None: the site itself is looked at."""
    given = click.get_current_context().meta.get(AGAINST)
    if given is None:
        return None
    if "against" not in given:
        raise click.UsageError("--max-age and --token-file go with --against")
    from reconciler.model.units import parse_duration
    from reconciler.wiring import snapshots
    from reconciler.wiring.clock_and_chance import SystemClock

    try:
        max_age = timedelta(seconds=parse_duration(given.get("max_age", "15m")))
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error), param_hint="--max-age") from error
    taken, age = snapshots.read(given["against"], given.get("token_file"), max_age, SystemClock())
    when = f"{taken.taken_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    report(f"{given['against']}: site {taken.site} as it was {snapshots.words(age)} ago ({when}, by {taken.made_by})")
    return taken


def _site_then(taken: Snapshot, site: Site | None) -> Site:
    """Return the Site that was given, or what the snapshot knows of it. Raises UsageError if they are two."""
    if site is None:
        return taken.as_site
    if (site.name, site.servers) != (taken.site, taken.vcenters):
        there = f" ({', '.join(taken.vcenters)})" if taken.vcenters else ""
        raise UsageError(f"the snapshot is of site {taken.site}{there}, not of {site}")
    return site
