"""What the config DBs tell of who applied what."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.frozen import dataclass
from reconciler.model.observed import DBState, Observed
from reconciler.model.ownership import Record
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.resolved import Resolved
from reconciler.planning.ownership import object_name
from reconciler.planning.policy_places import record_name
from reconciler.planning.scope import vmgroup_ref
from reconciler.planning.volume_places import volume_records


@dataclass(frozen=True, slots=True)
class Applied:
    """The last apply of an object, as its config DB has it. `object` is called as everywhere else (`vmgroup/NAME`, or
    `vmgroup/DB/NAME` where there are several config DBs), and may be there no more."""

    object: str
    config_db: ObjectRef
    record: Record


def history(resolved: Resolved, observed: Observed) -> tuple[Applied, ...]:
    """Every object that was ever applied and was not deleted since, the last one applied first."""
    found = sorted(_all(resolved, observed), key=lambda applied: (applied.object, str(applied.config_db)))
    found.sort(key=lambda applied: applied.record.when.timestamp() if applied.record.when else 0.0, reverse=True)
    return tuple(found)


def untold(resolved: Resolved, observed: Observed) -> dict[ObjectRef, str]:
    """The config DBs that do not tell, and why not."""
    found = {}
    for db in resolved.config_dbs:
        seen = observed.config_dbs[db.location]
        if seen.state is DBState.UNKNOWN:
            found[db.ref] = f"it cannot be read: {seen.message}"
        elif seen.records is None:
            found[db.ref] = "its table vdvs_objects is damaged, so nobody can say who applied what"
    return found


def _all(resolved: Resolved, observed: Observed) -> Iterator[Applied]:
    begin = object_name(Kind.VMGROUP, "")
    called = {record_name(each.datastore, each.name): str(each.ref) for each in resolved.storage_policies}
    called |= {name: str(ref) for ref, name in volume_records(resolved, observed).items()}
    for db in resolved.config_dbs:
        for record in observed.config_dbs[db.location].records or ():
            name = record.object
            if name.startswith(begin):
                name = str(vmgroup_ref(db.ref, name.removeprefix(begin), resolved))
            yield Applied(called.get(name, name), db.ref, record)
