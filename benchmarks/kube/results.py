"""What the benchmarks on a Kubernetes API found, against what was wanted."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import resource
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.kubernetes.cluster import MISSING, Cluster
from tests.kubernetes.operators import installed

_TICK = os.sysconf("SC_CLK_TCK")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
FEW: Final = 0.2


@dataclass(frozen=True)
class Found:
    """One figure. `most`: it may not be larger (None: nothing is wanted). `by_clock`: it says as much about what else
    the machine does, so it is judged only where that is little."""

    what: str
    value: float
    unit: str
    most: float | None = None
    by_clock: bool = False
    note: str = ""

    @property
    def missed(self) -> bool:
        return self.most is not None and not self.value <= self.most

    def __str__(self) -> str:
        wanted = "" if self.most is None else f", at most {self.most:g} wanted{': MISSED' if self.missed else ''}"
        clock = ", by the clock" if self.by_clock else ""
        return f"{self.what}: {self.value:.3g} {self.unit}{clock}{wanted}{f' ({self.note})' if self.note else ''}"


def of_many(what: str, values: list[float], unit: str, median: float | None, late: float | None) -> list[Found]:
    """The median and the 99th percentile of what the clock said, and what they may be."""
    return [
        Found(f"{what}, median", statistics.median(values), unit, median, by_clock=True),
        Found(f"{what}, 99th percentile", percentile(values, 99), unit, late, by_clock=True),
    ]


def percentile(values: list[float], percent: float) -> float:
    """The least value that is not smaller than so many percent of them."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def told(found: list[Found], save: Path | None) -> int:
    """Print the figures, and keep them; return the exit code."""
    others, judged = OTHERS.share(), OTHERS.few()
    for each in found:
        print(each, flush=True)
    if not judged:
        print(f"by the clock: NOT JUDGED, as others used {100 * others:.0f} % of the machine meanwhile", flush=True)
    if save is not None:
        known = json.loads(save.read_text()) if save.exists() else {"figures": {}}
        known |= {"python": platform.python_version(), "cores": os.cpu_count()}
        known["figures"][Path(sys.argv[0]).stem] = [asdict(each) for each in found]
        known.setdefault("others", {})[Path(sys.argv[0]).stem] = round(others, 2)
        save.write_text(json.dumps(known, indent=2) + "\n")
    return int(any(each.missed and (judged or not each.by_clock) for each in found))


class Others:
    """How much of the machine others than this process and its children use, from now on."""

    def __init__(self) -> None:
        self._began = time.monotonic(), self._busy(), self._ours()

    def share(self) -> float:
        """Return their part of the CPU time of all cores. Children count once they have ended."""
        at, busy, ours = self._began
        theirs = self._busy() - busy - (self._ours() - ours)
        return max(0.0, theirs) / ((time.monotonic() - at) * (os.cpu_count() or 1))

    def few(self) -> bool:
        """Return whether it is so little that a clock says something about us."""
        return self.share() <= FEW

    @staticmethod
    def _busy() -> float:
        user, nice, system, _, _, *more = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
        return (user + nice + system + sum(more)) / _TICK

    @staticmethod
    def _ours() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(each.ru_utime + each.ru_stime for each in both)


OTHERS: Final = Others()


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The options that all of them have."""
    if MISSING:
        raise SystemExit(f"{', '.join(MISSING)} missing: run `make peers`")
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--save", type=Path, metavar="FILE", help="add the figures to this file of JSON")
    return made


@contextmanager
def apiserver(folder: Path) -> Iterator[Cluster]:
    """A real API server with our definitions."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started ends, too
    cluster = Cluster(folder / "cluster")
    try:
        cluster.start()
        installed(cluster)
        yield cluster
    finally:
        cluster.stop()


def cpu(pid: int) -> float:
    """Seconds of CPU that a process, without its children, has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def mib(pid: int | str, what: str = "VmHWM") -> float:
    """The most memory that a process ever had, or what it has now (VmRSS)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))


def samples(metrics: str, name: str) -> Iterator[tuple[dict[str, str], float]]:
    """Yield the labels and the value of each sample of that name, in the text format of Prometheus."""
    for line in metrics.splitlines():
        if line.startswith(f"{name}{{"):
            yield dict(_LABEL.findall(line)), float(line.rpartition(" ")[2])
