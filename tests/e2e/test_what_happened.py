"""A difference of a site that was applied: which side changed, what that gave or took, and how it is told."""

from __future__ import annotations

import pytest

from reconciler.model.diff import Cause, Change, Effect, Standing
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.plan import HEAL
from reconciler.render.diff import change_text
from reconciler.render.status import sentence
from reconciler.render.words import told
from tests.e2e.site import SEED, LabSite

TEAM = Applying("team", Stamp("ann@ws"))
GROUP, HOST = "vmgroup/MYVMGROUP", "host/esxiz10"
STRANGER = "564d0000-0000-0000-0000-000000000bad"
OTHER = "other"


@pytest.fixture
def applied(site: LabSite) -> LabSite:
    """The site, with a second vmgroup, applied by a team, so that there are records."""
    site.write(SEED + site.vmgroup(OTHER, "[photon-03]"))
    site.reconcile(applying=TEAM)
    return site


def seen(change: Change) -> tuple[Standing, Effect, Cause]:
    return change.standing, change.effect, change.cause


MINE = "(SELECT id FROM tenants WHERE name = 'MYVMGROUP')"
OTHERS = "(SELECT id FROM tenants WHERE name = 'other')"


@pytest.mark.parametrize(
    ("statement", "effect"),
    [
        (f"UPDATE privileges SET usage_quota = 0 WHERE tenant_id = {MINE}", Effect.GAVE),
        (f"UPDATE privileges SET usage_quota = 100 WHERE tenant_id = {MINE}", Effect.TOOK),
        (f"UPDATE privileges SET max_volume_size = 100, usage_quota = 0 WHERE tenant_id = {MINE}", Effect.BOTH),
        (f"INSERT INTO vms VALUES ('{STRANGER}', {MINE}, 'evil')", Effect.GAVE),
        ("DELETE FROM vms WHERE vm_name = 'photon-02'", Effect.TOOK),
        # One that is moved has the volumes of the other vmgroup, and no longer those of its own.
        (f"UPDATE vms SET tenant_id = {OTHERS} WHERE vm_name = 'photon-02'", Effect.BOTH),
    ],
)
def test_a_row_that_somebody_changed(applied: LabSite, statement: str, effect: Effect) -> None:
    applied.sql(statement)
    assert seen(applied.change(GROUP)) == (Standing.DRIFTED, effect, Cause.SITE)


ODD = f"UPDATE privileges SET usage_quota = NULL WHERE tenant_id = {MINE}"


def test_what_odd_values_give_or_take_is_not_claimed_to_be_known(applied: LabSite) -> None:
    applied.sql(ODD)
    change = applied.change(GROUP)
    assert seen(change) == (Standing.DRIFTED, Effect.UNKNOWN, Cause.SITE)
    assert told(change) == "the site was changed: effect on access unknown"
    applied.sql(f"INSERT INTO vms VALUES ('{STRANGER}', {MINE}, 'evil')")
    assert applied.change(GROUP).effect is Effect.GAVE, "that is certain, whatever the odd values mean"
    applied.write(SEED.replace("5GB", "6GB") + applied.vmgroup(OTHER, "[photon-03]"))
    assert seen(applied.change(GROUP)) == (Standing.DRIFTED, Effect.GAVE, Cause.BOTH)
    applied.sql(ODD.replace("NULL", "0"))


def test_a_host_whose_link_is_gone_was_opened(applied: LabSite) -> None:
    applied.link("esxiz10").unlink()
    found = applied.reconcile(applying=TEAM, policy=HEAL).before
    change = next(each for each in found.diff.changes if str(each.ref) == HOST)
    assert seen(change) == (Standing.OPEN, Effect.GAVE, Cause.SITE)
    assert told(change) == "OPENED: every VM may create volumes without limit on esxiz10"
    assert sentence(found) == "1 host stands OPEN"
    text = change_text(change)
    assert "gave access; repair restricts access" in text
    assert "live NotConfigured, declared MultiNode (SHARED-Datastore)" in text
    assert "live: every VM on this host may do everything without limit; declared: what configdb/shared grants" in text


def test_a_host_of_which_nothing_says_that_it_was_closed_was_not_opened(site: LabSite) -> None:
    site.reconcile()
    site.link("esxiz10").unlink()
    change = site.change(HOST)
    assert seen(change) == (Standing.OPEN, Effect.GAVE, Cause.UNKNOWN)
    text = change_text(change)
    assert "OPEN: every VM" in text
    assert "OPENED" not in text


def test_a_manifest_that_was_changed_is_not_applied_and_nobody_took_anything(applied: LabSite) -> None:
    applied.write(SEED.replace("5GB", "6GB") + applied.vmgroup(OTHER, "[photon-03]"))
    change = applied.change(GROUP)
    assert seen(change) == (Standing.NOT_APPLIED, Effect.TOOK, Cause.MANIFEST)
    assert "took" not in change_text(change)
    assert told(change) == "differs from its manifest"


@pytest.mark.parametrize(
    ("statement", "effect"),
    [
        ("DELETE FROM vms WHERE vm_name = 'photon-02'", Effect.TOOK),
        ("UPDATE privileges SET usage_quota = 0", Effect.GAVE),
    ],
)
def test_a_drift_is_told_though_the_manifest_is_not_applied(applied: LabSite, statement: str, effect: Effect) -> None:
    """It is measured by what was applied last."""
    applied.write(SEED.replace("200MB", "100MB") + applied.vmgroup(OTHER, "[photon-03]"))
    applied.sql(statement)
    change = applied.change(GROUP)
    assert seen(change) == (Standing.DRIFTED, effect, Cause.BOTH)
    assert told(change) == f"the site was changed, and its manifest is not applied yet: {effect} access"


def test_a_host_whose_manifest_is_not_applied_was_opened_all_the_same(applied: LabSite) -> None:
    applied.write_host("esxiz10", "{service: {state: Running, logLevel: DEBUG}}")
    applied.link("esxiz10").unlink()
    change = applied.change(HOST)
    assert seen(change) == (Standing.OPEN, Effect.GAVE, Cause.BOTH)
    assert told(change).startswith("OPENED")


def test_a_vmgroup_that_somebody_removed_is_missing(applied: LabSite) -> None:
    for table in ("vms", "privileges"):
        applied.sql(f"DELETE FROM {table} WHERE tenant_id = (SELECT id FROM tenants WHERE name = 'other')")
    applied.sql("DELETE FROM tenants WHERE name = 'other'")
    for entry in (applied.datastore / "dockvols").iterdir():
        if entry.name == OTHER:
            entry.unlink()
    change = applied.change("vmgroup/other")
    assert seen(change) == (Standing.MISSING, Effect.TOOK, Cause.SITE)
    assert told(change) == "it is no longer there: took access"


def test_where_nothing_says_who_applied_it_nothing_is_said_of_who_changed_it(site: LabSite) -> None:
    site.reconcile()
    site.sql("UPDATE privileges SET usage_quota = 0")
    change = site.change(GROUP)
    assert seen(change) == (Standing.DRIFTED, Effect.GAVE, Cause.UNKNOWN)
    assert "volumeTotalSize   unlimited -> 5GB" in change_text(change)
