"""The survey of a site where nothing is declared yet: every host, and every place for a config DB."""

from __future__ import annotations

from reconciler.model.export import LeftOut
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import DesiredConfigDB, HostSelector, Unmanaged
from reconciler.model.kinds.host import DesiredHost
from reconciler.model.kinds.site import Site
from reconciler.model.refs import DatastoreRef, Kind, ObjectRef, Source
from reconciler.model.state import Desired
from reconciler.planning.export.expressible import expressible

_NOWHERE = Source("inventory", 1, 1)


def everything(declared: Desired, inventory: Inventory) -> tuple[Desired, tuple[LeftOut, ...]]:
    """The declared hosts (or, if there are none, all of the inventory), a config DB on each datastore that one of
    them mounts and one on each host; and the hosts that must not be asked. Nothing is desired of any of them."""
    hosts, left_out = list(declared.hosts), []
    seen: set[str] = set()
    for name in () if declared.hosts else sorted({host.name for host in inventory.hosts}):
        ref = ObjectRef(Kind.HOST, name)
        problem = _problem(name, declared.site, seen)
        seen.add(name.lower())
        if problem:
            left_out.append(LeftOut(ref, problem, unread=True))
        else:
            hosts.append(DesiredHost(ref, _NOWHERE, name, ()))
    known = {host.ref.name for host in hosts} | {host.address for host in hosts}
    urls = sorted({datastore.url for datastore in inventory.datastores if datastore.hosts & known})
    databases = (*map(_config_db, urls), *(_own(host.ref.name) for host in hosts))
    return Desired(declared.site, tuple(hosts), databases, ()), tuple(left_out)


def _problem(name: str, site: Site | None, seen: set[str]) -> str | None:
    if not expressible("host", name):
        return "no manifest can express its name in the inventory"
    if name.lower() in seen:
        return "another host of the inventory has the same name but for upper and lower case"
    if site is not None and not site.allows(name):
        return (
            "the Site does not allow its address (spec.allow.hosts); if its address is not its name in the "
            "inventory, declare it with -f"
        )
    return None


def _own(host: str) -> DesiredConfigDB:
    """Declare a SingleNode config DB on a host, under a name that no URL equals."""
    ref, only = ObjectRef(Kind.CONFIG_DB, f"host/{host}"), HostSelector(names=(host,))
    return DesiredConfigDB(ref, _NOWHERE, None, only, None, Unmanaged.REPORT, 2)


def _config_db(url: str) -> DesiredConfigDB:
    ref, nobody = ObjectRef(Kind.CONFIG_DB, url), HostSelector(names=())
    return DesiredConfigDB(ref, _NOWHERE, DatastoreRef(url=url), nobody, None, Unmanaged.REPORT, 10)
