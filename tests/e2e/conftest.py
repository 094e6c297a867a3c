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


@pytest.fixture(scope="session")
def lab_in_sync(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab that is as the seed says. It is copied: the agents of an apply take longer than most tests."""
    made = LabSite(tmp_path_factory.mktemp("in-sync"))
    assert set(statuses(made.reconcile()).values()) == {"created", "configured"}
    return made.lab


@pytest.fixture
def applied(site: LabSite, lab_in_sync: Path) -> LabSite:
    """The same site, in sync."""
    site.replace_lab(lab_in_sync)
    return site


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents wait a moment for a lock, and not ten seconds."""
    for name in ("question", "transaction"):
        really = getattr(wire, name)
        monkeypatch.setattr(wire, name, lambda *about, really=really: {**really(*about), "deadline": 0.2})
