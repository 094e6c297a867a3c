"""Presence of a config DB: whether it exists, can be used, or may be created.

Source: docs/domain.md#the-config-db-schema-12
"""

from __future__ import annotations

import re

from reconciler.model.base import Risk
from reconciler.model.diff import Change, FieldChange, Op
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB, RecoverDB, ResolvedConfigDB
from reconciler.model.kinds.host import DBMode, ObservedHost, SectionForm
from reconciler.model.refs import DEFAULT_VMGROUP_UUID, VOLUMES
from reconciler.model.state import Observed, Resolved
from reconciler.planning.scope import declares_default, made_with_default
from reconciler.planning.spelling import LOST, DisplayNames
from reconciler.planning.vmgroup.default import default_change
from reconciler.planning.vmgroup.name_links import volumes_of

_NO_MOVE = "another one would orphan its vmgroups; link the host to it, then it is moved, or correct spec.datastore"


_NOT_SHARED = "that is on no datastore, and another one would orphan its vmgroups; correct that link"


_TWO = "there is another one here, and one of them would be lost; correct spec.datastore, or put the file here aside"


_NO_WAY_BACK = (
    "what is in it would not be in the host's own, which moreover is lost at the next reboot; keep mode MultiNode, or "
    "take the host out of that one first"
)


UNTRUSTED = ("Tampered", "TooLarge")  # reasons of a config DB that was not made by vDVS or us alone


_WAYS_OUT = {
    "Tampered": "; find out who did that; remove it, or bring back a copy of yours from before",
    "TooLarge": "; find out who wrote that; delete it, or bring back a copy of yours from before",
    "Locked": "; try again when that is done",
    "Corrupt": "; bring it back from a copy of yours",
    "Damaged": "; bring it back from a copy of yours",
    "Incomplete": "; bring it back from a copy of yours",
    "NoBooks": "; bring it back from a copy of yours",
    "WriteAheadLog": "; on the host that wrote it last, run sqlite3 FILE 'PRAGMA journal_mode = DELETE'",
    "NotMounted": "; mount it, or correct spec.datastore",
}


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


_ORPHANS = "bring it back from a backup; a new one would orphan its vmgroups and their volumes"


def config_db_change(db: ResolvedConfigDB, resolved: Resolved, observed: Observed, names: DisplayNames) -> Change:
    """How one config DB differs from its manifest. A DB that cannot be read is UNKNOWN and nothing is decided on it."""
    seen = observed.config_dbs[db.location]
    if seen.state is DBState.PRESENT:
        elsewhere = used_elsewhere(db, resolved, observed, names)
        return Change(db.ref, Op.BLOCKED, elsewhere) if elsewhere else default_change(db, resolved, observed, names)
    if seen.state is DBState.UNKNOWN:
        if seen.reason == "HotJournal":
            undo = FieldChange("database", "interrupted write", "rolled back")
            return Change(db.ref, Op.UPDATE, seen.message, (undo,), (RecoverDB(db.ref, Risk.SAFE),))
        return Change(db.ref, Op.BLOCKED if seen.reason in UNTRUSTED else Op.UNKNOWN, _unknown(seen))
    hindrance = (
        _earlier(db, seen, observed, names)
        or _elsewhere(db, resolved, observed, names)
        or _orphans(resolved, observed, names)
    )
    if hindrance is not None:
        gone = "is empty" if seen.state is DBState.EMPTY else "is not there"
        if seen.message:
            gone = f"{gone} ({seen.message})"
        return Change(db.ref, Op.BLOCKED, f"{db.location} {gone}, but {hindrance}")
    fields = [FieldChange("database", "missing", f"{db.place}, {LOST}" if db.datastore is None else db.place)]
    if not declares_default(db.ref, resolved):
        fields.append(FieldChange("defaultVMGroup", None, "Present" if made_with_default(db, resolved) else "Absent"))
    where = "host" if db.datastore is None else "datastore"
    return Change(db.ref, Op.CREATE, f"there is no config DB on this {where} yet", tuple(fields))


def _unknown(seen: ObservedConfigDB) -> str:
    """Why a DB cannot be used, where it is, and what to do."""
    where = "" if seen.path in seen.message else f"{seen.path}: "
    way_out = _WAYS_OUT.get(seen.reason, "")
    if seen.reason in ("Corrupt", "Damaged", "Incomplete", "NoBooks") and seen.backups:
        way_out = f"; the newest backup beside it is {seen.backups[-1]}"
    return f"{where}{seen.message}{way_out}"


def used_elsewhere(db: ResolvedConfigDB, resolved: Resolved, observed: Observed, names: DisplayNames) -> str | None:
    """Return which undeclared, working DB all hosts of this one use instead, or None. One stray host is drift;
    all of them together mean that `spec.datastore` now names a place that has a DB already. (Hosts from which vDVS is
    or was removed do not count.)

    Source: docs/domain.md#moving-a-config-db
    """
    if db.datastore is None:
        return None
    users = [host.ref.name for host in resolved.hosts if host.config_db == db.ref]
    answered = [host for name in users if isinstance(host := observed.hosts.get(name), ObservedHost)]
    declared = {known.location.path for known in resolved.config_dbs}
    places = {host.link_path for host in answered if host.db_mode is DBMode.MULTI_NODE}
    if len(places) != 1 or places & declared or any(host.db_mode is not DBMode.MULTI_NODE for host in answered):
        return None
    place = next(iter(places)) or "a file that is not on a datastore"
    return f"its hosts use the one at {names.path(place)}: {_TWO}"


def _earlier(db: ResolvedConfigDB, seen: ObservedConfigDB, observed: Observed, names: DisplayNames) -> str | None:
    """Return the evidence of an earlier DB in this place, or None. A new DB would cut it off for good."""
    if seen.backups:
        return f"its backup {seen.backups[-1]} lies beside it: {_ORPHANS}"
    if db.datastore is None:
        return None
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


def _perhaps_volumes(observed: Observed, names: DisplayNames) -> str | None:
    """Return where there are, or may be, volumes. A datastore that only unreachable hosts mount does not count: every
    host has one of its own.

    Source: docs/domain.md#layout-of-dockvols
    """
    answered = [host for host in observed.hosts.values() if isinstance(host, ObservedHost)]
    mounted = {VOLUMES + volume for host in answered for volume in host.volumes}
    for url, datastore in sorted(observed.datastores.items()):
        if datastore.error is not None and url in mounted:
            return f"dockvols on {names.datastore(url)} could not be read ({datastore.error})"
    folders = {name for datastore in observed.datastores.values() for name in datastore.entries}
    found = (volumes_of(name, observed.datastores, names) for name in sorted(folders))
    volumes = next((volumes for volumes in found if volumes), None)
    return None if volumes is None else f"not all is empty ({volumes})"


def _elsewhere(db: ResolvedConfigDB, resolved: Resolved, observed: Observed, names: DisplayNames) -> str | None:
    """Return which of its hosts uses an undeclared DB in another place, or None: this one would start empty."""
    if db.datastore is None:
        return _shared(db.location.host, observed, names)
    shared = [known.datastore for known in resolved.config_dbs if known.datastore is not None]
    declared = {datastore.db_path for datastore in shared}
    places = {place for datastore in shared for place in (datastore.id, datastore.name)}
    for name in sorted(db.hosts):
        host = observed.hosts.get(name)
        if not isinstance(host, ObservedHost):
            continue
        if host.link is not None and host.link_path not in declared:
            return f"host/{name} uses the one at {names.path(host.link_path or host.link)}: {_NOT_SHARED}"
        section = host.section
        if section.form in (SectionForm.MISSING, SectionForm.NO_FILE) or section.datastore in places:
            continue
        if section.datastore is None:
            return f"local.sh of host/{name} has a vDVS section that does not say for which one; look, and remove it"
        return f"local.sh of host/{name} names the one on {names.volume(section.datastore)}: {_NO_MOVE}"
    return None


def _shared(name: str, observed: Observed, names: DisplayNames) -> str | None:
    """Return which shared config DB this host uses or used, or None: its own would start empty and be lost at a reboot.

    Source: docs/domain.md#modes-of-a-host
    """
    host = observed.hosts.get(name)
    if not isinstance(host, ObservedHost):
        return None
    if host.link is not None:
        return f"host/{name} uses the one at {names.path(host.link_path or host.link)}: {_NO_WAY_BACK}"
    if host.section.form not in (SectionForm.MISSING, SectionForm.NO_FILE):
        named = f"the one on {names.volume(host.section.datastore)}" if host.section.datastore else "another one"
        return f"local.sh of host/{name} names {named}: {_NO_WAY_BACK}"
    return None


def _orphans(resolved: Resolved, observed: Observed, names: DisplayNames) -> str | None:
    """Volumes of a vmgroup that no DB has and no manifest pins: those of a DB that is gone. `_DEFAULT` serves hosts
    without a DB, so its volumes prove nothing.

    Source: docs/domain.md#orphaned-volumes
    """
    known = {row.id for db in observed.config_dbs.values() for row in db.tenants} | {DEFAULT_VMGROUP_UUID}
    known |= {group.uuid for group in resolved.vmgroups if group.uuid is not None}
    folders = {name for datastore in observed.datastores.values() for name in datastore.entries}
    for folder in sorted(folders - known):
        if _UUID.fullmatch(folder) and (volumes := volumes_of(folder, observed.datastores, names)) is not None:
            way_out = "pin it as spec.uuid of a VMGroup, or bring that DB back from a backup"
            return f"there are {volumes} of the vmgroup {folder}, which an earlier one must have known: {way_out}"
    return None


def usable(change: Change, seen: ObservedConfigDB) -> bool:
    """Whether hosts may be linked to this DB: it exists, is created in this plan, or is merely busy.

    Source: docs/domain.md#locks-and-journal
    """
    busy = seen.state is DBState.UNKNOWN and seen.reason in ("Locked", "HotJournal", "HostJournal")
    return seen.state is DBState.PRESENT or change.op is Op.CREATE or busy
