"""Content of a new lab, what it may replace, and what its removal leaves."""

from __future__ import annotations

import asyncio
import hashlib
import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler import lab
from reconciler.inventory.file import FileInventory
from reconciler.lab import build
from reconciler.model.errors import HostUnreachableError, UsageError, VdvsError
from tests.lab.world import SHARED, tree


def test_the_walk_through_before_its_procedure(directory: Path) -> None:
    assert lab.exists(directory)
    assert lab.hosts(directory) == ("esxiz10", "esxiz20")
    for name in lab.hosts(directory):
        root = lab.host_root(directory, name)
        local_sh = root / "etc/rc.local.d/local.sh"
        assert local_sh.read_text().startswith("#!/bin/sh\n")
        assert local_sh.read_text().endswith("\nexit 0\n")
        assert stat.S_IMODE(local_sh.stat().st_mode) == 0o1755
        assert not (root / "etc/vmware/vmdkops").exists()
        assert not (root / "etc/init.d/vmdk-opsd").exists()
        assert (root / "vmfs/volumes" / SHARED).readlink() == Path("../../../../datastores") / SHARED
        assert (root / "vmfs/volumes/SHARED-Datastore").readlink() == Path(SHARED)
        vib = root / "vmfs/volumes/SHARED-Datastore" / lab.VIB_FILE
        assert hashlib.sha256(vib.read_bytes()).hexdigest() == lab.VIB_SHA256


def test_a_datastore_is_one_place_for_all_hosts(directory: Path) -> None:
    first, second = (lab.host_root(directory, name) / "vmfs/volumes" for name in lab.hosts(directory))
    (first / SHARED / "dockvols").mkdir()
    assert (second / "SHARED-Datastore/dockvols").is_dir()
    assert not (second / "datastore1").exists()
    assert (second / "datastore1 (1)").is_dir()


def test_the_site_and_the_inventory_are_what_the_rest_reads(directory: Path) -> None:
    site = yaml.safe_load((directory / "site.yaml").read_text())
    assert site == {
        "apiVersion": "vdvs.io/v1",
        "kind": "Site",
        "metadata": {"name": "lab"},
        "spec": {"lab": {"directory": "."}},
    }
    inventory = asyncio.run(FileInventory(str(directory / "inventory.json")).snapshot())
    assert inventory.complete
    assert [host.name for host in inventory.hosts] == ["esxiz10", "esxiz20"]
    by_name = {datastore.name: datastore for datastore in inventory.datastores}
    assert by_name["SHARED-Datastore"].url == f"/vmfs/volumes/{SHARED}"
    assert by_name["SHARED-Datastore"].hosts == {"esxiz10", "esxiz20"}
    assert [vm.path for vm in inventory.vms] == [f"/DC0/vm/photon/photon-0{number}" for number in (1, 2, 3)]
    assert len({vm.uuid for vm in inventory.vms}) == 3
    assert all(vm.uuid == vm.uuid.lower() and vm.uuid.startswith("564d") for vm in inventory.vms)


def test_two_labs_are_the_same_to_the_byte(tmp_path: Path) -> None:
    sizes: tuple[dict[str, Any], ...] = ({}, {"hosts": 3, "datastores": 2, "vms": 5})
    for size in sizes:
        lab.create(tmp_path / "a", **size)
        lab.create(tmp_path / "b", **size)
        assert tree(tmp_path / "a") == tree(tmp_path / "b")
        lab.destroy(tmp_path / "a")
        lab.destroy(tmp_path / "b")


def test_a_lab_of_a_size(tmp_path: Path) -> None:
    lab.create(tmp_path / "big", hosts=12, datastores=2, vms=1000)
    assert lab.hosts(tmp_path / "big")[::11] == ("esxi-001", "esxi-012")
    inventory = json.loads((tmp_path / "big/inventory.json").read_text())
    assert [entry["name"] for entry in inventory["datastores"]] == ["shared-01", "shared-02"]
    assert [inventory["vms"][place]["name"] for place in (0, -1)] == ["vm-00001", "vm-01000"]
    assert len({vm["uuid"] for vm in inventory["vms"]}) == 1000
    root = lab.host_root(tmp_path / "big", "esxi-012")
    assert (root / "vmfs/volumes/shared-02" / lab.VIB_FILE).is_file()


def test_a_lab_that_is_there_stays_as_it_is(directory: Path) -> None:
    (lab.host_root(directory, "esxiz10") / "tmp/mine").write_text("mine")
    before = tree(directory)
    lab.create(directory)
    assert tree(directory) == before


def test_another_size_needs_another_place(tmp_path: Path) -> None:
    place = tmp_path / "lab"
    lab.create(place, hosts=3)
    lab.create(place, hosts=3)
    lab.create(place)
    with pytest.raises(VdvsError, match="has another size; `vdvs lab down` removes it"):
        lab.create(place, hosts=4)
    assert len(lab.hosts(place)) == 3
    (place / ".vdvs-lab.json").write_text('{"vdvsLab": 1, "size": {"x": 1}}')
    with pytest.raises(VdvsError, match="does not say the size of a lab"):
        lab.create(place, hosts=3)


@pytest.mark.parametrize(("name", "number"), [("hosts", 0), ("datastores", -1), ("vms", -1), ("vms", 10**9)])
def test_impossible_sizes(tmp_path: Path, name: str, number: int) -> None:
    impossible: dict[str, Any] = {name: number}
    with pytest.raises(UsageError, match=f"--{name} {number}: a lab has between"):
        lab.create(tmp_path / "lab", **impossible)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(VdvsError, match="is not empty and not a lab"):
        lab.create(tmp_path)
    with pytest.raises(VdvsError, match="is not a folder"):
        lab.create(tmp_path / "thesis.txt")
    with pytest.raises(VdvsError, match="cannot make a lab in"):
        lab.create(tmp_path / "thesis.txt" / "lab")
    assert tree(tmp_path).keys() == {"thesis.txt"}


def test_an_empty_folder_and_missing_parents_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    lab.create(tmp_path / "empty")
    lab.create(tmp_path / "a/b/c")
    monkeypatch.chdir(tmp_path)
    lab.create(Path("relative"))
    assert all(lab.exists(tmp_path / name) for name in ("empty", "a/b/c", "relative"))
    assert not list(tmp_path.glob(".*"))


def test_a_killed_creation_leaves_nothing_that_counts_and_the_next_tidies_up(tmp_path: Path) -> None:
    place = tmp_path / "lab"
    script = (
        "import os, sys, pathlib\n"
        "from reconciler.lab import build, folder\n"
        "build.marker_text = lambda size: os._exit(9)\n"
        "build.create(pathlib.Path(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(place)], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 9
    assert not lab.exists(place)
    assert len(list(tmp_path.iterdir())) == 1
    lab.create(place)
    assert [entry.name for entry in tmp_path.iterdir()] == ["lab"]


def test_a_creation_under_way_is_not_tidied_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once: the second finishes first, the first finds the lab there and is content."""
    place = tmp_path / "lab"
    write_site = build._write_site

    def write_and_let_another_go_first(building: Path, site: object) -> None:
        monkeypatch.setattr(build, "_write_site", write_site)
        write_site(building, site)  # type: ignore[arg-type]
        lab.create(place)
        assert building.exists()

    monkeypatch.setattr(build, "_write_site", write_and_let_another_go_first)
    lab.create(place)
    assert lab.exists(place)
    assert [entry.name for entry in tmp_path.iterdir()] == ["lab"]


@pytest.mark.parametrize("name", ["esxiz99", "", ".", "..", "../hosts/esxiz10", "/etc", "esxiz10/etc", "a\0b"])
def test_a_host_that_is_not_there(directory: Path, name: str) -> None:
    with pytest.raises(
        HostUnreachableError,
        match=r"^no host .* in the lab .*(\(it has: esxiz10, esxiz20\)|; did you mean .*esxiz10.*\?)$",
    ):
        lab.host_root(directory, name)


def test_a_host_of_no_lab(tmp_path: Path) -> None:
    with pytest.raises(HostUnreachableError, match=r"no lab in .*`vdvs lab up` makes one"):
        lab.host_root(tmp_path, "esxiz10")


def test_many_hosts_are_not_all_listed(tmp_path: Path) -> None:
    lab.create(tmp_path / "lab", hosts=15)
    with pytest.raises(HostUnreachableError, match=r"esxi-010 and 5 more\)$"):
        lab.host_root(tmp_path / "lab", "nobody")


def test_removal_takes_the_lab_and_follows_no_link(directory: Path) -> None:
    around = directory.parent
    (around / "canary").mkdir()
    (around / "canary/file").write_text("alive")
    root = lab.host_root(directory, "esxiz10")
    (root / "tmp/out").symlink_to(around / "canary")
    (root / "etc/vmware/up").symlink_to("../../../../../canary")
    lab.destroy(directory)
    assert tree(around).keys() == {"canary", "canary/file"}


def test_removal_leaves_what_others_put_there(directory: Path) -> None:
    (directory / "vmgroup.yaml").write_text("kind: VMGroup")
    lab.destroy(directory)
    assert tree(directory).keys() == {"vmgroup.yaml"}
    assert not lab.exists(directory)


def test_a_removal_killed_half_way_is_no_lab_and_can_be_finished(directory: Path) -> None:
    (directory / ".vdvs-lab.json").rename(directory / ".vdvs-lab.removing")
    assert not lab.exists(directory)
    lab.destroy(directory)
    assert not directory.exists()


@pytest.mark.parametrize("marker", [None, "", "[]", "{}", '{"vdvsLab": 2, "size": null}', "\xff", "link"])
def test_removal_refuses_what_is_no_lab(tmp_path: Path, marker: str | None) -> None:
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts/file").write_text("precious")
    if marker == "link":
        (tmp_path / "elsewhere").write_text('{"vdvsLab": 1, "size": null}')
        (tmp_path / ".vdvs-lab.json").symlink_to("elsewhere")
    elif marker is not None:
        (tmp_path / ".vdvs-lab.json").write_text(marker, encoding="latin-1")
    before = tree(tmp_path)
    with pytest.raises(VdvsError, match="is not a lab"):
        lab.destroy(tmp_path)
    assert tree(tmp_path) == before
    with pytest.raises(VdvsError):
        lab.destroy(tmp_path / "missing")
