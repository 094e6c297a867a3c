"""End to end: the seed's site, before anything was done and in sync."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.site import LabSite, statuses


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LabSite]:
    """The seed's site before anything was done; its config DB keeps the rules of vDVS at the end of every scenario."""
    made = LabSite(tmp_path)
    yield made
    assert made.broken_rules() == []


@pytest.fixture
def applied(site: LabSite) -> LabSite:
    """The same site, in sync."""
    assert set(statuses(site.reconcile()).values()) == {"created", "configured"}
    return site
