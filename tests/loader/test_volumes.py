"""Which volume a manifest speaks of."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.loader import load
from reconciler.model.errors import InvalidManifestsError
from reconciler.model.inventory import Datastore, ESXiHost, Inventory
from reconciler.model.kinds.volume import LONGEST_VOLUME_NAME, DesiredVolume, VolumeAccess, why_not_volume_name
from reconciler.planning.resolve import resolve

DB = """\
apiVersion: vdvs.io/v1
kind: ConfigDB
metadata: {name: %s}
spec: {mode: MultiNode, datastore: %s, hosts: {names: [%s]}}
"""
HOST = "apiVersion: vdvs.io/v1\nkind: Host\nmetadata: {name: %s}\n"
GROUP = "apiVersion: vdvs.io/v1\nkind: VMGroup\nmetadata: {name: %s}\nspec: {name: %s, configDB: %s}\n"
VOLUME = "apiVersion: vdvs.io/v1\nkind: Volume\nmetadata: {name: %s}\nspec: {access: read-only, %s}\n"
ONE = [HOST % "esx1", DB % ("db1", "ds1", "esx1"), GROUP % ("team", "TEAM", "db1")]
TWO = [*ONE, HOST % "esx2", DB % ("db2", "ds2", "esx2"), GROUP % ("team-2", "TEAM", "db2")]


def volumes(folder: Path, *documents: str) -> tuple[DesiredVolume, ...]:
    (folder / "all.yaml").write_text("---\n".join(documents))
    return load([str(folder)]).desired.files_of(DesiredVolume)


def complaint(folder: Path, *documents: str) -> str:
    with pytest.raises(InvalidManifestsError) as caught:
        volumes(folder, *documents)
    return str(caught.value)


def test_a_volume_is_called_by_its_vmgroup_its_name_and_its_datastore(tmp_path: Path) -> None:
    (found,) = volumes(tmp_path, *ONE, VOLUME % ("web", "vmgroup: TEAM, datastore: ds1"))
    assert str(found.ref) == "volume/TEAM/web@ds1"
    assert (found.name, str(found.vmgroup), found.config_db) == ("web", "vmgroup/TEAM", "db1")
    assert found.access is VolumeAccess.READ_ONLY


def test_its_name_in_vdvs_may_be_one_that_no_manifest_can_have(tmp_path: Path) -> None:
    (found,) = volumes(tmp_path, *ONE, VOLUME % ("web", "name: Web Data, vmgroup: team, datastore: ds1"))
    assert str(found.ref) == "volume/TEAM/Web Data@ds1"


def test_where_several_config_dbs_have_a_vmgroup_of_that_name_one_is_named(tmp_path: Path) -> None:
    spec = "datastore: ds1, vmgroup: "
    said = complaint(tmp_path, *TWO, VOLUME % ("web", spec + "TEAM"))
    assert 'a vmgroup "TEAM" in several config DBs; name one as spec.configDB: db1, db2' in said
    (found,) = volumes(tmp_path, *TWO, VOLUME % ("web", spec + "TEAM, configDB: db2"))
    assert (str(found.ref), found.config_db) == ("volume/db2/TEAM/web@ds1", "db2")
    (found,) = volumes(tmp_path, *TWO, VOLUME % ("web", spec + "team-2"))
    assert found.config_db == "db2"


def test_default_need_not_be_declared(tmp_path: Path) -> None:
    (found,) = volumes(tmp_path, *ONE, VOLUME % ("web", "vmgroup: _DEFAULT, datastore: ds1"))
    assert (str(found.vmgroup), found.config_db) == ("vmgroup/_DEFAULT", "db1")
    said = complaint(tmp_path, *TWO, VOLUME % ("web", "vmgroup: _DEFAULT, datastore: ds1"))
    assert "name one as spec.configDB" in said
    (found,) = volumes(tmp_path, *TWO, VOLUME % ("web", "vmgroup: _DEFAULT, configDB: db2, datastore: ds1"))
    assert (str(found.vmgroup), found.config_db) == ("vmgroup/db2/_DEFAULT", "db2")


def test_a_vmgroup_with_errors_of_its_own_is_complained_of_once(tmp_path: Path) -> None:
    broken = GROUP.replace("configDB:", "confgDB:") % ("team", "TEAM", "db1")
    said = complaint(tmp_path, *ONE[:2], broken, VOLUME % ("web", "vmgroup: team, datastore: ds1"))
    assert "spec.vmgroup" not in said


def test_one_volume_under_two_names_of_its_datastore_is_left_alone(tmp_path: Path) -> None:
    by_name, by_url = "datastore: ds1", "datastore: {url: /vmfs/volumes/id-1}"
    of = (VOLUME % (name, f"name: web, vmgroup: team, {where}") for name, where in (("a", by_name), ("b", by_url)))
    volumes(tmp_path, *ONE, *of)
    ds1 = Datastore("ds1", "/vmfs/volumes/id-1", "VMFS", None, frozenset({"esx1"}))
    found = resolve(load([str(tmp_path)]).desired, Inventory((ESXiHost("esx1"),), (ds1,), ()))
    assert found.files == ()
    assert [failed.ref.kind for failed in found.unresolved] == ["Volume", "Volume"]
    assert all("is the same volume as" in failed.reason for failed in found.unresolved)


@pytest.mark.parametrize(
    "name", ["web", "Web Data", "web-00001", "web-1234567", "x" * LONGEST_VOLUME_NAME, "flat", "é"]
)
def test_names_that_vdvs_takes(name: str) -> None:
    assert why_not_volume_name(name) is None


@pytest.mark.parametrize("name", ["a@b", "a/b", "a\\b", "web-000001", "x-flat", "x-ctk", "x" * 101, "a\x1bb"])
def test_names_that_vdvs_does_not_take_or_not_find(name: str) -> None:
    assert why_not_volume_name(name) is not None
