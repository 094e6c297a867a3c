"""A host that nobody declares: told, and left alone."""

from __future__ import annotations

from pathlib import Path

from reconciler.model.diff import Op
from tests.e2e.site import LabSite


def test_a_host_with_vdvs_that_no_manifest_declares_is_told_and_left_alone(tmp_path: Path) -> None:
    site = LabSite(tmp_path)
    site.reconcile()
    (site.manifests / "host-esxiz10.yaml").unlink()
    change = site.change("host/esxiz10")
    assert change.op is Op.UNMANAGED
    assert "linked to" in change.reason
    site.link("esxiz10").unlink()
    change = site.change("host/esxiz10")
    assert (change.op, change.notes) == (
        Op.UNMANAGED,
        ("OPEN: every VM may create volumes without limit on this host",),
    )
    assert site.diff().in_sync
    site.reconcile()
    assert not site.link("esxiz10").is_symlink()


def test_one_without_vdvs_is_not_worth_a_word(tmp_path: Path) -> None:
    site = LabSite(tmp_path)
    (site.manifests / "host-esxiz10.yaml").unlink()
    site.reconcile()
    assert [str(change.ref) for change in site.diff().changes if change.ref.name == "esxiz10"] == []
