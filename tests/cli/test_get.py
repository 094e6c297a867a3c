"""`vdvs get`: what there is to name, who may use it, and how it is printed."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.cli.watched_table import Changes
from reconciler.planning.joined import Joined
from reconciler.render.tables import TABLES
from tests.cli.conftest import Folder
from tests.render import schemas, sites

ROOT = Path(__file__).parents[2]
_OTHER = "22222222-2222-4222-8222-222222222222"
_DEFAULT = "11111111-1111-1111-1111-111111111111"


def items(folder: Folder, *args: str, exit_code: int = 0) -> dict[str, dict[str, Any]]:
    done = folder.vdvs("get", *args, "-o", "json")
    assert done.exit_code == exit_code, done.stderr
    data = json.loads(done.stdout)
    schemas.check("get", data)
    return {item["name"]: item for item in data["items"]}


def users(datastore: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [(user["vmgroup"], user["rights"], user["onlyVMsOnIt"]) for user in datastore["vmgroups"]]


def test_the_vmgroups_that_may_use_a_datastore(applied: Folder) -> None:
    mine = ("MYVMGROUP", "mount, delete, and create volumes up to 200MB, 5GB in all", False)
    found = items(applied, "datastores")
    assert {name: users(each) for name, each in found.items()} == {
        "SHARED-Datastore": [mine], "datastore1": [], "datastore1 (1)": [],
    }  # fmt: skip
    for name, uuid in (("OTHER", _OTHER), ("_DEFAULT", _DEFAULT)):
        applied.sql(f"INSERT INTO tenants VALUES ('{uuid}', '{name}', '', '_VM_DS://')")
    applied.sql(f"INSERT INTO privileges VALUES ('{_OTHER}', '_ALL_DS://', 0, 0, 0)")
    applied.sql(f"INSERT INTO privileges VALUES ('{_DEFAULT}', '_VM_DS://', 1, 0, 0)")
    everywhere = [("OTHER", "mount", False), ("_DEFAULT", "create, delete and mount without limit", True)]
    found = items(applied, "ds")
    assert users(found["SHARED-Datastore"]) == [mine, *everywhere]
    assert users(found["datastore1"]) == everywhere
    assert "MYVMGROUP, OTHER (mount), _DEFAULT (VMs on it)" in applied.vdvs("get", "datastores").stdout


def test_the_vmgroup_of_a_vm_and_how_its_host_treats_it(applied: Folder) -> None:
    def treated() -> dict[str, tuple[str | None, str]]:
        return {name: (vm["vmgroup"], vm["access"]) for name, vm in items(applied, "vms").items()}

    applied.sql("DELETE FROM vms WHERE vm_name = 'photon-03'")
    own = ("MYVMGROUP", "enforced")
    assert treated() == {"photon-01": own, "photon-02": own, "photon-03": (None, "enforced")}
    applied.sql(f"INSERT INTO tenants VALUES ('{_DEFAULT}', '_DEFAULT', '', '_VM_DS://')")
    assert treated()["photon-03"] == ("_DEFAULT", "enforced")
    applied.unlink("esxiz10")
    assert treated() == {"photon-01": (None, "open"), "photon-02": own, "photon-03": (None, "open")}
    assert items(applied, "datastores")["datastore1"]["openOn"] == ["esxiz10"]


def test_what_cannot_be_read_is_unknown_never_absent(applied: Folder) -> None:
    (database,) = applied.lab.glob("datastores/*/dockvols/vmdkops_config.db")
    database.write_bytes(b"this is not a database " * 100)
    assert {vm["access"] for vm in items(applied, "vms").values()} == {"refused"}, "vDVS cannot read it either"
    shutil.rmtree(applied.lab / "hosts" / "esxiz20")
    shared = items(applied, "datastore", "SHARED-Datastore", exit_code=3)["SHARED-Datastore"]
    assert (shared["vmgroups"], len(shared["unknown"])) == ([], 1)
    assert "host/esxiz20 could not be reached" in shared["unknown"][0]
    vm = items(applied, "vm", "photon-02", exit_code=3)["photon-02"]
    assert (vm["vmgroup"], vm["access"], vm["unknown"]) == (None, "unknown", shared["unknown"])
    assert "photon-02   ?         ?         esxiz20" in applied.vdvs("get", "vms").stdout


@pytest.mark.parametrize("by", ["name", "uuid", "inventoryPath"])
def test_a_vm_is_found_by_all_that_manifests_name_it_by(applied: Folder, by: str) -> None:
    wanted = items(applied, "vms")["photon-02"][by]
    assert list(items(applied, "vm", wanted)) == ["photon-02"]


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("vm", "photon-2"), "no vm/photon-2 in the inventory (did you mean vm/photon-02?)"),
        (("vms", "-l", "a=b"), "a vm has no labels"),
        (("vmz",), 'did you mean "vm"'),
        (("hosts", "-o", "jsonpath={.items[*].snyc}"), 'there is no field "snyc" (did you mean "sync"?)'),
        (("hosts", "-o", "jsonpath"), "jsonpath=TEMPLATE: the second part is missing"),
        (("hosts", "-o", "jsonpath={.items[*]"), "has no closing brace"),
        (("hosts", "-o", "custom-columns=NAME"), "is no column"),
        (("hosts", "-o", "table"), "is not one of text, wide, json, yaml, name, jsonpath="),
        (("hosts", "--sort-by", ".nope"), 'there is no field "nope"'),
        (("hosts", "--sort-by", "{.items["), "is no JSONPath expression"),
    ],
)
def test_a_mistake_gets_one_line(applied: Folder, args: tuple[str, ...], why: str) -> None:
    done = applied.vdvs("get", *args)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert why in done.stderr


def test_expressions_as_kubectl_has_them(applied: Folder) -> None:
    def got(*args: str) -> str:
        return applied.vdvs("get", *args).stdout

    assert got("hosts", "-o", "jsonpath={.items[*].metadata.name}") == "esxiz10 esxiz20"
    assert got("hosts", "-o=jsonpath={.items[0].name}") == "esxiz10"
    assert got("host", "esxiz10", "-o", "jsonpath={.sync}") == "in sync"
    assert got("vms", "-o", 'jsonpath={range .items[*]}{.name}={.vmgroup}{"\\n"}{end}').splitlines()[0] == (
        "photon-01=MYVMGROUP"
    )
    columns = got("datastores", "--sort-by", ".capacityMB", "-o", "custom-columns=NAME:.metadata.name,MB:.capacityMB")
    assert columns.splitlines()[0].split() == ["NAME", "MB"]
    assert columns.splitlines()[-1].split() == ["SHARED-Datastore", "524288"]
    assert got("ds", "--sort-by", "{.capacityMB}", "-o", "name").splitlines()[-1] == "datastore/SHARED-Datastore"
    assert yaml.safe_load(got("vm/photon-01", "-o", "yaml"))["items"][0]["kind"] == "VM"


@pytest.mark.parametrize(
    ("kind", "row"), [("vms", r"photon-01 +\? +\? "), ("datastores", r"SHARED-Datastore .* \? +/vmfs")]
)
def test_a_locked_config_db_is_not_one_without_vmgroups(applied: Folder, kind: str, row: str) -> None:
    (database,) = applied.lab.glob("datastores/*/dockvols/vmdkops_config.db")
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        done = applied.vdvs("get", kind, "-o", "wide", "-f", "manifests")
    assert done.exit_code == 3
    assert "another writer holds the lock" in done.stdout
    assert re.search(row, done.stdout), done.stdout


@contextmanager
def watching(*args: str) -> Iterator[Callable[[], str]]:
    """`get --watch` in a process of its own; yields what reads its next line. Its reader goes away at the end."""
    line = [sys.executable, "-m", "reconciler", "get", *args, "--watch", "--interval", "200ms"]
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True
    )
    assert process.stdout
    assert process.stderr
    try:
        yield process.stdout.readline
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == ("", 141), "it notices, though there is nothing to print"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_a_watch_prints_what_has_changed(applied: Folder) -> None:
    with watching("vmgroups") as line:
        heading, row = line(), line()
        assert row.split()[0] == "MYVMGROUP"
        applied.edit("vmgroup.yaml", "5GB", "7GB")
        changed = line()
        assert (changed.split()[0], changed.split()[-2:]) == ("MYVMGROUP", ["not", "applied"])
        assert changed.index("not applied") == heading.index("SYNC"), "below its heading"
        applied.sql("INSERT INTO tenants VALUES ('22222222-2222-4222-8222-222222222222', 'new', '', '_VM_DS://')")
        assert (new := line()).split()[0] == "new"
        assert new.split()[-1] == "unmanaged"
        applied.sql("DELETE FROM tenants WHERE name = 'new'")
        assert line().split() == ["new", "gone"]


def test_a_watch_in_json_prints_an_object_a_line(applied: Folder) -> None:
    with watching("host", "ESXIZ10", "-o", "json") as line:
        assert json.loads(line())["sync"] == "in sync"
        applied.unlink("esxiz10")
        changed = json.loads(line())
        schemas.check("get", {"items": [changed]})
        assert (changed["name"], changed["access"]) == ("esxiz10", "open")


def test_what_a_look_misses_is_not_gone() -> None:
    table = TABLES["vmgroup"]
    first = sites.in_sync()
    shown = Changes(table, "name", None)
    rows = table.rows(Joined(first), None)
    assert shown.text(rows, complete=True) == "vmgroup/MYVMGROUP\n"
    json_lines = Changes(table, "json", None)
    assert json.loads(json_lines.text(rows, complete=True))["name"] == "MYVMGROUP"
    assert json_lines.text([], complete=False) == ""
    assert json_lines.text(rows, complete=True) == "", "it was there all the time"
    assert json.loads(json_lines.text([], complete=True))["gone"] is True


def test_a_watch_is_of_one_kind(applied: Folder) -> None:
    refused = applied.vdvs("get", "all", "--watch")
    assert (refused.exit_code, "--watch takes one kind" in refused.stderr) == (2, True)


def test_inside_of_a_strangers_clone_nobody_is_reached(tmp_path: Path, folder: Folder) -> None:
    """A Site among the manifests that is no lab counts only if the user names it."""
    subprocess.run(["git", "init", "--quiet", str(folder.path)], check=True)
    (folder.path / "manifests" / "site.yaml").write_text(
        "apiVersion: vdvs.io/v1\nkind: Site\nmetadata: {name: theirs}\n"
        "spec: {ssh: {user: root}, vsphere: [{server: 127.0.0.1:1, credentials: "
        "{usernameFrom: {env: HOME}, passwordFrom: {env: HOME}}}]}\n"
    )
    for command in (["get", "vms"], ["get", "datastores"], ["export", "--split", "there"], ["init", "there"]):
        refused = folder.vdvs(*command)
        assert (refused.exit_code, "--site" in refused.stderr) == (2, True)
    assert not (folder.path / "there").exists()
