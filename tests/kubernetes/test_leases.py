"""Leases on a real API server: replicas that are processes are killed, frozen and cut off while they write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from reconciler.operator.replicas.leases import REPLICA, SITE, boottime
from reconciler.operator.replicas.shards import owner
from tests.kubernetes.cluster import ROOT, Cluster
from tests.kubernetes.operators import eventually

LASTS = 4.0  # seconds; 15 in an operator
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
X = next(f"x{number}" for number in range(9) if owner(f"x{number}", ("a", "b")) == "a")


class Writer:
    """A replica that writes to its sites all the time."""

    def __init__(self, cluster: Cluster, name: str, file: Path, sites: tuple[str, ...]) -> None:
        self.name = name
        self.file = file
        line = [sys.executable, "-m", "tests.kubernetes.writer", str(cluster.admin.kubeconfig), "default", name]
        self.process = subprocess.Popen([*line, str(file), ",".join(sites), str(LASTS)], env=environment())

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.send(number)
        return self.process.wait(30)

    def noted(self, what: str) -> int:
        """Return how often it noted that."""
        return len([line for line in lines(self.file) if line[1:3] == [what, self.name]])


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


def lines(file: Path) -> list[list[str]]:
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def writers(file: Path) -> list[str]:
    """Return who wrote, one after the other: a name again means that another wrote in between."""
    return [name for name, _ in groupby(line[2] for line in lines(file) if line[1] == "wrote")]


Start = Callable[..., Writer]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "writes"


@pytest.fixture
def start(cluster: Cluster, file: Path) -> Iterator[Start]:
    """Start a writer; all are ended, and no lease is left."""
    started: list[Writer] = []

    def begin(name: str, *sites: str) -> Writer:
        started.append(Writer(cluster, name, file, sites or (X,)))
        return started[-1]

    yield begin
    for writer in started:
        if writer.process.poll() is None:
            writer.send(signal.SIGCONT)
            writer.end(signal.SIGKILL)
    cluster.admin.request("DELETE", LEASES)


def writes_more(writer: Writer) -> None:
    """Wait until it has written once more."""
    before = writer.noted("wrote")
    eventually(lambda: writer.noted("wrote") > before, f"{writer.name} does not write")


def lease(cluster: Cluster, name: str) -> Any:
    status, found = cluster.admin.request("GET", f"{LEASES}/{name}")
    return found["spec"] if status == 200 else None


def test_the_site_of_a_killed_replica_is_taken_over(cluster: Cluster, start: Start, file: Path) -> None:
    first, second = start("a"), start("b")
    writes_more(first)
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    writes_more(second)
    assert writers(file)[-2:] == ["a", "b"]
    assert lease(cluster, SITE + X)["holderIdentity"] == "b"
    assert second.end() == 0
    assert lease(cluster, SITE + X).get("holderIdentity") is None
    assert lease(cluster, REPLICA + "b") is None


def test_a_frozen_replica_that_wakes_after_its_lease_writes_nothing_until_it_is_handed_over(
    start: Start, file: Path
) -> None:
    first = start("a")
    writes_more(first)
    second = start("b")
    first.send(signal.SIGSTOP)
    writes_more(second)
    before, refused = first.noted("wrote"), first.noted("refused")
    first.send(signal.SIGCONT)
    eventually(lambda: first.noted("refused") > refused, "what was frozen in a pass does not try to go on")
    woke = next(line for line in lines(file)[::-1] if line[1:3] == ["refused", "a"])
    writes_more(first)  # it should have the site, and is given it
    later = [line for line in lines(file) if line[2] == "a" and line[1] == "wrote"][before:]
    assert all(float(line[0]) > float(woke[0]) for line in later)
    assert writers(file) == ["a", "b", "a"]


@pytest.mark.slow
def test_nobody_writes_while_the_api_server_does_not_answer(cluster: Cluster, start: Start, file: Path) -> None:
    first = start("a")
    writes_more(first)
    refused = first.noted("refused")
    cluster.send("kube-apiserver", signal.SIGSTOP)
    try:
        eventually(lambda: first.noted("refused") > refused, "it goes on writing without a lease")
    finally:
        (*_, last) = lines(file)
        answering = boottime()
        cluster.send("kube-apiserver", signal.SIGCONT)
    writes_more(first)
    assert not [line for line in lines(file) if line[1] == "wrote" and float(last[0]) < float(line[0]) < answering]


@pytest.mark.slow
def test_sites_are_handed_over_when_replicas_come_and_go(start: Start, file: Path) -> None:
    sites = tuple(f"y{number}" for number in range(6))
    of_b = {site for site in sites if owner(site, ("a", "b")) == "b"}
    first = start("a", *sites)

    def written_by(writer: Writer) -> set[str]:
        last: dict[str, str] = {line[3]: line[2] for line in lines(file) if line[1] == "wrote"}
        return {site for site, name in last.items() if name == writer.name}

    eventually(lambda: written_by(first) == set(sites), "a does not write to all")
    second = start("b", *sites)
    eventually(lambda: written_by(second) == of_b, "b is not given its sites")
    assert second.end() == 0
    eventually(lambda: written_by(first) == set(sites), "a is not given them back")
    for site in sites:
        names = [name for name, _ in groupby(line[2] for line in lines(file) if line[1] == "wrote" and line[3] == site)]
        assert names == (["a", "b", "a"] if site in of_b else ["a"])
