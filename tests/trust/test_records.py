"""Attack: whoever can write the config DB deletes or forges the records of who applied what.

Right: they are hints. What this side applied, or saw to be what git says, is what counts; and that they differ is told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import cli
from reconciler.loader import load
from reconciler.model.diff import Op
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.plan import APPLY_AND_DESTROY, HEAL
from reconciler.who import who
from tests.controller.daemon import Daemon, execute
from tests.e2e.site import SEED, LabSite, statuses
from tests.render import schemas

TEAM = Applying("team", Stamp("ann@ws"))
WIDEN = "UPDATE privileges SET usage_quota = 0"
QUOTA = [(5120,)]
PHOTON_03 = "564d9819-6e2e-566c-99a2-441261b1700b"


@pytest.fixture
def site(tmp_path: Path) -> LabSite:
    """The seed's site, applied from here by set team."""
    made = LabSite(tmp_path)
    made.reconcile(applying=TEAM)
    return made


def vdvs(site: LabSite, command: str, *options: str) -> Result:
    line = [command, *options, "-f", str(site.manifests)]
    return CliRunner().invoke(cli, line, catch_exceptions=False, prog_name="vdvs")


def quota(site: LabSite) -> list[tuple[int]]:
    return site.sql("SELECT usage_quota FROM privileges")


def from_elsewhere(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """From now on vdvs runs on another machine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))


FORGERIES = {
    "deleted": "DELETE FROM vdvs_objects",
    "deleted of the config DB": "DELETE FROM vdvs_objects WHERE object = 'configdb/shared'",
    "another digest": "UPDATE vdvs_objects SET digest = 'x'",
    "another uid": "UPDATE vdvs_objects SET uid = 'x' WHERE uid IS NOT NULL",
    "no text": "UPDATE vdvs_objects SET digest = x'ff'",
    "no table": "DROP TABLE vdvs_objects",
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_what_was_applied_from_here_is_healed_whatever_became_of_its_record(site: LabSite, forgery: str) -> None:
    site.sql(forgery)
    site.sql(WIDEN)
    assert statuses(site.reconcile(HEAL))["vmgroup/MYVMGROUP"] == "configured"
    assert quota(site) == QUOTA


def test_a_watch_that_applied_nothing_itself_knows_what_it_saw_in_sync(
    site: LabSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from_elsewhere(monkeypatch, tmp_path / "watcher")
    site.reconcile(HEAL)
    site.sql(FORGERIES["deleted"])
    site.sql(WIDEN)
    site.reconcile(HEAL)
    assert quota(site) == QUOTA


def test_a_forged_digest_does_not_get_an_unapplied_commit_carried_out(site: LabSite) -> None:
    site.write(SEED.replace("5GB", "3GB"))
    wanted = dict(vdvs_digests(site))["vmgroup/MYVMGROUP"]
    site.sql(
        f"UPDATE vdvs_objects SET digest = '{wanted}', applied_by = 'ciso@bank' WHERE object = 'vmgroup/MYVMGROUP'"
    )
    found = {str(each.ref): each.detail for each in site.reconcile(HEAL).objects}
    assert found["vmgroup/MYVMGROUP"].startswith("only the config DB claims that its manifest was applied")
    assert quota(site) == QUOTA


@pytest.mark.parametrize("broken", ["usage_quota = NULL", "max_volume_size = 'x'", "allow_create = NULL"])
def test_a_forged_digest_and_a_row_that_nobody_can_read_grant_nothing(site: LabSite, broken: str) -> None:
    site.write(SEED.replace("5GB", "50GB"))
    wanted = dict(vdvs_digests(site))["vmgroup/MYVMGROUP"]
    site.sql(f"UPDATE vdvs_objects SET digest = '{wanted}' WHERE object = 'vmgroup/MYVMGROUP'")
    site.sql(f"UPDATE privileges SET {broken}")
    site.reconcile(HEAL)
    assert site.sql("SELECT usage_quota FROM privileges WHERE usage_quota > 5120 OR usage_quota = 0") == []


def vdvs_digests(site: LabSite) -> list[tuple[str, str]]:
    return [(str(ref), digest) for ref, digest in load([str(site.manifests)]).desired.digests]


def test_a_vm_that_was_added_goes_and_an_apply_from_another_machine_stands(
    site: LabSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The VM falls to `_DEFAULT`, whose volumes it sees from then on, which is no right that a claim gave."""
    everyone = site.vmgroup("default", access="[{datastore: SHARED-Datastore, allowCreate: false}]")
    seed = SEED.replace("Absent", "Present") + everyone.replace("spec: {", "spec: {name: _DEFAULT, ")
    site.write(seed)
    site.reconcile(applying=TEAM)
    site.write(seed.replace("5GB", "50GB"))
    with monkeypatch.context() as elsewhere:
        from_elsewhere(elsewhere, tmp_path / "elsewhere")
        site.reconcile(applying=TEAM)
    site.sql("INSERT INTO vms SELECT ?, id, 'photon-03' FROM tenants WHERE name = 'MYVMGROUP'", PHOTON_03)
    site.reconcile(HEAL)
    assert site.sql("SELECT vm_name FROM vms ORDER BY vm_name") == [("photon-01",), ("photon-02",)]
    assert site.sql("SELECT max(usage_quota) FROM privileges") == [(51200,)]


class TestAnotherUuidUnderItsName:
    """The volumes of a vmgroup are in the folder of its UUID, which whoever writes the config DB can exchange."""

    THEIRS = "564d0000-0000-0000-0000-00000000beef"

    def exchange(self, site: LabSite, uuid: str) -> None:
        for statement in ("privileges SET tenant_id", "vms SET tenant_id", "tenants SET id"):
            site.sql(f"UPDATE {statement} = ?", uuid)

    def test_is_told_and_gets_no_link(self, site: LabSite) -> None:
        ((was,),) = site.sql("SELECT id FROM tenants")
        for folder in (was, self.THEIRS):
            (site.db.parent / folder).mkdir()
        site.reconcile(applying=TEAM)
        link = os.readlink(site.db.parent / "MYVMGROUP")
        assert link.endswith(was)
        self.exchange(site, self.THEIRS)
        change = site.change("vmgroup/MYVMGROUP")
        assert (change.op, change.actions) == (Op.BLOCKED, ())
        assert change.reason.startswith(f"EXPOSED: it has the uuid {self.THEIRS}, and had {was} when it was applied")
        site.reconcile(HEAL)
        site.reconcile(applying=TEAM)
        assert os.readlink(site.db.parent / "MYVMGROUP") == link
        assert site.change("vmgroup/MYVMGROUP").op is Op.BLOCKED

    def test_gets_no_link_while_its_manifest_is_pending(self, site: LabSite) -> None:
        ((was,),) = site.sql("SELECT id FROM tenants")
        for folder in (was, self.THEIRS):
            (site.db.parent / folder).mkdir()
        site.reconcile(applying=TEAM)
        self.exchange(site, self.THEIRS)
        site.write(SEED.replace("5GB", "6GB"))
        site.reconcile(HEAL)
        assert os.readlink(site.db.parent / "MYVMGROUP").endswith(was)

    def test_hides_nothing_that_was_added_beside_it(self, site: LabSite) -> None:
        self.exchange(site, self.THEIRS)
        site.sql(WIDEN)
        site.reconcile(HEAL)
        assert quota(site) == QUOTA
        assert site.change("vmgroup/MYVMGROUP").op is Op.BLOCKED

    def test_is_meant_if_it_is_pinned(self, site: LabSite) -> None:
        self.exchange(site, self.THEIRS)
        site.write(SEED.replace("  name: MYVMGROUP", f"  name: MYVMGROUP\n  uuid: {self.THEIRS}"))
        site.reconcile(applying=TEAM)
        site.write(SEED)
        assert site.diff().in_sync

    @pytest.mark.parametrize("pinned", [False, True], ids=["by its previous name", "by its uuid"])
    def test_is_no_alarm_where_the_vmgroup_that_had_the_name_was_renamed_elsewhere(
        self, site: LabSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pinned: bool
    ) -> None:
        ((was,),) = site.sql("SELECT id FROM tenants")
        known_by = f"uuid: {was}" if pinned else "previousNames: [MYVMGROUP]"
        renamed = SEED.replace("  name: MYVMGROUP", f"  name: GREEN\n  {known_by}")
        another = site.vmgroup("another").replace("spec: {", "spec: {name: MYVMGROUP, ")
        here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
        for manifests in (SEED, renamed, SEED.replace("name: MYVMGROUP", "name: GREEN") + another):
            site.write(manifests)
            from_elsewhere(monkeypatch, elsewhere)
            site.reconcile(applying=TEAM)
            from_elsewhere(monkeypatch, here)
            site.reconcile(HEAL)
            assert site.diff().in_sync

    def test_is_told_wherever_it_names_another_folder(
        self, site: LabSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        from_elsewhere(monkeypatch, tmp_path / "elsewhere")
        self.exchange(site, "../../other/dockvols/x")
        change = site.change("vmgroup/MYVMGROUP")
        assert (change.op, "dockvols/../../other/dockvols/x" in change.reason) == (Op.BLOCKED, True)

    def test_a_forged_record_does_not_say_what_it_was(
        self, site: LabSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        from_elsewhere(monkeypatch, tmp_path / "elsewhere")
        site.sql("UPDATE vdvs_objects SET uid = ? WHERE uid IS NOT NULL", self.THEIRS)
        site.reconcile(HEAL)
        assert site.diff().in_sync


def test_an_apply_from_another_machine_counts_once_it_was_seen_in_sync(
    site: LabSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    from_elsewhere(monkeypatch, here)
    site.reconcile(HEAL)
    site.write(SEED.replace("5GB", "3GB"))
    from_elsewhere(monkeypatch, tmp_path / "ci")
    site.reconcile(applying=TEAM)
    from_elsewhere(monkeypatch, here)
    site.reconcile(HEAL)
    site.sql(WIDEN)
    site.reconcile(HEAL)
    assert quota(site) == [(3072,)]


def test_where_nothing_is_kept_a_record_of_the_manifest_here_will_do(
    site: LabSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site.sql(WIDEN)
    from_elsewhere(monkeypatch, tmp_path / "new")
    site.reconcile(HEAL)
    assert quota(site) == QUOTA


def test_a_rollback_from_here_is_not_healed_away(site: LabSite) -> None:
    site.write(SEED.replace("5GB", "3GB"))
    site.reconcile(applying=TEAM)
    backup = sorted(path.name for path in site.db.parent.glob("*.bak-*"))[-1]
    assert vdvs(site, "rollback", "--set", "team", "--to", backup).exit_code == 0
    site.reconcile(HEAL)
    assert quota(site) == QUOTA


def test_a_name_in_the_config_db_is_told_as_its_claim_beside_what_is_known(site: LabSite) -> None:
    assert vdvs(site, "apply", "--set", "mine").exit_code == 0
    site.sql("UPDATE vdvs_objects SET applied_by = 'ciso@bank', commit_id = 'c0ffee'")
    for command in (["history"], ["describe", "vmgroup", "MYVMGROUP"], ["get", "vmgroups", "-o", "wide"]):
        told = vdvs(site, *command).stdout
        assert not [
            line for line in told.splitlines() if "ciso@bank" in line and "claimed by the config DB" not in line
        ]
    lines = [line for line in vdvs(site, "history").stdout.splitlines() if "vmgroup/MYVMGROUP" in line]
    assert sorted("ciso@bank" in line for line in lines) == [False, True]
    assert sorted(f"{who()} (the config DB claims otherwise)" in line for line in lines) == [False, True]
    data = json.loads(vdvs(site, "history", "-o", "json").stdout)
    schemas.check("history", data)
    assert {item["applied"]["claimed"] for item in data["items"] if item["applied"]["by"] == "ciso@bank"} == {True}
    assert {item["applied"]["claimed"] for item in data["items"] if item["applied"]["by"] == who()} == {False}
    conditions = json.loads(vdvs(site, "status", "-o", "json").stdout)["conditions"]
    (altered,) = [each for each in conditions if each["type"] == "RecordsKept"]
    assert "ciso@bank" in altered["message"]


def test_the_next_apply_records_anew_what_was_altered(site: LabSite) -> None:
    assert vdvs(site, "apply", "--set", "mine").exit_code == 0
    site.sql("UPDATE vdvs_objects SET applied_by = 'ciso@bank'")
    assert vdvs(site, "apply", "--set", "mine").exit_code == 0
    assert site.sql("SELECT DISTINCT applied_by FROM vdvs_objects") == [(who(),)]
    assert "RecordsKept" not in vdvs(site, "status", "-o", "json").stdout


def test_seen_from_elsewhere_every_name_is_a_claim(
    site: LabSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from_elsewhere(monkeypatch, tmp_path / "elsewhere")
    lines = vdvs(site, "history").stdout.splitlines()[1:]
    assert lines
    assert all("ann@ws (claimed by the config DB)" in line for line in lines)


def names(site: LabSite) -> set[str]:
    return {name for (name,) in site.sql("SELECT name FROM tenants")}


def test_a_forged_set_gets_nobody_elses_vmgroup_pruned(site: LabSite) -> None:
    """Control: what this set did apply, and no longer declares, is pruned."""
    site.write(SEED + site.vmgroup("theirs"))
    site.reconcile(applying=Applying("theirs", Stamp("bob@ws")))
    site.write(SEED + site.vmgroup("mine"))
    site.reconcile(applying=TEAM)
    site.write(SEED)
    site.sql("UPDATE vdvs_objects SET set_name = 'team'")
    site.reconcile(APPLY_AND_DESTROY, Applying("team", Stamp("ann@ws"), prune=True))
    assert names(site) == {"MYVMGROUP", "theirs"}


ROGUE = "564d0000-0000-0000-0000-00000000beef"


@pytest.mark.parametrize(("of", "code"), [("", 1), ("team", 1), ("others", 0)])
def test_a_forged_record_does_not_hide_what_a_vmgroup_grants(site: LabSite, of: str, code: int) -> None:
    """What is of another set is theirs to answer for: it is told, and no difference from the manifests here."""
    assert vdvs(site, "diff", "--set", "team").exit_code == 0
    site.sql("INSERT INTO tenants VALUES (?, 'ops', '', '_ALL_DS://')", ROGUE)
    site.sql("INSERT INTO privileges VALUES (?, '_ALL_DS://', 1, 0, 0)", ROGUE)
    columns = "digest, commit_id, dirty, applied_by, applied_at, reason"
    site.sql(f"INSERT INTO vdvs_objects SELECT 'vmgroup/ops', ?, ?, {columns} FROM vdvs_objects LIMIT 1", ROGUE, of)
    granted = "may create, delete and mount without limit on every datastore"
    shown, applied = vdvs(site, "diff", "--set", "team"), vdvs(site, "apply", "--set", "team")
    assert (shown.exit_code, applied.exit_code) == (code, 0)
    assert granted in shown.stdout
    assert (granted in applied.stderr) is (code == 1)


def test_what_a_vmgroup_grants_is_told_when_its_manifest_is_gone(site: LabSite) -> None:
    site.write(SEED + site.vmgroup("two", "[photon-03]"))
    site.reconcile(applying=TEAM)
    site.write(SEED)
    site.sql("UPDATE privileges SET max_volume_size = 0, usage_quota = 0")
    assert "photon-03 may create, delete and mount without limit" in vdvs(site, "diff").stdout


def test_what_only_the_config_db_claims_is_pruned_with_consent_only(
    site: LabSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site.write(SEED + site.vmgroup("mine"))
    site.reconcile(applying=TEAM)
    site.write(SEED)
    from_elsewhere(monkeypatch, tmp_path / "elsewhere")
    prune = ("--set", "team", "--prune", "--allow-destroy")
    refused = vdvs(site, "apply", *prune)
    assert refused.exit_code == 3
    assert "only the config DB claims that set team applied it" in refused.stdout
    assert "mine" in names(site)
    assert vdvs(site, "apply", *prune, "--trust-records").exit_code == 0
    assert "mine" not in names(site)


def test_deleted_records_do_not_get_another_sets_vmgroup_deleted(site: LabSite) -> None:
    site.write(SEED + site.vmgroup("theirs"))
    site.reconcile(applying=Applying("theirs", Stamp("bob@ws")))
    site.sql(FORGERIES["deleted"])
    site.write(SEED.replace("defaultVMGroup: Absent", "defaultVMGroup: Absent, unmanaged: Delete"))
    site.reconcile(APPLY_AND_DESTROY, TEAM)
    assert "theirs" in names(site)


def test_a_damaged_file_of_ours_is_told_and_nothing_is_taken_from_it(
    site: LabSite, caplog: pytest.LogCaptureFixture
) -> None:
    (file,) = state().glob("vdvs/applied/*.json")
    file.write_text("{")
    assert "is damaged" in vdvs(site, "history").stderr + caplog.text


def state() -> Path:
    return Path(os.environ["XDG_STATE_HOME"])


def test_what_is_kept_is_its_owners_alone(site: LabSite) -> None:
    modes = {path.relative_to(state()): path.stat().st_mode & 0o777 for path in state().rglob("*")}
    assert modes
    assert {mode for path, mode in modes.items() if (state() / path).is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if (state() / path).is_file()} == {0o600}


def test_a_watch_heals_and_tells_that_the_records_are_gone(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--heal")
    daemon.passes(1)
    execute("DELETE FROM vdvs_objects")
    execute(WIDEN)
    told: dict[str, str] = {}
    while not {"records", "healed"} <= told.keys():
        event = daemon.next()
        told[event["event"]] = event["message"]
    assert "gone are those of configdb/shared" in told["records"]
    assert daemon.end() == 0
