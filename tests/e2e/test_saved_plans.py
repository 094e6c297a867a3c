"""`plan --out`, then `apply --plan`: what was reviewed is what is applied, or nothing is written anywhere."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import cli
from reconciler.loader import load
from reconciler.model.errors import UsageError
from reconciler.model.plan import HEALING
from reconciler.reconcile import Approval, ask_again, carry_out
from reconciler.saved import read
from reconciler.wiring.clock_and_chance import SystemClock
from reconciler.wiring.world import open_world
from tests.e2e.site import SEED, LabSite, Nobody, assert_in_sync
from tests.render import schemas

MORE = SEED.replace("5GB", "6GB")


def vdvs(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args), catch_exceptions=False, prog_name="vdvs")


def plan(site: LabSite, *options: str) -> Path:
    """Make a plan of what the manifests say."""
    file = site.folder / "change.plan"
    result = vdvs("plan", "-f", str(site.manifests), "--out", str(file), *options)
    assert result.exit_code == 0, result.output
    return file


def apply(file: Path, *options: str) -> Result:
    return vdvs("apply", "--plan", str(file), *options)


def world(site: LabSite) -> dict[str, str]:
    """Every file and link of the lab that an apply could write: the datastore and the hosts' own files."""
    found = {}
    for top, folders, files in os.walk(site.lab):
        for name in (*folders, *files):
            path = Path(top, name)
            if path.is_symlink():
                found[str(path)] = f"-> {path.readlink()}"
            elif path.is_file():
                found[str(path)] = path.read_bytes().hex()
    return found


def said(result: Result) -> dict[str, tuple[str, str]]:
    """Status and detail of each object, as apply prints them."""
    lines = result.stdout.split("\n\n")[0].splitlines()
    rows = [line.split(maxsplit=2) for line in lines if not line.startswith(" ")]
    return {row[0]: (row[1], row[2] if len(row) > 2 else "") for row in rows}


def assert_refused(site: LabSite, file: Path) -> dict[str, str]:
    """Nothing is written anywhere, and it says why, object by object."""
    before = world(site)
    result = apply(file)
    assert result.exit_code == 3, result.output
    assert "nothing was written" in result.stderr
    assert world(site) == before
    return {name: detail for name, (status, detail) in said(result).items() if status == "blocked"}


def quota(site: LabSite) -> int:
    return int(site.sql("SELECT usage_quota FROM privileges")[0][0])


def test_what_was_reviewed_is_what_is_applied(applied: LabSite) -> None:
    applied.write(MORE)
    file = plan(applied)
    applied.write(SEED.replace("5GB", "9GB"))
    result = apply(file)
    assert result.exit_code == 0
    assert said(result)["vmgroup/MYVMGROUP"] == ("configured", "volumeTotalSize 5GB -> 6GB")
    assert "backup vmdkops_config.db.bak-" in result.stdout
    assert quota(applied) == 6144


def test_a_whole_site_from_a_plan_with_the_uuids_that_were_drawn(site: LabSite) -> None:
    file = plan(site)
    assert not site.db.exists()
    assert apply(file).exit_code == 0
    ((_, uuid),) = read(str(file)).plan.question.drawn
    assert site.sql("SELECT id FROM tenants") == [(uuid,)]
    assert_in_sync(site)


def test_it_is_shown_as_diff_shows_it_and_as_it_was_shown_as_long_as_it_holds(applied: LabSite) -> None:
    applied.write(MORE)
    file = applied.folder / "change.plan"
    for output in ("text", "json", "yaml"):
        shown = vdvs("diff", "-f", str(applied.manifests), "-o", output).stdout
        assert vdvs("plan", "-f", str(applied.manifests), "--out", str(file), "-o", output).stdout == shown
        before = world(applied)
        assert apply(file, "--dry-run", "-o", output).stdout == shown
        assert world(applied) == before
        applied.sql("UPDATE privileges SET usage_quota = 1")
        stale = apply(file, "--dry-run", "-o", output)
        assert (stale.exit_code, stale.stdout) == (3, "")
        assert "nothing was written" in stale.stderr
        applied.sql("UPDATE privileges SET usage_quota = 5120")


def test_the_same_plan_twice_has_nothing_to_do_the_second_time(applied: LabSite) -> None:
    applied.write(MORE)
    file = plan(applied)
    assert apply(file).exit_code == 0
    before = world(applied)
    again = apply(file)
    assert again.exit_code == 0
    assert {status for status, _ in said(again).values()} == {"unchanged"}
    assert world(applied) == before


def test_the_same_plan_after_somebody_undid_it_is_refused(applied: LabSite) -> None:
    applied.write(MORE)
    file = plan(applied)
    assert apply(file).exit_code == 0
    applied.sql("UPDATE privileges SET usage_quota = 5120, max_volume_size = 1")
    assert "configdb/shared" in assert_refused(applied, file)


class TestTheWorldMoved:
    def test_rows_that_the_plan_changes(self, applied: LabSite) -> None:
        applied.write(MORE)
        file = plan(applied)
        applied.sql("UPDATE privileges SET usage_quota = 7168")
        assert assert_refused(applied, file) == {
            "configdb/shared": "its rows are not those that the plan was made from",
            "vmgroup/MYVMGROUP": "the plan says access[SHARED-Datastore].volumeTotalSize 5GB -> 6GB; "
            "now it would be access[SHARED-Datastore].volumeTotalSize 7GB -> 6GB",
        }

    def test_rows_of_which_the_plan_does_not_speak(self, applied: LabSite) -> None:
        applied.write(MORE)
        file = plan(applied)
        applied.sql("UPDATE tenants SET description = 'by hand'")
        refused = assert_refused(applied, file)
        assert refused["configdb/shared"] == "its rows are not those that the plan was made from"

    def test_a_link_that_leads_elsewhere_now_stops_the_config_db_too(self, applied: LabSite) -> None:
        applied.write(MORE)
        applied.link("esxiz10").unlink()
        file = plan(applied)
        applied.link("esxiz10").symlink_to("/vmfs/volumes/elsewhere/dockvols/vmdkops_config.db")
        refused = assert_refused(applied, file)
        assert "NotConfigured -> MultiNode" in refused["host/esxiz10"]
        assert "elsewhere" in refused["host/esxiz10"]
        assert refused["vmgroup/MYVMGROUP"] == "not written: host/esxiz10 is not as the plan found it"

    def test_a_link_that_somebody_made_again(self, applied: LabSite) -> None:
        target = applied.link("esxiz10").readlink()
        applied.write(MORE)
        applied.link("esxiz10").unlink()
        file = plan(applied)
        applied.link("esxiz10").symlink_to(target)
        refused = assert_refused(applied, file)
        assert refused["host/esxiz10"] == "nothing is left to do: it is as declared"

    def test_a_folder_under_the_name_of_a_vmgroup_to_be_made(self, applied: LabSite) -> None:
        applied.write(SEED + applied.vmgroup("other"))
        file = plan(applied)
        (applied.db.parent / "other").mkdir()
        assert assert_refused(applied, file)["vmgroup/other"].startswith("now blocked: dockvols/other is already there")

    def test_volumes_in_the_folder_of_what_the_plan_destroys(self, applied: LabSite) -> None:
        with_default = SEED.replace("defaultVMGroup: Absent", "defaultVMGroup: Present")
        applied.write(with_default)
        applied.reconcile()
        applied.write(SEED)
        file = plan(applied, "--allow-destroy")
        folder = applied.db.parent / "11111111-1111-1111-1111-111111111111"
        folder.mkdir()
        (folder / "data.vmdk").write_text("# Disk DescriptorFile\n")
        before = world(applied)
        result = apply(file, "--allow-destroy")
        assert result.exit_code == 3
        assert "1 volume in dockvols" in said(result)["configdb/shared"][1]
        assert world(applied) == before

    def test_a_name_that_means_another_vm_now(self, applied: LabSite) -> None:
        applied.write(SEED.replace("photon-02]", "photon-02, photon-03]"))
        file = plan(applied)
        edit_inventory(applied, lambda vms: swap(vms, "photon-03"))
        assert "564d0000" in assert_refused(applied, file)["vmgroup/MYVMGROUP"]

    def test_a_vm_that_has_a_disk_attached_now(self, applied: LabSite) -> None:
        applied.write(SEED.replace("[photon-01, photon-02]", "[photon-01]"))
        file = plan(applied)

        def attach(vms: list[dict[str, object]]) -> None:
            vm = next(vm for vm in vms if vm["name"] == "photon-02")
            vm["volumes"] = ["[SHARED-Datastore] dockvols/MYVMGROUP/data.vmdk"]

        edit_inventory(applied, attach)
        assert "attached; stop its containers first" in assert_refused(applied, file)["vmgroup/MYVMGROUP"]

    def test_what_differs_elsewhere_since_is_named_and_left_alone(self, applied: LabSite) -> None:
        applied.write(MORE)
        file = plan(applied)
        applied.link("esxiz20").unlink()
        result = apply(file)
        assert result.exit_code == 3
        assert said(result)["vmgroup/MYVMGROUP"][0] == "configured"
        assert said(result)["host/esxiz20"][0] == "blocked"
        assert "only since the plan was made" in said(result)["host/esxiz20"][1]
        assert quota(applied) == 6144
        assert not applied.link("esxiz20").is_symlink()


def edit_inventory(site: LabSite, change: Callable[[list[dict[str, object]]], None]) -> None:
    file = site.lab / "inventory.json"
    inventory = json.loads(file.read_text())
    change(inventory["vms"])
    file.write_text(json.dumps(inventory))


def swap(vms: list[dict[str, object]], name: str) -> None:
    """The VM was made anew under its old name."""
    next(vm for vm in vms if vm["name"] == name)["uuid"] = "564d0000-0000-4000-8000-000000000000"


class TestTheFile:
    @pytest.fixture
    def file(self, applied: LabSite) -> Path:
        applied.write(MORE)
        return plan(applied)

    def refusal(self, file: Path, *options: str) -> str:
        """It is refused as input: exit 2, and one line, at most after the one that says what the plan is."""
        result = apply(file, *options)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        *before, line = result.stderr.splitlines()
        assert len(before) <= 1
        assert all(f"{file}: made " in introduced for introduced in before)
        return line

    def test_it_is_as_its_schema_says_and_only_for_its_owner(self, file: Path) -> None:
        schemas.check("saved-plan", json.loads(file.read_text()))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_any_change_of_it_shows(self, file: Path, applied: LabSite) -> None:
        file.write_text(file.read_text().replace("6144", "9216"))
        assert "it was changed after it was made" in self.refusal(file)
        assert "it was changed after it was made" in self.refusal(file, "--dry-run")
        assert quota(applied) == 5120

    def test_a_cut_shows_wherever_it_is(self, file: Path) -> None:
        whole = file.read_bytes()
        for length in range(0, len(whole) - 2, 97):
            file.write_bytes(whole[:length])
            assert self.refusal(file).startswith(f"vdvs: {file}: it is ")

    def test_it_expires_to_the_moment(self, file: Path, applied: LabSite, monkeypatch: pytest.MonkeyPatch) -> None:
        made = read(str(file)).plan
        assert made.expires_at - made.made_at == timedelta(hours=24)
        monkeypatch.setattr(SystemClock, "now", lambda _: made.expires_at)
        assert "the plan expired at" in self.refusal(file)
        assert "the plan expired at" in self.refusal(file, "--dry-run")
        monkeypatch.setattr(SystemClock, "now", lambda _: made.expires_at - timedelta(microseconds=1))
        assert apply(file).exit_code == 0
        assert quota(applied) == 6144

    def test_how_long_it_holds_can_be_said(self, applied: LabSite) -> None:
        file = plan(applied, "--expires", "1h")
        made = read(str(file)).plan
        assert made.expires_at - made.made_at == timedelta(hours=1)
        assert datetime.now(UTC) - made.made_at < timedelta(minutes=5)
        for wrong in ("soon", "721h"):
            refused = vdvs("plan", "-f", str(applied.manifests), "--expires", wrong)
            assert (refused.exit_code, refused.stdout) == (2, "")

    def test_another_site_refuses(self, file: Path, applied: LabSite) -> None:
        mine = applied.manifests / "site.yaml"
        other = applied.folder / "other.yaml"
        other.write_text(mine.read_text().replace("directory: .lab", "directory: another-lab"))
        assert "the plan was made for site lab" in self.refusal(file, "--site", str(other))
        assert not (applied.folder / "another-lab").exists()
        other.write_text(mine.read_text().replace("name: lab", "name: berlin"))
        assert "the plan was made for site lab, not for site berlin" in self.refusal(file, "--site", str(other))
        assert apply(file, "--site", str(mine)).exit_code == 0

    def test_one_of_another_version_is_refused_by_name(self, file: Path) -> None:
        data = json.loads(file.read_text())
        file.write_text(json.dumps({**data, "vdvsPlan": 1}))
        assert "another version of vdvs, made it: it has format 1; this one knows format 3" in self.refusal(file)

    def test_nothing_but_an_older_plan_is_written_over(self, file: Path, applied: LabSite) -> None:
        applied.write(SEED.replace("5GB", "7GB"))
        assert plan(applied) == file
        letter = applied.folder / "letter.txt"
        letter.write_text("Dear all,\n")
        (applied.folder / "link").symlink_to(letter)
        for name in ("letter.txt", "link", "manifests", "nowhere/change.plan"):
            result = vdvs("plan", "-f", str(applied.manifests), "--out", str(applied.folder / name))
            assert result.exit_code == 2
            assert result.stdout == ""
        assert letter.read_text() == "Dear all,\n"
        assert not [path.name for path in applied.folder.iterdir() if path.name.startswith(".change.plan")]

    def test_without_out_nothing_is_written(self, applied: LabSite) -> None:
        before = world(applied)
        assert vdvs("plan", "-f", str(applied.manifests)).exit_code == 0
        assert world(applied) == before
        assert not list(applied.folder.glob("*.plan"))

    def test_what_goes_with_it_on_the_command_line(
        self, file: Path, applied: LabSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.refusal(file, "-f", str(applied.manifests))
        self.refusal(file, "-l", "a=b")
        (empty := tmp_path / "empty").mkdir()
        monkeypatch.chdir(empty)
        nothing = vdvs("apply")
        assert (nothing.exit_code, nothing.stdout) == (2, "")
        self.refusal(applied.folder / "missing.plan")

    def test_content_that_vdvs_did_not_write_is_refused_whatever_its_digest(self, file: Path) -> None:
        for content in (b'{"made_by":"\xff"}', b'{"made_at":' + b"9" * 5000 + b"}", b'{"a\\nb":1}', b"null"):
            digest = sha256(content).hexdigest().encode()
            file.write_bytes(b'{"vdvsPlan":3,"digest":"sha256:%s","content":%s}\n' % (digest, content))
            assert self.refusal(file).startswith(f"vdvs: {file}: ")
        for version in (b"[[]]", b'"\\n"', b"9" * 5000):
            file.write_bytes(b'{"vdvsPlan":%s,"digest":"","content":{}}\n' % version)
            assert "it is damaged or cut off" in self.refusal(file)

    def test_text_of_any_other_kind_is_no_plan(self, file: Path) -> None:
        for text in (b"", b"kind: VMGroup\n", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000):
            file.write_bytes(text)
            assert "it is not a plan of vdvs" in self.refusal(file)


def test_what_destroys_must_be_allowed_when_it_is_applied_too(applied: LabSite) -> None:
    applied.write(SEED.replace("defaultVMGroup: Absent", "defaultVMGroup: Present"))
    applied.reconcile()
    applied.write(SEED)
    left_out = vdvs("plan", "-f", str(applied.manifests))
    assert left_out.exit_code == 3
    assert "held back: configdb/shared: it destroys" in left_out.stderr
    file = plan(applied, "--allow-destroy")
    refused = apply(file)
    assert refused.exit_code == 2
    assert "give --allow-destroy" in refused.stderr
    assert applied.sql("SELECT count(*) FROM tenants") == [(2,)]
    assert apply(file, "--allow-destroy").exit_code == 0
    assert applied.sql("SELECT name FROM tenants") == [("MYVMGROUP",)]


def test_whoever_carries_out_a_plan_must_have_consent_to_its_risks(applied: LabSite) -> None:
    applied.write(MORE)
    made = read(str(plan(applied))).plan
    loaded, before = load([str(applied.manifests)], site=str(applied.site_file)), world(applied)

    async def carry_it_out() -> None:
        async with open_world(loaded.site, Nobody()) as there:
            answer = await ask_again(made, loaded.desired, there, "root@jump")
            await carry_out(answer, there, Approval("root@jump", HEALING))

    with pytest.raises(UsageError, match="risks that are not approved: widens"):
        asyncio.run(carry_it_out())
    assert world(applied) == before


def test_a_writer_that_comes_between_the_look_and_the_write_is_not_overwritten(
    applied: LabSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler import reconcile as module
    from reconciler.execution.executor import execute

    applied.write(MORE)
    file = plan(applied)

    async def meddle_first(*args: object, **kwargs: object) -> object:
        applied.sql("UPDATE tenants SET description = 'by hand'")
        return await execute(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "execute", meddle_first)
    result = apply(file)
    assert result.exit_code == 3
    assert said(result)["vmgroup/MYVMGROUP"][0] == "failed"
    assert quota(applied) == 5120


def test_what_was_selected_stays_selected(applied: LabSite) -> None:
    applied.write(MORE.replace("metadata: {name: myvmgroup}", "metadata: {name: myvmgroup, labels: {team: a}}"))
    applied.link("esxiz10").unlink()
    file = plan(applied, "-l", "team=a")
    result = apply(file)
    assert result.exit_code == 0
    assert list(said(result)) == ["vmgroup/MYVMGROUP"]
    assert quota(applied) == 6144
    assert not applied.link("esxiz10").is_symlink()


def test_the_lab_that_it_was_made_for_is_gone(applied: LabSite) -> None:
    applied.write(MORE)
    file = plan(applied)
    away = applied.lab.rename(applied.folder / "away")
    result = apply(file)
    assert result.exit_code == 2
    assert "does not exist" in result.stderr
    assert not applied.lab.exists()
    away.rename(applied.lab)
