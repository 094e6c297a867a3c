"""`vdvs export` of the lab: what it writes, that nothing differs from it, and what it does not hide."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner, Result

from reconciler import lab
from reconciler.cli.main import cli
from reconciler.lab.breakage import break_lab
from tests.e2e.site import LabSite
from tests.render import schemas

GOLDEN = Path(__file__).parents[1] / "golden" / "export" / "seed.yaml"
PINNED = "0f2d53d7-091e-4b04-a6b0-1d2a43c454eb"
OTHER = "7d5a2d7e-8f37-4f0e-9c5a-0d4f6a1b2c3d"
PHOTON_03 = "564d9819-6e2e-566c-99a2-441261b1700b"


def vdvs(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args), catch_exceptions=False, prog_name="vdvs")


def site_file(site: LabSite) -> str:
    return str(site.lab / "site.yaml")


def export(site: LabSite, *args: str) -> Result:
    return vdvs("export", "--site", site_file(site), *args)


def diff_of(site: LabSite, exported: Result) -> Result:
    path = site.folder / "exported.yaml"
    path.write_text(exported.stdout, encoding="utf-8")
    return vdvs("diff", "-f", str(path), "--site", site_file(site))


def assert_adopted(site: LabSite) -> Result:
    exported = export(site)
    assert (exported.exit_code, exported.stderr) == (0, "")
    compared = diff_of(site, exported)
    assert (compared.exit_code, compared.stdout.splitlines()[-1][:7]) == (0, "In sync")
    return exported


def test_the_seed(applied: LabSite) -> None:
    applied.sql("UPDATE vms SET tenant_id = ?", PINNED)
    applied.sql("UPDATE privileges SET tenant_id = ?", PINNED)
    applied.sql("UPDATE tenants SET id = ?", PINNED)
    applied.sql("INSERT INTO vms VALUES (?, ?, 'photon-03')", PHOTON_03, PINNED)
    assert assert_adopted(applied).stdout == GOLDEN.read_text(encoding="utf-8")


def test_what_is_exported_is_the_same_under_the_names_of_the_manifests(applied: LabSite) -> None:
    exported = list(yaml.safe_load_all(vdvs("export", "-f", str(applied.manifests)).stdout))
    assert [document["metadata"]["name"] for document in exported] == ["shared", "esxiz10", "esxiz20", "myvmgroup"]
    assert exported[1]["spec"]["driver"]["source"].endswith(lab.VIB_FILE)


def test_what_config_init_of_the_original_tool_made_is_adopted_and_mended(applied: LabSite) -> None:
    """Its link and its section go by the name of the datastore: that is all that differs from what is exported."""
    for drift in ("link-by-name", "section-by-name"):
        break_lab(applied.lab, drift)
    before = applied.sql("SELECT * FROM privileges")
    exported = export(applied)
    compared = diff_of(applied, exported)
    assert (exported.exit_code, compared.exit_code) == (0, 1)
    manifests = str(applied.folder / "exported.yaml")
    shown = json.loads(vdvs("diff", "-f", manifests, "--site", site_file(applied), "-o", "json").stdout)
    differing = {change["object"]: [field["path"] for field in change["fields"]] for change in shown["changes"]}
    assert {name: fields for name, fields in differing.items() if fields} == {"host/esxiz10": ["link", "persistence"]}
    assert vdvs("apply", "-f", manifests, "--site", site_file(applied)).exit_code == 0
    assert vdvs("diff", "-f", manifests, "--site", site_file(applied)).exit_code == 0
    assert applied.sql("SELECT * FROM privileges") == before


def test_what_the_original_tool_and_people_leave_behind(applied: LabSite) -> None:
    applied.sql("UPDATE tenants SET description = ''")
    applied.sql("UPDATE privileges SET max_volume_size = 0, usage_quota = 0")
    applied.sql("INSERT INTO tenants VALUES (?, 'my_vm.Group-', 'yes: # \"no\"', '_VM_DS://')", OTHER)
    for url in ("_VM_DS://", "_ALL_DS://", "/vmfs/volumes/5a7f1d2c-gone"):
        applied.sql("INSERT INTO privileges VALUES (?, ?, 1, 0, 300)", OTHER, url)
    applied.sql("INSERT INTO vms VALUES (?, ?, NULL)", PHOTON_03, OTHER)
    applied.sql("INSERT INTO vms VALUES ('564dffff-0000-0000-0000-000000000000', ?, 'left')", OTHER)
    applied.sql("INSERT INTO tenants VALUES ('9a9a9a9a-0000-4000-8000-000000000000', 'MYVMGroup', 'x', '_VM_DS://')")
    applied.sql("INSERT INTO privileges VALUES ('9a9a9a9a-0000-4000-8000-000000000000', '_VM_DS://', 0, 0, 0)")
    exported = assert_adopted(applied).stdout
    assert "  # left (not in the inventory)\n" in exported
    assert "    - datastore: /vmfs/volumes/5a7f1d2c-gone\n" in exported


@pytest.mark.parametrize("stock", [True, False])
def test_default_is_a_manifest_only_if_somebody_changed_it(site: LabSite, stock: bool) -> None:
    site.write(
        "apiVersion: vdvs.io/v1\nkind: ConfigDB\nmetadata: {name: shared}\nspec: {datastore: SHARED-Datastore}\n"
    )
    site.reconcile()
    if not stock:
        site.sql("DELETE FROM privileges WHERE datastore_url = '_ALL_DS://'")
    exported = assert_adopted(site).stdout
    assert "  defaultVMGroup: Present\n" in exported
    assert ("  name: _DEFAULT\n" in exported) is not stock


def test_a_db_that_no_host_uses_and_a_part_of_the_hosts(applied: LabSite) -> None:
    applied.link("esxiz20").unlink()
    exported = export(applied)
    assert "    names:\n      - esxiz10\n" in exported.stdout
    assert diff_of(applied, exported).exit_code == 0
    applied.link("esxiz10").unlink()
    exported = export(applied)
    assert "  hosts:  # no host uses it; one with this label would\n" in exported.stdout
    assert diff_of(applied, exported).exit_code == 0


def test_what_cannot_be_said_or_read_is_named(applied: LabSite) -> None:
    applied.sql("UPDATE tenants SET name = 'bad name!'")
    shown = export(applied)
    why = "left out: no manifest can express its name, so all of it"
    assert (shown.exit_code, shown.stderr) == (0, f"vdvs: vmgroup/bad name!: {why}\n")
    applied.sql("UPDATE tenants SET name = 'MYVMGROUP'")
    section = applied.root("esxiz10") / "etc/rc.local.d/local.sh"
    section.write_text(re.sub("(?m)^datastore=.*$", "datastore=SHARED-Datastore", section.read_text()))
    assert "host/esxiz10: left out: vdvs apply would change it: persistence\n" in export(applied).stderr
    applied.db.write_bytes(b"SQLite format 3\0 no more")
    shown = export(applied)
    assert shown.exit_code == 3
    assert "configdb/shared-datastore: not read: " in shown.stderr
    assert "kind: Host" in shown.stdout
    assert "kind: ConfigDB" not in shown.stdout
    applied.db.unlink()


def test_kinds_names_and_json(applied: LabSite, monkeypatch: pytest.MonkeyPatch) -> None:
    only = list(yaml.safe_load_all(export(applied, "vmgroup", "MYVMGROUP").stdout))
    assert [document["spec"]["name"] for document in only] == ["MYVMGROUP"]
    assert export(applied, "host/esxiz10").stdout.count("kind: ") == 1
    data = json.loads(export(applied, "-o", "json").stdout)
    schemas.check("export", data)
    assert len(data["items"]) == 4
    assert "did you mean" in export(applied, "host", "esxiz11").stderr
    monkeypatch.delenv("VDVS_SITE")
    monkeypatch.chdir(applied.folder)
    assert vdvs("export").exit_code == 0  # the Site is that of ./manifests


def test_each_in_a_file_with_the_schema_that_its_first_line_names(applied: LabSite) -> None:
    there = applied.folder / "there"
    written = export(applied, "--split", str(there))
    assert (written.exit_code, written.stdout, written.stderr) == (0, f"4 manifests in {there}\n", "")
    files = sorted(there.rglob("*.yaml"))
    assert [str(path.relative_to(there)) for path in files] == [
        "configdbs/shared-datastore.yaml",
        "hosts/esxiz10.yaml",
        "hosts/esxiz20.yaml",
        "vmgroups/myvmgroup.yaml",
    ]
    for path in files:
        modeline = path.read_text().splitlines()[0]
        schema = json.loads((path.parent / modeline.removeprefix("# yaml-language-server: $schema=")).read_text())
        jsonschema.Draft7Validator(schema).validate(yaml.safe_load(path.read_text()))
    assert vdvs("diff", "-f", str(there), "--site", site_file(applied)).exit_code == 0
    assert export(applied, "--split", str(there)).exit_code == 0, "the same once more"


@pytest.mark.parametrize("trap", ["changed", "link", "folder is a link"])
def test_nothing_of_others_is_overwritten(applied: LabSite, trap: str) -> None:
    there, target = applied.folder / "there", applied.folder / "theirs"
    if trap == "folder is a link":
        target.mkdir()
        there.mkdir()
        (there / "hosts").symlink_to(target)
    else:
        (there / "hosts").mkdir(parents=True)
        target.write_text("theirs")
        mine = there / "hosts" / "esxiz20.yaml"
        mine.write_text("mine") if trap == "changed" else mine.symlink_to(target)
    refused = export(applied, "--split", str(there))
    assert (refused.exit_code, "hosts/esxiz" in refused.stderr) == (2, True)
    assert [path.name for path in there.rglob("*.yaml")] == ([] if "folder" in trap else ["esxiz20.yaml"])
    assert list(target.iterdir()) == [] if target.is_dir() else target.read_text() == "theirs"


def test_labels_and_what_is_asked_of_a_watch_are_kept(applied: LabSite) -> None:
    marks = {"labels": {"team": "blue"}, "annotations": {"vdvs.io/reconcile": "report"}}
    for path in sorted(applied.manifests.glob("*.yaml")):
        documents = list(yaml.safe_load_all(path.read_text()))
        for document in documents:
            document["metadata"] |= marks if document["kind"] != "Site" else {}
        path.write_text(yaml.safe_dump_all(documents))
    exported = list(yaml.safe_load_all(vdvs("export", "-f", str(applied.manifests)).stdout))
    assert len(exported) == 4
    assert [document["metadata"] for document in exported] == [
        {"name": document["metadata"]["name"], **marks} for document in exported
    ]


def test_the_first_manifests(applied: LabSite) -> None:
    there = applied.folder / "there"
    made = vdvs("init", str(there), "--site", site_file(applied))
    assert (made.exit_code, made.stderr) == (0, "")
    assert made.stdout.splitlines() == [
        f"{there}: 1 config DB, 2 hosts, 1 vmgroup",
        f"next: vdvs diff -f {there} --site {site_file(applied)}",
    ]
    compared = vdvs("diff", "-f", str(there), "--site", site_file(applied))
    assert (compared.exit_code, compared.stdout.splitlines()[-1][:7]) == (0, "In sync")
    again = vdvs("init", str(there), "--site", site_file(applied))
    assert (again.exit_code, "is not empty" in again.stderr) == (2, True)


def test_the_first_manifests_of_a_site_that_nobody_configured(site: LabSite) -> None:
    there = site.folder / "there"
    made = vdvs("init", str(there), "--site", site_file(site))
    assert (made.exit_code, made.stdout.splitlines()[0]) == (0, f"{there}: 2 hosts")
    assert "no config DB was found, so every VM may do everything" in made.stdout


def test_first_manifests_need_a_site_that_the_user_names(applied: LabSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VDVS_SITE")
    monkeypatch.chdir(applied.folder)
    monkeypatch.chdir(applied.folder)
    refused = vdvs("init", "there")
    assert (refused.exit_code, "--site FILE" in refused.stderr) == (2, True)
    assert not (applied.folder / "there").exists()
