"""What `vdvs watch` reads again and again, and how it tells what it sees on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import click

from reconciler import loader
from reconciler.cli.on_behalf import applying
from reconciler.controller.watch import Loaded
from reconciler.model.events import Pass, ReportedEvent, Revision

_GIT_SECONDS = 30.0  # to commit what is there already touches no manifest; so git is asked now and then


class Manifests:
    """The manifests at `paths` with the Site of the file `site`, read anew only if somebody may have touched them."""

    def __init__(self, paths: tuple[str, ...], site: str | None) -> None:
        self._paths = paths
        self._site = site
        self._kept: tuple[loader.Stamps, Loaded] | None = None
        self._asked = 0.0

    def load(self) -> Loaded:
        """As they are now. Raises InvalidManifestsError."""
        stamps = loader.stamps(self._paths, self._site)
        if self._kept is not None and self._kept[0] == stamps:
            if monotonic() < self._asked + _GIT_SECONDS:
                return self._kept[1]
            desired = self._kept[1].desired
        else:
            desired = loader.load(self._paths, site=self._site).desired
        behalf, self._asked = applying(self._paths), monotonic()
        loaded = Loaded(desired, Revision(behalf.stamp.commit, behalf.stamp.dirty), behalf)
        self._kept = None if stamps is None else (stamps, loaded)
        return loaded

    def reread(self) -> None:
        """Read everything anew at the next load."""
        self._kept = None


class Terminal:
    """Implements `ports.Listener`: a line, or some, for every event."""

    def __init__(self, text: Callable[[ReportedEvent], str]) -> None:
        self._text = text

    def told(self, told: ReportedEvent) -> None:
        """See `ports.Listener`."""
        click.echo(self._text(told), nl=False)  # flushes

    def passed(self, done: Pass) -> None:
        """See `ports.Listener`."""
