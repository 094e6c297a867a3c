"""A site that changes between the look and the write: the new plan is shown before it is carried out."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler import reconcile
from reconciler.execution.executor import execute as really_execute
from tests.cli.conftest import Folder


@pytest.fixture
def meddling(applied: Folder, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """The limit in the manifests is another one, and twice somebody writes a description before us."""
    times = 0

    async def execute(*arguments: Any) -> Any:
        nonlocal times
        times += 1
        if times <= 2:
            applied.sql(f"UPDATE tenants SET description = 'by hand {times}'")
        return await really_execute(*arguments)

    monkeypatch.setattr(reconcile, "execute", execute)
    applied.edit("vmgroup.yaml", "volumeTotalSize: 5GB", "volumeTotalSize: 6GB")
    return applied


def test_every_plan_is_shown_on_standard_error(meddling: Folder) -> None:
    done = meddling.vdvs("apply", "-f", "manifests")
    assert done.exit_code == 0
    first, *again = done.stderr.split("The site has changed since; planned again:\n")
    assert first.startswith("This was planned:\n")
    assert len(again) == 2
    for plan in (first, *again):
        assert plan.count("volumeTotalSize") == 1
    assert "planned" not in done.stdout
    assert "1 configured" in done.stdout


def test_without_a_new_plan_nothing_is_shown(applied: Folder) -> None:
    applied.edit("vmgroup.yaml", "volumeTotalSize: 5GB", "volumeTotalSize: 6GB")
    assert applied.vdvs("apply", "-f", "manifests").stderr == ""
