"""Consequences of a pass: which hosts to retry and to watch, and whether to repeat it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from reconciler.controller.queue import Priority
from reconciler.model.events import Pass
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import DBState
from reconciler.model.kinds.host import ObservedHost, UnreachableHost
from reconciler.model.outcome import Assessment, Status
from reconciler.model.refs import Location
from reconciler.model.state import Desired
from reconciler.planning.configdb.relocation import volume_of
from reconciler.planning.host.undeclared import undeclared_hosts
from reconciler.ports import WatchRequest


class Next(Struct, frozen=True):
    """The next steps after a pass; empty after a pass that failed.

    `again`: the next pass is soon (timed by the back-off), as something failed or came while it was written, else it
    is a resync. `addresses`: of every host
    that was asked, declared or not. `silent`: why a host did not answer, by name. `watches`: what each declared host
    that answered must watch.
    """

    again: bool
    addresses: Mapping[str, str]
    silent: Mapping[str, str]
    watches: Mapping[str, WatchRequest]

    @property
    def priority(self) -> Priority:
        """The priority of the next pass."""
        return Priority.RETRY if self.again else Priority.RESYNC


def next_pass(done: Pass, desired: Desired) -> Next:
    """Return the steps after this pass, made with these manifests."""
    if done.outcome is None:
        return Next(True, {}, {}, {})
    before = done.outcome.before
    seen = done.outcome.after or before
    again = any(result.status is Status.FAILED for result in done.outcome.objects) or _came(before, seen)
    hosts = seen.observed.hosts
    others = undeclared_hosts(desired, seen.resolved.inventory)
    addresses = {name: name for name in others} | {host.ref.name: host.address for host in seen.resolved.hosts}
    silent = {name: "it did not answer" for name in others if name not in seen.observed.undeclared_hosts}
    silent |= {name: host.reason for name, host in hosts.items() if isinstance(host, UnreachableHost)}
    return Next(again, addresses, silent, watches(seen, before))


def _came(before: Assessment, seen: Assessment) -> bool:
    """Return whether something differs after a write that did not before: an agent that wrote reports no change from
    before the look back."""
    known = {change.ref for change in before.diff.changes if change.counts}
    return seen is not before and any(change.counts and change.ref not in known for change in seen.diff.changes)


def watches(seen: Assessment, before: Assessment) -> dict[str, WatchRequest]:
    """Return what each host watches: itself, and the config DBs and datastores assigned to it, each to one host.

    A config DB stays with the host that read it `before` anything was written, as the next pass asks that one again;
    the datastore that it is on goes with it: a write there changes both, and is no news to the host that wrote.
    """
    hosts = [host for _, host in sorted(seen.observed.hosts.items()) if isinstance(host, ObservedHost)]
    databases: dict[str, list[str]] = {host.name: [] for host in hosts}
    datastores: dict[str, list[str]] = {host.name: [] for host in hosts}
    for place, db in seen.observed.config_dbs.items():
        first = before.observed.config_dbs.get(place, db)
        reader = first.read_from if first.state is DBState.PRESENT and first.read_from in databases else db.read_from
        if db.state is DBState.PRESENT and reader in databases:
            databases[reader].append(db.path)
    with_db = {volume_of(Location(path)): name for name, paths in databases.items() for path in paths}
    for url in _urls(seen.resolved.inventory, seen):
        volume = url.rpartition("/")[2]
        keeper = with_db.get(volume) or next((host.name for host in hosts if volume in host.volumes), None)
        if keeper is not None:
            datastores[keeper].append(url)
    return {host.name: WatchRequest(tuple(databases[host.name]), tuple(datastores[host.name])) for host in hosts}


def _urls(inventory: Inventory, seen: Assessment) -> list[str]:
    return sorted({datastore.url for datastore in inventory.datastores} & seen.observed.datastores.keys())
