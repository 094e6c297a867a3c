"""What the upgrade of an old config DB does to rights, against what releases up to 0.13 let a VM do, told anew here."""

from __future__ import annotations

import random

from hypothesis import assume, example, given, note
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.model.base import Risk, worst
from reconciler.model.diff import Change, Diff
from reconciler.model.inventory import Inventory, VirtualMachine
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB, ResolvedConfigDB, Schema, Unmanaged, UpgradeDB
from reconciler.model.kinds.vmgroup import Access, Member, PrivilegeRow, VMRow
from reconciler.model.refs import DEFAULT_VMGROUP_UUID, OLD_DEFAULT_URL, VM_DS_URL, Kind, Location, ObjectRef
from reconciler.model.state import Resolved
from reconciler.planning.configdb.old_schema import as_vdvs_upgrades, is_old, lifted
from reconciler.planning.differ import diff
from reconciler.planning.rights.decision import Lookup
from reconciler.planning.vmgroup.state import VMGroupState, observed_states
from tests.planning import compact
from tests.planning.interpreter import Rows
from tests.planning.shown import shown_diff
from tests.planning.test_properties import SIZES, allowed
from tests.planning.worlds import HOSTS, STORES, URLS, databases

KNOWN = compact.inventory({"hosts": HOSTS, "datastores": [{"name": name} for name in STORES], "vms": []})
REF = ObjectRef(Kind.CONFIG_DB, "a")
ROWS = {"d1": [0, 0, 0], OLD_DEFAULT_URL: [1, 0, 0]}
old_dbs = databases("d1", DBState.PRESENT, old=True).map(
    lambda db: replace(db, schema=Schema.V1_1, vms=(), dead_rows=())  # what repairs of rows mean is told elsewhere
)


def change_of(db: ObservedConfigDB, known: Inventory = KNOWN) -> Change:
    declared = ResolvedConfigDB(REF, KNOWN.datastores[0], (), None, Unmanaged.IGNORE, 10)
    observed = replace(compact.observed({}, KNOWN), config_dbs={Location(db.path): db})
    return diff(Resolved(known, (declared,), (), (), ()), observed, {}).changes[0]


@given(old_dbs, st.randoms(use_true_random=False))
@example(
    replace(
        compact.observed_db("d1", {"vmgroups": {"_DEFAULT": {"default": "d1", "access": ROWS}}}),
        schema=Schema.V1_1,
    ),
    random.Random(0),
)
def test_it_does_not_depend_on_the_order_of_the_rows(db: ObservedConfigDB, chance: random.Random) -> None:
    mixed = replace(db, privileges=tuple(chance.sample(db.privileges, len(db.privileges))))
    assert change_of(mixed) == change_of(replace(mixed, privileges=tuple(reversed(mixed.privileges)))) == change_of(db)


def allowed_before(group: VMGroupState, former: Access | None) -> set[tuple[object, ...]]:
    """All that 0.13 lets a VM of this vmgroup do. `former`: the `_DEFAULT_URL` row of `_DEFAULT`."""
    found: set[tuple[object, ...]] = set()
    for url in (*URLS, "/vmfs/volumes/another"):
        row = group.access.get(url) or former  # a short name means one of these datastores, and is no other request
        for own in (False, True):
            if row is None:
                continue
            found.add((url, own, "mount"))
            if not row.allow_create:
                continue
            found.add((url, own, "delete"))
            for size in SIZES:
                for used in (0, 50, 100, 150):
                    if size <= (row.max_mb or size) and size + used <= (row.total_mb or size + used):
                        found.add((url, own, "create", size, used))
    return found


def former_row(states: dict[str, VMGroupState]) -> Access | None:
    default = states.get(DEFAULT_VMGROUP_UUID)
    return None if default is None else default.access.get(OLD_DEFAULT_URL)


@given(old_dbs)
def test_the_risk_is_what_somebody_gains_or_loses(db: ObservedConfigDB) -> None:
    states = observed_states(db)
    assume(not any(row is None or url.endswith("_DS://") for s in states.values() for url, row in s.access.items()))
    change = change_of(db)
    note(shown_diff(Diff((change,))))
    expected = []
    for uuid, after in observed_states(lifted(db)).items():
        before = allowed_before(states[uuid], former_row(states))
        for lookup in Lookup:
            now = allowed(after, lookup)
            by_short_name = after.default_url == VM_DS_URL and len(states[uuid].access) > 0
            # Nobody gains by what _DEFAULT_URL allowed, unless a stricter row of the VM's datastore was to decide.
            assert former_row(states) is None or by_short_name or not now - before
            expected.append(Risk.WIDENS if now - before else Risk.RESTRICTS if before - now else Risk.SAFE)
    upgrade = change.actions[0]
    assert isinstance(upgrade, UpgradeDB)
    assert upgrade.risk is worst(expected)
    gains = {right.gains for right in change.rights}
    assert bool(gains) is (upgrade.risk is not Risk.SAFE)
    assert (True in gains) is (upgrade.risk is Risk.WIDENS)


@given(databases("d1", DBState.PRESENT, old=True))
def test_after_it_nothing_is_old_and_no_default_datastore_is_missing(db: ObservedConfigDB) -> None:
    done = lifted(db)
    assert not is_old(done)
    assert lifted(done) == done
    assert lifted(db) is db or {row.id for row in done.tenants} == {row.id for row in db.tenants}
    left = Rows.of(done).violations()
    assert not [rule for rule in left if "default datastore" in rule] or not is_old(db)
    assert done.vms == db.vms


@given(st.sampled_from([Schema.V1_1]), databases("d1", DBState.PRESENT, old=True))
def test_where_everything_was_open_the_rows_are_those_of_vdvs(schema: Schema, db: ObservedConfigDB) -> None:
    """On a DB as 0.13 made it; a default datastore that is NULL or `_DEFAULT_URL` vDVS would leave broken."""
    rows = {(row.tenant_id, row.url): row for row in db.privileges}
    if any(row.id == DEFAULT_VMGROUP_UUID for row in db.tenants):
        rows[DEFAULT_VMGROUP_UUID, OLD_DEFAULT_URL] = PrivilegeRow(DEFAULT_VMGROUP_UUID, OLD_DEFAULT_URL, 1, 0, 0)
    db = replace(db, schema=schema, privileges=tuple(rows.values()))
    itself = as_vdvs_upgrades(db)
    assert itself in (db, lifted(db))


def test_of_vms_with_one_uuid_the_first_name_is_stored_in_whatever_order_they_come() -> None:
    twins = [VirtualMachine(name, f"/vm/{name}", "uuid-twin", None, None, None, ()) for name in ("a", "b")]
    seen = replace(compact.observed_db("d1", {"vmgroups": {"g": {}}}), vms=(VMRow("uuid-twin", "id-g", None),))
    for vms in (twins, twins[::-1]):
        found = change_of(replace(seen, schema=Schema.V1_1), replace(KNOWN, vms=tuple(vms)))
        assert [a.names for a in found.actions if isinstance(a, UpgradeDB)] == [(Member("uuid-twin", "a"),)]
