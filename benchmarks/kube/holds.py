"""How long the steps of an event loop keep it from everything else, in seconds of CPU time.

    PYTHONPATH=.:benchmarks python benchmarks/kube/holds.py REPORT COMMAND ...

runs `vdvs COMMAND ...` in this process, and writes what was found to the file REPORT when it ends: by CPU time, as a
machine that is busy with other things stretches every step by the clock.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

LONG = 0.05  # seconds of a step that is told of, and where it was
MOST = 50  # of them


class Holds:
    """Measures each step of every event loop of this process from `begin` on."""

    def __init__(self) -> None:
        self.longest: list[tuple[float, str, str]] = []
        self.steps = 0
        self._began = 0.0
        self._stack = ""
        self._thread = threading.get_ident()

    def begin(self) -> None:
        run = asyncio.Handle._run

        def measured(handle: asyncio.Handle) -> None:
            self._stack, before = "", time.thread_time()
            self._began = time.perf_counter()
            try:
                run(handle)
            finally:
                self._began = 0.0
                self.steps += 1
                if (took := time.thread_time() - before) >= LONG:
                    self.longest.append((took, repr(handle)[:300], self._stack))
                    self.longest = sorted(self.longest, reverse=True)[:MOST]

        asyncio.Handle._run = measured  # type: ignore[method-assign, assignment]
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        """Note where a long step is."""
        while True:
            time.sleep(LONG / 2)
            if self._began and time.perf_counter() - self._began > LONG and not self._stack:
                frame = sys._current_frames().get(self._thread)
                self._stack = "".join(traceback.format_stack(frame)[-6:])

    def report(self) -> dict[str, Any]:
        return {"steps": self.steps, "longest": self.longest}


def main() -> None:
    from reconciler.cli.main import main as vdvs

    holds = Holds()
    holds.begin()
    report = Path(sys.argv[1])
    sys.argv = ["vdvs", *sys.argv[2:]]
    try:
        vdvs()
    finally:
        report.write_text(json.dumps(holds.report(), indent=1))


if __name__ == "__main__":
    main()
