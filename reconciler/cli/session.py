"""What the commands have in common: load the manifests, make one pass over the site, print."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click
from msgspec import Struct
from msgspec.structs import replace

from reconciler.cli.calls import Calls
from reconciler.cli.errors import say
from reconciler.cli.progress import TerminalProgress
from reconciler.model.diff import Diff
from reconciler.model.errors import UsageError
from reconciler.model.kinds.site import SSH, Site
from reconciler.model.ownership import Applying
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Desired
from reconciler.planning.selector import Selector

if TYPE_CHECKING:
    from reconciler.model.outcome import Outcome
    from reconciler.model.plan import Policy
    from reconciler.reconcile import World

Value = TypeVar("Value")
NO_SITE = (
    "no Site: give --site FILE, or put a manifest of kind Site among those given with -f "
    "(`vdvs lab up` writes one to .vdvs-lab/site.yaml)"
)


class Session(Struct, frozen=True):
    """The manifests of one run, the objects that -l selects (None: all), and on whose behalf (None: nobody's)."""

    calls: Calls
    desired: Desired
    site: Site
    paths: tuple[str, ...]
    only: frozenset[ObjectRef] | None
    applying: Applying | None = None

    def run(self, policy: Policy) -> Outcome:
        """One pass over the site."""
        from reconciler.reconcile import reconcile  # hosts have been called by now, and go on meanwhile

        return self.in_world(lambda world: reconcile(self.desired, world, policy, self.applying))

    def in_world(self, do: Callable[[World], Awaitable[Value]]) -> Value:
        """What `do` makes of the world of the site."""
        if isinstance(self.site.way, SSH) and self.site.way.ignore_host_keys:
            say("warning: host keys are not checked (insecureIgnoreHostKey): whoever answers is taken for the host")

        async def look() -> Value:
            with TerminalProgress(self.selected) as observer:
                async with self.calls.world(self.site, observer) as world:
                    return await do(world)

        return self.calls.run(look)

    def on_behalf(self, applying: Applying) -> Session:
        """The same on this behalf."""
        return replace(self, applying=applying)

    def selected(self, diff: Diff) -> Diff:
        """The part of a diff that -l selects."""
        return diff.of(self.only)


def calls() -> Calls:
    """Those of the command that runs, which end with it."""
    return click.get_current_context().with_resource(Calls())


def open_session(paths: Sequence[str], site: str | None, selector: str | None = None) -> Session:
    """Load the manifests; every error in them is raised at once."""
    stdin = sys.stdin.buffer if "-" in paths else None
    talk = calls()
    desired = talk.load(paths, site, stdin)
    if desired.site is None:
        raise UsageError(NO_SITE)
    only = Selector.parse(selector).select(desired) if selector else None
    if only is not None and not only:
        say(f"warning: no object has these labels ({selector})")
    return Session(talk, desired, desired.site, tuple(paths), only)
