"""A datastore that is renamed on a site which the original tool configured, by name: what goes by the old name leads
nowhere, and once the manifests have the new name everything goes by volume id (vDVS issues 1659 and 818)."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from reconciler.lab.breakage import break_lab
from tests.agent.world import LOCAL_SH
from tests.e2e.site import SEED, LabSite

OLD = "SHARED-Datastore"
NEW = f"{OLD}-renamed"
HOST = "host/esxiz10"


def goes_by_name(path: str) -> bool:
    return OLD in path


def test_everything_follows_by_volume_id(tmp_path: Path) -> None:
    site = LabSite(tmp_path)
    site.reconcile()
    volume, dockvols = site.datastore.name, site.datastore / "dockvols"
    ((uuid,),) = site.sql("SELECT id FROM tenants")
    (dockvols / uuid).mkdir(exist_ok=True)
    for drift in ("link-by-name", "section-by-name", "name-link-by-name"):
        break_lab(site.lab, drift)
    link, name_link, local_sh = site.link("esxiz10"), dockvols / "MYVMGROUP", site.root("esxiz10") / LOCAL_SH
    assert all(map(goes_by_name, (os.readlink(link), os.readlink(name_link), local_sh.read_text())))
    rows = site.sql("SELECT * FROM privileges"), site.sql("SELECT default_datastore_url FROM tenants")

    # As long as the manifests have the old name, it is said, and nothing is touched.
    break_lab(site.lab, "datastore-renamed")
    blocked = {str(change.ref): change.reason for change in site.diff().changes if change.op == "blocked"}
    assert f'no datastore "{OLD}" in the inventory' in blocked["configdb/shared"]
    site.reconcile()
    assert goes_by_name(os.readlink(link))

    site.write(SEED.replace(OLD, NEW))
    site.write_host("esxiz10", "{}")
    site.write_host("esxiz20", "{}")
    change = site.change(HOST)
    assert [field.path for field in change.fields] == ["configDB", "persistence"]
    assert change.fields[0].before == f"BrokenLink ({OLD})"
    site.reconcile()
    assert os.readlink(link) == f"/vmfs/volumes/{volume}/dockvols/vmdkops_config.db"
    assert os.readlink(name_link) == f"/vmfs/volumes/{volume}/dockvols/{uuid}"
    assert volume in local_sh.read_text()
    assert OLD not in local_sh.read_text()
    assert site.diff().in_sync
    db = dockvols / "vmdkops_config.db"
    with closing(sqlite3.connect(db)) as connection:
        queries = ("SELECT * FROM privileges", "SELECT default_datastore_url FROM tenants")
        assert tuple(connection.execute(query).fetchall() for query in queries) == rows
