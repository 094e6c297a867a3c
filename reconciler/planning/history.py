"""What the config DBs record: who applied what, and which manifest is not the one applied last."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from reconciler.model.kinds.configdb import DBState
from reconciler.model.kinds.storagepolicy import ResolvedStoragePolicy
from reconciler.model.kinds.volume import ResolvedVolume
from reconciler.model.ownership import Record
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.ownership import ledger, object_name
from reconciler.planning.scope import vmgroup_ref
from reconciler.planning.storagepolicy import keeper, record_name
from reconciler.planning.volume import volume_records


def not_applied(resolved: Resolved, observed: Observed) -> dict[ObjectRef, str]:
    """The objects whose manifest, or that of the config DB behind them, is not the very one that was applied last, and
    why not."""
    ledgers = {db.ref: ledger(observed.config_dbs[db.location]) for db in resolved.config_dbs}

    def why(db: ObjectRef, name: str, ref: ObjectRef) -> str | None:
        known = ledgers.get(db)
        if known is None:
            return f"nobody can say what was applied last in {db}"
        record = known.by_object.get(name)
        if record is None:
            return "nothing says that it was applied before"
        return None if record.digest == resolved.digests.get(ref) else "its manifest is not what was applied last"

    found = {db: why(db, object_name(Kind.CONFIG_DB, db.name), db) for db in ledgers}
    databases = dict(found)
    for host in resolved.hosts:
        if host.config_db is None:
            found[host.ref] = "it uses no config DB, so nothing says what was applied to it"
        else:
            found[host.ref] = why(host.config_db, object_name(Kind.HOST, host.ref.name), host.ref)
    for group in resolved.vmgroups:
        found[group.ref] = why(group.config_db, object_name(Kind.VMGROUP, group.name), group.ref)
    owners = {host.ref: host.config_db for host in resolved.hosts} | {g.ref: g.config_db for g in resolved.vmgroups}
    for policy in resolved.files_of(ResolvedStoragePolicy):
        owners[policy.ref] = db = keeper(policy.datastore, resolved)
        if db is None:
            found[policy.ref] = "no config DB says what was applied to it"
        else:
            found[policy.ref] = why(db, record_name(policy.datastore, policy.name), policy.ref)
    records = volume_records(resolved, observed)
    for volume in resolved.files_of(ResolvedVolume):
        owners[volume.ref] = volume.config_db
        name = records.get(volume.ref)
        found[volume.ref] = "its vmgroup is not there" if name is None else why(volume.config_db, name, volume.ref)
    for ref, db in owners.items():
        if found[ref] is None and db is not None and databases.get(db) is not None:
            found[ref] = f"the manifest of its {db} is not what was applied last"
    return {ref: reason for ref, reason in found.items() if reason is not None}


class Applied(Struct, frozen=True):
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


def unreadable_records(resolved: Resolved, observed: Observed) -> dict[ObjectRef, str]:
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
    called = {
        record_name(each.datastore, each.name): str(each.ref) for each in resolved.files_of(ResolvedStoragePolicy)
    }
    called |= {name: str(ref) for ref, name in volume_records(resolved, observed).items()}
    for db in resolved.config_dbs:
        for record in observed.config_dbs[db.location].records or ():
            name = record.object
            if name.startswith(begin):
                name = str(vmgroup_ref(db.ref, name.removeprefix(begin), resolved))
            yield Applied(called.get(name, name), db.ref, record)
