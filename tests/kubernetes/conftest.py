"""One API server for all tests of a worker. Without its binaries they are skipped; in CI, they fail."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.kubernetes.cluster import MISSING, Cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if MISSING:
        reason = f"{', '.join(MISSING)} missing: run `make peers`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    made = Cluster(tmp_path_factory.mktemp("kubernetes") / "cluster")
    try:
        made.start()
        yield made
    finally:
        made.stop()
