"""Records in the config DBs: who applied what, and which manifest is not the one applied last.

Source: docs/domain.md#who-applied-what
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from reconciler.model.kinds.configdb import DBState
from reconciler.model.ownership import Record
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.kinds import places
from reconciler.planning.ownership import Ledger, Place, ledger, object_name
from reconciler.planning.scope import vmgroup_ref


def not_applied(resolved: Resolved, observed: Observed) -> dict[ObjectRef, str]:
    """Return the objects whose manifest, or that of their config DB, is not the one applied last, with the reason."""
    ledgers = {db.ref: ledger(observed.config_dbs[db.location]) for db in resolved.config_dbs}
    recorded = places(resolved, observed)
    found = {ref: _why_not_applied(place, ledgers, resolved.digests.get(ref)) for ref, place in recorded.items()}
    databases = {db: found[db] for db in ledgers}
    for ref, place in recorded.items():
        if found[ref] is None and place.db is not None and databases.get(place.db) is not None:
            found[ref] = f"the manifest of its {place.db} is not what was applied last"
    return {ref: reason for ref, reason in found.items() if reason is not None}


def _why_not_applied(place: Place, ledgers: Mapping[ObjectRef, Ledger | None], digest: str | None) -> str | None:
    if place.db is None:
        return place.why
    known = ledgers.get(place.db)
    if known is None:
        return f"what was applied last in {place.db} is unknown"
    record = known.by_object.get(place.name)
    if record is None:
        return "nothing says that it was applied before"
    return None if record.digest == digest else "its manifest is not what was applied last"


class Applied(Struct, frozen=True):
    """The last apply of an object, as its config DB has it. `object` is spelled as everywhere else (`vmgroup/NAME`, or
    `vmgroup/DB/NAME` where there are several config DBs), and may be there no more."""

    object: str
    config_db: ObjectRef
    record: Record


def history(resolved: Resolved, observed: Observed) -> tuple[Applied, ...]:
    """Every object that was ever applied and was not deleted since, the last one applied first."""
    found = sorted(_all(resolved, observed), key=lambda applied: (applied.object, str(applied.config_db)))
    found.sort(key=lambda applied: applied.record.when.timestamp() if applied.record.when else 0.0, reverse=True)
    return tuple(found)


def unreadable_records(resolved: Resolved, observed: Observed) -> dict[ObjectRef, str]:
    """The config DBs whose records could not be read, each with the reason."""
    found = {}
    for db in resolved.config_dbs:
        seen = observed.config_dbs[db.location]
        if seen.state is DBState.UNKNOWN:
            found[db.ref] = f"it cannot be read: {seen.message}"
        elif seen.records is None:
            found[db.ref] = "its table vdvs_objects is damaged, so who applied what is unknown"
    return found


def _all(resolved: Resolved, observed: Observed) -> Iterator[Applied]:
    begin = object_name(Kind.VMGROUP, "")  # its records have its name in vDVS, which is unique in one config DB only
    called = {place.name: str(ref) for ref, place in places(resolved, observed).items() if place.uid is None}
    for db in resolved.config_dbs:
        for record in observed.config_dbs[db.location].records or ():
            name = record.object
            if name.startswith(begin):
                name = str(vmgroup_ref(db.ref, name.removeprefix(begin), resolved))
            yield Applied(called.get(name, name), db.ref, record)
