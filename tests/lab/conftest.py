"""Fixtures: a lab of the walk-through, and one of its hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler import lab
from tests.lab.world import Host


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A lab of the walk-through."""
    place = tmp_path / "around" / "lab"
    lab.create(place)
    return place


@pytest.fixture
def host(directory: Path) -> Host:
    """A host without the driver."""
    return Host(directory, "esxiz10")


@pytest.fixture
def driven(host: Host) -> Host:
    """A host with the driver installed and its service running."""
    host.install()
    return host
