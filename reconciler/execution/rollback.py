"""Backups of config DBs: their list, and the desired state in one of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from reconciler.execution.observe import observe
from reconciler.model.errors import AgentRefusedError, HostUnreachableError, UsageError, VdvsError
from reconciler.model.kinds.configdb import BackupOrigin, Backups, DBState, ObservedConfigDB, ResolvedConfigDB
from reconciler.model.state import Desired, Resolved
from reconciler.planning.configdb.rollback import Rollback, roll_back
from reconciler.planning.resolve import resolve_places
from reconciler.ports import Hosts, InventorySource, Observer


async def list_backups(declared: Desired, inventory: InventorySource, hosts: Hosts) -> tuple[Backups, ...]:
    """Return the backups of every declared config DB. Raises InventoryError when there is no inventory at all."""
    places = resolve_places(declared, await inventory.snapshot())
    found = [Backups(failed.ref, "", None, (), failed.reason) for failed in places.unresolved]
    found = [each for each in found if each.ref in {db.ref for db in declared.config_dbs}]
    found += [await _backups_of(db, places, hosts) for db in places.config_dbs]
    return tuple(sorted(found, key=lambda each: each.ref.sort_key))


async def _backups_of(db: ResolvedConfigDB, places: Resolved, hosts: Hosts) -> Backups:
    problem = "no host that it is declared for is known"
    for name, address in _readers(db, places):
        try:
            found = await hosts.agent(name, address).backups(db.location.path)
        except (HostUnreachableError, AgentRefusedError) as error:
            problem = f"host/{name}: {error}"
        else:
            return Backups(db.ref, db.location.path, name, found)
    return Backups(db.ref, db.location.path, None, (), problem)


def _readers(db: ResolvedConfigDB, places: Resolved) -> Iterator[tuple[str, str]]:
    """Yield the hosts that may see its folder, first those declared for it."""
    known = {host.ref.name: host.address for host in places.hosts}
    names = [name for name in db.hosts if name in known]
    names += [name for name in known if name not in db.hosts and db.datastore is not None]
    yield from ((name, known[name]) for name in names)


async def read_rollback(
    declared: Desired,
    name: str | None,
    backup: str,
    applied_by: str,
    inventory: InventorySource,
    hosts: Hosts,
    observer: Observer,
    now: datetime,
    unverified: bool = False,
) -> Rollback:
    """Return the desired state that brings the config DB called `name` (None: the only one) back to this backup.

    Raises UsageError for an unknown config DB or backup, and (unless `unverified`) for one that vdvs did not make, or
    not like that, or that is dated after `now`; VdvsError when one of them cannot be read, and
    InventoryError.
    """
    places = resolve_places(declared, await inventory.snapshot())
    db = _chosen(name, declared, places)
    observed = await observe(places, hosts, observer)
    there = observed.config_dbs[db.location]
    if there.state is not DBState.PRESENT:
        why = there.message or f"it is {there.state.value}"
        raise VdvsError(f"{db.ref} cannot be rolled back: {why}; a rollback changes the rows of a config DB that works")
    known = await _backups_of(db, places, hosts)
    rows, origin = await _read(db, places, hosts, backup, known)
    dated = any(each.name == backup and each.is_from_the_future(now) for each in known.found)
    if (origin is not BackupOrigin.MADE or dated) and not unverified:
        why = _DOUBTS[origin] or "it is dated in the future"
        raise UsageError(f"{backup} is not restored: {why}; --unverified restores it nevertheless")
    return roll_back(declared, places, db.ref, there, rows, backup, applied_by)


def _chosen(name: str | None, declared: Desired, places: Resolved) -> ResolvedConfigDB:
    names = sorted(db.ref.name for db in declared.config_dbs)
    if name is None and len(names) != 1:
        known = f"give --config-db, one of {', '.join(names)}" if names else "no ConfigDB is declared"
        raise UsageError(f"which config DB to use is unclear: {known}")
    name = names[0] if name is None else name
    if name not in names:
        raise UsageError(f"there is no configdb/{name} among the manifests; known: {', '.join(names) or 'none'}")
    found = next((db for db in places.config_dbs if db.ref.name == name), None)
    if found is None:
        reason = next(failed.reason for failed in places.unresolved if failed.ref.name == name)
        raise VdvsError(f"configdb/{name} could not be looked up: {reason}")
    return found


_DOUBTS = {
    BackupOrigin.MADE: "",
    BackupOrigin.CHANGED: "its content is not what vdvs wrote there",
    BackupOrigin.FOREIGN: "vdvs has no record of having made it, so anybody who can write the datastore may have",
}


async def _read(
    db: ResolvedConfigDB, places: Resolved, hosts: Hosts, backup: str, known: Backups
) -> tuple[ObservedConfigDB, BackupOrigin]:
    if known.host is None:
        raise VdvsError(f"the backups of {db.ref} cannot be read: {known.problem}")
    names = [each.name for each in known.found]
    if backup not in names:
        newest = f"the newest is {names[-1]}; `vdvs rollback --list` shows all" if names else "it has none"
        raise UsageError(f"{db.ref} has no backup called {backup}: {newest}")
    address = next(host.address for host in places.hosts if host.ref.name == known.host)
    try:
        return await hosts.agent(known.host, address).read_backup(db.location.path, backup)
    except (HostUnreachableError, AgentRefusedError) as error:
        raise VdvsError(f"{backup} cannot be read: {error}") from error
