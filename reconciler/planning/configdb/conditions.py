"""Conditions of config DBs: whether each can be read, keeps the rules of vDVS, and fits the datastores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reconciler.model.diff import Change
from reconciler.model.events import Condition, Truth
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.model.refs import AUTH_DB, ObjectRef
from reconciler.planning.configdb.diff import UNTRUSTED
from reconciler.planning.configdb.old_schema import half_upgraded, is_old
from reconciler.planning.spelling import LOST
from reconciler.planning.vmgroup.quotas import limits_fit

if TYPE_CHECKING:
    from reconciler.planning.joined import Joined


def config_db_conditions(change: Change, joined: Joined) -> Iterator[Condition]:
    """`Readable`, `Valid`, `LimitsFit`, `NoOrphans`; of SingleNode ones `Persistent` (False); `RecordsKept` (False)
    where its records contradict what this side keeps.

    Source: docs/domain.md#the-config-db-schema-12
    """
    found = joined.config_dbs[change.ref]
    if found.resolved is None or found.seen is None:
        return
    yield from _config_db(change.ref, found.seen)
    if found.seen.path == AUTH_DB:
        yield Condition(change.ref, "Persistent", Truth.FALSE, "SingleNode", f"it is {LOST}")
    if found.seen.state is DBState.PRESENT:
        yield limits_fit(change.ref, found.seen, joined.assessment.resolved.inventory.datastores, joined.names)
    if why := joined.altered_records.get(change.ref):
        yield Condition(change.ref, "RecordsKept", Truth.FALSE, "Altered", why)
    if (orphans := joined.orphans.get(change.ref)) is not None:
        yield orphans


def _config_db(ref: ObjectRef, seen: ObservedConfigDB) -> Iterator[Condition]:
    if seen.state is DBState.UNKNOWN:
        untrusted = seen.reason in UNTRUSTED
        yield Condition(ref, "Readable", Truth.FALSE if untrusted else Truth.UNKNOWN, seen.reason, seen.message)
        valid = Truth.FALSE if seen.reason == "Tampered" else Truth.UNKNOWN
        yield Condition(ref, "Valid", valid, seen.reason, "it is not read" if untrusted else "it could not be read")
        return
    if seen.state is not DBState.PRESENT:
        yield Condition(ref, "Readable", Truth.FALSE, seen.state.value.capitalize(), "there is no config DB")
        yield Condition(ref, "Valid", Truth.UNKNOWN, seen.state.value.capitalize(), "there is no config DB")
        return
    # Which of several hosts read it changes from look to look, and is no news.
    alone = f"read from {seen.read_from} only: no other host could read it too"
    yield Condition(ref, "Readable", Truth.TRUE, "Read", alone if seen.unconfirmed else "it can be read")
    if is_old(seen):
        half = half_upgraded(seen)
        problem = "vDVS left its upgrade half-done" if half else f"its schema is {seen.schema}, not 1.2"
        message = "; ".join([f"{problem}; `vdvs apply` upgrades it", *seen.violations])
        yield Condition(ref, "Valid", Truth.FALSE, "HalfUpgraded" if half else "OldSchema", message)
    elif seen.violations:
        yield Condition(ref, "Valid", Truth.FALSE, "Violations", "; ".join(seen.violations))
    else:
        yield Condition(ref, "Valid", Truth.TRUE, "Valid", "every rule of vDVS holds")
