"""Whoever can write the config DB, or push to the manifests, keeps nothing that was added to what was applied."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.controller.narrowing import narrowed
from reconciler.controller.transitions import MOST_UNDECLARED, Look, transitions
from reconciler.lab.breakage import break_lab
from reconciler.loader import load
from reconciler.model.base import Risk
from reconciler.model.diff import Op
from reconciler.model.events import EventKind
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.plan import HEAL
from reconciler.model.refs import DEFAULT_VMGROUP_UUID
from reconciler.planning.conditions import conditions
from tests.controller.daemon import Daemon, execute
from tests.e2e.site import SEED, SERVICE, VIB, LabSite

TEAM = Applying("team", Stamp("ann@ws"))
LIMITS = (
    "SELECT allow_create, max_volume_size, usage_quota FROM privileges"
    " JOIN tenants ON id = tenant_id WHERE name = 'MYVMGROUP'"
)
MEMBERS = "SELECT vm_name FROM vms ORDER BY 1"
STRANGER = "564d0000-0000-0000-0000-000000000bad"
THEIRS = "564d0000-0000-0000-0000-00000000beef"


@pytest.fixture
def site(tmp_path: Path) -> LabSite:
    """The seed's site, applied by a team."""
    made = LabSite(tmp_path)
    made.reconcile(applying=TEAM)
    assert made.diff().in_sync
    return made


def joins(site: LabSite, uuid: str, name: str, group: str = "MYVMGROUP") -> None:
    site.sql("INSERT INTO vms SELECT ?, id, ? FROM tenants WHERE name = ?", uuid, name, group)


def delete(site: LabSite, name: str) -> None:
    """Delete a vmgroup as somebody at the sqlite3 prompt does."""
    ((uuid,),) = site.sql("SELECT id FROM tenants WHERE name = ?", name)
    for table, column in (("privileges", "tenant_id"), ("vms", "tenant_id"), ("tenants", "id")):
        site.sql(f"DELETE FROM {table} WHERE {column} = ?", uuid)


def inventory(site: LabSite) -> dict[str, Any]:
    return json.loads((site.lab / "inventory.json").read_text())  # type: ignore[no-any-return]


def twin_of(site: LabSite, name: str) -> None:
    """Somebody may create VMs in vCenter, and calls one like another."""
    said = inventory(site)
    one = next(vm for vm in said["vms"] if vm["name"] == name)
    said["vms"].append({**one, "uuid": THEIRS, "instanceUuid": STRANGER, "path": f"/DC0/vm/elsewhere/{name}"})
    (site.lab / "inventory.json").write_text(json.dumps(said))


class TestOneRestrictionBesideAWidening:
    """A small restriction makes the change as a whole one that widens; what was added goes all the same."""

    def test_of_the_same_row(self, site: LabSite) -> None:
        site.sql("UPDATE privileges SET max_volume_size = 0, usage_quota = 5119")
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 200, 5119)]

    def test_a_row_that_was_added_beside_a_lower_limit(self, site: LabSite) -> None:
        site.sql("INSERT INTO privileges SELECT id, '_ALL_DS://', 1, 0, 0 FROM tenants")
        site.sql("UPDATE privileges SET usage_quota = 5119 WHERE datastore_url <> '_ALL_DS://'")
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 200, 5119)]

    def test_a_member_that_was_added_beside_one_that_left(self, site: LabSite) -> None:
        site.sql("DELETE FROM vms WHERE vm_name = 'photon-02'")
        joins(site, STRANGER, "evil")
        site.reconcile(HEAL)
        assert site.sql(MEMBERS) == [("photon-01",)]

    def test_a_default_datastore_that_was_changed_beside_it(self, site: LabSite) -> None:
        site.sql("INSERT INTO privileges SELECT id, '_VM_DS://', 1, 0, 0 FROM tenants")
        site.sql("UPDATE tenants SET default_datastore_url = '_VM_DS://'")
        site.sql("UPDATE privileges SET max_volume_size = 100 WHERE datastore_url <> '_VM_DS://'")
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 100, 5120)]

    def test_a_host_that_obeys_no_config_db_and_another_setting(self, site: LabSite) -> None:
        link = site.link("esxiz20")
        right = link.readlink()
        link.unlink()
        site.write_host("esxiz20", f"{{driver: {{source: {VIB}}}, {SERVICE}}}".replace("INFO", "DEBUG"))
        site.reconcile(applying=TEAM)
        link.unlink()
        log = site.root("esxiz20") / "etc" / "vmware" / "vmdkops" / "log_config.json"
        log.write_text(log.read_text().replace("DEBUG", "INFO"))
        change = site.change("host/esxiz20")
        assert change.risk is Risk.DISRUPTS
        site.reconcile(HEAL)
        assert link.readlink() == right

    def test_what_waits_is_named(self, site: LabSite) -> None:
        site.sql("UPDATE privileges SET max_volume_size = 0, usage_quota = 5119")
        result = next(each for each in site.reconcile(HEAL).objects if str(each.ref) == "vmgroup/MYVMGROUP")
        assert (result.status, result.detail) == ("blocked", "it widens; `vdvs apply` lets it")
        assert [field.path for field in result.fields] == ["access[SHARED-Datastore].volumeMaxSize"]

    def test_what_is_only_restricted_is_not_given_back(self, site: LabSite) -> None:
        site.sql("UPDATE privileges SET usage_quota = 5119")
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 200, 5119)]


class TestRightsThatNobodyGave:
    def test_a_member_that_the_inventory_does_not_show(self, site: LabSite) -> None:
        joins(site, STRANGER, "evil")
        change = site.change("vmgroup/MYVMGROUP")
        assert [(field.path, field.before) for field in change.fields] == [("vms", f"evil ({STRANGER})")]
        assert not site.diff().in_sync
        site.reconcile(HEAL)
        assert site.sql(MEMBERS) == [("photon-01",), ("photon-02",)]

    def test_a_vmgroup_is_a_difference_with_what_it_lets_whom_do(self, site: LabSite) -> None:
        site.sql("INSERT INTO tenants VALUES (?, 'ops', '', '_ALL_DS://')", THEIRS)
        assert site.diff().in_sync, "nothing yet"
        site.sql("INSERT INTO privileges VALUES (?, '_ALL_DS://', 1, 0, 0)", THEIRS)
        joins(site, STRANGER, "mallory", "ops")
        found = site.reconcile(HEAL).before
        change = next(each for each in found.diff.changes if str(each.ref) == "vmgroup/ops")
        assert change.op is Op.UNMANAGED
        assert not found.diff.in_sync
        assert "mallory may create, delete and mount without limit on every datastore" in change.reason
        judged = {(str(each.ref), each.type): each for each in conditions(found)}
        assert judged["vmgroup/ops", "InSync"].reason == "NotDeclared"

    def test_a_default_for_everybody_goes(self, site: LabSite) -> None:
        uuid = "11111111-1111-1111-1111-111111111111"
        site.sql("INSERT INTO tenants VALUES (?, '_DEFAULT', '', '_ALL_DS://')", uuid)
        site.sql("INSERT INTO privileges VALUES (?, '_ALL_DS://', 1, 0, 0)", uuid)
        site.reconcile(HEAL)
        assert site.sql("SELECT name FROM tenants") == [("MYVMGROUP",)]
        assert site.sql("SELECT count(*) FROM privileges") == [(1,)]

    @pytest.mark.parametrize("pushed", [None, "of the config DB only", "a config DB with a _DEFAULT"])
    def test_it_goes_with_vms_listed_in_it_though_another_row_would_give(
        self, site: LabSite, pushed: str | None
    ) -> None:
        """The VM of a vmgroup that is gone would be served by `_DEFAULT`: its row waits, and keeps nothing else."""
        site.write(PUSHED[pushed] if pushed else SEED)
        site.sql("INSERT INTO tenants VALUES (?, '_DEFAULT', '', '_ALL_DS://')", DEFAULT_VMGROUP_UUID)
        site.sql("INSERT INTO privileges VALUES (?, '_ALL_DS://', 1, 0, 0)", DEFAULT_VMGROUP_UUID)
        joins(site, STRANGER, "evil", "_DEFAULT")
        site.sql("INSERT INTO vms VALUES (?, 'gone', 'lost')", THEIRS)
        done = site.reconcile(HEAL)
        assert [each for each in done.objects if each.status == "failed"] == []
        assert site.sql("SELECT name FROM tenants") == [("MYVMGROUP",)]
        assert site.sql(MEMBERS) == [("lost",), ("photon-01",), ("photon-02",)]


class TestWhatCannotBeWorkedOut:
    def test_a_name_that_fits_two_vms_hides_no_lifted_limit(self, site: LabSite) -> None:
        twin_of(site, "photon-01")
        site.sql("UPDATE privileges SET max_volume_size = 0")
        change = site.change("vmgroup/MYVMGROUP")
        assert (change.op, [field.path for field in change.fields]) == (
            Op.UPDATE,
            ["access[SHARED-Datastore].volumeMaxSize"],
        )
        assert "ambiguous" in change.held[0]
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 200, 5120)]
        assert site.sql(MEMBERS) == [("photon-01",), ("photon-02",)]

    def test_nor_does_it_keep_a_stranger(self, site: LabSite) -> None:
        twin_of(site, "photon-01")
        joins(site, STRANGER, "evil")
        site.reconcile(HEAL)
        assert site.sql(MEMBERS) == [("photon-01",), ("photon-02",)]

    def test_another_manifest_that_claims_a_member_hides_nothing(self, site: LabSite) -> None:
        path = next(vm["path"] for vm in inventory(site)["vms"] if vm["name"] == "photon-01")
        site.write(SEED + site.vmgroup("thief", f"[{{inventoryPath: {path}}}]"))
        site.sql("UPDATE privileges SET max_volume_size = 0")
        change = site.change("vmgroup/MYVMGROUP")
        assert [field.path for field in change.fields] == ["access[SHARED-Datastore].volumeMaxSize"]
        assert change.held == ("VM photon-01 is also claimed by vmgroup/thief",)


def test_a_deleted_vmgroup_whose_vms_default_serves_with_more_rights_is_told_while_it_waits(site: LabSite) -> None:
    site.write(SEED.replace("Absent", "Present"))
    site.reconcile(applying=TEAM)
    delete(site, "MYVMGROUP")
    done = site.reconcile(replace(HEAL, most=0), TEAM)
    events, _ = transitions({}, done, Look(done.before.observed_at, first=False), healing=True)
    told = [event.message for event in events if event.kind is EventKind.EXPOSED]
    assert len(told) == 1
    assert "photon-01, photon-02 (from _DEFAULT) may create, delete and mount without limit" in told[0]


def test_whoever_edits_too_many_objects_keeps_no_interrupted_write_from_being_rolled_back(site: LabSite) -> None:
    """Until then nobody knows what is in the config DB, so nothing of it is healed."""
    site.sql("UPDATE privileges SET max_volume_size = 0")
    break_lab(site.lab, "db-hot-journal")
    site.write(SEED.replace("mode: MultiNode", "mode: MultiNode, backups: {keep: 7}"))
    for host in ("esxiz10", "esxiz20"):
        site.write_host(host, "{service: {state: Running, logLevel: DEBUG}}")
    applies = frozenset(Risk) - {Risk.DESTROYS}
    for _ in range(2):
        site.reconcile(replace(HEAL, risks=applies, only_applied=frozenset(), most=1), TEAM)
    assert site.sql(LIMITS) == [(1, 200, 5120)]


PUSHED = {
    "a description": SEED.replace("name: MYVMGROUP", "name: MYVMGROUP\n  description: better"),
    "a label": SEED.replace("{name: myvmgroup}", "{name: myvmgroup, labels: {tier: gold}}"),
    "a limit that is 1 MB lower": SEED.replace("5GB", "5119MB"),
    "a limit that is higher": SEED.replace("200MB", "300MB"),
    "the very rows": SEED.replace("volumeMaxSize: 200MB, volumeTotalSize: 5GB", "volumeTotalSize: 5GB"),
    "of the config DB only": SEED.replace("mode: MultiNode", "mode: MultiNode, backups: {keep: 7}"),
    "a config DB with a _DEFAULT": SEED.replace("Absent", "Present"),
    "nothing that can be looked up": SEED.replace("defaultDatastore: SHARED", "defaultDatastore: no").replace(
        "SHARED-Datastore, allow", "no-Datastore, allow"
    ),
    "another name": SEED.replace("name: MYVMGROUP", "name: OTHER"),
    "another name, and the earlier one": SEED.replace("name: MYVMGROUP", "name: OTHER\n  previousNames: [MYVMGROUP]"),
    "a wrong uuid": SEED.replace("name: MYVMGROUP", f"name: MYVMGROUP\n  uuid: {THEIRS}"),
    "a VM that nobody knows": SEED.replace("photon-02]", "photon-02, ghost]"),
    "no vmgroup": SEED.rpartition("---")[0],
    "no list of VMs": SEED.replace("  vms: [photon-01, photon-02]\n", ""),
    "more VMs": SEED.replace("photon-02]", "photon-02, photon-03]"),
    "that nothing be healed": SEED.replace(
        "{name: myvmgroup}", "{name: myvmgroup, annotations: {vdvs.io/reconcile: disabled}}"
    ).replace("5GB", "5119MB"),
}
WIDENED = {
    "a lifted limit": "UPDATE privileges SET max_volume_size = 0 WHERE max_volume_size = 200",
    "a member": "INSERT INTO vms SELECT '{uuid}', id, 'photon-03' FROM tenants WHERE name = 'MYVMGROUP'",
    "a row": "INSERT INTO privileges SELECT id, '_ALL_DS://', 1, 0, 0 FROM tenants WHERE name = 'MYVMGROUP'",
    "_DEFAULT": f"INSERT INTO tenants VALUES ('{THEIRS}', '_DEFAULT', '', '_ALL_DS://')",
}
ROWS = (
    "SELECT name, datastore_url, allow_create, max_volume_size, usage_quota"
    " FROM tenants JOIN privileges ON id = tenant_id"
)


def granted(site: LabSite) -> tuple[list[Any], list[Any], list[Any]]:
    return site.sql(ROWS), site.sql("SELECT vm_id FROM vms ORDER BY 1"), site.sql("SELECT name FROM tenants")


class TestAManifestThatIsNotAppliedYet:
    """Who may push, but not apply, makes the manifest another one than what was applied, and widens the config DB."""

    @pytest.mark.parametrize("pushed", PUSHED)
    def test_what_was_added_to_what_was_applied_is_taken_back(self, site: LabSite, pushed: str) -> None:
        applied = granted(site)
        site.write(PUSHED[pushed])
        uuid = next(vm["uuid"] for vm in inventory(site)["vms"] if vm["name"] == "photon-03")
        for widened in WIDENED.values():
            site.sql(widened.replace("{uuid}", uuid))
            assert granted(site) != applied
            site.reconcile(HEAL)
            assert granted(site) == applied, widened

    def test_another_manifest_that_takes_its_uuid_hides_nothing(self, site: LabSite) -> None:
        applied = granted(site)
        ((uuid,),) = site.sql("SELECT id FROM tenants")
        site.write(SEED + site.vmgroup("twin").replace("vms: []", f"vms: [], uuid: {uuid}"))
        site.sql(WIDENED["a lifted limit"])
        site.reconcile(HEAL)
        assert granted(site) == applied

    def test_a_vmgroup_that_was_made_anew_under_its_name(self, site: LabSite) -> None:
        site.write(PUSHED["a description"])
        site.sql("UPDATE privileges SET tenant_id = ?, max_volume_size = 0", THEIRS)
        site.sql("UPDATE tenants SET id = ?", THEIRS)
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 200, 5120)]

    def test_a_limit_that_the_pending_manifest_lowers_stays_as_applied(self, site: LabSite) -> None:
        site.write(SEED.replace("5GB", "3GB"))
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 200, 5120)]

    def test_names_of_vms_that_the_config_db_shows_stay_until_it_is_applied(self, site: LabSite) -> None:
        site.sql("UPDATE vms SET vm_name = 'formerly' WHERE vm_name = 'photon-01'")
        site.write(PUSHED["a label"])
        site.reconcile(HEAL)
        assert site.sql(MEMBERS) == [("formerly",), ("photon-02",)]
        site.write(SEED)
        site.reconcile(HEAL)
        assert site.sql(MEMBERS) == [("photon-01",), ("photon-02",)]

    def test_it_is_told_that_the_manifest_waits_and_what_was_taken_back(self, site: LabSite) -> None:
        site.write(PUSHED["a limit that is higher"])
        site.sql(WIDENED["a lifted limit"])
        done = site.reconcile(HEAL)
        change = next(each for each in done.before.diff.changes if str(each.ref) == "vmgroup/MYVMGROUP")
        assert change.reason == "its manifest is not applied yet, and it grants more than what was applied last"
        events, _ = transitions({}, done, Look(done.before.observed_at, first=True), healing=True)
        told = [(event.kind, event.message) for event in events if str(event.ref) == "vmgroup/MYVMGROUP"]
        assert told[1:] == [
            (EventKind.HEALED, "what was added is taken back (access[SHARED-Datastore].volumeMaxSize); the rest waits"),
            (EventKind.BLOCKED, "not healed: its manifest is not what was applied last; `vdvs apply` carries it out"),
            (EventKind.DRIFTED, "differs from its manifest"),
        ]

    def test_an_apply_of_it_is_not_hindered(self, site: LabSite) -> None:
        site.write(PUSHED["a limit that is higher"])
        site.sql(WIDENED["a lifted limit"])
        site.reconcile(applying=TEAM)
        assert site.sql(LIMITS) == [(1, 300, 5120)]
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 300, 5120)]

    def test_an_apply_of_it_from_another_machine_stands(
        self, site: LabSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "watcher"))
        site.reconcile(HEAL)
        site.write(PUSHED["a limit that is higher"].replace("photon-02]", "photon-02, photon-03]"))
        site.reconcile(HEAL)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "ci"))
        site.reconcile(applying=TEAM)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "watcher"))
        site.reconcile(HEAL)
        assert (site.sql(LIMITS), len(site.sql(MEMBERS))) == ([(1, 300, 5120)], 3)
        site.sql(WIDENED["a lifted limit"].replace("200", "300"))
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 300, 5120)]

    def test_a_forged_record_of_it_gives_no_more_than_it_says(self, site: LabSite) -> None:
        site.write(PUSHED["a description"])
        digest = next(str(d) for ref, d in load([str(site.manifests)]).desired.digests if "MYVMGROUP" in str(ref))
        site.sql("UPDATE vdvs_objects SET digest = ? WHERE object = 'vmgroup/MYVMGROUP'", digest)
        site.sql(WIDENED["a lifted limit"])
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 200, 5120)]

    def test_what_was_left_alone_when_it_was_applied_is_left_alone(self, site: LabSite) -> None:
        site.write(TestWhoSilences.ASKING)
        site.reconcile(applying=TEAM)
        site.write(TestWhoSilences.ASKING.replace("5GB", "3GB"))
        site.sql(WIDENED["a lifted limit"])
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 0, 5120)]

    def test_a_vmgroup_that_another_set_applied_since_is_theirs(
        self, site: LabSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        here = os.environ["XDG_STATE_HOME"]
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
        site.write(PUSHED["a limit that is higher"])
        site.reconcile(applying=Applying("theirs", Stamp("bob@ws")))
        monkeypatch.setenv("XDG_STATE_HOME", here)
        site.write(PUSHED["no vmgroup"])
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 300, 5120)]

    def test_a_file_of_an_earlier_version_goes_on_working(self, site: LabSite) -> None:
        (file,) = Path(os.environ["XDG_STATE_HOME"]).glob("vdvs/applied/*.json")
        old = json.loads(file.read_text())
        old["vdvsApplied"] = 1
        for kept in old["configDBs"].values():
            assert kept.pop("declared")
        file.write_text(json.dumps(old))
        site.write(PUSHED["a description"])
        site.sql(WIDENED["a lifted limit"])
        result = next(each for each in site.reconcile(HEAL).objects if str(each.ref) == "vmgroup/MYVMGROUP")
        assert (result.status, site.sql(LIMITS)) == ("blocked", [(1, 0, 5120)])
        site.write(SEED)
        site.reconcile(HEAL)
        assert json.loads(file.read_text())["configDBs"]["shared"]["declared"]
        assert site.sql(LIMITS) == [(1, 200, 5120)]


class TestWhoSilences:
    ASKING = SEED.replace("{name: myvmgroup}", "{name: myvmgroup, annotations: {vdvs.io/reconcile: disabled}}")

    def test_an_annotation_that_nobody_applied_does_not_count(self, site: LabSite) -> None:
        site.write(self.ASKING)
        site.sql("UPDATE privileges SET max_volume_size = 0")
        site.reconcile(HEAL)
        assert site.sql(LIMITS) == [(1, 200, 5120)]

    def test_a_label_by_which_no_config_db_selects_a_host_is_told_and_that_it_is_open(self, site: LabSite) -> None:
        site.write(SEED.replace("{mode: MultiNode", "{hosts: {matchLabels: {a: b}}, mode: MultiNode"))
        for host in ("esxiz10", "esxiz20"):
            manifest = site.manifests / f"host-{host}.yaml"
            manifest.write_text(
                manifest.read_text().replace(f"{{name: {host}}}", f"{{name: {host}, labels: {{a: b}}}}")
            )
        site.reconcile(applying=TEAM)
        before = load([str(site.manifests)]).desired
        manifest.write_text(manifest.read_text().replace("a: b", "a: c"))
        assert [(str(event.ref), event.message) for event in narrowed(before, load([str(site.manifests)]).desired)] == [
            ("host/esxiz20", "its labels are others now, and configdb/shared selects it no more")
        ]
        site.link("esxiz20").unlink()
        done = site.reconcile(HEAL)
        look = Look(done.before.observed_at, first=False)
        events, state = transitions({}, done, look, healing=True)
        told = [(event.kind, event.message) for event in events if str(event.ref) == "host/esxiz20"]
        assert told == [(EventKind.DRIFTED, "OPEN: every VM may create volumes without limit on this host")]
        assert transitions(state, done, look, healing=True)[0] == ()

    def test_one_that_was_applied_does_and_is_told(self, site: LabSite) -> None:
        site.write(self.ASKING)
        site.reconcile(applying=TEAM)
        site.sql("UPDATE privileges SET max_volume_size = 0")
        found = site.reconcile(HEAL).before
        assert site.sql(LIMITS) == [(1, 0, 5120)]
        told = [(each.status, each.reason) for each in conditions(found) if each.type == "Watched"]
        assert told == [("False", "Disabled")]


def test_any_number_of_undeclared_vmgroups_are_a_bounded_number_of_events(site: LabSite) -> None:
    url = f"/vmfs/volumes/{site.datastore.name}"
    rows = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 300)"
    site.sql(f"INSERT INTO tenants {rows} SELECT 'id-' || x, 'g' || x, '', ? FROM c", url)
    site.sql("INSERT INTO privileges VALUES ('id-300', ?, 1, 0, 0)", url)
    done = site.reconcile(HEAL)
    look = Look(done.before.observed_at, first=False)
    events, state = transitions({}, done, look, healing=True)
    assert len(events) <= MOST_UNDECLARED + 10
    assert "vmgroup/g300" in {str(event.ref) for event in events if event.kind is EventKind.DRIFTED}
    assert [event.message.partition(";")[0] for event in events if event.ref is None] == [
        "200 more objects that no manifest declares appeared or went, 0 of which hold rights"
    ]
    assert transitions(state, done, look, healing=True)[0] == ()
    site.sql("DELETE FROM tenants WHERE id LIKE 'id-%'")
    site.sql("DELETE FROM privileges WHERE tenant_id LIKE 'id-%'")
    events, _ = transitions(state, site.reconcile(HEAL), look, healing=True)
    assert len(events) <= MOST_UNDECLARED + 10


def test_a_running_watch_and_one_that_is_started_again_take_it_back(watch: Callable[..., Daemon]) -> None:
    """The manifest is pushed and the config DB widened below a running watch, and again while none runs."""
    manifest = next(path for path in Path("manifests").rglob("*.yaml") if "volumeTotalSize" in path.read_text())
    daemon = watch("--heal")
    daemon.passes(1)
    manifest.write_text(manifest.read_text().replace("volumeTotalSize: 5GB", "volumeTotalSize: 4GB"))
    while daemon.named() != ("drifted", "vmgroup/MYVMGROUP"):
        pass
    execute("UPDATE privileges SET usage_quota = 0")
    assert "what was added is taken back" in healed(daemon)
    assert daemon.end() == 0
    execute("UPDATE privileges SET usage_quota = 0")
    again = watch("--heal")
    assert "what was added is taken back" in healed(again)
    assert again.end() == 0


def healed(daemon: Daemon) -> str:
    while (event := daemon.next())["event"] != EventKind.HEALED:
        assert event["event"] != EventKind.EXPOSED
    return str(event["message"])
