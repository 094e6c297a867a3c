"""Which host reads a shared config DB, from one run to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.hosts import wire
from tests.e2e.site import LabSite

ONE, OTHER = "esxiz10", "esxiz20"


def test_each_run_reads_it_through_one_host_whoever_has_the_turn(
    site: LabSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first host is asked while the manifests are read, but not where another one has the turn."""
    site.reconcile()
    read: list[str] = []

    def noted(host: str, *about: Any, really: Callable[..., Any] = wire.config_db) -> Any:
        read.append(host)
        return really(host, *about)

    monkeypatch.setattr(wire, "config_db", noted)
    runs = []
    for _ in range(4):
        read.clear()
        found = CliRunner().invoke(cli, ["diff", "-f", str(site.manifests)], catch_exceptions=False, prog_name="vdvs")
        assert found.exit_code == 0, found.output
        runs.append(list(read))
    assert runs == [[OTHER], [ONE], [OTHER], [ONE]]  # the apply before them had the first turn
