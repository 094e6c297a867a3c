"""Volumes on a lab: what vDVS wrote about them, and the one thing in it that vdvs changes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.diff import Op
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.risk import Risk
from tests.e2e.site import SEED, WEB, LabSite, assert_in_sync, statuses

NAME = "volume/MYVMGROUP/web@SHARED-Datastore"
METADATA: dict[str, Any] = {
    "status": "detached",
    "created": "Mon Nov 23 20:15:00 2026",
    "volOpts": {"size": "1gb", "access": "read-write", "fstype": "ext4"},
    "created-by": "photon-01",
}
TEAM = Applying("team", Stamp("ann@ws"))


def volume(site: LabSite, metadata: dict[str, Any] | None = None) -> Path:
    """The volume `web` of MYVMGROUP, as vDVS makes one; the file with its metadata."""
    ((uuid,),) = site.sql("SELECT id FROM tenants WHERE name = 'MYVMGROUP'")
    folder = site.datastore / "dockvols" / uuid
    folder.mkdir(exist_ok=True)
    if not os.path.lexists(link := site.datastore / "dockvols/MYVMGROUP"):
        link.symlink_to(f"/vmfs/volumes/{site.datastore.name}/dockvols/{uuid}")
    (folder / "web.vmdk").write_text('ddb.sidecars = "web_1,web-4b88db79778570b6.vmfd"\n')
    side = folder / "web-4b88db79778570b6.vmfd"
    side.write_text(json.dumps(METADATA if metadata is None else metadata).ljust(4095) + "\n")
    return side


@pytest.fixture
def site(tmp_path: Path) -> LabSite:
    made = LabSite(tmp_path)
    made.reconcile(applying=TEAM)
    made.write(SEED + WEB)
    return made


def test_its_access_is_changed_and_nothing_else(site: LabSite) -> None:
    side = volume(site)
    side.chmod(0o640)
    change = site.change(NAME)
    assert (change.op, change.risk) == (Op.UPDATE, Risk.RESTRICTS)
    assert statuses(site.reconcile())[NAME] == "configured"
    wanted = {**METADATA, "volOpts": {**METADATA["volOpts"], "access": "read-only"}}
    assert side.read_text() == json.dumps(wanted).ljust(4095) + "\n"
    assert side.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in side.parent.iterdir()) == ["web-4b88db79778570b6.vmfd", "web.vmdk"]
    assert_in_sync(site)


def test_a_volume_that_is_not_there_is_blocked_and_the_rest_goes_on(site: LabSite) -> None:
    site.write(SEED + WEB + site.vmgroup("other"))
    outcome = site.reconcile()
    assert statuses(outcome)[NAME] == "blocked"
    assert statuses(outcome)["vmgroup/other"] == "created"
    assert "`docker volume create` makes it" in site.change(NAME).reason
