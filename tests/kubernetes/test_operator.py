"""The operator from end to end: objects by kubectl, a real API server, and the lab's hosts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.operators import Lab, Operator, eventually, installed

WRITES = {"mode": "heal", "autoApply": ["safe", "restricts", "widens", "disrupts"], "interval": "5s"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("operator")


@pytest.fixture(scope="module")
def operator(cluster: Cluster, folder: Path) -> Iterator[Operator]:
    """One replica for all tests: each has a site and a namespace of its own."""
    installed(cluster)
    running = Operator(cluster.user("operator"), folder / "replica-1")
    yield running
    assert running.end() == 0, running.said()


def test_manifests_become_ready_and_drift_is_healed(cluster: Cluster, operator: Operator, folder: Path) -> None:
    lab = Lab(cluster, folder, "seed", reconcile=WRITES)
    lab.apply()
    lab.ready(operator)
    assert lab.limit() == 200
    lab.sql("UPDATE privileges SET max_volume_size = 999")
    eventually(lambda: lab.limit() == 200, "not healed", operator.said)
