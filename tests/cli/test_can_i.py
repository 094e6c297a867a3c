"""`vdvs can-i` on the embedded site."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Folder
from tests.render import schemas

ASKED = ("--vm", "photon-01", "--datastore", "SHARED-Datastore")


def test_allowed(applied: Folder) -> None:
    done = applied.vdvs("can-i", "create", *ASKED, "--size", "200MB")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        "allowed   photon-01: create a volume of 200MB on SHARED-Datastore\n"
        "\n"
        "  Rule        access[SHARED-Datastore]\n"
        "  Why         within the limits\n"
        "  VMGroup     MYVMGROUP (configdb/shared)\n"
        "  Looked up   SHARED-Datastore, then _ALL_DS, then _VM_DS\n"
        "  Limits      volumeMaxSize 200MB, volumeTotalSize 5GB\n"
        "  Used        0MB\n"
        "  Host        esxiz10 (MultiNode, driver 0.14.0577889-0.0.1)\n"
    )


def test_denied(applied: Folder) -> None:
    done = applied.vdvs("can-i", "create", *ASKED, "--size", "1GB", "-o", "json")
    assert (done.exit_code, done.stderr) == (1, "")
    told = json.loads(done.stdout)
    schemas.check("can-i", told)
    assert (told["answer"], told["verdicts"][0]["rule"]) == ("denied", "SHARED-Datastore")


def test_a_host_that_stands_open_allows_everything(applied: Folder) -> None:
    applied.unlink("esxiz10")
    done = applied.vdvs("can-i", "create", *ASKED, "--size", "1GB")
    assert done.exit_code == 0
    assert "Rule   NotConfigured\n" in done.stdout


def test_a_schema_that_vdvs_does_not_know_refuses(applied: Folder) -> None:
    applied.sql("UPDATE versions SET minor_ver = 9")
    done = applied.vdvs("can-i", "mount", *ASKED)
    assert done.exit_code == 1
    assert "Rule   WrongVersion\n" in done.stdout


def test_what_cannot_be_read_is_3(applied: Folder) -> None:
    applied.sql("PRAGMA journal_mode = WAL")
    done = applied.vdvs("can-i", "mount", *ASKED)
    assert done.exit_code == 3
    assert done.stdout.startswith("unknown   photon-01: mount a volume on SHARED-Datastore\n")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("create", "--vm", "photn", "--datastore", "SHARED-Datastore"), 'no VM "photn" in the inventory'),
        (("create", "--vm", "photon-01", "--datastore", "SHARED"), 'no datastore "SHARED" in the inventory'),
        (("create", *ASKED, "--size", "200"), "write 200MB"),
        (("create", *ASKED, "--size", "0MB"), "is no size for a volume"),
        (("mount", *ASKED, "--size", "1GB"), "--size is for create"),
        (("attach", *ASKED), "'attach' is not one of"),
        (("mount", "--vm", "photon-01"), "Missing option '--datastore'"),
    ],
)
def test_wrong_usage(folder: Folder, args: tuple[str, ...], said: str) -> None:
    done = folder.vdvs("can-i", *args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
