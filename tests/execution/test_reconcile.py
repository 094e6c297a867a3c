"""A pass whose world moves between the look and the write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler import reconcile as module
from reconciler.execution.executor import execute as really_execute
from tests.e2e.site import SEED, LabSite, statuses

QUOTA = SEED.replace("5GB", "6GB")


@pytest.fixture
def site(tmp_path: Path) -> LabSite:
    """The seed's site, applied, and then a manifest that asks for a larger quota."""
    site = LabSite(tmp_path)
    site.reconcile()
    site.write(QUOTA)
    return site


@pytest.fixture
def before_each_write(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], object]], None]:
    """Let somebody do something between the look and the write, each time (counted from 1)."""

    def arrange(meddle: Callable[[int], object]) -> None:
        times = 0

        async def execute(*arguments: Any) -> Any:
            nonlocal times
            times += 1
            meddle(times)
            return await really_execute(*arguments)

        monkeypatch.setattr(module, "execute", execute)

    return arrange


def test_what_somebody_else_did_meanwhile_is_no_failure(site: LabSite, before_each_write: Any) -> None:
    before_each_write(lambda _: site.sql("UPDATE privileges SET usage_quota = 6144"))
    outcome = site.reconcile()
    assert "failed" not in statuses(outcome).values(), outcome.objects
    assert statuses(outcome)["vmgroup/MYVMGROUP"] == "configured"


def test_it_is_planned_anew_three_times(site: LabSite, before_each_write: Any) -> None:
    before_each_write(lambda time: site.sql(f"UPDATE tenants SET description = 'by hand {time}'") if time < 4 else None)
    outcome = site.reconcile()
    assert len(outcome.replanned) == 3
    assert statuses(outcome)["vmgroup/MYVMGROUP"] == "configured"
    assert site.sql("SELECT usage_quota FROM privileges") == [(6144,)]


def test_it_is_given_up_after_that(site: LabSite, before_each_write: Any) -> None:
    before_each_write(lambda time: site.sql(f"UPDATE tenants SET description = 'by hand {time}'"))
    outcome = site.reconcile()
    assert len(outcome.replanned) == 3
    assert statuses(outcome)["vmgroup/MYVMGROUP"] == "failed"
    assert site.sql("SELECT usage_quota FROM privileges") == [(5120,)]


def test_what_the_next_plan_leaves_out_is_judged_by_the_newest_look(site: LabSite, before_each_write: Any) -> None:
    """A host gets a config DB of its own under the first plan, while the shared one has to be planned anew."""
    site.link("esxiz10").unlink()

    def meddle(time: int) -> None:
        if time == 1:
            site.sql("UPDATE tenants SET description = 'by hand'")
            site.link("esxiz10").write_text("a config DB of this host's own")

    before_each_write(meddle)
    outcome = site.reconcile()
    assert statuses(outcome)["vmgroup/MYVMGROUP"] == "configured"
    assert statuses(outcome)["host/esxiz10"] == "blocked"
    assert site.link("esxiz10").read_text() == "a config DB of this host's own"
