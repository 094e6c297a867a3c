"""The commands on the embedded site: what they print, and what they exit with."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.cli.conftest import Folder
from tests.render import schemas


def test_from_nothing_to_in_sync(folder: Folder) -> None:
    first = folder.vdvs("apply", "-f", "manifests")
    assert first.exit_code == 0
    lines = first.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:4]] == [
        ["configdb/shared", "created"],
        ["host/esxiz10", "configured"],
        ["host/esxiz20", "configured"],
        ["vmgroup/MYVMGROUP", "created"],
    ]
    assert lines[-1].startswith("2 created, 2 configured in ")
    assert "(verified from esxiz" in lines[-1]

    again = folder.vdvs("apply", "-f", "manifests")
    assert again.exit_code == 0
    assert [line.split()[1] for line in again.stdout.splitlines()[:4]] == ["unchanged"] * 4

    quiet = folder.vdvs("diff", "-f", "manifests")
    assert quiet.exit_code == 0
    assert quiet.stdout == "site lab   2 hosts   1 config DB\n\nIn sync.\n"


def test_what_is_only_recorded_is_counted(applied: Folder) -> None:
    taken_over = applied.vdvs("apply", "-f", "manifests", "--set", "other")
    assert taken_over.stdout.splitlines()[-1].startswith("4 unchanged (4 recorded anew) in ")
    again = applied.vdvs("apply", "-f", "manifests", "--set", "other")
    assert again.stdout.splitlines()[-1].startswith("4 unchanged in ")


def test_drift_is_shown_and_healed(applied: Folder) -> None:
    applied.sql("UPDATE privileges SET usage_quota = 10240")
    applied.unlink("esxiz20")

    shown = applied.vdvs("diff", "-f", "manifests")
    assert shown.exit_code == 1
    assert shown.stdout == (
        "site lab   2 hosts   1 config DB\n"
        "\n"
        "~ host/esxiz20                                          gave access; repair restricts access\n"
        "    configDB       live NotConfigured, declared MultiNode (SHARED-Datastore)\n"
        "                   OPENED: every VM may create volumes without limit on esxiz20\n"
        "    live: every VM on this host may do everything without limit; declared: what configdb/shared grants\n"
        "~ vmgroup/MYVMGROUP                                     gave access; repair restricts access\n"
        "    access[SHARED-Datastore].volumeTotalSize   live 10GB, declared 5GB\n"
        "    live: its 3 VMs may mount, delete, and create volumes up to 200MB, 10GB in all on SHARED-Datastore;"
        " declared: volumes up to 200MB, 5GB in all\n"
        "\n"
        "2 to update, 2 in sync.\n"
    )
    healed = applied.vdvs("apply", "-f", "manifests")
    assert healed.exit_code == 0
    assert "configured   linked to SHARED-Datastore\n" in healed.stdout
    assert "configured   volumeTotalSize 10GB -> 5GB\n" in healed.stdout
    assert "backup vmdkops_config.db.bak-" in healed.stdout
    assert applied.vdvs("diff", "-f", "manifests").exit_code == 0


def test_a_dry_run_prints_the_diff_and_writes_nothing(folder: Folder) -> None:
    dry = folder.vdvs("apply", "-f", "manifests", "--dry-run")
    assert dry.exit_code == 0
    assert dry.stdout == folder.vdvs("diff", "-f", "manifests").stdout
    assert "2 to create, 2 to update.\n" in dry.stdout


def test_every_json_output_is_as_its_schema_says(applied: Folder) -> None:
    applied.unlink("esxiz20")
    diff = json.loads(applied.vdvs("diff", "-f", "manifests", "-o", "json").stdout)
    schemas.check("diff", diff)
    assert diff["summary"] == dict.fromkeys(("create", "delete", "blocked", "unmanaged", "removed", "unknown"), 0) | {
        "update": 1,
        "keep": 3,
    }
    for name, args in {
        "get": ("get", "all"),
        "describe": ("describe", "host", "esxiz20"),
        "status": ("status",),
        "validate": ("validate", "-f", "manifests"),
        "apply": ("apply", "-f", "manifests"),
    }.items():
        schemas.check(name, json.loads(applied.vdvs(*args, "-o", "json").stdout))
        schemas.check(name, yaml.safe_load(applied.vdvs(*args, "-o", "yaml").stdout))


def test_get_shows_who_stands_open(applied: Folder) -> None:
    applied.unlink("esxiz20")
    shown = applied.vdvs("get", "hosts")
    assert shown.exit_code == 0
    assert shown.stdout == (
        "NAME      STATE       DB                           ACCESS     DRIVER               SERVICE   SYNC\n"
        "esxiz10   connected   MultiNode SHARED-Datastore   enforced   0.14.0577889-0.0.1   running   in sync\n"
        "esxiz20   connected   NotConfigured                OPEN       0.14.0577889-0.0.1   running   drifted\n"
    )


def test_get_vmgroups(applied: Folder) -> None:
    assert applied.vdvs("get", "vg").stdout == (
        "NAME        DEFAULT DATASTORE   VMS   DATASTORES   QUOTA USED        SYNC\n"
        "MYVMGROUP   SHARED-Datastore    3     1            0MB of 5GB (0%)   in sync\n"
    )


@pytest.mark.parametrize("word", ["host", "Hosts", "HOST"])
def test_kinds_may_be_spelled_in_any_way(applied: Folder, word: str) -> None:
    assert applied.vdvs("get", word, "-o", "name").stdout == "host/esxiz10\nhost/esxiz20\n"
    assert applied.vdvs("get", f"{word}/esxiz10", "-o", "name").stdout == "host/esxiz10\n"
    assert applied.vdvs("get", word, "esxiz20", "-o", "name").stdout == "host/esxiz20\n"


def test_names_may_be_spelled_in_any_way_that_means_one_object(applied: Folder) -> None:
    assert applied.vdvs("get", "vmgroup", "myvmgroup", "-o", "name").stdout == "vmgroup/MYVMGROUP\n"
    assert applied.vdvs("describe", "host", "ESXIZ10").exit_code == 0


def test_get_all_wide(applied: Folder) -> None:
    shown = applied.vdvs("get", "all", "-o", "wide").stdout
    assert [line.split()[0] for line in shown.split("\n\n")] == ["NAME", "NAME", "NAME"]
    assert "esxiz10.lab.local" in shown


def test_a_selector_narrows_diff_and_apply(applied: Folder) -> None:
    applied.edit("hosts.yaml", "name: esxiz10\n  labels:\n    site: lab", "name: esxiz10\n  labels:\n    site: ten")
    applied.unlink("esxiz10")
    applied.unlink("esxiz20")
    assert applied.vdvs("get", "hosts", "-l", "site=ten", "-o", "name").stdout == "host/esxiz10\n"
    assert "1 to update." in applied.vdvs("diff", "-f", "manifests", "-l", "site=ten").stdout
    done = applied.vdvs("apply", "-f", "manifests", "-l", "site=ten")
    assert done.exit_code == 0
    assert [line.split()[:2] for line in done.stdout.splitlines()[:-2]] == [["host/esxiz10", "configured"]]
    assert applied.vdvs("get", "hosts").stdout.count("OPEN") == 1


def test_what_cannot_be_read_is_unknown_and_exits_with_3(applied: Folder) -> None:
    (database,) = applied.lab.glob("datastores/*/dockvols/vmdkops_config.db")
    database.write_bytes(b"this is not a database " * 100)
    for args in (("diff", "-f", "manifests"), ("apply", "-f", "manifests"), ("status",), ("get", "vmgroups")):
        done = applied.vdvs(*args)
        assert done.exit_code == 3, args
        assert done.stderr == ""
    assert database.read_bytes().startswith(b"this is not a database ")
    shown = applied.vdvs("get", "vmgroups").stdout
    assert shown.splitlines()[1].split() == ["MYVMGROUP", "?", "?", "?", "?", "unknown"]


def test_describe(applied: Folder) -> None:
    shown = applied.vdvs("describe", "vmgroup", "MYVMGROUP").stdout
    assert "SHARED-Datastore: create and mount; volumeMaxSize 200MB, volumeTotalSize 5GB; used 0MB of 5GB (0%)" in shown
    assert "photon-01 (564d" in shown
    assert "CONDITION" in shown


def test_status(applied: Folder) -> None:
    quiet = applied.vdvs("status")
    assert quiet.exit_code == 0
    assert quiet.stdout.startswith("site lab: in sync\n1 config DB, 2 hosts, 1 vmgroup.\n\nDatastores")
    applied.unlink("esxiz20")
    assert applied.vdvs("status").stdout.startswith("site lab: 1 host stands OPEN\n")


def test_the_lab(folder: Folder) -> None:
    assert folder.vdvs("lab", "up", "--hosts", "3", "--datastores", "2", "--vms", "4").exit_code == 0
    assert sorted(path.name for path in (folder.lab / "hosts").iterdir())[0] == "esxi-001"
    assert folder.vdvs("lab", "reboot", "esxi-002").stdout.startswith("esxi-002 rebooted: local.sh ")
    assert folder.vdvs("lab", "down").exit_code == 0
    assert not folder.lab.exists()
    assert folder.vdvs("lab", "down").exit_code == 2


def test_manifests_from_standard_input(folder: Folder) -> None:
    names = ("configdb", "hosts", "vmgroup")
    text = "---\n".join((folder.path / "manifests" / f"{name}.yaml").read_text() for name in names)
    done = folder.vdvs("diff", "-f", "-", "--site", "manifests/site.yaml", stdin=text)
    assert done.exit_code == 1
    assert "2 to create, 2 to update.\n" in done.stdout
