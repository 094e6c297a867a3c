"""Progress of a pass on standard error: new plans, and on a terminal a bar for each stage of a pass that takes long."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from reconciler.cli.errors import tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress, TaskID

    from reconciler.model.diff import Diff
    from reconciler.model.outcome import Assessment

_BAR_AFTER = 0.5  # seconds


class TerminalProgress:
    """Implements `ports.Observer`. `selected`: the part of a diff that is shown."""

    def __init__(self, selected: Callable[[Diff], Diff] = lambda diff: diff) -> None:
        self._selected = selected
        self._reported = False
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

    def planned_again(self, earlier: Diff, now: Diff) -> None:
        """Show the new plan before it is carried out; the first time, the original plan too."""
        from reconciler.cli.output import detail
        from reconciler.render.diff import diff_text

        self._stop()
        if not self._reported:
            tell(diff_text(self._selected(earlier), "This was planned:", detail=detail()))
        self._reported = True
        tell(diff_text(self._selected(now), "The site has changed since; planned again:", detail=detail()))

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
