"""Look-up of config DBs: where each is, and which hosts are to use it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from reconciler.model.kinds.configdb import DesiredConfigDB, ResolvedConfigDB
from reconciler.model.kinds.host import DesiredHost
from reconciler.model.refs import Kind, Location, ObjectRef
from reconciler.model.state import Desired, Observed, Resolved, Unresolved
from reconciler.planning.lookup import InventoryLookup, NotFoundError
from reconciler.planning.records.ownership import Place, Places, object_name


def resolve_config_dbs(desired: Desired, so_far: Resolved, names: InventoryLookup) -> Resolved:
    """Look up the datastore and the hosts of each config DB."""
    found, unresolved = [], list(so_far.unresolved)
    for db in desired.config_dbs:
        hosts = tuple(sorted(host.ref.name for host in desired.hosts if selects(db, host, names.cluster_of(host))))
        try:
            if db.hosts is not None and db.hosts.cluster is not None:
                names.cluster(db.hosts.cluster)
            if db.datastore is None and len(hosts) != 1:
                raise NotFoundError(f"a SingleNode config DB is that of exactly one host, not of {len(hosts)}")
            datastore = None if db.datastore is None else names.datastore(db.datastore)
        except NotFoundError as problem:
            unresolved.append(Unresolved(db.ref, str(problem)))
            continue
        found.append(ResolvedConfigDB(db.ref, datastore, hosts, db.default_vmgroup, db.unmanaged, db.backups_to_keep))
    kept = sorted(_distinct(found, unresolved), key=lambda db: db.ref.sort_key)
    return replace(so_far, config_dbs=tuple(kept), unresolved=tuple(unresolved))


def _distinct(databases: list[ResolvedConfigDB], unresolved: list[Unresolved]) -> list[ResolvedConfigDB]:
    """Leave out config DBs that are the same file under two names: each would undo the changes of the other."""
    by_location: dict[Location, list[ResolvedConfigDB]] = {}
    for db in databases:
        by_location.setdefault(db.location, []).append(db)
    for twins in by_location.values():
        for db in twins if len(twins) > 1 else ():
            others = ", ".join(sorted(str(twin.ref) for twin in twins if twin is not db))
            where = f"host/{db.location.host}" if db.datastore is None else db.datastore.name
            unresolved.append(Unresolved(db.ref, f"it is the same file as {others}: both are on {where}"))
    return [twins[0] for twins in by_location.values() if len(twins) == 1]


def selects(db: DesiredConfigDB, host: DesiredHost, cluster: str | None) -> bool:
    """Whether a config DB selects this host, which is in that cluster (None: in none, or not known)."""
    if db.hosts is None:
        return True
    if db.hosts.cluster is not None:
        return db.hosts.cluster == cluster
    if db.hosts.names is not None:
        return host.ref.name in db.hosts.names
    return set(db.hosts.match_labels or ()) <= set(host.labels)


def config_db_records(resolved: Resolved, _observed: Observed, _fresh: Mapping[ObjectRef, str]) -> Places:
    """Each config DB records itself. Source: docs/domain.md#who-applied-what"""
    return {db.ref: Place(db.ref, object_name(Kind.CONFIG_DB, db.ref.name)) for db in resolved.config_dbs}
