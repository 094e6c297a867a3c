"""Progress of a pass on standard error: new plans, and on a terminal a bar for each stage of a pass that takes long."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from reconciler.cli.errors import report, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.progress import Progress, TaskID

    from reconciler.model.diff import Diff
    from reconciler.model.outcome import Assessment
    from reconciler.model.ownership import Applier

_BAR_AFTER = 0.5  # seconds


class TerminalProgress:
    """Implements `ports.Observer`. `selected`: the part of a diff that is shown."""

    def __init__(self, selected: Callable[[Diff], Diff] = lambda diff: diff) -> None:
        self._selected = selected
        self._reported = False
        self._waited = False
        self._since = time.monotonic()
        self._shown: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._wanted = sys.stderr.isatty()

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Show a bar for the stage."""
        if not self._wanted or time.monotonic() - self._since < _BAR_AFTER:
            return
        shown = self._started()
        if stage not in self._bars:
            self._bars[stage] = shown.add_task(stage, total=total)
        shown.update(self._bars[stage], completed=done, total=total)

    def about_to_write(self, found: Assessment) -> None:
        """Ignore it: the result is printed at the end."""

    def meanwhile(self, others: Sequence[Applier], wait: float) -> None:
        """Say who applies at the same moment, and whether they are waited for."""
        from reconciler.render.text import clean

        self._stop()
        for other in others:
            of = f" set {other.set}" if other.set else ""
            who = f"{other.by} applies{of} too, since {other.since:%H:%M:%S} UTC (claimed by the config DB)"
            if wait:
                then = f"waiting for it, {wait:g}s at most"
            elif self._waited:
                then = "it has not ended, and is waited for no longer"
            else:
                then = "what it changes before this apply writes is looked at again; --wait-lock 30s waits for it"
            report(f"note: {clean(who)}; {then}")
        self._waited = wait > 0

    def planned_again(self, earlier: Diff, now: Diff) -> None:
        """Show the new plan before it is carried out; the first time, the original plan too."""
        from reconciler.render.diff import diff_text

        self._stop()
        if not self._reported:
            tell(diff_text(self._selected(earlier), "This was planned:"))
        self._reported = True
        tell(diff_text(self._selected(now), "The site has changed since; planned again:"))

    def _stop(self) -> None:
        if self._shown is not None:
            self._shown.stop()
        self._shown = None
        self._bars = {}

    def _started(self) -> Progress:
        if self._shown is None:
            from rich.console import Console
            from rich.progress import Progress

            self._shown = Progress(console=Console(stderr=True), transient=True)
            self._shown.start()
        return self._shown
