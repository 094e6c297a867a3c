"""The access map: what each vmgroup may do on each datastore, how much of it is used, and what all that adds up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from msgspec import Struct

from reconciler.model.inventory import Datastore, Inventory
from reconciler.model.kinds.configdb import DBState, ResolvedConfigDB
from reconciler.model.kinds.host import ObservedHost
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.configdb.old_schema import as_vdvs_upgrades
from reconciler.planning.host.diff import is_open
from reconciler.planning.rights.users import Use, uses_of
from reconciler.planning.scope import unread, vmgroup_ref
from reconciler.planning.vmgroup.pairing import state_after
from reconciler.planning.vmgroup.state import VMGroupState, observed_states


class Cell(Struct, frozen=True):
    """The rights of a vmgroup on a datastore, and how much its booked volumes take there.

    Source: docs/domain.md#quotas
    """

    use: Use
    used_mb: int = 0


class GroupAccess(Struct, frozen=True):
    """A vmgroup, as it is or as it is declared, and what it may do: cells by the URL of the datastore."""

    ref: ObjectRef
    state: VMGroupState
    cells: Mapping[str, Cell]


class Promised(Struct, frozen=True):
    """The use of a datastore: what is booked there, what the limits of `limited` vmgroups allow together, and how many
    may create there without limit (`unlimited`), which promises nothing that could be added up.

    Source: docs/domain.md#quotas
    """

    datastore: Datastore
    used_mb: int = 0
    promised_mb: int = 0
    limited: int = 0
    unlimited: int = 0

    @property
    def overcommitted(self) -> bool:
        """Whether it could not hold what its limits allow together."""
        return self.datastore.capacity_mb is not None and self.promised_mb > self.datastore.capacity_mb


class AccessMap(Struct, frozen=True):
    """Vmgroups by ref, in the order of output, and datastores by name. `open_on`: the datastores that every VM may use,
    by the name of the host that is open. `gap`: why there may be more vmgroups (None: there are none)."""

    groups: Mapping[ObjectRef, GroupAccess]
    datastores: tuple[Datastore, ...]
    open_on: Mapping[str, tuple[str, ...]]
    gap: str | None

    def promised(self) -> tuple[Promised, ...]:
        """Return the use of each datastore, by its name."""
        return promised(self.datastores, (group.cells for group in self.groups.values()))


def promised(datastores: Iterable[Datastore], groups: Iterable[Mapping[str, Cell]]) -> tuple[Promised, ...]:
    """Add up what the cells of vmgroups take and promise, in the order of the datastores.

    Source: docs/domain.md#quotas
    """
    sums = {datastore.url: [0, 0, 0, 0] for datastore in datastores}
    for cells in groups:
        for url, cell in cells.items():
            if (of := sums.get(url)) is not None:
                limit = cell.use.limit_mb
                of[0] += cell.used_mb
                of[1] += limit or 0
                of[2] += bool(limit)
                of[3] += limit is None
    return tuple(Promised(datastore, *sums[datastore.url]) for datastore in datastores)


def live_access(resolved: Resolved, observed: Observed) -> AccessMap:
    """Return what every vmgroup in a config DB that could be read may do now. Source: docs/domain.md#who-may-do-what"""
    return _map(resolved, observed, _live(resolved, observed))


def declared_access(resolved: Resolved, observed: Observed) -> AccessMap:
    """Return what every vmgroup may do once its manifest is applied; of what that leaves alone, as it is now.

    Source: docs/domain.md#who-may-do-what
    """
    live, declared = _live(resolved, observed), {}
    for group in resolved.vmgroups:
        _, before = live.get(group.ref, (None, None))
        declared[group.ref] = group.config_db, state_after(group, before, before.uuid if before else "")
    return _map(resolved, observed, declared)


_States = dict[ObjectRef, tuple[ObjectRef, VMGroupState]]
"""Vmgroups by ref: the config DB, and the state."""


def _live(resolved: Resolved, observed: Observed) -> _States:
    found: _States = {}
    for db in resolved.config_dbs:
        seen = observed.config_dbs.get(db.location)
        if seen is not None and seen.state is DBState.PRESENT:
            prefix = vmgroup_ref(db.ref, "", resolved).name
            for state in observed_states(as_vdvs_upgrades(seen)).values():
                found[ObjectRef(Kind.VMGROUP, prefix + state.name)] = db.ref, state
    return found


def _map(resolved: Resolved, observed: Observed, states: _States) -> AccessMap:
    datastores = by_name(resolved.inventory)
    served = _Served(resolved, observed, datastores)
    used = {
        (db.ref, row.tenant_id, row.url): row.used_mb
        for db in resolved.config_dbs
        if (seen := observed.config_dbs.get(db.location)) is not None
        for row in seen.volume_use
    }
    groups = {}
    for ref, (db, state) in sorted(states.items(), key=lambda item: item[0].sort_key):
        uses = uses_of(state, served.by(db))
        cells = {url: Cell(use, used.get((db, state.uuid, url), 0)) for url, use in uses.items()}
        groups[ref] = GroupAccess(ref, state, cells)
    return AccessMap(groups, datastores, served.open_on, unread(Kind.VMGROUP, resolved, observed))


def by_name(inventory: Inventory) -> tuple[Datastore, ...]:
    """Return every datastore once: several vCenters may show it, each with its own hosts."""
    return tuple({d.url: d for d in sorted(inventory.datastores, key=lambda d: (d.name, d.url))}.values())


class _Served:
    """Which datastores the hosts of a config DB mount: what it says of others counts for nobody."""

    def __init__(self, resolved: Resolved, observed: Observed, datastores: tuple[Datastore, ...]) -> None:
        self._databases = {db.ref: db for db in resolved.config_dbs}
        self._observed = observed
        self._datastores = datastores
        self._addresses = {host.ref.name: host.address for host in resolved.hosts}
        self._by_inventory: dict[str, set[str]] = {}
        for each in resolved.inventory.datastores:
            for name in each.hosts:
                self._by_inventory.setdefault(name, set()).add(each.url)
        self._found: dict[ObjectRef, tuple[str, ...]] = {}

    def by(self, ref: ObjectRef) -> tuple[str, ...]:
        """Return the URLs, in the order of the datastores."""
        if ref not in self._found:
            mounted = self._mounted(self._databases[ref]) if ref in self._databases else set()
            self._found[ref] = tuple(each.url for each in self._datastores if each.url in mounted)
        return self._found[ref]

    def _mounted(self, db: ResolvedConfigDB) -> set[str]:
        return {url for host in db.hosts for url in self._on(host)}

    def _on(self, host: str) -> set[str]:
        seen = self._observed.hosts.get(host)
        known = {each for name in (host, self._addresses.get(host, host)) for each in self._by_inventory.get(name, ())}
        if isinstance(seen, ObservedHost):
            known |= {each.url for each in self._datastores if each.id in seen.volumes}
        return known

    @cached_property
    def open_on(self) -> dict[str, tuple[str, ...]]:
        """Return the datastores of each host that is open."""
        found = self._observed.hosts.items()
        open_hosts = sorted(name for name, seen in found if isinstance(seen, ObservedHost) and is_open(seen))
        return {name: tuple(e.url for e in self._datastores if e.url in self._on(name)) for name in open_hosts}
