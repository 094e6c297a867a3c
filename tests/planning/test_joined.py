"""Objects joined with their rows, records and hosts."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from types import FrameType

from hypothesis import given

from reconciler.model.kinds.vmgroup import VolumeUse
from reconciler.model.outcome import Assessment
from reconciler.model.refs import Kind, ObjectRef
from reconciler.planning.differ import diff, without_uuid
from reconciler.planning.joined import Joined
from reconciler.planning.resolve import resolve
from reconciler.planning.scope import vmgroup_ref
from tests.planning import compact
from tests.planning.test_scale import site
from tests.planning.worlds import World, worlds


def assessed(world: World) -> Assessment:
    resolved = resolve(world.desired, world.inventory)
    fresh = {ref: f"new-{ref.name}" for ref in without_uuid(resolved, world.observed)}
    found = diff(resolved, world.observed, fresh)
    return Assessment(resolved, world.observed, found, datetime(2024, 5, 1, tzinfo=UTC))


@given(worlds())
def test_every_row_is_joined_to_its_own_vmgroup(world: World) -> None:
    found = assessed(world)
    joined = Joined(found)
    assert list(joined.changes) == [change.ref for change in found.diff.changes]
    assert list(joined.vmgroups) == [ref for ref in joined.changes if ref.kind is Kind.VMGROUP]
    databases = {db.ref: found.observed.config_dbs[db.location] for db in found.resolved.config_dbs}
    for ref, group in joined.vmgroups.items():
        if group.tenant is None or group.config_db is None:
            assert all(
                ref != vmgroup_ref(of, row.name, found.resolved) for of in databases for row in databases[of].tenants
            )
            continue
        seen, uuid = databases[group.config_db], group.tenant.id
        assert sorted(member.uuid for member in group.members) == sorted(
            row.vm_id for row in seen.vms if row.tenant_id == uuid
        )
        assert {access.row.url for access in group.access} == {
            row.url for row in seen.privileges if row.tenant_id == uuid
        }
        assert group.used_mb == sum(use.used_mb for use in seen.volume_use if use.tenant_id == uuid)


@given(worlds())
def test_hosts_are_joined_to_the_config_db_that_they_use(world: World) -> None:
    found = assessed(world)
    joined = Joined(found)
    assert list(joined.hosts) == [ref for ref in joined.changes if ref.kind is Kind.HOST]
    for ref, db in joined.config_dbs.items():
        assert db.change.ref == ref
        for name in db.linked:
            assert joined.hosts[ObjectRef(Kind.HOST, name)].uses is db.seen


def test_what_counts_against_a_special_row_is_what_no_other_row_decides_for() -> None:
    group: dict[str, object] = {"access": {"shared": [1, 0, 0], "_ALL_DS": [1, 0, 0]}, "vms": []}
    use = [["id-g1", "shared", 5, 1], ["id-g1", "other", 7, 2], ["id-g2", "other", 9, 1]]
    wanted, known, _ = site(5, "in sync")
    seen = {
        "hosts": {"h0": "joined"},
        "config_dbs": {"shared": {"vmgroups": {"g1": group}, "rows": {"volume_use": use}}},
    }
    inventory = compact.inventory(known)
    resolved, observed = resolve(compact.desired(wanted), inventory), compact.observed(seen, inventory)
    fresh = {ref: f"new-{ref.name}" for ref in without_uuid(resolved, observed)}
    joined = Joined(Assessment(resolved, observed, diff(resolved, observed, fresh), datetime(2024, 5, 1, tzinfo=UTC)))
    group_found = joined.vmgroups[ObjectRef(Kind.VMGROUP, "g1")]
    used = {joined.names.datastore(access.row.url): access.used for access in group_found.access}
    shared, other = compact.url_of("shared"), compact.url_of("other")
    assert used == {
        "shared": (VolumeUse("id-g1", shared, 5, 1),),
        "_ALL_DS": (VolumeUse("id-g1", other, 7, 2),),
    }
    assert group_found.used_mb == 12


def calls(size: int) -> int:
    """How many functions are called to join a site of so many vmgroups."""
    wanted, known, seen = site(size, "in sync")
    inventory = compact.inventory(known)
    resolved, observed = resolve(compact.desired(wanted), inventory), compact.observed(seen, inventory)
    found = Assessment(resolved, observed, diff(resolved, observed, {}), datetime(2024, 5, 1, tzinfo=UTC))
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        joined = Joined(found)
        assert len(joined.vmgroups) == size
        assert len(joined.hosts) == size // 5
    finally:
        sys.setprofile(None)
    return count


def test_twice_the_site_is_twice_the_work() -> None:
    assert calls(200) < calls(50) * 4 * 1.3
