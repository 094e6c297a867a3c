"""How far a pass is: a bar on standard error, only on a terminal, and only when the pass takes long enough to ask."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PATIENCE = 0.5


class TerminalProgress:
    """An Observer that shows a bar for each stage."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._shown: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._wanted = sys.stderr.isatty()

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown is not None:
            self._shown.stop()

    def progress(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` steps of `stage` are finished."""
        if not self._wanted or time.monotonic() - self._since < _PATIENCE:
            return
        shown = self._started()
        if stage not in self._bars:
            self._bars[stage] = shown.add_task(stage, total=total)
        shown.update(self._bars[stage], completed=done, total=total)

    def _started(self) -> Progress:
        if self._shown is None:
            from rich.console import Console
            from rich.progress import Progress

            self._shown = Progress(console=Console(stderr=True), transient=True)
            self._shown.start()
        return self._shown


class Silent:
    """An Observer that shows nothing."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Nothing."""
