"""The driver's life on a host: installed, replaced, removed when vDVS leaves; with the lab's own esxcli."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from reconciler import lab
from reconciler.model.diff import Op
from reconciler.model.kinds.host import ObservedHost
from reconciler.model.refs import Kind, ObjectRef
from reconciler.planning.joined import Joined
from reconciler.reconcile import REPORT_ONLY
from reconciler.render.kinds.host import access
from tests.e2e.site import LabSite, assert_in_sync, statuses

NEWER = "0.21.2.96d2ce7-0.0.1"


@pytest.fixture
def site(tmp_path: Path, lab_in_sync: Path) -> LabSite:
    made = LabSite(tmp_path)
    made.replace_lab(lab_in_sync)
    return made


def newer_vib(site: LabSite) -> bytes:
    """Put a VIB of another version on the shared datastore."""
    content = (site.datastore / lab.VIB_FILE).read_bytes().replace(lab.VIB_VERSION.encode(), NEWER.encode())
    (site.datastore / "newer.vib").write_bytes(content)
    return content


def declare(site: LabSite, digest: str = "") -> None:
    source = f"/vmfs/volumes/{site.datastore.name}/newer.vib"
    pin = f", sha256: {digest}" if digest else ""
    site.write_host("esxiz10", f"{{driver: {{version: {NEWER}, source: {source}{pin}}}, service: {{state: Running}}}}")


def facts(site: LabSite, host: str) -> tuple[str, str, str]:
    """DB mode, driver and access, as `get hosts` has them."""
    item = Joined(site.reconcile(REPORT_ONLY).before).hosts[ObjectRef(Kind.HOST, host)]
    assert isinstance(item.seen, ObservedHost)
    return item.seen.db_mode.value, item.seen.driver or "none", access(item)


def test_another_version_is_installed_in_its_place_and_the_link_stays(site: LabSite) -> None:
    declare(site, hashlib.sha256(newer_vib(site)).hexdigest())
    change = site.change("host/esxiz10")
    assert [(field.path, field.before, field.after) for field in change.fields] == [("driver", lab.VIB_VERSION, NEWER)]
    assert statuses(site.reconcile())["host/esxiz10"] == "configured"
    assert facts(site, "esxiz10") == ("MultiNode", NEWER, "enforced")
    assert_in_sync(site)


def test_hostd_is_restarted_only_after_an_installation_and_where_it_is_asked_for(site: LabSite) -> None:
    newer_vib(site)
    source = f"/vmfs/volumes/{site.datastore.name}/newer.vib"
    for name, more in (("esxiz10", ", restartHostd: true"), ("esxiz20", "")):
        site.write_host(name, f"{{driver: {{version: {NEWER}, source: {source}{more}}}}}")
    assert "hostd is restarted" in " ".join(site.change("host/esxiz10").notes)
    site.reconcile()
    site.reconcile()
    assert (site.root("esxiz10") / "var/log/hostd.log").read_text() == "hostd started\n"
    assert not (site.root("esxiz20") / "var/log/hostd.log").exists()
    assert_in_sync(site)


def test_without_a_hostd_to_restart_that_is_told(site: LabSite) -> None:
    newer_vib(site)
    source = f"/vmfs/volumes/{site.datastore.name}/newer.vib"
    (site.root("esxiz10") / "etc/init.d/hostd").unlink()
    site.write_host("esxiz10", f"{{driver: {{version: {NEWER}, source: {source}, restartHostd: true}}}}")
    (result,) = (item for item in site.reconcile().objects if str(item.ref) == "host/esxiz10")
    assert (result.status.value, result.detail) == ("failed", "/etc/init.d/hostd is missing")


def test_a_source_with_another_digest_replaces_nothing(site: LabSite) -> None:
    newer_vib(site)
    declare(site, hashlib.sha256(b"another").hexdigest())
    assert statuses(site.reconcile())["host/esxiz10"] == "failed"
    assert facts(site, "esxiz10") == ("MultiNode", lab.VIB_VERSION, "enforced")


def test_a_replacement_that_fails_halfway_is_finished_by_the_next_apply(site: LabSite) -> None:
    content = newer_vib(site)
    (site.datastore / "newer.vib").write_bytes(b"no VIB at all")
    declare(site)
    outcome = site.reconcile()
    (result,) = (item for item in outcome.objects if str(item.ref) == "host/esxiz10")
    assert result.status.value == "failed"
    assert f"{lab.VIB_VERSION} was removed; esxcli cannot install" in result.detail
    assert facts(site, "esxiz10")[:2] == ("MultiNode", "none")
    (site.datastore / "newer.vib").write_bytes(content)
    site.reconcile()
    assert facts(site, "esxiz10") == ("MultiNode", NEWER, "enforced")
    assert_in_sync(site)


def test_vdvs_leaves_a_host(site: LabSite) -> None:
    rows = site.sql("SELECT * FROM tenants"), site.sql("SELECT * FROM vms")
    site.write_host("esxiz10", "{driver: {state: Absent}}")
    change = site.change("host/esxiz10")
    assert [field.path for field in change.fields] == ["driver", "configDB", "persistence"]
    assert statuses(site.reconcile())["host/esxiz10"] == "configured"
    assert facts(site, "esxiz10") == ("NotConfigured", "none", "-")
    assert not site.link("esxiz10").is_symlink()
    assert "vSphere Docker Volume Service" not in (site.root("esxiz10") / "etc/rc.local.d/local.sh").read_text()
    assert facts(site, "esxiz20") == ("MultiNode", lab.VIB_VERSION, "enforced")
    assert (site.sql("SELECT * FROM tenants"), site.sql("SELECT * FROM vms")) == rows
    assert_in_sync(site)


def test_and_comes_back(site: LabSite) -> None:
    site.write_host("esxiz10", "{driver: {state: Absent}}")
    site.reconcile()
    site.write_host("esxiz10")
    site.reconcile()
    assert facts(site, "esxiz10") == ("MultiNode", lab.VIB_VERSION, "enforced")
    assert_in_sync(site)


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, None])
def test_a_config_db_that_cannot_be_used_refuses_and_is_not_called_enforced(
    site: LabSite, content: bytes | None
) -> None:
    if content is None:
        site.sql("UPDATE versions SET minor_ver = 9")
    else:
        site.db.write_bytes(content)
    assert facts(site, "esxiz10")[2] == "refused"
    assert site.change("host/esxiz10").op in (Op.KEEP, Op.UPDATE, Op.BLOCKED)


def test_the_log_level_is_kept_and_the_service_restarted_for_it(site: LabSite) -> None:
    source = f"/vmfs/volumes/{site.datastore.name}/{lab.VIB_FILE}"
    driver = f"{{version: {lab.VIB_VERSION}, source: {source}}}"
    site.write_host("esxiz10", f"{{driver: {driver}, service: {{state: Running, logLevel: DEBUG}}}}")
    change = site.change("host/esxiz10")
    assert [(field.path, field.before, field.after) for field in change.fields] == [
        ("service.logLevel", "INFO", "DEBUG")
    ]
    assert statuses(site.reconcile())["host/esxiz10"] == "configured"
    assert_in_sync(site)
    lab.reboot(site.lab, "esxiz10")
    assert "service.logLevel" in {field.path for field in site.change("host/esxiz10").fields}
    site.reconcile()
    assert_in_sync(site)
