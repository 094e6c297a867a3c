"""Quotas as they really are: volumes on disk against the books of vDVS."""

from __future__ import annotations

from reconciler.model.refs import Kind
from reconciler.planning.conditions import conditions
from reconciler.planning.joined import Joined
from reconciler.reconcile import REPORT_ONLY
from reconciler.render.describe import describe_data, describe_text
from reconciler.render.tables import TABLES, rows, table_text
from tests.e2e.site import LabSite, assert_in_sync
from tests.render import schemas


def test_books_that_drifted_are_told_and_are_no_drift(site: LabSite) -> None:
    site.reconcile()
    ((uuid, url),) = site.sql("SELECT tenant_id, datastore_url FROM privileges")
    folder = site.datastore / "dockvols" / uuid
    folder.mkdir()
    (folder.parent / "MYVMGROUP").symlink_to(f"{url}/dockvols/{uuid}")
    for name in ("kept", "clone"):
        (folder / f"{name}.vmdk").write_text("descriptor")
        with (folder / f"{name}-flat.vmdk").open("wb") as data:
            data.truncate(100 * 1024 * 1024)
    for name, size in (("kept", 100), ("gone", 50)):
        site.sql("INSERT INTO volumes VALUES (?, ?, ?, ?)", uuid, url, name, size)

    assert_in_sync(site)
    found = site.reconcile(REPORT_ONLY).before
    judged = [condition for condition in conditions(found) if condition.type == "BooksMatch"]
    assert [(str(c.ref), c.status.value, c.reason) for c in judged] == [
        ("vmgroup/MYVMGROUP", "False", "GoneAndNotBooked")
    ]
    (row,) = rows(Joined(found), Kind.VMGROUP)
    text = describe_text(row, judged)
    assert "SHARED-Datastore: 2 volumes (200MB); 2 booked (150MB): 1 of them gone, 1 never booked" in text
    assert "150MB of 5GB (2%)" in table_text(TABLES["vmgroup"], (row,))
    told = describe_data(row, judged)
    schemas.check("describe", told)
    assert told["item"]["volumes"] == [
        {
            "datastore": "SHARED-Datastore",
            "bookedCount": 2,
            "bookedMB": 150,
            "foundCount": 2,
            "foundMB": 200,
            "gone": ["gone"],
            "notBooked": ["clone"],
        }
    ]
