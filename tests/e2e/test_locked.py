"""Another writer holds the lock on the config DB, on the host that we write through or on another: it is waited for;
when it takes too long, nothing is changed, and it is said why.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.model.diff import Op
from tests.e2e.site import SEED, LabSite, assert_in_sync, statuses

HOSTS = ["esxiz10", "esxiz20"]


@pytest.fixture(params=HOSTS)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> LabSite:
    """In sync, with locks of VMFS; the manifests know one host, so that is the one that looks and writes."""
    made = LabSite(tmp_path, vmfs_locks=True)
    made.reconcile()
    (unknown,) = set(HOSTS) - {request.param}
    (made.manifests / f"host-{unknown}.yaml").unlink()
    made.write(SEED.replace("5GB", "6GB"))
    return made


@contextmanager
def locked(site: LabSite, host: str, how: str) -> Iterator[sqlite3.Connection]:
    """A transaction of a program on that host: IMMEDIATE lets others of its host read, EXCLUSIVE does not."""
    connection = site.program_on(host).connect(str(site.db), isolation_level=None, check_same_thread=False)
    connection.execute(f"BEGIN {how}")
    connection.execute("UPDATE tenants SET description = 'by another writer'")
    try:
        yield connection
    finally:
        connection.close()


@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
@pytest.mark.parametrize("holder", HOSTS)
def test_a_writer_that_does_not_end_is_told_and_changes_nothing(
    site: LabSite, holder: str, how: str, impatient: None
) -> None:
    before = site.db.read_bytes()
    with locked(site, holder, how):
        outcome = site.reconcile()
        (group,) = [found for found in outcome.objects if str(found.ref) == "vmgroup/MYVMGROUP"]
        (db,) = [change for change in outcome.before.diff.changes if str(change.ref) == "configdb/shared"]
        assert group.status == "failed"
        ours = (site.manifests / f"host-{holder}.yaml").exists()
        assert ("another writer holds the lock" if ours else "locked by another host") in group.detail
        assert db.op in (Op.UNKNOWN, Op.KEEP)
    assert site.db.read_bytes() == before
    assert [path.name for path in site.db.parent.iterdir()] == [site.db.name]
    assert statuses(site.reconcile())["vmgroup/MYVMGROUP"] == "configured"
    assert_in_sync(site)


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
@pytest.mark.parametrize("holder", HOSTS)
def test_a_writer_that_ends_is_waited_for_and_not_overwritten(site: LabSite, holder: str, how: str, end: str) -> None:
    with locked(site, holder, how) as other:
        timer = threading.Timer(0.4, lambda: (other.execute(end), other.close()))
        timer.start()
        assert statuses(site.reconcile())["vmgroup/MYVMGROUP"] == "configured"
        timer.join()
    kept = "by another writer" if end == "COMMIT" else ""
    assert site.sql("SELECT description, usage_quota FROM tenants JOIN privileges") == [(kept, 6144)]
    assert_in_sync(site)
