"""A VM in a vmgroup of somebody else: declared apart, and otherwise a member like any other."""

from __future__ import annotations

import json

from tests.cli.conftest import Folder

_MEMBERSHIP = """apiVersion: vdvs.io/v1
kind: Membership
metadata: {name: batch}
spec: {vmgroup: MYVMGROUP, vm: photon-03}
"""
MEMBERS = "SELECT vm_name FROM vms ORDER BY vm_name"


def declare(folder: Folder, manifest: str = _MEMBERSHIP) -> None:
    folder.edit("vmgroup.yaml", "    - photon-03\n", "")
    (folder.path / "manifests" / "batch.yaml").write_text(manifest)


def test_a_membership_is_worth_an_entry_of_the_list(folder: Folder) -> None:
    declare(folder)
    assert folder.vdvs("apply", "-f", "manifests").exit_code == 0
    assert folder.rows(MEMBERS) == [("photon-01",), ("photon-02",), ("photon-03",)]
    assert folder.vdvs("diff", "-f", "manifests").exit_code == 0


def test_one_that_is_added_is_a_change_that_waits_for_an_apply(applied: Folder) -> None:
    """The vmgroup is no longer the one that was applied, so nothing that heals adds the VM."""
    applied.edit("vmgroup.yaml", "    - photon-03\n", "")
    assert applied.vdvs("apply", "-f", "manifests").exit_code == 0
    (applied.path / "manifests" / "batch.yaml").write_text(_MEMBERSHIP)
    (change,) = json.loads(applied.vdvs("diff", "-f", "manifests", "-o", "json").stdout)["changes"]
    assert (change["object"], change["op"], change["cause"]) == ("vmgroup/MYVMGROUP", "update", "manifest")
    assert [(field["before"], field["path"]) for field in change["fields"]] == [(None, "vms")]


def test_one_that_is_removed_takes_the_vm_out(folder: Folder) -> None:
    declare(folder)
    folder.vdvs("apply", "-f", "manifests")
    (folder.path / "manifests" / "batch.yaml").unlink()
    assert folder.vdvs("apply", "-f", "manifests").exit_code == 0
    assert folder.rows(MEMBERS) == [("photon-01",), ("photon-02",)]


def test_a_vm_that_is_unknown_holds_back_nothing_else(applied: Folder) -> None:
    applied.edit("vmgroup.yaml", "volumeTotalSize: 5GB", "volumeTotalSize: 4GB")
    (applied.path / "manifests" / "batch.yaml").write_text(_MEMBERSHIP.replace("photon-03", "no-such-vm"))
    done = applied.vdvs("apply", "-f", "manifests")
    assert done.exit_code == 3
    assert 'no VM "no-such-vm"' in done.stdout
    assert applied.rows("SELECT usage_quota FROM privileges") == [(4096,)]
    assert applied.rows(MEMBERS) == [("photon-01",), ("photon-02",), ("photon-03",)]
