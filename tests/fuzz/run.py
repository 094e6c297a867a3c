"""Fuzz what vdvs reads: `python -m tests.fuzz.run --seconds 60`, or again what was found: `... --replay FILE`.

Each target runs in processes of its own, which hypothesis feeds with mutations of valid inputs. Found is: an exception
that the target does not allow, an input that takes longer than SLOW, one that takes more than MEMORY, the end of the
process, and memory that grows from input to input. The input is kept in `tests/fuzz/found/TARGET-WHAT-DIGEST`.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import hashlib
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.targets import NAMES, TARGETS, Target

FOUND = Path(__file__).with_name("found")
SLOW = 10.0  # seconds for one input, hundreds of times what any needs
MEMORY = 256 * 2**20  # bytes for one input
GROWTH = 48 * 2**20  # bytes from the second round to the last
ROUND = 150  # inputs
LONGEST = 64 * 2**10  # bytes of an input
STUCK = 3 * SLOW  # seconds without any sign: code in C hangs, which no alarm interrupts
METHOD = "spawn"  # each process imports what it needs, and inherits nothing

Edit = tuple[str, int, int, bytes]


class TooSlow(BaseException):
    """One input takes longer than SLOW. No Exception, which what is fuzzed might catch."""


def mutations(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Seeds with up to eight edits: a piece replaced, inserted, removed, repeated, or taken from another seed."""
    others = st.builds(lambda text, at, size: text[at : at + size], st.sampled_from(seeds), _NUMBER, _LENGTH)
    words = st.one_of(st.sampled_from(NAMES), st.binary(max_size=9), others)
    edits = st.tuples(st.sampled_from(["replace", "insert", "remove", "repeat"]), _NUMBER, _LENGTH, words)
    return st.builds(_edited, st.sampled_from(seeds), st.lists(edits, max_size=8))


_NUMBER = st.integers(0, 2**16)
_LENGTH = st.integers(0, 60)


def _edited(text: bytes, edits: list[Edit]) -> bytes:
    for how, number, length, word in edits:
        at = number % (len(text) + 1)
        piece = text[at : at + length]
        new = {"replace": word, "insert": word + piece, "remove": b"", "repeat": piece * 40}[how]
        text = (text[:at] + new + text[at + length :])[:LONGEST]
    return text


class Worker:
    """One target in one process. Ends with code 0, or 1 when something was found."""

    def __init__(self, name: str, folder: Path, until: float, start: int) -> None:
        self.name, self.until, self.start = name, until, start
        self.current = folder / "current"
        self.tried = 0
        self.target = _made(name, folder)

    def run(self) -> None:
        """Fuzz until the time is over."""
        signal.signal(signal.SIGALRM, _too_slow)
        sizes: list[int] = []
        number = self.start
        while time.monotonic() < self.until:
            number += 1
            self._round(number)
            gc.collect()
            sizes.append(_resident())
            if len(sizes) > 2 and sizes[-1] - sizes[1] > GROWTH:
                keep(self.name, "growth", b"", f"{sizes[1] >> 20} MiB after two rounds, {sizes[-1] >> 20} MiB now")
                sys.exit(1)
        print(f"{self.name}: {self.tried} inputs, {_resident() >> 20} MiB", flush=True)

    def _round(self, number: int) -> None:
        @seed(number)
        @settings(
            max_examples=ROUND,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        @given(mutations(self.target.seeds))
        def fuzz(data: bytes) -> None:
            if time.monotonic() < self.until:
                self._one(data)

        try:
            fuzz()
        except Exception:
            keep(self.name, "exception", self.current.read_bytes(), traceback.format_exc())
            sys.exit(1)

    def _one(self, data: bytes) -> None:
        self.current.write_bytes(data)
        before = _peak()
        try:
            signal.setitimer(signal.ITIMER_REAL, SLOW)
            try:
                self.target.run(data)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except TooSlow:
            keep(self.name, "hang", data, traceback.format_exc())
            os._exit(1)
        self.tried += 1
        if _peak() - before > MEMORY:
            keep(self.name, "memory", data, f"takes {(_peak() - before) >> 20} MiB")
            os._exit(1)


def _made(name: str, folder: Path) -> Target:
    place = folder / "target"
    place.mkdir()
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    return TARGETS[name](place)


def _too_slow(*_: object) -> None:
    raise TooSlow


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def keep(name: str, what: str, data: bytes, report: str) -> None:
    """Write the input to a file, and say so."""
    FOUND.mkdir(exist_ok=True)
    path = FOUND / f"{name}-{what}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    print(f"{report}\nFOUND {what} in {name}: {path}\nagain: python -m tests.fuzz.run --replay {path}", flush=True)


def _work(name: str, folder: str, seconds: float, start: int) -> None:
    faulthandler.enable()
    Worker(name, Path(folder), time.monotonic() + seconds, start).run()


def fuzz(name: str, seconds: float, start: int) -> bool:
    """Fuzz one target in a process of its own, for so long. False: something was found."""
    with tempfile.TemporaryDirectory(prefix="vdvs-fuzz-") as folder:
        current = Path(folder) / "current"
        process: Any = multiprocessing.get_context(METHOD).Process(  # type: ignore[attr-defined] # of a method
            target=_work, args=(name, folder, seconds, start)
        )
        process.start()
        began = time.time()
        while process.is_alive():
            process.join(1)
            silent = time.time() - (current.stat().st_mtime if current.exists() else began)
            if process.is_alive() and silent > (STUCK if current.exists() else 120):
                process.kill()
                process.join()
                keep(name, "hang", current.read_bytes() if current.exists() else b"", f"no sign for {silent:.0f} s")
                return False
        if process.exitcode not in (0, 1):  # 1: it has kept what it found, or could not begin
            data = current.read_bytes() if current.exists() else b""
            keep(name, "crash", data, f"the process ended with code {process.exitcode}")
        return bool(process.exitcode == 0)


def replay(path: Path) -> None:
    """Run the input that was kept in this file once more, in this process. Raises what it raises."""
    name = next(name for name in TARGETS if path.name.startswith(f"{name}-"))
    with tempfile.TemporaryDirectory(prefix="vdvs-fuzz-") as folder:
        _made(name, Path(folder)).run(path.read_bytes())


def main(argv: Sequence[str] | None = None) -> Any:
    """Fuzz all targets, as many at once as there are processors, so that all is over after the time given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long in all (default: 60)")
    parser.add_argument("--target", choices=TARGETS, action="append", help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=None, help="of a run to repeat (default: another each time)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one input that was found, and nothing else")
    options = parser.parse_args(argv)
    if options.replay:
        return replay(options.replay)
    chosen = options.target or list(TARGETS)
    start = random.SystemRandom().randrange(2**31) if options.seed is None else options.seed
    lanes = min(os.cpu_count() or 1, len(chosen))
    print(f"seed {start}, {options.seconds:.0f} s for {', '.join(chosen)}", flush=True)
    with ThreadPoolExecutor(lanes) as pool:
        each = options.seconds * lanes / len(chosen)
        clean = list(pool.map(lambda name: fuzz(name, each, start), chosen))
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
