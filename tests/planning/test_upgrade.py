"""What the upgrade of an old config DB does to rights, against what releases up to 0.13 let a VM do, told anew here."""

from __future__ import annotations

import random
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from hypothesis import assume, example, given, note
from hypothesis import strategies as st
from msgspec.structs import astuple, replace

from reconciler.model.base import Risk, worst
from reconciler.model.diff import Change, Diff
from reconciler.model.inventory import Inventory, VirtualMachine
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB, ResolvedConfigDB, Schema, Unmanaged, UpgradeDB
from reconciler.model.kinds.vmgroup import Access, Member, VMRow
from reconciler.model.refs import DEFAULT_VMGROUP_UUID, OLD_DEFAULT_URL, VM_DS_URL, Kind, Location, ObjectRef
from reconciler.model.state import Resolved
from reconciler.planning.configdb.old_schema import as_vdvs_upgrades, is_old, lifted
from reconciler.planning.differ import diff
from reconciler.planning.rights.decision import Lookup
from reconciler.planning.vmgroup.state import VMGroupState, observed_states
from tests.agent import old_db
from tests.planning import compact
from tests.planning.compact import url_of
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


def former_row(states: Mapping[str, VMGroupState]) -> Access | None:
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


@given(old_dbs, st.lists(st.sampled_from(["", OLD_DEFAULT_URL, None, "d1"]), min_size=9, max_size=9))
def test_the_rows_of_vdvs_are_those_that_its_own_statements_leave(db: ObservedConfigDB, defaults: list[Any]) -> None:
    tenants = tuple(
        replace(row, default_url=url_of(default) if default else default)
        for row, default in zip(db.tenants, defaults, strict=False)
    )
    db = replace(db, tenants=tenants)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "old.db")
        old_db.write(
            path,
            [(row.id, row.name, row.description, row.default_url) for row in tenants],
            access=[tuple(astuple(row)) for row in db.privileges],
        )
        with suppress(sqlite3.IntegrityError):  # a row that it adds is there: it stops, and what it did is undone
            old_db.upgrade_as_vdvs(path, {})
        with closing(sqlite3.connect(path)) as connection:
            left = {table: set(connection.execute(f"SELECT * FROM {table}")) for table in ("tenants", "privileges")}
    found = as_vdvs_upgrades(db)
    assert left == {
        "tenants": {(row.id, row.name, row.description, row.default_url) for row in found.tenants},
        "privileges": {tuple(astuple(row)) for row in found.privileges},
    }


def test_of_vms_with_one_uuid_the_first_name_is_stored_in_whatever_order_they_come() -> None:
    twins = [VirtualMachine(name, f"/vm/{name}", "uuid-twin", None, None, None, ()) for name in ("a", "b")]
    seen = replace(compact.observed_db("d1", {"vmgroups": {"g": {}}}), vms=(VMRow("uuid-twin", "id-g", None),))
    for vms in (twins, twins[::-1]):
        found = change_of(replace(seen, schema=Schema.V1_1), replace(KNOWN, vms=tuple(vms)))
        assert [a.names for a in found.actions if isinstance(a, UpgradeDB)] == [(Member("uuid-twin", "a"),)]
