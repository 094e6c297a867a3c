"""A config DB whose hosts use it in another place than its manifest says: whether, and how, it is moved there.

The old place is where its hosts link to, or the one host's own DB (SingleNode); never one that another ConfigDB
declares. A new DB that is a copy, made by a move, records where it was copied from, and the fingerprint of the rows
then. Whoever can write that DB can forge this record, so it counts only if a host still links to the old place, or the
old DB itself records that it is moved here, or nothing is left there.

| old place        | new place              | hosts    | outcome                                                       |
|------------------|------------------------|----------|---------------------------------------------------------------|
| present          | absent, empty          | any      | moves: copy, lead the hosts there, retire the old             |
| present, as then | a copy of it           | any      | the move goes on: lead the rest there, retire the old         |
| changed since    | a copy, as then        | any      | the move goes on: bring the changes over, lead, retire        |
| changed since    | a copy, with same rows | any      | likewise                                                      |
| changed since    | a copy, changed too    | any      | blocked: one side would be lost                               |
| absent           | a copy of it           | any      | the move goes on: lead the rest there, the copy is the DB now |
| present          | a copy of it, it says  | all new  | blocked: the old one does not say so, and no host links there |
| unknown, empty   | a copy of it           | all new  | blocked; its vmgroups, which only the copy serves, go on      |
| unknown, empty   | a copy of it           | some old | blocked                                                       |
| unknown          | absent, empty          | any      | blocked: unknown is never absent                              |
| absent, empty    | absent, empty          | some old | blocked: it is gone, and a new one would orphan its vmgroups  |
| present          | present, no copy of it | all old  | blocked: there are two (`configdb.diff.used_elsewhere`)       |
| any              | present, no copy of it | some new | no move: a host that went astray, and is led back             |
| any              | unknown                | any      | unknown                                                       |

Hosts that use two old places block it, and so does a host that cannot be asked: it may use the old one.

Source: docs/domain.md#moving-a-config-db
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from reconciler.model.base import Risk
from reconciler.model.diff import Change, FieldChange, Op
from reconciler.model.kinds.configdb import DBState, MoveDB, ObservedConfigDB, ResolvedConfigDB
from reconciler.model.kinds.host import DBMode, ObservedHost, UnreachableHost
from reconciler.model.refs import AUTH_DB, VOLUMES, Kind, Location, own_location
from reconciler.model.state import Observed, Resolved
from reconciler.planning.configdb.old_schema import is_old
from reconciler.planning.spelling import DisplayNames

_GONE = (DBState.ABSENT, DBState.EMPTY)


_ORPHANS = "bring it back from a backup; a new one would orphan its vmgroups and their volumes"


_SHARED = re.compile(VOLUMES + r"(?!\.\.?/)[^/\0]{1,255}/dockvols/vmdkops_config\.db")


_Hosts = Mapping[str, ObservedHost | UnreachableHost]


class Relocation(Struct, frozen=True):
    """A move from `source` that is to be made, or is not finished. `hindrance`: why it cannot go on now; else `move`.

    `began`: an earlier pass has copied it. `led`: no host uses any place but the new one. `rows`: the
    config DB as it will be there, where that is known.

    Source: docs/domain.md#moving-a-config-db
    """

    source: Location
    hindrance: str | None
    move: MoveDB | None
    began: bool
    led: bool
    rows: ObservedConfigDB | None

    @property
    def pending(self) -> bool:
        """Whether hosts still have to be linked to the new place; False: at most the old file is left."""
        return self.move is not None or not self.led


def earlier_places(
    resolved: Resolved, hosts: _Hosts, config_dbs: Mapping[Location, ObservedConfigDB]
) -> frozenset[Location]:
    """Return the places to observe, besides those declared, to judge moves and hosts that leave their own config DB."""
    found: set[Location] = set()
    for db in resolved.config_dbs:
        seen = config_dbs.get(db.location)
        if db.datastore is None or seen is None:
            continue
        if seen.copied_from is not None and _is_place(seen.copied_from.location, db):
            found.add(seen.copied_from.location)
        elsewhere = _elsewhere(db, resolved, hosts).keys()
        moves = seen.copied_from is not None or seen.state in _GONE
        found |= {place for place in elsewhere if moves or place.host}
    return frozenset(found - config_dbs.keys())


def _is_place(location: Location, db: ResolvedConfigDB) -> bool:
    """Return whether a config DB of this one's hosts can be there: a path in a record of a DB is anything."""
    if location.host:
        return location.path == AUTH_DB and location.host in db.hosts
    return _SHARED.fullmatch(location.path) is not None


def place_of(host: ObservedHost) -> Location | None:
    """Return where the config DB is that a host uses; None: it uses none, or its link leads to no datastore.

    Source: docs/domain.md#moving-a-config-db
    """
    if host.db_mode is DBMode.SINGLE_NODE:
        return own_location(host.name)
    path = host.link_path or ""
    return Location(path) if path.startswith(VOLUMES) else None


def volume_of(location: Location) -> str:
    """The id of the volume that a shared config DB is on."""
    return location.path.removeprefix(VOLUMES).partition("/")[0]


def relocation(db: ResolvedConfigDB, resolved: Resolved, observed: Observed, names: DisplayNames) -> Relocation | None:
    """Return the move of a config DB to the place in its manifest; None: nothing to move. Pure; see the table.

    Source: docs/domain.md#moving-a-config-db
    """
    target = observed.config_dbs[db.location]
    origin = target.copied_from.location if target.copied_from is not None else None
    if db.datastore is None or target.state is DBState.UNKNOWN or origin == db.location:
        return None
    if target.state is DBState.PRESENT and origin is None:
        return None
    users = _elsewhere(db, resolved, observed.hosts)
    places = sorted(users.keys() if origin is None else {origin, *users})
    if not places:
        return None
    source = origin or places[0]
    old = observed.config_dbs.get(source)
    led = all(
        isinstance(host := observed.hosts.get(name), ObservedHost) and place_of(host) in (db.location, None)
        for name in db.hosts
    )
    hindrance = (
        _why_several(places, users, names)
        or _unseen(resolved, observed)
        or _other_users(db, source, resolved, observed)
        or _lost_here(db, target, observed)
        or _not_mounted(db, observed)
        or _unattested(db, source, old, users, names)
        or _why_not_these(source, old, target, names)
    )
    if hindrance is not None:
        return Relocation(source, hindrance, None, origin is not None, led, None)
    present = old is not None and old.state is DBState.PRESENT
    copied = target.copied_from.rows if target.copied_from is not None else None
    fingerprint = old.fingerprint if old is not None else DBState.ABSENT.value
    changed = present and fingerprint != copied
    move = MoveDB(
        db.ref,
        Risk.DISRUPTS,
        db.location.path,
        target.fingerprint,
        source.path,
        source.host,
        fingerprint,
        copies=changed or (old is not None and present and old.moving_to != db.location.path),
    )
    return Relocation(source, None, move, origin is not None, led, old if changed else target)


def relocation_change(db: ResolvedConfigDB, found: Relocation, resolved: Resolved, names: DisplayNames) -> Change:
    """Return the change of a config DB that moves, or that cannot. Source: docs/domain.md#moving-a-config-db"""
    place = in_words(found.source, names)
    if found.move is None:
        return Change(db.ref, Op.BLOCKED, f"it is not moved here from {place}: {found.hindrance}")
    before = "SingleNode" if found.source.host else names.volume(volume_of(found.source))
    field = FieldChange(
        "mode" if found.source.host else "datastore",
        f"{before}, its move was interrupted" if found.began else before,
        db.place if found.source.host or db.datastore is None else db.datastore.name,
    )
    notes = []
    if found.move.source_fingerprint != DBState.ABSENT.value:
        where = found.move.path if found.source.host else found.source.path
        notes.append(
            "vDVS refuses requests for the moments in which the old file is copied and put aside; it is kept as "
            f"{names.path(where)}.moved-TIME"
        )
    if undeclared := _undeclared_hosts(found.source, resolved):
        notes.append(
            f"no manifest declares {undeclared}, which may use the old one too: it is refused every request then"
        )
    reason = f"its move from {place} goes on" if found.began else f"its hosts use the one at {place}"
    return Change(db.ref, Op.UPDATE, reason, (field,), (found.move,), Risk.DISRUPTS, tuple(notes))


def in_words(place: Location, names: DisplayNames) -> str:
    """Spell a place."""
    return f"{place.path} of host/{place.host} alone" if place.host else names.path(place.path)


def _elsewhere(db: ResolvedConfigDB, resolved: Resolved, hosts: _Hosts) -> dict[Location, list[str]]:
    """Return the places that hosts of this DB use instead, and that no ConfigDB declares."""
    declared = {known.location for known in resolved.config_dbs}
    found: dict[Location, list[str]] = {}
    for name in sorted(db.hosts):
        host = hosts.get(name)
        place = place_of(host) if isinstance(host, ObservedHost) else None
        if place is not None and place not in declared:
            found.setdefault(place, []).append(name)
    return found


def _why_several(places: list[Location], users: Mapping[Location, list[str]], names: DisplayNames) -> str | None:
    if len(places) < 2:
        return None
    uses = [f"host/{users[place][0]} uses {in_words(place, names)}" for place in places if place in users]
    return f"its hosts use more than one: {', '.join(uses)}; let all of them use the right one first"


def _unseen(resolved: Resolved, observed: Observed) -> str | None:
    """Return which host or config DB may use the old place but could not be read, or None.

    Source: docs/domain.md#moving-a-config-db
    """
    for failed in sorted(resolved.unresolved, key=lambda failed: failed.ref.sort_key):
        if failed.ref.kind in (Kind.HOST, Kind.CONFIG_DB):
            return f"{failed.ref} could not be looked up"
    silent = sorted(name for name, host in observed.hosts.items() if isinstance(host, UnreachableHost))
    return f"host/{silent[0]}, which may use it, cannot be asked" if silent else None


def _other_users(db: ResolvedConfigDB, source: Location, resolved: Resolved, observed: Observed) -> str | None:
    if (owner := next((known.ref for known in resolved.config_dbs if known.location == source), None)) is not None:
        return f"that is the place of {owner}"
    for name, host in sorted(observed.hosts.items()):
        if name not in db.hosts and isinstance(host, ObservedHost) and place_of(host) == source:
            return f"host/{name} uses it too and is not among the hosts of {db.ref}; add it, or let it use another one"
    return None


def _lost_here(db: ResolvedConfigDB, target: ObservedConfigDB, observed: Observed) -> str | None:
    """Return the evidence that a DB in the new place was lost, which a move there would cover up, or None."""
    if db.datastore is None or target.state not in _GONE:
        return None
    for name, host in sorted(observed.hosts.items()):
        if isinstance(host, ObservedHost):
            named = host.section.datastore in (db.datastore.id, db.datastore.name)
            if host.link_path == db.location.path or named:
                how = "local.sh of " * named
                return f"{how}host/{name} names one on {db.datastore.name} that is gone; {_ORPHANS}{_backups(target)}"
    return None


def _not_mounted(db: ResolvedConfigDB, observed: Observed) -> str | None:
    if db.datastore is None:
        return None
    for name in sorted(db.hosts):
        host = observed.hosts.get(name)
        if isinstance(host, ObservedHost) and db.datastore.id not in host.volumes:
            return f"datastore {db.datastore.name} is not mounted on host/{name}"
    return None


def _unattested(
    db: ResolvedConfigDB,
    source: Location,
    old: ObservedConfigDB | None,
    users: Mapping[Location, list[str]],
    names: DisplayNames,
) -> str | None:
    """Return why the record of a move cannot be believed, or None. Source: docs/domain.md#moving-a-config-db"""
    if source in users or old is None or old.state is not DBState.PRESENT or old.moving_to == db.location.path:
        return None
    return (
        f"only the records of {db.ref} say that it was; neither the one there nor the link of a host does, so they may "
        f"be forged. If it was moved, rename {in_words(source, names)}; if not, delete the rows of vdvs_meta whose key "
        "begins with moved_"
    )


def _why_not_these(
    source: Location, old: ObservedConfigDB | None, target: ObservedConfigDB, names: DisplayNames
) -> str | None:
    """Return what in the two files themselves prevents the move, or None. Source: docs/domain.md#moving-a-config-db"""
    copied = target.copied_from
    if old is None or old.state is DBState.UNKNOWN:
        return "it cannot be read" + (f": {old.message}" if old is not None and old.message else "")
    if old.state is DBState.EMPTY and copied is not None:
        return f"it is an empty file now; remove {names.path(source.path)}"
    if old.state in _GONE:
        return None if copied is not None else f"it is not there; {_ORPHANS}" + _backups(old)
    if is_old(old):
        return "it has an old schema; apply with the earlier place first, which upgrades it"
    if copied is None or copied.rows == old.fingerprint or target.fingerprint in (copied.rows, old.fingerprint):
        return None
    return (
        "both were changed since it was copied, and one side would be lost; look at both (`vdvs export`), make in one "
        "what is only in the other, and undo it there"
    )


def _backups(old: ObservedConfigDB) -> str:
    return f" (the newest beside it is {old.backups[-1]})" if old.backups else ""


def _undeclared_hosts(source: Location, resolved: Resolved) -> str:
    """Hosts of the inventory that mount the old place and are not declared."""
    if source.host:
        return ""
    known = {name for host in resolved.hosts for name in (host.ref.name, host.address)}
    mounting = (store.hosts for store in resolved.inventory.datastores if store.id == volume_of(source))
    return ", ".join(sorted({f"host/{name}" for hosts in mounting for name in hosts} - {f"host/{n}" for n in known}))
