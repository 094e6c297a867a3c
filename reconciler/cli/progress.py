"""How a pass proceeds, on standard error: plans that are made anew; and how far it is, by a bar, only on a terminal,
and only when the pass takes long enough to ask."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress, TaskID

    from reconciler.model.diff import Diff
    from reconciler.model.outcome import Assessment

_PATIENCE = 0.5


class TerminalProgress:
    """An Observer that shows a bar for each stage, and of plans made anew what `selected` leaves of them."""

    def __init__(self, selected: Callable[[Diff], Diff] = lambda diff: diff) -> None:
        self._selected = selected
        self._told = False
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
        """`done` of `total` steps of `stage` are finished."""
        if not self._wanted or time.monotonic() - self._since < _PATIENCE:
            return
        shown = self._started()
        if stage not in self._bars:
            self._bars[stage] = shown.add_task(stage, total=total)
        shown.update(self._bars[stage], completed=done, total=total)

    def about_to_write(self, found: Assessment) -> None:
        """Nothing: who applies sees what was done."""

    def planned_again(self, earlier: Diff, now: Diff) -> None:
        """Show the new plan before it is carried out, and before the first of them what was planned at first."""
        from reconciler.render.diff import diff_text

        self._stop()
        if not self._told:
            click.echo(diff_text(self._selected(earlier), "This was planned:"), err=True)
        self._told = True
        click.echo(diff_text(self._selected(now), "The site has changed since; planned again:"), err=True)

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
