"""How long a site is without a writer after its replica was killed, or asked to end.

    PYTHONPATH=. python benchmarks/takeover.py [--kills N] [--ends N] [--pairs N]

Pairs of replicas, each with a site, share a real API server; their leases last as long as those of an operator. They
are processes without an operator that write all the time, as far as the fence lets them: the lease is measured alone.
Exit code 1 if one take-over took longer than 20 seconds.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from run import progress, spread

from reconciler.operator.leases import USUAL, boottime
from tests.kubernetes.cluster import MISSING, ROOT, Cluster

WANTED = 20.0


class Pair:
    """Two replicas and their site."""

    def __init__(self, cluster: Cluster, folder: Path, number: int) -> None:
        self._kubeconfig = cluster.admin.kubeconfig
        self._site = f"site-{number}"
        self._namespace = f"pair-{number}"
        self._file = folder / self._site
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._namespace}}
        cluster.admin.request("POST", "/api/v1/namespaces", manifest)
        self._running = {name: self._start(name) for name in ("a", "b")}

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        line = ["-m", "tests.kubernetes.writer", self._kubeconfig, self._namespace, name, self._file, self._site]
        return subprocess.Popen(
            [sys.executable, *map(str, line), str(USUAL.lasts)], env=os.environ | {"PYTHONPATH": str(ROOT)}
        )

    def taken_over(self, number: signal.Signals) -> float:
        """End the replica that writes; return the seconds until the other one does, and start the first one anew."""
        time.sleep(2 * USUAL.every)  # both know each other
        began = boottime()
        writer = next(name for at, name in self._next(began) if at > began)
        ended = boottime()
        self._running[writer].send_signal(number)
        self._running[writer].wait()
        found = next(at for at, name in self._next(ended) if name != writer)
        self._running[writer] = self._start(writer)
        return found - ended

    def _next(self, since: float) -> Iterator[tuple[float, str]]:
        """Yield the writes from a moment on, as they come: when, and by whom."""
        self._file.touch()
        with self._file.open() as lines:
            while True:
                while (line := lines.readline()).endswith("\n"):  # each is written at once
                    at, what, name, _ = line.split()
                    if what == "wrote" and float(at) >= since:
                        yield float(at), name
                time.sleep(0.02)

    def end(self) -> None:
        """End both."""
        for process in self._running.values():
            process.kill()
            process.wait()


@contextmanager
def pairs_of(number: int) -> Iterator[list[Pair]]:
    """Run that many pairs at an API server."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "cluster")
        pairs: list[Pair] = []
        try:
            cluster.start()
            pairs += (Pair(cluster, Path(folder), each) for each in range(number))
            yield pairs
        finally:
            for pair in pairs:
                pair.end()
            cluster.stop()


def main() -> int:
    """Measure, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--ends", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5, help="measured at the same time")
    options = parser.parse_args()
    if MISSING:
        sys.exit(f"{', '.join(MISSING)} missing: run `make peers`")
    with pairs_of(options.pairs) as pairs, ThreadPoolExecutor(options.pairs) as threads:

        def measured(number: signal.Signals, times: int) -> list[float]:
            found: list[float] = []
            while len(found) < times:
                found += threads.map(lambda pair: pair.taken_over(number), pairs[: times - len(found)])
                progress(f"{len(found)} of {times}")
            return found

        killed, ended = measured(signal.SIGKILL, options.kills), measured(signal.SIGTERM, options.ends)
    print(f"taken over after kill -9: {spread(killed, 1)} s, {len(killed)} times (wanted: at most {WANTED:g})")
    print(f"handed over after SIGTERM: {spread(ended, 1)} s, {len(ended)} times")
    return max(killed, default=0.0) > WANTED


if __name__ == "__main__":
    sys.exit(main())
