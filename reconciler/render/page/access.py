"""The access map: the effective rights of each vmgroup on each datastore, and how full its quota is there.

They are those of the hosts that have vDVS, mount a datastore and enforce the config DB of a vmgroup. Source:
docs/domain.md#who-may-do-what
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from operator import attrgetter
from typing import Final

from msgspec import Struct

from reconciler.model.diff import Op, Standing
from reconciler.model.inventory import Datastore
from reconciler.model.kinds.host import ObservedHost
from reconciler.model.kinds.vmgroup import PrivilegeRow
from reconciler.model.refs import Kind, Location, ObjectRef
from reconciler.planning.host.diff import serves_nobody
from reconciler.planning.joined import JoinedVMGroup
from reconciler.planning.rights.can_i import lookups_of
from reconciler.planning.rights.cells import Cell, Promises, Way, cell, cells, ways
from reconciler.planning.rights.decision import NO_ROWS, Lookup
from reconciler.planning.vmgroup.state import VMGroupState
from reconciler.render.kinds.vmgroup import access_data
from reconciler.render.page.look import Look
from reconciler.render.text import Data

MOST_NAMED: Final = 200  # VMs, hosts
MOUNT, CREATE = 1, 2
ONLY_OWN, UNSURE = 1, 2


class Column(Struct, frozen=True):
    """A datastore. `enforcing`: by the places of config DBs, the orders in which the hosts look rows up that enforce
    these and mount it. `open_on`: hosts that mount it and allow everybody everything; `silent`: how many declared ones
    did not answer."""

    datastore: Datastore
    enforcing: Mapping[Location, frozenset[Lookup]]
    open_on: tuple[str, ...]
    silent: int


class AccessMap:
    """The rights of all vmgroups of one look. Each part is made once, on first access."""

    declared = False  # as they are

    def __init__(self, look: Look) -> None:
        self.look = look

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The datastores of the inventory, by name."""
        joined = self.look.joined
        known = {each.url: each for each in joined.assessment.resolved.inventory.datastores}
        mounts: dict[str, list[str]] = {}
        for ref, host in joined.hosts.items():
            seen = host.seen
            for volume in seen.volumes if isinstance(seen, ObservedHost) and not serves_nobody(seen) else ():
                mounts.setdefault(volume, []).append(ref.name)
        return tuple(
            self._column(each, mounts.get(each.id, []))
            for each in sorted(known.values(), key=lambda each: (each.name, each.url))
        )

    def _column(self, datastore: Datastore, mounting: list[str]) -> Column:
        servings = self.look.servings
        enforcing: dict[Location, frozenset[Lookup]] = {}
        open_on = []
        for name in mounting:
            serving, lookups = servings.on(name), self._lookups[name]
            if serving.rules is not None:
                place = serving.rules.place
                if not lookups <= enforcing.get(place, frozenset()):
                    enforcing[place] = enforcing.get(place, frozenset()) | lookups
            elif serving.access == Standing.OPEN:
                open_on.append(name)
        silent = sum(name in servings.names and servings.silent(name) for name in datastore.hosts)
        return Column(datastore, enforcing, tuple(open_on), silent)

    @cached_property
    def _lookups(self) -> Mapping[str, frozenset[Lookup]]:
        """The orders in which each host may look rows up; of a driver that is not known, any."""
        known: dict[str | None, frozenset[Lookup]] = {}
        found = {}
        for ref, host in self.look.joined.hosts.items():
            if isinstance(host.seen, ObservedHost):
                driver = host.seen.driver
                if driver not in known:
                    known[driver] = frozenset(lookups_of(driver) or Lookup)
                found[ref.name] = known[driver]
        return found

    @cached_property
    def _places(self) -> Mapping[ObjectRef, Location]:
        return {db.ref: db.location for db in self.look.joined.assessment.resolved.config_dbs}

    @cached_property
    def _states(self) -> Mapping[Location, Mapping[str, VMGroupState]]:
        rules = (self.look.servings.on(ref.name).rules for ref in self.look.joined.hosts)
        return {each.place: each.groups for each in rules if each is not None}

    @cached_property
    def _used(self) -> Mapping[tuple[Location, str, str], int]:
        """MB booked for a vmgroup, by UUID, on a datastore. Source: docs/domain.md#quotas"""
        found: Counter[tuple[Location, str, str]] = Counter()
        for place, db in self.look.joined.assessment.observed.config_dbs.items():
            for use in db.volume_use:
                found[place, use.tenant_id, use.url] += use.used_mb
        return found

    @cached_property
    def _odd(self) -> Mapping[tuple[Location, str], Mapping[str, PrivilegeRow]]:
        """The rows, by URL, of those vmgroups that have some with values that are no `Access`."""
        found: dict[tuple[Location, str], dict[str, PrivilegeRow]] = {}
        observed = self.look.joined.assessment.observed.config_dbs
        strange = {
            (place, state.uuid)
            for place, groups in self._states.items()
            for state in groups.values()
            if None in state.access.values()
        }
        for place in {place for place, _ in strange}:
            for row in observed[place].privileges:
                if (place, row.tenant_id) in strange:
                    found.setdefault((place, row.tenant_id), {})[row.url] = row
        return found

    def cells(self, group: JoinedVMGroup) -> Iterator[tuple[int, Cell, int]]:
        """Yield, for each datastore that a vmgroup may use, the number of its column, the right, and MB booked."""
        place, state = self._of(group)
        if place is None or state is None:
            return
        odd = self._odd.get((place, state.uuid), NO_ROWS)
        for url, found in cells(state, self._enforcing.get(place, ()), odd):
            yield self._numbers[url], found, self._used.get((place, state.uuid, url), 0)

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {column.datastore.url: number for number, column in enumerate(self.columns)}

    @cached_property
    def _enforcing(self) -> Mapping[Location, list[tuple[str, frozenset[Lookup]]]]:
        """The datastores that hosts mount which enforce each config DB, and how these look rows up."""
        found: dict[Location, list[tuple[str, frozenset[Lookup]]]] = {}
        for column in self.columns:
            for place, lookups in column.enforcing.items():
                found.setdefault(place, []).append((column.datastore.url, lookups))
        return found

    def state(self, group: JoinedVMGroup) -> VMGroupState | None:
        """Return the vmgroup as it counts; None: no host enforces its config DB."""
        return self._of(group)[1]

    def ways(self, group: JoinedVMGroup, column: Column) -> tuple[Cell, tuple[Way, ...], int] | None:
        """Return the right of a vmgroup on a datastore, the cases that it is made of, and MB booked; None: no right."""
        place, state = self._of(group)
        if place is None or state is None or (lookups := column.enforcing.get(place)) is None:
            return None
        odd, url = self._odd.get((place, state.uuid), NO_ROWS), column.datastore.url
        found = cell(state, url, lookups, odd)
        if found is None:
            return None
        return found, tuple(ways(state, url, lookups, odd)), self._used.get((place, state.uuid, url), 0)

    def is_known(self, group: JoinedVMGroup) -> bool:
        """Return whether the rights of a vmgroup are known: no host that answers may enforce its config DB."""
        return self._of(group)[1] is not None or group.change.op is Op.CREATE

    def _of(self, group: JoinedVMGroup) -> tuple[Location | None, VMGroupState | None]:
        place = None if group.config_db is None else self._places.get(group.config_db)
        if place is None:
            return None, None
        return place, self._states.get(place, {}).get(group.change.ref.name)

    def booked(self, url: str) -> int:
        """MB booked on a datastore, for whichever vmgroup."""
        return self._booked[url]

    @cached_property
    def _booked(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for (_, _, url), used in self._used.items():
            found[url] += used
        return found


def map_data(access: AccessMap) -> Iterator[tuple[str, Iterator[dict[str, Data]]]]:
    """Yield the vmgroups of the map, and then, when these were taken, the datastores, by their keys."""
    look = access.look
    sums = [Promises() for _ in access.columns]

    def groups() -> Iterator[dict[str, Data]]:
        for ref, group in look.joined.vmgroups.items():
            shown = []
            for number, found, used in access.cells(group):
                right = CREATE if found.way.creates else MOUNT
                total = found.way.total_mb if right == CREATE else None
                flags = (ONLY_OWN if found.only_own else 0) + (UNSURE if found.unsure else 0)
                shown.append([number, right, used, total, flags] if flags else [number, right, used, total])
                sums[number].add(found)
            yield {
                "name": ref.name,
                "object": str(ref),
                "standing": group.change.standing.value,
                "labels": dict(look.labels.get(ref, ())),
                "vms": len(group.members),
                "known": access.is_known(group),
                "cells": shown,
            }

    def datastores() -> Iterator[dict[str, Data]]:
        for number, column in enumerate(access.columns):
            yield {
                **datastore_data(column.datastore, access.booked(column.datastore.url), sums[number]),
                "url": column.datastore.url,
                "openOn": list(column.open_on[:MOST_NAMED]),
                "openOnTotal": len(column.open_on),
                "unknownHosts": column.silent,
            }

    yield "vmgroups", groups()
    yield "datastores", datastores()


def datastore_data(of: Datastore, used_mb: int, promises: Promises) -> dict[str, Data]:
    """How full a datastore is, and what of it is promised; null where the inventory does not say."""
    return {
        "name": of.name,
        "capacityMB": of.capacity_mb,
        "freeMB": of.free_mb,
        "usedMB": used_mb,
        "promisedMB": promises.promised_mb,
        "unlimited": promises.unlimited,
    }


def cell_data(access: AccessMap, vmgroup: str, datastore: str) -> Data:
    """The rights of a vmgroup on a datastore, by name or URL, and why; null: there is no such pair."""
    look = access.look
    group = look.joined.vmgroups.get(ObjectRef(Kind.VMGROUP, vmgroup))
    named = {column.datastore.name: column for column in reversed(access.columns)}
    column = {each.datastore.url: each for each in access.columns}.get(datastore) or named.get(datastore)
    if group is None or column is None:
        return None
    names = look.joined.names
    found = access.ways(group, column)
    members = sorted(names.vm(member.uuid, member.name) for member in group.members)
    of = column.datastore
    shown: dict[str, Data] = {
        "vmgroup": vmgroup,
        "object": str(group.change.ref),
        "standing": group.change.standing.value,
        "known": access.is_known(group),
        "datastore": of.name,
        "url": of.url,
        "capacityMB": of.capacity_mb,
        "freeMB": of.free_mb,
        "right": 0,
        "rule": None,
        "usedMB": 0,
        "totalMB": None,
        "limits": access_data(None),
        "onlyOwn": False,
        "unsure": False,
        "ways": [],
        "vms": members[:MOST_NAMED],
        "vmsTotal": len(members),
        "openOn": list(column.open_on[:MOST_NAMED]),
        "manifest": look.manifest(group.change.ref),
    }
    if found is None:
        return shown
    best, cases, used = found
    return shown | {
        "right": CREATE if best.way.creates else MOUNT,
        "rule": names.datastore(best.way.rule),
        "usedMB": used,
        "totalMB": best.way.total_mb if best.way.creates else None,
        "limits": access_data(best.way.row),
        "onlyOwn": best.only_own,
        "unsure": best.unsure,
        "ways": [_way_data(way, look) for way in sorted(cases, key=attrgetter("own", "short", "lookup.value"))],
    }


def _way_data(way: Way, look: Look) -> Data:
    names = look.joined.names
    return {
        "vmsOnIt": way.own,
        "shortName": way.short,
        "releases": way.lookup.value,
        "right": CREATE if way.creates else MOUNT,
        "creates": way.creates,
        "rule": names.datastore(way.rule),
        "lookedUp": [names.datastore(url) for url in way.looked_up],
        "reason": way.reason,
    }
