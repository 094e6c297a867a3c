"""How long a site is without a writer after its replica was killed, or asked to end.

    PYTHONPATH=.:benchmarks python benchmarks/kube/takeover.py [--kills N] [--ends N] [--pairs N]

Pairs of replicas, each with a site, share a real API server; their leases last as long as those of an operator. They
are processes without an operator that write all the time, as far as the fence lets them: the lease is measured alone.
Exit code 1 if one take-over took longer than 20 seconds, unless others used much of the machine.
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
from datetime import UTC, datetime
from pathlib import Path

from kube.results import OTHERS
from run import progress, spread

from reconciler.operator.replicas.leases import REPLICA, USUAL, boottime
from tests.kubernetes.cluster import MISSING, ROOT, Cluster

WANTED = 20.0


class Pair:
    """Two replicas and their site."""

    def __init__(self, cluster: Cluster, folder: Path, number: int) -> None:
        self._user = cluster.user(f"pair-{number}", "system:masters")
        self._site = f"site-{number}"
        self._namespace = f"pair-{number}"
        self._file = folder / self._site
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._namespace}}
        self._user.request("POST", "/api/v1/namespaces", manifest)
        self._started: dict[str, datetime] = {}
        self._running = {name: self._start(name) for name in ("a", "b")}

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        self._started[name] = datetime.now(UTC)
        line = ["-m", "tests.kubernetes.writer", self._user.kubeconfig, self._namespace, name, self._file, self._site]
        return subprocess.Popen(
            [sys.executable, *map(str, line), str(USUAL.lasts)], env=os.environ | {"PYTHONPATH": str(ROOT)}
        )

    def taken_over(self, number: signal.Signals) -> float:
        """End the replica that writes; return the seconds until the other one does, and start the first one anew."""
        while not all(self._lives(name) for name in self._running):
            time.sleep(0.1)
        time.sleep(2 * USUAL.every)  # both know each other, and the site is with whom it should be
        began = boottime()
        writer = next(name for at, name in self._next(began) if at > began)
        ended = boottime()
        self._running[writer].send_signal(number)
        self._running[writer].wait()
        found = next(at for at, name in self._next(ended) if name != writer)
        self._running[writer] = self._start(writer)
        return found - ended

    def _lives(self, name: str) -> bool:
        where = f"/apis/coordination.k8s.io/v1/namespaces/{self._namespace}/leases/{REPLICA}{name}"
        status, found = self._user.request("GET", where)
        return status == 200 and datetime.fromisoformat(found["spec"]["renewTime"]) > self._started[name]

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
    if max(killed, default=0.0) <= WANTED:
        return 0
    if not OTHERS.few():
        print(f"NOT JUDGED, as others used {100 * OTHERS.share():.0f} % of the machine meanwhile")
    return int(OTHERS.few())


if __name__ == "__main__":
    sys.exit(main())
