"""Look-up of hosts in the inventory, each with the config DB that it is to use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import DesiredConfigDB
from reconciler.model.kinds.host import DesiredHost, Presence, ResolvedHost
from reconciler.model.refs import VOLUMES, Kind, ObjectRef
from reconciler.model.state import Desired, Observed, Resolved, Unresolved
from reconciler.planning.compare.context import DBContext, SiteContext
from reconciler.planning.configdb.resolve import selects
from reconciler.planning.host.undeclared import records_of_removed
from reconciler.planning.lookup import InventoryLookup
from reconciler.planning.records.ownership import Place, Places, object_name


def resolve_hosts(desired: Desired, so_far: Resolved, names: InventoryLookup) -> Resolved:
    """Look up each host, and the config DB that selects it."""
    found, unresolved = [], list(so_far.unresolved)
    databases = {db.ref: db for db in so_far.config_dbs}
    by_cluster = [db for db in desired.config_dbs if db.hosts is not None and db.hosts.cluster is not None]
    strangers = _strangers(desired, so_far.inventory, names)
    lost = next((db.ref for db in by_cluster if db.ref not in databases), None)
    lost = lost or next((each.ref for each in desired.held if each.ref.kind is Kind.CONFIG_DB), None)
    for host in desired.hosts:
        entry = names.host(host)
        cluster = names.cluster_of(host)
        claims = sorted((db.ref for db in _databases_of(host, desired, cluster)), key=lambda ref: ref.sort_key)
        selecting = next(iter(claims), None)
        if entry is None:
            unresolved.append(Unresolved(host.ref, f'no host "{host.address}" in the inventory{names.host_like(host)}'))
        elif cluster is None and by_cluster and not names.complete:
            unresolved.append(Unresolved(host.ref, "which cluster it is in is not known now"))
        elif selecting is None and lost is not None:
            unresolved.append(Unresolved(host.ref, f"whether {lost} selects it is not known"))
        elif len(claims) > 1:
            unresolved.append(Unresolved(host.ref, f"{' and '.join(map(str, claims))} both select it"))
        elif selecting is not None and selecting not in databases:
            unresolved.append(Unresolved(host.ref, f"its {selecting} could not be looked up"))
        else:
            datastore = databases[selecting].datastore if selecting else None
            others = strangers.get(_volume(host), ())
            found.append(ResolvedHost(host.ref, host.address, selecting, datastore, host.spec, entry, others))
    found.sort(key=lambda host: host.ref.sort_key)
    return replace(so_far, hosts=tuple(found), unresolved=tuple(unresolved))


def _strangers(desired: Desired, inventory: Inventory, names: InventoryLookup) -> dict[str, tuple[str, ...]]:
    """Return the undeclared hosts that mount each datastore which drivers are installed from, by its name and id."""
    sources = {_volume(host) for host in desired.hosts} - {""}
    if not sources:
        return {}
    declared = {entry.name.lower() for host in desired.hosts if (entry := names.host(host)) is not None}
    found: dict[str, tuple[str, ...]] = {}
    for datastore in inventory.datastores:
        for name in {datastore.name, datastore.id} & sources:
            found[name] = (
                *found.get(name, ()),
                *sorted(host for host in datastore.hosts if host.lower() not in declared),
            )
    return found


def _volume(host: DesiredHost) -> str:
    """Return the name or id of the datastore that its driver is installed from; empty if from none."""
    source = (host.spec.driver.source if host.spec.driver is not None else None) or ""
    return source.removeprefix(VOLUMES).partition("/")[0] if source.startswith(VOLUMES) else ""


def spelled_as_declared(desired: Desired, inventory: Inventory) -> Inventory:
    """Return the inventory with hosts in the spelling of their manifests wherever they are named: DNS knows no case.
    Their own entries keep the name by which vCenter knows them."""
    known = {name.lower(): name for host in desired.hosts for name in (host.address, host.ref.name)}
    entries = (entry.name for entry in inventory.hosts)
    odd = {name: spelled for name in entries if (spelled := known.get(name.lower(), name)) != name}
    if not odd:
        return inventory
    return replace(
        inventory,
        datastores=tuple(
            replace(each, hosts=frozenset(odd.get(name, name) for name in each.hosts)) for each in inventory.datastores
        ),
        vms=tuple(vm._replace(host=odd.get(vm.host or "", vm.host)) for vm in inventory.vms),
    )


def _databases_of(host: DesiredHost, desired: Desired, cluster: str | None) -> Iterator[DesiredConfigDB]:
    """Return the config DBs that select this host; none if vDVS is to be removed from it."""
    if host.spec.driver is None or host.spec.driver.state is not Presence.ABSENT:
        yield from (db for db in desired.config_dbs if selects(db, host, cluster))


_NO_DB = "it uses no config DB, so nothing says what was applied to it"


def host_records(resolved: Resolved, _observed: Observed, _fresh: Mapping[ObjectRef, str]) -> Places:
    """Return where each host is recorded: in the config DB that it is to use.

    Source: docs/domain.md#who-applied-what
    """
    return {
        host.ref: Place(host.config_db, object_name(Kind.HOST, host.ref.name), why=_NO_DB) for host in resolved.hosts
    }


def forgotten_hosts(context: DBContext, site: SiteContext) -> Iterator[str]:
    """Return the records of hosts that now use another config DB: only one DB may record what was applied last; and,
    when a set prunes, of those that it no longer declares: nothing else is done about them.

    Source: docs/domain.md#who-applied-what
    """
    records = {} if context.ledger is None else context.ledger.by_object
    for host in site.resolved.hosts:
        if host.config_db != context.db.ref and (name := object_name(Kind.HOST, host.ref.name)) in records:
            yield name
    if site.applying is not None and site.applying.prune:
        gone = (record.object for record in records_of_removed(site).values())
        yield from sorted(name for name in gone if name in records)
