"""End to end: the seed's site, before anything was done and in sync."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.hosts import wire
from tests.e2e.site import LabSite, statuses


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LabSite]:
    """The seed's site before anything was done; its config DB keeps the rules of vDVS at the end of every scenario."""
    made = LabSite(tmp_path)
    monkeypatch.setenv("VDVS_SITE", str(made.site_file))
    yield made
    assert made.broken_rules() == []


@pytest.fixture
def applied(site: LabSite) -> LabSite:
    """The same site, in sync."""
    assert set(statuses(site.reconcile()).values()) == {"created", "configured"}
    return site


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents wait a moment for a lock, and not ten seconds."""
    for name in ("question", "transaction"):
        really = getattr(wire, name)
        monkeypatch.setattr(wire, name, lambda *about, really=really: {**really(*about), "deadline": 0.2})
