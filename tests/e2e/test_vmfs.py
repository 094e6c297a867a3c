"""Datastores whose files are open on one host at a time, as on VMFS: hosts wait for each other, nothing is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.model.diff import Op
from tests.e2e.site import SEED, LabSite, assert_in_sync, statuses


@pytest.fixture
def vmfs(tmp_path: Path) -> Iterator[LabSite]:
    """The site in sync, on such a datastore."""
    made = LabSite(tmp_path, vmfs_locks=True)
    assert set(statuses(made.reconcile()).values()) == {"created", "configured"}
    yield made
    assert made.broken_rules() == []


def test_the_whole_job(vmfs: LabSite) -> None:
    assert_in_sync(vmfs)
    vmfs.write(SEED.replace("5GB", "6GB"))
    assert statuses(vmfs.reconcile())["vmgroup/MYVMGROUP"] == "configured"
    assert_in_sync(vmfs)


def test_a_db_that_another_host_has_open_is_unknown_and_not_changed(vmfs: LabSite, impatient: None) -> None:
    vmfs.write(SEED.replace("5GB", "6GB"))
    before = vmfs.db.read_bytes()
    reader = vmfs.change("configdb/shared")
    assert reader.op is Op.KEEP
    with vmfs.program_on("esxiz99").open(vmfs.db, "rb"):
        outcome = vmfs.reconcile()
        (change,) = [change for change in outcome.before.diff.changes if str(change.ref) == "configdb/shared"]
        assert (change.op, "locked by another host" in change.reason) == (Op.UNKNOWN, True)
        assert statuses(outcome)["vmgroup/MYVMGROUP"] == "failed"
    assert vmfs.db.read_bytes() == before
    assert [path.name for path in vmfs.db.parent.iterdir()] == [vmfs.db.name]
    assert statuses(vmfs.reconcile())["vmgroup/MYVMGROUP"] == "configured"


def test_a_db_that_another_host_has_open_for_a_moment_is_waited_for(vmfs: LabSite) -> None:
    """vDVS of another host opens it again and again; every open of ours that meets one is tried again."""
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                with vmfs.program_on("esxiz99").open(vmfs.db, "rb"):
                    stop.wait(0.02)
            except OSError:  # ours have it open
                pass
            stop.wait(0.02)

    service = threading.Thread(target=serve)
    service.start()
    try:
        for quota in (6, 7, 8):
            vmfs.write(SEED.replace("5GB", f"{quota}GB"))
            assert statuses(vmfs.reconcile())["vmgroup/MYVMGROUP"] == "configured"
            assert vmfs.sql("SELECT usage_quota FROM privileges") == [(quota * 1024,)]
    finally:
        stop.set()
        service.join()
