"""Who applied what: recorded with every apply, asked before anything is removed that no manifest declares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import cli
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.plan import APPLY_AND_DESTROY
from reconciler.who import who
from tests.e2e.site import SEED, LabSite, assert_in_sync, spoil_records, statuses
from tests.e2e.test_renames import RENAMED, uuid_of, with_a_volume
from tests.render import schemas

TEAM = Applying("team", Stamp("ann@ws"), prune=True)


def vdvs(command: str, site: LabSite, *options: str) -> Result:
    line = [command, "-f", str(site.manifests), *options]
    return CliRunner().invoke(cli, line, catch_exceptions=False, prog_name="vdvs")


def apply(site: LabSite, *options: str, of: str = "team") -> dict[str, str]:
    """The status of each object."""
    result = vdvs("apply", site, "--set", of, *options)
    rows = [line.split() for line in result.stdout.split("\n\n")[0].splitlines() if not line.startswith(" ")]
    return {row[0]: row[1] for row in rows}


def vmgroups(site: LabSite) -> set[str]:
    return {name for (name,) in site.sql("SELECT name FROM tenants")}


def records(site: LabSite) -> dict[str, str]:
    """The set of each object."""
    return dict(site.sql("SELECT object, set_name FROM vdvs_objects"))


def backups(site: LabSite) -> int:
    return len(list(site.db.parent.glob("*.bak-*")))


@pytest.fixture
def owned(site: LabSite) -> LabSite:
    """Set team applied the seed, and two vmgroups more."""
    site.write(SEED + site.vmgroup("one", "[photon-03]") + site.vmgroup("two"))
    assert set(apply(site).values()) == {"created", "configured"}
    return site


def test_every_object_is_recorded_with_who_applied_it_and_why(site: LabSite) -> None:
    apply(site, "--reason", "ticket 7")
    rows = site.sql(
        "SELECT object, uid, set_name, applied_by, reason, length(digest) FROM vdvs_objects ORDER BY object"
    )
    uuid = uuid_of(site, "MYVMGROUP")
    names = [("configdb/shared", None), ("host/esxiz10", None), ("host/esxiz20", None), ("vmgroup/MYVMGROUP", uuid)]
    assert rows == [(*name, "team", who(), "ticket 7", 64) for name in names]


def test_what_is_in_sync_already_is_recorded_once_and_costs_no_backup(applied: LabSite) -> None:
    before = backups(applied)
    told = vdvs("diff", applied, "--set", "team")
    assert (told.exit_code, told.stdout.splitlines()[-1]) == (0, "In sync. Apply records 4 objects as applied.")
    assert set(apply(applied).values()) == {"unchanged"}
    assert set(records(applied).values()) == {"team"}
    assert backups(applied) == before
    content = applied.db.read_bytes()
    assert set(apply(applied).values()) == {"unchanged"}
    assert applied.db.read_bytes() == content
    assert vdvs("diff", applied, "--set", "team").stdout.splitlines()[-1] == "In sync."


def test_looking_records_nothing(applied: LabSite) -> None:
    for command in ("diff", "plan", "get all", "status", "describe vmgroup MYVMGROUP", "apply --dry-run"):
        first, *rest = command.split()
        CliRunner().invoke(cli, [first, *rest, "-f", str(applied.manifests)], catch_exceptions=False)
    assert applied.sql("SELECT name FROM sqlite_master WHERE name = 'vdvs_objects'") == []


def test_prune_removes_what_its_set_applied_last_and_nothing_else(owned: LabSite) -> None:
    owned.write(SEED.replace("vms: [photon-01, photon-02]", "vms: [photon-01, photon-02, photon-03]"))
    owned.sql("INSERT INTO tenants(id, name, description, default_datastore_url) SELECT ?, ?, '', default_datastore_url"
              " FROM tenants LIMIT 1", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "HANDMADE")  # fmt: skip
    owned.sql("INSERT INTO privileges SELECT ?, datastore_url, 1, 0, 0 FROM privileges LIMIT 1",
              "6ba7b810-9dad-11d1-80b4-00c04fd430c8")  # fmt: skip
    assert apply(owned, "--allow-destroy").get("vmgroup/one") is None  # nobody asked for it
    told = vdvs("diff", owned, "--set", "team").stdout
    assert "set team applied it last" in told
    assert "`vdvs apply --prune --allow-destroy` removes it" in told

    found = apply(owned, "--prune", "--allow-destroy")
    assert (found["vmgroup/one"], found["vmgroup/two"]) == ("pruned", "pruned")
    assert vmgroups(owned) == {"MYVMGROUP", "HANDMADE"}
    assert set(records(owned)) == {"configdb/shared", "host/esxiz10", "host/esxiz20", "vmgroup/MYVMGROUP"}
    assert len(owned.sql("SELECT * FROM vms")) == 3


def test_prune_destroys_only_where_that_is_allowed(owned: LabSite) -> None:
    owned.write(SEED)
    assert apply(owned, "--prune")["vmgroup/two"] == "blocked"
    assert vmgroups(owned) == {"MYVMGROUP", "one", "two"}


def test_a_second_set_and_its_objects_are_left_alone(owned: LabSite, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = LabSite.sharing(owned, tmp_path / "other")
    other.write(SEED.split("---")[0] + other.vmgroup("three"))
    found = apply(other, "--prune", "--allow-destroy", of="others")
    assert found["vmgroup/three"] == "created"
    assert vmgroups(owned) == {"MYVMGROUP", "one", "two", "three"}
    assert records(owned)["vmgroup/three"] == "others"

    owned.write(SEED)
    apply(owned, "--prune", "--allow-destroy")
    assert vmgroups(owned) == {"MYVMGROUP", "three"}


def test_what_another_set_applied_is_taken_over_with_a_word(owned: LabSite) -> None:
    told = vdvs("apply", owned, "--set", "others").stdout
    assert "vmgroup/one         unchanged   taken over from set team (by" in told
    assert set(records(owned).values()) == {"others"}
    assert apply(owned, of="others").keys() == records(owned).keys()


def test_prune_tells_of_a_set_that_may_be_this_one(owned: LabSite) -> None:
    """Its name is made from the URL of the clone, and servers have several."""
    apply(owned, of="gitlab/acme/site:m")
    owned.write(SEED)
    pruning = ("--prune", "--allow-destroy", "--set")
    told = vdvs("apply", owned, *pruning, "acme/Site:m")
    assert (
        "--prune leaves what set gitlab/acme/site:m applied in configdb/shared (vmgroup/one, vmgroup/two)"
        in told.stderr
    )
    assert "prune it with --set 'gitlab/acme/site:m'" in vdvs("diff", owned, *pruning[::2], "acme/Site:m").stderr
    for other in ("acme/site:n", "acme/sites:m", "team"):
        assert "--prune leaves" not in vdvs("diff", owned, *pruning[::2], other).stderr
    assert vmgroups(owned) == {"MYVMGROUP", "one", "two"}
    vdvs("apply", owned, *pruning, "gitlab/acme/site:m")
    assert vmgroups(owned) == {"MYVMGROUP"}


def test_prune_tells_of_a_set_half_of_which_is_declared_here_whatever_it_is_called(owned: LabSite) -> None:
    """As from a clone whose remote is not `origin`, or a folder that was moved."""
    apply(owned, of="acme/site:m")
    owned.write(SEED + owned.vmgroup("one", "[photon-03]"))
    told = vdvs("apply", owned, "--prune", "--allow-destroy", "--set", "clone7:m").stderr
    assert "--prune leaves what set acme/site:m applied in configdb/shared (vmgroup/two)" in told
    assert "prune it with --set 'acme/site:m'" in told


def test_prune_tells_nothing_of_another_set_of_which_a_vmgroup_was_taken_over(owned: LabSite, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = LabSite.sharing(owned, tmp_path / "other")
    other.write(SEED.split("---")[0] + other.vmgroup("one", "[photon-03]"))
    assert "--prune leaves" not in vdvs("apply", other, "--prune", "--allow-destroy", "--set", "others").stderr
    assert records(owned)["vmgroup/one"] == "others"


def test_a_vmgroup_with_volumes_stays(owned: LabSite) -> None:
    with_a_volume(owned, "one")
    owned.write(SEED)
    result = vdvs("apply", owned, "--set", "team", "--prune", "--allow-destroy")
    assert result.exit_code == 3
    assert "it cannot be deleted: 1 volume in dockvols on SHARED-Datastore" in result.stdout
    assert vmgroups(owned) == {"MYVMGROUP", "one"}


def test_the_default_vmgroup_is_never_pruned(site: LabSite) -> None:
    seed = SEED.replace(", defaultVMGroup: Absent", "")
    site.write(seed + site.vmgroup("d").replace("spec: {", "spec: {name: _DEFAULT, "))
    apply(site)
    assert records(site)["vmgroup/_DEFAULT"] == "team"
    site.write(seed.replace("mode: MultiNode", "mode: MultiNode, unmanaged: Delete"))
    apply(site, "--prune", "--allow-destroy")
    assert vmgroups(site) == {"MYVMGROUP", "_DEFAULT"}


def test_members_that_the_inventory_does_not_show_go(owned: LabSite) -> None:
    owned.sql("INSERT INTO vms VALUES (?, (SELECT id FROM tenants WHERE name = 'one'), 'retired')",
              "564d0000-0000-0000-0000-000000000009")  # fmt: skip
    apply(owned)
    assert len(owned.sql("SELECT * FROM vms")) == 3


@pytest.mark.parametrize(("policy", "left"), [("Delete", {"MYVMGROUP"}), ("Ignore", {"MYVMGROUP", "wild"}),
                                              ("Report", {"MYVMGROUP", "wild"})])  # fmt: skip
def test_what_becomes_of_an_unmanaged_vmgroup(site: LabSite, policy: str, left: set[str]) -> None:
    site.write(SEED + site.vmgroup("wild"))
    site.reconcile()  # on nobody's behalf, so it is as if it were made by hand
    site.write(SEED.replace("mode: MultiNode", f"mode: MultiNode, unmanaged: {policy}"))
    told = vdvs("diff", site, "--set", "team", "--allow-destroy")
    assert ("vmgroup/wild" in told.stdout) == (policy != "Ignore")
    assert told.exit_code == (0 if policy == "Ignore" else 1)  # it holds rights, and nobody is known to have given them
    if policy == "Delete":
        assert vdvs("diff", site, "--set", "team").exit_code == 3
    apply(site, "--allow-destroy")
    assert vmgroups(site) == left


def test_unmanaged_delete_leaves_what_another_set_applied(owned: LabSite) -> None:
    owned.write(SEED.replace("mode: MultiNode", "mode: MultiNode, unmanaged: Delete"))
    assert apply(owned, "--allow-destroy", of="others").get("vmgroup/one") is None
    assert vmgroups(owned) == {"MYVMGROUP", "one", "two"}
    single = [str(owned.manifests / "site-content.yaml"), "--site", str(owned.manifests / "site.yaml")]
    CliRunner().invoke(cli, ["apply", "-f", *single, "--set", "team", "--allow-destroy"], catch_exceptions=False)
    assert vmgroups(owned) == {"MYVMGROUP", "one", "two"}  # one file is only a part of what is declared
    apply(owned, "--allow-destroy")
    assert vmgroups(owned) == {"MYVMGROUP"}


def test_a_damaged_table_of_records_prunes_nothing_and_stops_nothing_else(owned: LabSite) -> None:
    owned.sql("UPDATE vdvs_objects SET dirty = 2")
    owned.write(SEED.replace("5GB", "6GB"))
    result = vdvs("apply", owned, "--set", "team", "--prune", "--allow-destroy")
    assert result.exit_code == 0
    assert "its table vdvs_objects is damaged" in result.stdout
    assert vmgroups(owned) == {"MYVMGROUP", "one", "two"}
    assert (6144,) in owned.sql("SELECT usage_quota FROM privileges")
    owned.sql("DROP TABLE vdvs_objects")
    apply(owned)
    assert set(records(owned).values()) == {"team"}


def test_a_record_follows_a_rename(owned: LabSite) -> None:
    owned.write(RENAMED)
    assert apply(owned)["vmgroup/WEB"] == "configured"
    assert "vmgroup/MYVMGROUP" not in records(owned)
    owned.write(SEED.split("---")[0])
    apply(owned, "--prune", "--allow-destroy")
    assert vmgroups(owned) == set()


def test_a_vmgroup_that_somebody_else_applied_after_the_look_is_not_pruned(
    owned: LabSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler import reconcile as module
    from reconciler.execution.executor import execute as really

    async def meddle(*arguments: Any) -> object:
        owned.sql("UPDATE vdvs_objects SET set_name = 'others' WHERE object = 'vmgroup/one'")
        return await really(*arguments)

    monkeypatch.setattr(module, "execute", meddle)
    owned.write(SEED)
    found = statuses(owned.reconcile(APPLY_AND_DESTROY, TEAM))
    assert (found["vmgroup/one"], found["vmgroup/two"]) == ("failed", "pruned")
    assert vmgroups(owned) == {"MYVMGROUP", "one"}


def test_a_saved_plan_records_for_the_set_that_it_was_made_for(applied: LabSite) -> None:
    file = str(applied.folder / "change.plan")
    applied.write(SEED.replace("5GB", "6GB"))
    assert vdvs("plan", applied, "--set", "team", "--reason", "reviewed", "--out", file).exit_code == 0
    done = CliRunner().invoke(cli, ["apply", "--plan", file], catch_exceptions=False, prog_name="vdvs")
    assert done.exit_code == 0
    assert applied.sql("SELECT set_name, reason FROM vdvs_objects WHERE object = 'vmgroup/MYVMGROUP'") == [
        ("team", "reviewed")
    ]
    assert_in_sync(applied)


def test_a_saved_plan_whose_records_have_moved_is_refused(applied: LabSite) -> None:
    file = str(applied.folder / "change.plan")
    applied.write(SEED.replace("5GB", "6GB"))
    vdvs("plan", applied, "--set", "team", "--out", file)
    rows = applied.sql("SELECT usage_quota FROM privileges")
    applied.write(SEED)
    apply(applied, of="others")
    done = CliRunner().invoke(cli, ["apply", "--plan", file], catch_exceptions=False, prog_name="vdvs")
    assert done.exit_code == 3
    assert "nothing was written" in done.stderr
    assert applied.sql("SELECT usage_quota FROM privileges") == rows


def test_history_says_who_applied_each_object_last(
    site: LabSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    apply(site, "--reason", "ticket 7")
    site.write(SEED.replace("5GB", "6GB"))
    apply(site, "--reason", "more room")
    site.sql("UPDATE vdvs_objects SET applied_at = '20300101T000000Z' WHERE object = 'vmgroup/MYVMGROUP'")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    told = json.loads(vdvs("history", site, "-o", "json").stdout)
    schemas.check("history", told)
    assert [item["object"] for item in told["items"]] == [
        "vmgroup/MYVMGROUP",
        "configdb/shared",
        "host/esxiz10",
        "host/esxiz20",
    ]
    assert [item["applied"]["reason"] for item in told["items"]] == ["more room", *["ticket 7"] * 3]
    assert {(item["applied"]["by"], item["applied"]["set"]) for item in told["items"]} == {(who(), "team")}
    line = ["history", "vmgroup", "myvmgroup", "-f", str(site.manifests)]
    shown = CliRunner().invoke(cli, line, catch_exceptions=False).stdout.splitlines()
    assert [row.split()[:4] for row in shown[1:]] == [["2030-01-01", "00:00:00", "UTC", "vmgroup/MYVMGROUP"]]
    described = CliRunner().invoke(cli, ["describe", *line[1:]], catch_exceptions=False).stdout
    assert f"2030-01-01 00:00:00 UTC by {who()} (claimed by the config DB), set team\n" in described
    assert "more room" in described


def test_history_where_nobody_can_say(applied: LabSite) -> None:
    assert vdvs("history", applied).stdout == "Nothing is recorded.\n"
    spoil_records(applied)
    result = vdvs("history", applied)
    assert result.exit_code == 3
    assert "vdvs: configdb/shared: its table vdvs_objects is damaged" in result.stderr
    applied.sql("DROP TABLE vdvs_objects")
