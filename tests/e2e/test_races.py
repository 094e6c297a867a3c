"""Other writers and other vdvs at the same moment: nothing lost, nothing broken, and the next apply finishes."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.agent.db.checks.rules import violations
from tests.e2e.site import SEED, LabSite, assert_in_sync, statuses


def start_apply(site: LabSite) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "reconciler", "apply", "-f", str(site.manifests)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )


def test_two_that_create_the_same_db_at_once_make_one(site: LabSite) -> None:
    for process in [start_apply(site) for _ in range(4)]:
        process.wait()
    assert site.broken_rules() == []
    assert site.sql("SELECT name FROM tenants") == [("MYVMGROUP",)]
    site.reconcile()
    assert_in_sync(site)


def test_a_vm_that_moves_is_in_a_vmgroup_at_every_moment(applied: LabSite) -> None:
    away = SEED.replace("[photon-01, photon-02]", "[photon-01]") + applied.vmgroup("other", "[photon-02]")
    back = SEED + applied.vmgroup("other")
    seen: list[int] = []
    stop = threading.Event()

    def look() -> None:
        with closing(sqlite3.connect(applied.db, timeout=30)) as reader:
            while not stop.is_set():
                seen.extend(reader.execute("SELECT COUNT(*) FROM vms WHERE vm_name = 'photon-02'").fetchone())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for text in (away, back, away, back):
            applied.write(text)
            assert "failed" not in statuses(applied.reconcile()).values()
    finally:
        stop.set()
        watcher.join()
    assert set(seen) == {1}


def test_a_change_by_hand_between_look_and_write_is_never_overwritten(
    applied: LabSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan is refused, a new one is made from what is there now, and it is told."""
    from reconciler import reconcile as module
    from reconciler.execution.executor import execute

    meddled = False

    async def meddle_first(*args: object, **kwargs: object) -> object:
        nonlocal meddled
        if not meddled:
            meddled = True
            applied.sql("UPDATE tenants SET description = 'by hand'")
        return await execute(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "execute", meddle_first)
    applied.write(SEED.replace("5GB", "6GB"))
    outcome = applied.reconcile()
    assert len(outcome.replanned) == 1
    assert statuses(outcome)["vmgroup/MYVMGROUP"] == "configured"
    assert applied.sql("SELECT description FROM tenants") == [("by hand",)]
    assert applied.sql("SELECT usage_quota FROM privileges") == [(6144,)]


def test_the_rules_are_checked_by_a_function_that_can_fail(applied: LabSite) -> None:
    with closing(sqlite3.connect(applied.db)) as connection:
        connection.execute("UPDATE tenants SET description = NULL")
        assert [violation.sentence for violation in violations(connection)]
        connection.rollback()


def test_interrupted_it_waits_for_what_is_being_written(site: LabSite) -> None:
    """One host is still saving its state when the other is done: Ctrl-C must not end the agent in the middle of it."""
    (site.root("esxiz10") / ".lab" / "saves-slowly").touch()
    apply = start_apply(site)
    while not any((site.root("esxiz10") / "bootbank").glob(".saving.*")):
        assert apply.poll() is None
        time.sleep(0.001)
    apply.send_signal(signal.SIGINT)
    assert apply.wait() == 130
    assert not (site.link("esxiz10").parent / ".vdvs-unsaved").exists()
