"""Which host reads a shared config DB, from one run to the next."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.execution.witness import EVERY
from reconciler.hosts import wire
from reconciler.loader import load
from reconciler.model.kinds.configdb import ObservedConfigDB
from reconciler.model.kinds.site import Site
from reconciler.model.outcome import Assessment
from reconciler.reconcile import assess
from reconciler.wiring.world import open_world
from tests.e2e.site import LabSite, Nobody

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


def test_a_host_that_only_confirms_what_another_one_read_keeps_no_rows(site: LabSite) -> None:
    """They were kept for good: those of one more host with every tenth look, of thousands in the end."""
    site.reconcile()
    desired = load([str(site.manifests)], site=str(site.site_file)).desired
    assert desired.site is not None

    def alive() -> int:
        """The rows of how many readings there are."""
        gc.collect()
        return len({id(each.tenants) for each in gc.get_objects() if isinstance(each, ObservedConfigDB)})

    async def kept(of: Site) -> int:
        async with open_world(of, Nobody()) as world:
            last = [await assess(desired, world) for _ in range(EVERY + 1)][-1]
            assert last.observed.hosts.keys() == {ONE, OTHER}
            return alive()

    before = alive()
    assert asyncio.run(kept(desired.site)) == before + 1


def test_a_diff_is_made_once_while_hosts_take_turns(site: LabSite) -> None:
    """What a look works out is kept while nothing changes, whichever host reads what."""
    site.reconcile()
    desired = load([str(site.manifests)], site=str(site.site_file)).desired
    where = desired.site
    assert where is not None

    async def looks() -> list[Assessment]:
        async with open_world(where, Nobody()) as world:
            return [await assess(desired, world) for _ in range(2 * EVERY + 2)]

    found = asyncio.run(looks())
    assert len({one.read_from for each in found for one in each.observed.datastores.values()}) > 1
    assert all(each.diff is found[0].diff for each in found)
