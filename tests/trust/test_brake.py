"""The brake ends a fight over an object, and keeps nothing that was added to it from being taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest
from msgspec.structs import replace

from reconciler.lab.breakage import break_lab
from reconciler.loader import load
from reconciler.model.base import Risk
from reconciler.model.plan import HEAL, Policy
from tests.e2e.site import SEED, LabSite
from tests.trust.test_healing import LIMITS, MEMBERS, TEAM, delete

ROWS = "SELECT datastore_url, allow_create, max_volume_size, usage_quota FROM privileges ORDER BY 1, 2, 3, 4"
WHOSE = "SELECT tenants.name, vm_id FROM vms JOIN tenants ON id = tenant_id ORDER BY 1, 2"
EVERYTHING = replace(HEAL, risks=frozenset(Risk) - {Risk.DESTROYS}, only_applied=frozenset())
WIDENING = replace(HEAL, risks=frozenset({Risk.WIDENS}), only_applied=frozenset())


def braked(site: LabSite, policy: Policy = HEAL) -> Policy:
    """The policy of a watch in which the brake is on for every object."""
    digests = load([str(site.manifests)], site=str(site.site_file)).desired.digests
    return replace(policy, braked=tuple((ref, "it drifted back each time") for ref, _ in digests))


class Made(Protocol):
    def __call__(self, text: str = SEED) -> LabSite: ...


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Makes a site and applies these manifests."""

    def make(text: str = SEED) -> LabSite:
        site = LabSite(tmp_path)
        site.write(text)
        site.reconcile(applying=TEAM)
        assert site.diff().in_sync
        return site

    return make


WITH_DEFAULT = SEED.replace("Absent", "Present")
BIG = """\
---
apiVersion: vdvs.io/v1
kind: VMGroup
metadata: {name: big}
spec: {defaultDatastore: SHARED-Datastore, access: [{datastore: SHARED-Datastore, allowCreate: true}], vms: [photon-03]}
"""


def move(site: LabSite, source: str, target: str) -> None:
    site.sql(
        "UPDATE vms SET tenant_id = (SELECT id FROM tenants WHERE name = ?)"
        " WHERE tenant_id = (SELECT id FROM tenants WHERE name = ?)",
        target,
        source,
    )


class TestWhatIsTakenBack:
    def test_a_deleted_vmgroup_whose_vms_default_serves_with_more_rights_comes_back(self, made: Made) -> None:
        site = made(WITH_DEFAULT)
        delete(site, "MYVMGROUP")
        site.reconcile(braked(site))
        assert site.sql(LIMITS) == [(1, 200, 5120)]
        assert site.sql(MEMBERS) == [("photon-01",), ("photon-02",)]

    def test_so_does_one_whose_vms_were_put_into_another_one_that_drifts_too(self, made: Made) -> None:
        site = made(WITH_DEFAULT + BIG)
        before = site.sql(WHOSE)
        move(site, "MYVMGROUP", "big")
        delete(site, "MYVMGROUP")
        site.sql("UPDATE tenants SET description = 'drifts' WHERE name = 'big'")
        site.reconcile(braked(site))
        assert site.sql(WHOSE) == before

    def test_vms_that_were_moved_where_default_gives_more_move_back_if_the_watch_may_widen(self, made: Made) -> None:
        site = made(WITH_DEFAULT + BIG)
        before = site.sql(WHOSE)
        move(site, "MYVMGROUP", "big")
        site.sql("UPDATE tenants SET description = 'drifts'")
        site.reconcile(braked(site, EVERYTHING))
        assert site.sql(WHOSE) == before

    def test_a_watch_that_may_only_widen_takes_back_what_it_would_have_taken_back(self, made: Made) -> None:
        """The whole has the risk of its worst part, so it was allowed; its part that restricts is, too."""
        site = made()
        site.sql("UPDATE privileges SET max_volume_size = 0, usage_quota = 5119")
        site.reconcile(braked(site, WIDENING))
        assert site.sql(LIMITS) == [(1, 200, 5119)]

    def test_an_interrupted_write_hides_nothing(self, made: Made) -> None:
        site = made()
        site.sql("UPDATE privileges SET max_volume_size = 0")
        break_lab(site.lab, "db-hot-journal")
        site.reconcile(braked(site))
        assert site.sql(LIMITS) == [(1, 200, 5120)]


class TestWhatIsNotRestored:
    def test_what_was_taken_beside_what_was_added(self, made: Made) -> None:
        site = made()
        site.sql("UPDATE privileges SET max_volume_size = 0, usage_quota = 5119")
        site.reconcile(braked(site, EVERYTHING))
        assert site.sql(LIMITS) == [(1, 200, 5119)]

    def test_a_setting_for_which_the_service_restarts_beside_a_link(self, made: Made) -> None:
        site = made()
        link = site.link("esxiz20")
        right = link.readlink()
        log = site.root("esxiz20") / "etc" / "vmware" / "vmdkops" / "log_config.json"
        log.write_text(log.read_text().replace("INFO", "DEBUG"))
        link.unlink()
        site.reconcile(braked(site, EVERYTHING))
        assert link.readlink() == right
        assert "DEBUG" in log.read_text()

    def test_vms_that_were_moved_leave_and_do_not_come_back(self, made: Made) -> None:
        site = made(SEED + BIG)
        move(site, "MYVMGROUP", "big")
        site.reconcile(braked(site, EVERYTHING))
        assert [group for group, _ in site.sql(WHOSE)] == ["big"]
