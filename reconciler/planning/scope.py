"""The scope of a pass: which objects it concerns, and whether it sees enough to remove anything."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.kinds.configdb import DBState, ResolvedConfigDB
from reconciler.model.kinds.host import Presence, UnreachableHost
from reconciler.model.refs import DEFAULT_VMGROUP, KINDS, Kind, ObjectRef
from reconciler.model.state import Observed, Resolved


def unread(kind: Kind, resolved: Resolved, observed: Observed) -> str | None:
    """Why there may be objects of this kind that were not seen; None: there are none. Unknown is never absent."""
    if kind is Kind.VMGROUP:
        failed = [each for each in resolved.unresolved if each.ref.kind is Kind.CONFIG_DB]
        if failed:
            return f"{failed[0].ref} could not be looked up: {failed[0].reason}"
        for db in resolved.config_dbs:
            if (seen := observed.config_dbs[db.location]).state is DBState.UNKNOWN:
                return f"{db.ref} cannot be read: {seen.message}"
    elif KINDS[kind].on_datastore:
        for url, datastore in sorted(observed.datastores.items()):
            if datastore.error is not None:
                return f"datastore {url} cannot be read: {datastore.error}"
    elif kind is Kind.HOST and resolved.inventory.gaps:
        return f"the inventory is incomplete: {resolved.inventory.gaps[0]}"
    return None


def incomplete(resolved: Resolved, observed: Observed) -> str | None:
    """Why this pass does not see everything (so nothing may be removed in it), or None."""
    if failed := [each.ref for each in resolved.unresolved if not each.certain]:
        return f"{min(failed)} could not be looked up"
    if resolved.inventory.gaps:
        return f"the inventory is incomplete ({resolved.inventory.gaps[0]})"
    for name, host in sorted(observed.hosts.items()):
        if isinstance(host, UnreachableHost):
            return f"host/{name} could not be reached"
    for url, datastore in sorted(observed.datastores.items()):
        if datastore.error is not None:
            return f"datastore {url} could not be read"
    for path, db in sorted(observed.config_dbs.items()):
        if db.state is DBState.UNKNOWN:
            return f"{path} could not be read"
    return None


def vmgroup_ref(db: ObjectRef, name: str, resolved: Resolved) -> ObjectRef:
    """Return the ref of the vmgroup `name` in the config DB `db`: names are unique within one DB only."""
    databases = {known.ref for known in resolved.config_dbs}
    databases |= {failed.ref for failed in resolved.unresolved if failed.ref.kind is Kind.CONFIG_DB}
    return ObjectRef(Kind.VMGROUP, f"{db.name}/{name}" if len(databases) > 1 else name)


def unresolved_vmgroups(db: ObjectRef, resolved: Resolved) -> frozenset[str]:
    """The vmgroups of this config DB that are declared but could not be looked up: names, previous names, UUIDs."""
    prefix = vmgroup_ref(db, "", resolved).name
    failed = [
        failed
        for failed in resolved.unresolved
        if failed.ref.kind is Kind.VMGROUP and failed.ref.name.startswith(prefix)
    ]
    names = [known for each in failed for known in each.known_as]
    return frozenset([*(each.ref.name.removeprefix(prefix) for each in failed), *names])


def perhaps_anywhere(resolved: Resolved) -> Mapping[str, str]:
    """The names and UUIDs of vmgroups that may be in any config DB, as which one they are in is not known, and why
    none that is called so may be removed."""
    return {
        name: f"{failed.ref} could not be looked up"
        for failed in resolved.unresolved
        if failed.anywhere
        for name in (failed.ref.name, *failed.known_as)
    }


def declares_default(db: ObjectRef, resolved: Resolved) -> bool:
    """Whether `_DEFAULT` of this config DB has a manifest of its own, which then decides alone."""
    if DEFAULT_VMGROUP in unresolved_vmgroups(db, resolved):
        return True
    return any(group.config_db == db and group.name == DEFAULT_VMGROUP for group in resolved.vmgroups)


def made_with_default(db: ResolvedConfigDB, resolved: Resolved) -> bool:
    """Whether this config DB, when it is made, comes with vDVS's own `_DEFAULT`, which allows everything."""
    return db.default_vmgroup is not Presence.ABSENT and not declares_default(db.ref, resolved)
