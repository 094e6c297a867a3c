"""The presentation of what the inventory has (`Listing`), and who is served on which host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from reconciler.model.kinds.configdb import ObservedConfigDB
from reconciler.model.kinds.host import ObservedHost, UnreachableHost
from reconciler.model.refs import SPECIAL_DATASTORES, Location
from reconciler.planning.configdb.old_schema import as_vdvs_upgrades
from reconciler.planning.configdb.relocation import place_of
from reconciler.planning.joined import Joined
from reconciler.planning.scope import vmgroup_ref
from reconciler.planning.vmgroup.state import VMGroupState, default_vmgroup, observed_states
from reconciler.render.kinds.host import access, is_locked
from reconciler.render.kinds.view import NONE, UNKNOWN
from reconciler.render.text import Data

ENFORCED = "enforced"


class Entry(Protocol):
    """An entry of the inventory."""

    @property
    def name(self) -> str:
        """Name of the entry, which others may have too."""

    @property
    def known_as(self) -> tuple[str, ...]:
        """Name, and what else means this entry."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """Reasons why not all is known that vDVS does for it; empty: it is."""

    @property
    def unread(self) -> bool:
        """Whether something of it should have been read, and could not be."""


E = TypeVar("E", bound=Entry)


class Listing(Struct, Generic[E], frozen=True):
    """The presentation of one sort of entries: headings and cells of the table, and the facts in JSON."""

    items: Callable[[Joined], Iterable[E]]
    columns: Mapping[str, Callable[[E], str]]
    wide: Mapping[str, Callable[[E], str]]
    data: Callable[[E], dict[str, Data]]


Groups = Mapping[str, VMGroupState]
"""Vmgroups by their names among those of the site."""


class Rules(Struct, frozen=True):
    """The contents of a config DB, which is at `place`. `groups`: its vmgroups; `by_url`: those that have an access row
    for a datastore. `owners`: the vmgroups of VMs by BIOS UUID; `default` serves the others (NONE: nobody does)."""

    place: Location
    groups: Groups
    by_url: Mapping[str, Groups]
    owners: Mapping[str, str]
    default: str


class Serving(Struct, frozen=True):
    """How vDVS treats requests on a host, in the words of `get hosts`. `rules`: of the config DB that it enforces.
    `unknown`: why that is not known; `unread`: it should be.
    """

    access: str
    rules: Rules | None = None
    unknown: str = ""
    unread: bool = False

    def vmgroup(self, uuid: str) -> str:
        """Return the vmgroup of a VM, or that it is in none."""
        if self.rules is None:
            return UNKNOWN if self.access == UNKNOWN else NONE
        return self.rules.owners.get(uuid, self.rules.default)


class Together(Struct, frozen=True):
    """How several hosts treat requests. `accesses`: in the words of `get hosts`; `rules`: of their config DBs."""

    servings: tuple[Serving, ...]
    accesses: frozenset[str]
    rules: tuple[Rules, ...]
    unknown: tuple[str, ...]
    unread: bool

    @classmethod
    def of(cls, servings: Iterable[Serving]) -> Together:
        """Combine them, what is the same only once."""
        found = tuple(servings)
        different = {(each.access, id(each.rules)): each for each in found}
        return cls(
            tuple(different.values()),
            frozenset(each.access for each in found),
            tuple(each.rules for each in different.values() if each.rules is not None),
            tuple(dict.fromkeys(each.unknown for each in found if each.unknown)),
            any(each.unread for each in found),
        )

    def vmgroup(self, uuid: str) -> str:
        """Return the vmgroup of a VM that may be on any of them; not known, if they do not agree."""
        found = {serving.vmgroup(uuid) for serving in self.servings}
        return found.pop() if len(found) == 1 else UNKNOWN

    @property
    def access(self) -> str:
        """How all of them treat requests; not known, if they do not agree."""
        return next(iter(self.accesses)) if len(self.accesses) == 1 else UNKNOWN

    def with_rows_for(self, url: str) -> Groups:
        """Return the vmgroups that have an access row which may count on a datastore."""
        found: dict[str, VMGroupState] = {}
        for rules in self.rules:
            for each in (url, *SPECIAL_DATASTORES.values()):
                found |= rules.by_url.get(each, {})
        return found


class Servings:
    """How each host of an assessment treats requests. `names`: of the hosts that were looked at, also by address."""

    def __init__(self, joined: Joined) -> None:
        self._joined = joined
        self._rules: dict[Location, Rules] = {}
        self._hosts = {ref.name: host for ref, host in joined.hosts.items()}
        self._made: dict[str, Serving] = {}
        resolved = joined.assessment.resolved
        self.names = {name: name for name in self._hosts}
        self.names |= {host.address: host.ref.name for host in resolved.hosts if host.address not in self.names}
        self._refs = {db.location: db.ref for db in resolved.config_dbs}

    def on(self, name: str) -> Serving:
        """Return how the host is that the inventory calls `name`."""
        known = self.names.get(name, name)
        if known not in self._made:
            self._made[known] = self._serving(known)
        return self._made[known]

    def mounting(self, volume_id: str) -> Iterable[str]:
        """Return the hosts that answered and have this datastore."""
        for name, host in self._hosts.items():
            if isinstance(host.seen, ObservedHost) and volume_id in host.seen.volumes:
                yield name

    def silent(self, name: str) -> bool:
        """Return whether nothing is known of the host that the inventory calls `name`."""
        host = self._hosts.get(self.names.get(name, name))
        return host is None or not isinstance(host.seen, ObservedHost)

    def _serving(self, name: str) -> Serving:
        host = self._hosts.get(name)
        if host is None or host.seen is None:
            return Serving(UNKNOWN, unknown=f"host/{name} is not declared, so it was not looked at")
        if isinstance(host.seen, UnreachableHost):
            return Serving(UNKNOWN, unknown=f"host/{name} could not be reached: {host.seen.reason}", unread=True)
        word = access(host)
        place = place_of(host.seen)
        if word == ENFORCED and host.uses is not None and place is not None:
            return Serving(word, self._rules_of(host.uses, place))
        if is_locked(host.seen):
            return Serving(word, unknown=f"host/{name}: another writer holds the lock of its config DB", unread=True)
        if word in (UNKNOWN, ENFORCED):
            if host.uses is None and not host.seen.driver_error:
                return Serving(UNKNOWN, unknown=f"host/{name}: no manifest declares the config DB that it uses")
            why = host.uses.message if host.uses is not None else host.seen.driver_error
            return Serving(UNKNOWN, unknown=f"host/{name}: {why}", unread=True)
        return Serving(word)

    def _rules_of(self, db: ObservedConfigDB, place: Location) -> Rules:
        if place not in self._rules:
            rows, ref = as_vdvs_upgrades(db), self._refs.get(place)
            prefix = "" if ref is None else vmgroup_ref(ref, "", self._joined.assessment.resolved).name
            states = observed_states(rows)
            by_url: dict[str, dict[str, VMGroupState]] = {}
            for state in states.values():
                for url in state.access:
                    by_url.setdefault(url, {})[prefix + state.name] = state
            default = default_vmgroup(states.values())
            # A row of a vmgroup that is gone makes vDVS refuse whatever the VM asks for.
            names = {uuid: prefix + state.name for uuid, state in states.items()}
            owners = {vm.vm_id: names.get(vm.tenant_id, NONE) for vm in rows.vms}
            groups = {prefix + state.name: state for state in states.values()}
            serves = NONE if default is None else prefix + default.name
            self._rules[place] = Rules(place, groups, by_url, owners, serves)
        return self._rules[place]
