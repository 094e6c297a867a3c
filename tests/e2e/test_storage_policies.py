"""Storage policies on a lab with vSAN: real agents, real files."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from reconciler.execution.survey import Survey, still_differs, survey
from reconciler.loader import load
from reconciler.model.diff import Op
from reconciler.model.kinds.storagepolicy import DesiredStoragePolicy
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.plan import HEAL
from reconciler.render.manifests import manifests_text
from reconciler.wiring.world import open_world
from tests.e2e.site import GOLD, SEED, LabSite, Nobody, assert_in_sync, statuses

CONTENT = '(("hostFailuresToTolerate" i1)("forceProvisioning" i1))'
TEAM = Applying("team", Stamp("ann@ws"))
PRUNING = Applying("team", Stamp("ann@ws"), prune=True)


@pytest.fixture
def site(tmp_path: Path) -> LabSite:
    made = LabSite(tmp_path, vsan=True)
    made.write(SEED + GOLD)
    return made


@pytest.fixture
def gold(site: LabSite) -> Path:
    """The file of the policy, applied by the set `team`."""
    site.reconcile(applying=TEAM)
    return site.vsan / "dockvols/policies/gold"


def volume(site: LabSite, name: str, policy: str) -> None:
    """A volume that vDVS made with this policy."""
    folder = site.vsan / "dockvols/11111111-1111-1111-1111-111111111111"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.vmdk").write_text(f'sidecars = "{name}_1,{name}-4b88db79.vmfd"\n')
    metadata = json.dumps({"status": "detached", "volOpts": {"size": "1gb", "vsan-policy-name": policy}})
    (folder / f"{name}-4b88db79.vmfd").write_text(metadata.ljust(4095) + "\n")


def test_a_policy_is_written_as_vdvs_of_vmware_writes_it(site: LabSite) -> None:
    outcome = site.reconcile()
    assert statuses(outcome)["storagepolicy/gold"] == "created"
    assert (site.vsan / "dockvols/policies/gold").read_text() == CONTENT + "\n"
    assert [path.name for path in (site.vsan / "dockvols/policies").iterdir()] == ["gold"]
    assert_in_sync(site)


def test_it_needs_no_config_db(site: LabSite) -> None:
    site.write(GOLD)
    assert statuses(site.reconcile())["storagepolicy/gold"] == "created"
    assert_in_sync(site)


def test_without_vsan_it_is_blocked_and_the_rest_goes_on(tmp_path: Path) -> None:
    site = LabSite(tmp_path)
    site.write(SEED + GOLD)
    outcome = site.reconcile()
    assert statuses(outcome)["storagepolicy/gold"] == "blocked"
    assert statuses(outcome)["vmgroup/MYVMGROUP"] == "created"
    assert "no datastore of type vsan" in site.change("storagepolicy/gold").reason


def test_an_edit_by_hand_is_healed_if_it_was_applied_before(site: LabSite, gold: Path) -> None:
    gold.write_text("anything\n")
    assert statuses(site.reconcile(HEAL))["storagepolicy/gold"] == "configured"
    assert gold.read_text() == CONTENT + "\n"


def test_volumes_that_use_it_are_told_of_and_not_touched(site: LabSite, gold: Path) -> None:
    volume(site, "web", "gold")
    before = {path.name: path.read_bytes() for path in (site.vsan / "dockvols").rglob("web*")}
    site.write(SEED + GOLD.replace('Tolerate" i1', 'Tolerate" i2'))
    change = site.change("storagepolicy/gold")
    assert change.op is Op.UPDATE
    assert "1 volume uses it; apply writes the file, which only new volumes follow" in change.notes[0]
    site.reconcile()
    assert "i2" in gold.read_text()
    assert {path.name: path.read_bytes() for path in (site.vsan / "dockvols").rglob("web*")} == before


def test_it_is_pruned_by_the_set_that_applied_it(site: LabSite, gold: Path) -> None:
    site.write(SEED)
    assert site.change("storagepolicy/gold").op is Op.UNMANAGED
    assert "storagepolicy/gold" not in statuses(site.reconcile(applying=Applying("other", Stamp("bob"), prune=True)))
    assert gold.exists()
    assert statuses(site.reconcile(applying=PRUNING))["storagepolicy/gold"] == "pruned"
    assert not gold.exists()
    assert site.sql("SELECT count(*) FROM vdvs_objects WHERE object LIKE 'storagepolicy/%'") == [(0,)]
    assert_in_sync(site)


def test_it_is_not_pruned_while_a_volume_uses_it(site: LabSite, gold: Path) -> None:
    volume(site, "web", "gold")
    site.write(SEED)
    assert statuses(site.reconcile(applying=PRUNING))["storagepolicy/gold"] == "blocked"
    assert gold.exists()


def test_it_is_not_pruned_while_it_cannot_be_told_who_uses_it(site: LabSite, gold: Path) -> None:
    volume(site, "web", "silver")
    next((site.vsan / "dockvols").rglob("web*.vmfd")).write_text("{")
    site.write(SEED)
    found = next(change for change in site.reconcile(applying=PRUNING).before.diff.changes if "gold" in change.ref.name)
    assert found.op is Op.BLOCKED
    assert "the metadata of 11111111-1111-1111-1111-111111111111/web cannot be read" in found.reason
    assert gold.exists()


def test_a_folder_that_is_a_link_makes_it_unknown_and_nothing_is_written_there(site: LabSite, gold: Path) -> None:
    elsewhere = site.vsan / "dockvols/elsewhere"
    gold.parent.rename(elsewhere)
    gold.parent.symlink_to("elsewhere")
    (elsewhere / "gold").unlink()
    assert statuses(site.reconcile())["storagepolicy/gold"] == "failed"
    assert site.change("storagepolicy/gold").op is Op.UNKNOWN
    assert list(elsewhere.iterdir()) == []


def test_what_is_exported_is_in_sync(site: LabSite) -> None:
    folder = site.vsan / "dockvols/policies"
    folder.mkdir(parents=True)
    (folder / "gold").write_text(CONTENT + "\n")
    (folder / "Gold_2").write_text(CONTENT)
    (folder / "typo").write_text('(("hostFailuresToTolarate" i1))\n')
    declared = load([str(site.manifests / "site.yaml")]).desired
    way = declared.site
    assert way is not None

    async def look() -> Survey:
        async with open_world(way, Nobody()) as world:
            return await survey(declared, world.inventory, world.hosts, Nobody())

    found = asyncio.run(look())
    text = manifests_text(found.adopted.manifests)
    exported = site.folder / "exported.yaml"
    exported.write_text(text)
    desired = load([str(exported)]).desired
    assert {policy.name: policy.content for policy in desired.files_of(DesiredStoragePolicy)} == {
        "gold": CONTENT,
        "Gold_2": CONTENT,
    }
    assert [str(change.ref) for change in still_differs(desired, found)] == []
    assert [left.ref.name for left in found.adopted.left_out if left.ref.kind == "StoragePolicy"] == ["typo"]
