"""One config DB: whether it is there, can be used, or may be made."""

from __future__ import annotations

from reconciler.model.actions import RecoverDB, Risk
from reconciler.model.constants import VOLUMES
from reconciler.model.diff import Change, FieldChange, Op
from reconciler.model.observed import DBState, Observed, ObservedConfigDB, ObservedHost, SectionForm
from reconciler.model.resolved import Resolved, ResolvedConfigDB
from reconciler.planning.default_diff import default_change
from reconciler.planning.name_links import volumes_of
from reconciler.planning.scope import declares_default, made_with_default
from reconciler.planning.show import Names

_ORPHANS = "bring it back from a backup; a new one would orphan its vmgroups and their volumes"


def config_db_change(db: ResolvedConfigDB, resolved: Resolved, observed: Observed, names: Names) -> Change:
    """How one config DB differs from its manifest. A DB that cannot be read is UNKNOWN and nothing is decided on it."""
    seen = observed.config_dbs[db.datastore.db_path]
    if seen.state is DBState.PRESENT:
        return default_change(db, resolved, observed, names)
    if seen.state is DBState.UNKNOWN:
        if seen.reason == "HotJournal":
            undo = FieldChange("database", "interrupted write", "rolled back")
            return Change(db.ref, Op.UPDATE, seen.message, (undo,), (RecoverDB(db.ref, Risk.SAFE),))
        return Change(db.ref, Op.UNKNOWN, seen.message)
    hindrance = _earlier(db, seen, observed, names) or _elsewhere(db, resolved, observed, names)
    if hindrance is not None:
        gone = "is empty" if seen.state is DBState.EMPTY else "is not there"
        return Change(db.ref, Op.BLOCKED, f"{db.datastore.db_path} {gone}, but {hindrance}")
    fields = [FieldChange("database", "missing", f"MultiNode ({db.datastore.name})")]
    if not declares_default(db.ref, resolved):
        fields.append(FieldChange("defaultVMGroup", None, "Present" if made_with_default(db, resolved) else "Absent"))
    return Change(db.ref, Op.CREATE, "there is no config DB on this datastore yet", tuple(fields))


def _earlier(db: ResolvedConfigDB, seen: ObservedConfigDB, observed: Observed, names: Names) -> str | None:
    """What speaks of an earlier DB in this place, if anything does. A new DB would cut it off for good."""
    if seen.backups:
        return f"its backup {seen.backups[-1]} lies beside it: {_ORPHANS}"
    for name, host in sorted(observed.hosts.items()):
        if not isinstance(host, ObservedHost):
            continue
        if host.link_path == db.datastore.db_path:
            return f"host/{name} links to it: {_ORPHANS}"
        if host.section.datastore in (db.datastore.id, db.datastore.name):
            return f"local.sh of host/{name} names it: {_ORPHANS}"
    silent = next((name for name in sorted(db.hosts) if not isinstance(observed.hosts.get(name), ObservedHost)), None)
    if silent is not None and (volumes := _perhaps_volumes(observed, names)) is not None:
        return f"host/{silent}, which may have used it, cannot be asked and {volumes}: {_ORPHANS}"
    return None


def _perhaps_volumes(observed: Observed, names: Names) -> str | None:
    """Where there are volumes, or may be. What only silent hosts mount does not count: every host has such a one."""
    answered = [host for host in observed.hosts.values() if isinstance(host, ObservedHost)]
    mounted = {VOLUMES + volume for host in answered for volume in host.volumes}
    for url, datastore in sorted(observed.datastores.items()):
        if datastore.error is not None and url in mounted:
            return f"dockvols on {names.datastore(url)} could not be read ({datastore.error})"
    folders = {name for datastore in observed.datastores.values() for name in datastore.entries}
    found = (volumes_of(name, observed.datastores, names) for name in sorted(folders))
    volumes = next((volumes for volumes in found if volumes), None)
    return None if volumes is None else f"not all is empty ({volumes})"


def _elsewhere(db: ResolvedConfigDB, resolved: Resolved, observed: Observed, names: Names) -> str | None:
    """Which of its hosts uses a DB in another place that no manifest declares: this one would start empty."""
    way_out = "moving a config DB is not supported yet, and a new one would orphan its vmgroups; correct spec.datastore"
    declared = {known.datastore.db_path for known in resolved.config_dbs}
    places = {place for known in resolved.config_dbs for place in (known.datastore.id, known.datastore.name)}
    for name in sorted(db.hosts):
        host = observed.hosts.get(name)
        if not isinstance(host, ObservedHost):
            continue
        if host.link is not None and host.link_path not in declared:
            return f"host/{name} uses the one at {names.path(host.link_path or host.link)}: {way_out}"
        section = host.section
        if section.form in (SectionForm.MISSING, SectionForm.NO_FILE) or section.datastore in places:
            continue
        if section.datastore is None:
            return f"local.sh of host/{name} has a vDVS section that does not say for which one; look, and remove it"
        return f"local.sh of host/{name} names the one on {names.volume(section.datastore)}: {way_out}"
    return None


def usable(change: Change, seen: ObservedConfigDB) -> bool:
    """Whether hosts may be pointed at this DB: it is there, is being made in this plan, or is merely busy."""
    busy = seen.state is DBState.UNKNOWN and seen.reason in ("Locked", "HotJournal")
    return seen.state is DBState.PRESENT or change.op is Op.CREATE or busy
