"""Progress of a pass that takes long, on standard error: bars on a terminal, else a line now and then. New plans."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from reconciler.cli import STARTED
from reconciler.cli.errors import report, tell
from reconciler.cli.underway.pace import Pace, about
from reconciler.render.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from reconciler.model.diff import Diff
    from reconciler.model.outcome import Assessment
    from reconciler.model.ownership import Applier

_AFTER = 0.4  # seconds of a command before anything is shown
_EVERY = 10.0  # seconds between lines
_MANY = 100  # steps of a stage that lines are printed for
_TICK = 0.1  # seconds between two states of the bars


class TerminalProgress:
    """Implements `ports.Observer`, until `stop`. `quiet`: show no progress, only plans; `since`: when it all began.

    It is shown by a thread, as the event loop is busy when there is most to do.
    """

    def __init__(
        self, *, quiet: bool = False, since: float = STARTED, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.selected: Callable[[Diff], Diff] = lambda diff: diff  # the part of a diff that is shown
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._now = now
        self._since = since
        self._stages: dict[str, Pace] = {}
        self._lock = threading.Lock()
        self._reported = False
        self._waited = False
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def progress(self, stage: str, done: int, total: int, at_once: int | None = None) -> None:
        """See `ports.Observer`. A stage with a total of 0 has begun, and how many steps it has is not known yet."""
        with self._lock:
            pace = self._stages.get(stage)
            if pace is None or done < pace.done:
                pace = self._stages[stage] = Pace(self._now())
            pace.total, pace.at_once = total, at_once
            pace.finished(done, self._now())
            if 0 < total == done:
                del self._stages[stage]
        if self._thread is None and not self._quiet and (self._terminal or total >= _MANY):
            self._thread = threading.Thread(target=self._bars if self._terminal else self._lines, daemon=True)
            self._thread.start()

    async def about_to_write(self, found: Assessment) -> None:
        """Ignore it: the result is printed at the end."""

    def meanwhile(self, others: Sequence[Applier], wait: float) -> None:
        """Say who applies at the same moment, and whether they are waited for."""
        self.stop()
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
        from reconciler.cli.output import detail
        from reconciler.render.diff import diff_text

        self.stop()
        if not self._reported:
            tell(diff_text(self.selected(earlier), "This was planned:", detail=detail()))
        self._reported = True
        tell(diff_text(self.selected(now), "The site has changed since; planned again:", detail=detail()))

    def stop(self) -> None:
        """Show nothing more of what was under way, so that something else can be printed."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._ended.set()
            thread.join()
            self._ended.clear()
        self._stages = {}

    def told(self) -> list[tuple[str, int, int, str]]:
        """Return each stage that is under way: its name, the steps that are finished, their number, what is left."""
        with self._lock:
            return [
                (
                    stage,
                    pace.done,
                    pace.total,
                    "" if (left := pace.left(self._now())) is None else f"{about(left)} left",
                )
                for stage, pace in self._stages.items()
            ]

    def _wait(self, seconds: float) -> bool:
        """Wait, and return whether it goes on."""
        return not self._ended.wait(seconds)

    def _lines(self) -> None:
        """Print a line for each stage of many steps. A short run prints none: cron mails what is printed."""
        while self._wait(_EVERY):
            for stage, done, total, left in self.told():
                if total >= _MANY:
                    tell(f"vdvs: {clean(stage)}: {done} of {total}{left and ', ' + left}")

    def _bars(self) -> None:
        """Draw a bar for each stage."""
        if not self._wait(max(0.0, self._since + _AFTER - self._now())):
            return
        with _progress() as drawn:
            bars: dict[str, TaskID] = {}
            while True:
                under_way = self.told()
                for gone in bars.keys() - {stage for stage, *_ in under_way}:
                    drawn.remove_task(bars.pop(gone))
                for stage, done, total, left in under_way:
                    if stage not in bars:
                        bars[stage] = drawn.add_task(clean(stage), count="", left="")
                    known = total > 1
                    count = f"{done} of {total}" if known else ""
                    drawn.update(bars[stage], completed=done, total=total if known else None, count=count, left=left)
                drawn.refresh()
                if not self._wait(_TICK):
                    return


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    words = [
        TextColumn(f"{{task.{field}}}", markup=False) for field in ("description", "fields[count]", "fields[left]")
    ]
    return Progress(
        words[0], BarColumn(), *words[1:],
        console=Console(stderr=True), transient=True, auto_refresh=False, redirect_stdout=False,
    )  # fmt: skip
