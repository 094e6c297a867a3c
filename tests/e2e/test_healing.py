"""`watch --heal` brings back what was applied before, by the records in the config DB, and carries nothing else out."""

from __future__ import annotations

import os

from reconciler.model.ownership import Applying, Stamp
from reconciler.model.plan import HEAL
from tests.e2e.site import SEED, LabSite, assert_in_sync, spoil_records, statuses

TEAM = Applying("team", Stamp("ann@ws"))


def reasons(site: LabSite) -> dict[str, str]:
    return {str(result.ref): result.detail for result in site.reconcile(HEAL).objects if result.status == "blocked"}


def meddle(site: LabSite) -> None:
    """A host loses its link, and a vmgroup gets more than its manifest says."""
    site.link("esxiz20").unlink()
    site.sql("UPDATE privileges SET usage_quota = 9999")


def test_what_was_applied_is_brought_back_by_whoever_watches(site: LabSite) -> None:
    site.reconcile(applying=TEAM)
    meddle(site)
    found = statuses(site.reconcile(HEAL))
    assert (found["host/esxiz20"], found["vmgroup/MYVMGROUP"]) == ("configured", "configured")
    assert_in_sync(site)


def test_healing_records_nothing(site: LabSite) -> None:
    site.reconcile(applying=TEAM)
    before = site.sql("SELECT * FROM vdvs_objects")
    meddle(site)
    site.reconcile(HEAL)
    assert site.sql("SELECT * FROM vdvs_objects") == before


def test_a_new_commit_is_not_carried_out(site: LabSite) -> None:
    site.reconcile(applying=TEAM)
    site.write(SEED.replace("5GB", "3GB"))
    meddle(site)
    why = "its manifest is not what was applied last; `vdvs apply` carries it out"
    assert reasons(site) == {"vmgroup/MYVMGROUP": why}
    assert os.path.lexists(site.link("esxiz20"))
    site.reconcile(applying=TEAM)
    meddle(site)
    site.reconcile(HEAL)
    assert site.sql("SELECT usage_quota FROM privileges") == [(3072,)]


def test_a_changed_config_db_keeps_nothing_from_being_taken_back(site: LabSite) -> None:
    site.reconcile(applying=TEAM)
    site.write(SEED.replace("mode: MultiNode", "mode: MultiNode, backups: {keep: 3}"))
    meddle(site)
    assert reasons(site) == {}
    assert os.path.lexists(site.link("esxiz20"))
    assert site.sql("SELECT usage_quota FROM privileges") == [(5120,)]


def test_a_config_db_that_a_push_moves_links_nobody_to_the_new_place(site: LabSite) -> None:
    site.reconcile(applying=TEAM)
    site.write(
        SEED.replace("datastore: SHARED-Datastore, defaultVMGroup", "datastore: OTHER-Datastore, defaultVMGroup")
    )
    meddle(site)
    site.reconcile(HEAL)
    assert not os.path.lexists(site.link("esxiz20"))


def test_what_was_never_applied_or_nobody_can_say_is_only_reported(applied: LabSite) -> None:
    meddle(applied)
    why = "nothing says that it was applied before; `vdvs apply` carries it out"
    assert reasons(applied) == {"host/esxiz20": why, "vmgroup/MYVMGROUP": why}
    spoil_records(applied)
    why = "what was applied last in configdb/shared is unknown; `vdvs apply` carries it out"
    assert reasons(applied) == {"host/esxiz20": why, "vmgroup/MYVMGROUP": why}
    applied.sql("DROP TABLE vdvs_objects")


def test_a_host_without_a_config_db_is_only_reported(site: LabSite) -> None:
    site.write(SEED.replace("mode: MultiNode", "mode: MultiNode, hosts: {names: [esxiz10]}"))
    why = "it uses no config DB, so nothing says what was applied to it; `vdvs apply` carries it out"
    assert reasons(site)["host/esxiz20"] == why
