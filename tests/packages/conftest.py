"""A release, built once for all tests."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from tests.packages.building import release_in


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder with what `make release` builds, shared by all processes of the tests."""
    base = tmp_path_factory.getbasetemp()
    made = (base if worker_id == "master" else base.parent) / "release"
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "SHA256SUMS").exists():
            release_in(made)
    return made
