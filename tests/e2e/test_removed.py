"""What was removed from the manifests, but not from the site: told as that by every command, removed by `--prune`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import GOLD, SEED, WEB, LabSite
from tests.e2e.test_ownership import apply, records, vdvs
from tests.e2e.test_volumes import volume
from tests.render import schemas

TEAM = ("--set", "team")


def told(site: LabSite, *options: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code of `diff`, and op and reason of what differs."""
    done = vdvs("diff", site, *(options or TEAM), "-o", "json")
    data: dict[str, Any] = json.loads(done.stdout)
    schemas.check("diff", data)
    return done.exit_code, {each["object"]: (each["op"], each["reason"]) for each in data["changes"]}


@pytest.fixture
def owned(site: LabSite) -> LabSite:
    """Set team applied the seed, and a vmgroup more, which it then no longer declares."""
    site.write(SEED + site.vmgroup("one", "[photon-03]"))
    apply(site)
    site.write(SEED)
    return site


def test_a_vmgroup_is_told_and_counts(owned: LabSite) -> None:
    code, found = told(owned)
    op, reason = found["vmgroup/one"]
    assert (code, op) == (1, "removed")
    assert "set team applied it last (by" in reason
    assert "`vdvs apply --prune --allow-destroy` removes it; until then " in reason
    text = vdvs("diff", owned, *TEAM).stdout
    assert "? vmgroup/one" in text
    assert "removed from the manifests" in text
    assert "1 removed from the manifests" in text.splitlines()[-1]


def test_what_would_be_pruned_is_called_what_it_is(owned: LabSite) -> None:
    for prune in ((), ("--prune", "--allow-destroy")):
        data = json.loads(vdvs("diff", owned, *TEAM, *prune, "-o", "json").stdout)
        (change,) = data["changes"]
        assert (change["standing"], change["cause"]) == ("removed from the manifests", "manifest")


def test_every_command_that_shows_it_takes_the_name_of_the_set(owned: LabSite) -> None:
    for command in (("status",), ("get", "vmgroups"), ("describe", "vmgroup", "one")):
        assert "removed from the manifests" in vdvs(command[0], owned, *command[1:], *TEAM).stdout


def test_an_apply_leaves_it_with_a_word_and_prune_removes_it(owned: LabSite) -> None:
    done = vdvs("apply", owned, *TEAM)
    assert done.exit_code == 0
    assert "note: vmgroup/one stays: set team applied it last" in done.stderr
    assert apply(owned, "--prune", "--allow-destroy")["vmgroup/one"] == "pruned"
    assert told(owned) == (0, {})


def test_every_mode_says_what_needs_allow_destroy(owned: LabSite) -> None:
    for command, *options in (["diff"], ["plan"], ["apply", "--dry-run"], ["apply"]):
        done = vdvs(command, owned, *options, *TEAM, "--prune")
        assert done.exit_code == 3
        assert "it destroys; `vdvs apply --allow-destroy` lets it" in done.output
    codes = []
    for command, *options in (["diff"], ["plan"], ["apply", "--dry-run"], ["apply"]):
        codes.append(vdvs(command, owned, *options, *TEAM, "--prune", "--allow-destroy").exit_code)
    assert codes == [1, 0, 0, 0]


def test_what_prune_would_leave_it_says(owned: LabSite) -> None:
    ((uuid,),) = owned.sql("SELECT id FROM tenants WHERE name = 'one'")
    (owned.db.parent / uuid).mkdir(exist_ok=True)
    (owned.db.parent / uuid / "data.vmdk").write_text("# Disk DescriptorFile\n")
    _, found = told(owned)
    assert "--prune leaves it: 1 volume" in found["vmgroup/one"][1]


def test_on_a_machine_that_knows_nothing_of_it_the_claim_needs_trust(
    owned: LabSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    code, found = told(owned)
    assert (code, found["vmgroup/one"][0]) == (1, "removed")
    assert "only the config DB claims that set team applied it" in found["vmgroup/one"][1]
    assert "give --trust-records" in found["vmgroup/one"][1]


def test_of_another_set_or_of_a_part_of_the_manifests_it_is_unmanaged(owned: LabSite) -> None:
    assert told(owned, "--set", "others")[1]["vmgroup/one"][0] == "unmanaged"
    hosts = [f"-f{owned.manifests / f'host-{name}.yaml'}" for name in ("esxiz10", "esxiz20")]
    part = LabSite.__new__(LabSite)
    part.manifests = owned.manifests / "site-content.yaml"
    assert told(part, *hosts, *TEAM, "--site", str(owned.site_file))[1]["vmgroup/one"][0] == "unmanaged"


def test_what_another_set_took_over_elsewhere_is_told_as_that(
    owned: LabSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = os.environ["XDG_STATE_HOME"]
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    owned.write(SEED + owned.vmgroup("one", "[photon-03]"))
    assert vdvs("apply", owned, "--set", "others").exit_code == 0
    owned.write(SEED)
    monkeypatch.setenv("XDG_STATE_HOME", here)
    for options in (TEAM, (*TEAM, "--prune", "--allow-destroy")):
        code, found = told(owned, *options)
        op, reason = found["vmgroup/one"]
        assert (code, op) == (1, "removed"), "that others have it now is only a claim"
        assert "--prune leaves it: the config DB claims that set others applied it since (by" in reason
        assert "removes it" not in reason
    assert told(owned, *TEAM, "--prune", "--trust-records")[1]["vmgroup/one"][0] == "unmanaged"


def test_what_lost_its_record_is_not_said_to_be_pruned(owned: LabSite) -> None:
    owned.sql("DELETE FROM vdvs_objects WHERE object = 'vmgroup/one'")
    code, found = told(owned, *TEAM, "--prune", "--allow-destroy")
    op, reason = found["vmgroup/one"]
    assert (code, op) == (1, "removed")
    assert "--prune leaves it: its record in the config DB is gone; apply it once more before" in reason


def test_a_host_is_told_until_prune_forgets_it(owned: LabSite) -> None:
    owned.write(SEED + owned.vmgroup("one", "[photon-03]"))
    (owned.manifests / "host-esxiz20.yaml").unlink()
    code, found = told(owned)
    op, reason = found["host/esxiz20"]
    assert (code, op) == (1, "removed")
    assert "linked to /vmfs/volumes/SHARED-Datastore" in reason
    assert "`vdvs apply --prune` forgets it and leaves vDVS there" in reason
    apply(owned, "--prune")
    assert "host/esxiz20" not in records(owned)
    assert told(owned)[1]["host/esxiz20"][0] == "unmanaged"


def test_a_volume_and_a_storage_policy_are_told(tmp_path: Path) -> None:
    site = LabSite(tmp_path, vsan=True)
    apply(site)
    volume(site)
    site.write(SEED + WEB + GOLD)
    apply(site)
    site.write(SEED)
    code, found = told(site)
    assert code == 1
    assert {name: op for name, (op, _) in found.items()} == {
        "volume/MYVMGROUP/web@SHARED-Datastore": "removed",
        "storagepolicy/gold": "removed",
    }
    apply(site, "--prune")
    assert told(site) == (0, {})
