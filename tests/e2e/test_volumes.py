"""Volumes on a lab: what vDVS wrote about them, and the one thing in it that vdvs changes."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.execution.survey import Survey, still_differs, survey
from reconciler.loader import load
from reconciler.model.base import Risk
from reconciler.model.diff import Op
from reconciler.model.kinds.volume import DesiredVolume
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.plan import HEAL
from reconciler.render.manifests import manifests_text
from reconciler.wiring.world import open_world
from tests.e2e.site import SEED, WEB, LabSite, Nobody, assert_in_sync, statuses
from tests.e2e.test_saved_plans import vdvs
from tests.render import schemas

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
    folder: Path = site.datastore / "dockvols" / uuid
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


def test_a_vm_that_has_it_attached_is_named_and_keeps_it_as_it_is(site: LabSite) -> None:
    side = volume(site, {**METADATA, "status": "attached", "attachedVMName": "photon-01"})
    (note,) = site.change(NAME).notes
    assert note == (
        "it is read-only from when it is attached next; VM photon-01, which has it attached now, keeps it as it is"
        " until then"
    )
    site.reconcile()
    assert json.loads(side.read_text())["attachedVMName"] == "photon-01"


def test_what_was_in_the_file_is_kept_outside_of_the_folder_of_the_vmgroup(site: LabSite) -> None:
    side = volume(site)
    before = side.read_bytes()
    site.reconcile()
    kept = site.datastore / "dockvols/.vdvs-backups" / side.parent.name
    assert [path.read_bytes() for path in kept.iterdir()] == [before]


def test_read_only_is_healed_and_read_write_is_not_unless_it_is_applied(site: LabSite) -> None:
    side = volume(site)
    site.reconcile(applying=TEAM)
    side.write_text(side.read_text().replace("read-only", "read-write"))
    assert statuses(site.reconcile(HEAL))[NAME] == "configured"
    assert "read-only" in side.read_text()
    site.write(SEED + WEB.replace("read-only", "read-write"))
    assert site.change(NAME).risk is Risk.WIDENS
    assert NAME in {str(held.ref) for held in site.reconcile(HEAL).plan.withheld}
    assert "read-only" in side.read_text()
    assert statuses(site.reconcile())[NAME] == "configured"
    assert "read-only" not in side.read_text()
    assert_in_sync(site)


def test_without_its_manifest_it_is_forgotten_by_who_prunes_and_stays_as_it_is(site: LabSite) -> None:
    side = volume(site)
    site.reconcile(applying=TEAM)
    records = "SELECT count(*) FROM vdvs_objects WHERE object LIKE 'volume/%'"
    assert site.sql(records) == [(1,)]
    after = side.read_bytes()
    site.write(SEED)
    assert_in_sync(site)
    site.reconcile(applying=Applying("other", Stamp("bob@ws"), prune=True))
    assert site.sql(records) == [(1,)]
    site.reconcile(applying=replace(TEAM, prune=True))
    assert site.sql(records) == [(0,)]
    assert side.read_bytes() == after


def test_a_rename_of_its_vmgroup_takes_it_along(site: LabSite) -> None:
    volume(site)
    site.reconcile(applying=TEAM)
    renamed = (SEED + WEB).replace("  name: MYVMGROUP\n", "  name: NEW\n  previousNames: [MYVMGROUP]\n")
    site.write(renamed.replace("vmgroup: MYVMGROUP", "vmgroup: NEW"))
    assert site.change("volume/NEW/web@SHARED-Datastore").op is Op.KEEP
    site.reconcile(applying=TEAM)
    assert_in_sync(site)
    assert site.sql("SELECT count(*) FROM vdvs_objects WHERE object LIKE 'volume/%'") == [(1,)]


def test_what_another_host_has_open_is_unknown_and_not_written(tmp_path: Path) -> None:
    site = LabSite(tmp_path, vmfs_locks=True)
    site.reconcile()
    site.write(SEED + WEB)
    side = volume(site)
    before = side.read_bytes()
    with site.program_on("esxiz30").open(side, "r+"):
        assert statuses(site.reconcile())[NAME] == "failed"
        assert site.change(NAME).op is Op.UNKNOWN
    assert side.read_bytes() == before
    assert statuses(site.reconcile())[NAME] == "configured"


def test_a_read_only_volume_is_exported_and_then_in_sync(site: LabSite) -> None:
    side = volume(site)
    site.reconcile()
    (side.parent / "Rw.vmdk").write_text((side.parent / "web.vmdk").read_text().replace("web", "Rw"))
    (side.parent / side.name.replace("web", "Rw")).write_text("{}")
    (side.parent / "torn.vmdk").write_text((side.parent / "web.vmdk").read_text().replace("web", "torn"))
    (side.parent / side.name.replace("web", "torn")).write_text("{")
    declared = load([str(site.manifests / "site.yaml")]).desired

    async def look() -> Survey:
        assert declared.site is not None
        async with open_world(declared.site, Nobody()) as world:
            return await survey(declared, world.inventory, world.hosts, Nobody())

    found = asyncio.run(look())
    exported = site.folder / "exported.yaml"
    exported.write_text(manifests_text(found.adopted.manifests))
    desired = load([str(exported)]).desired
    assert [(str(volume.ref), volume.access) for volume in desired.files_of(DesiredVolume)] == [(NAME, "read-only")]
    assert [str(change.ref) for change in still_differs(desired, found)] == []
    assert [left.ref.name for left in found.adopted.left_out if left.unread] == ["MYVMGROUP/torn@SHARED-Datastore"]


def test_a_saved_plan_refuses_when_the_metadata_have_changed_since(site: LabSite) -> None:
    side = volume(site)
    file = site.folder / "change.plan"
    made = vdvs("plan", "-f", str(site.manifests), "--out", str(file))
    assert made.exit_code == 0, made.output
    side.write_text(side.read_text().replace("1gb", "2gb"))
    before = side.read_bytes()
    refused = vdvs("apply", "--plan", str(file), "--site", str(site.site_file))
    assert (refused.exit_code, "nothing was written" in refused.stderr) == (3, True), refused.output
    assert side.read_bytes() == before


def test_it_is_shown_as_its_schema_says(site: LabSite) -> None:
    volume(site)
    listed = vdvs("get", "volumes", "-f", str(site.manifests), "-o", "json")
    schemas.check("get", json.loads(listed.stdout))
    described = vdvs("describe", "volume", "web@SHARED-Datastore", "-f", str(site.manifests), "-o", "json")
    schemas.check("describe", json.loads(described.stdout))
    assert json.loads(listed.stdout)["items"][0]["access"] == "read-write"
