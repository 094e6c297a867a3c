"""Datastores: where they are mounted, and which vmgroups may use them."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from reconciler.model.diff import Standing
from reconciler.model.inventory import Datastore
from reconciler.planning.joined import Joined
from reconciler.planning.rights.users import Use, use_of
from reconciler.render.inventory.entry import Listing, Servings, Together
from reconciler.render.kinds.view import NONE, UNKNOWN
from reconciler.render.text import Data, about

_MOST_NAMED = 3


class DatastoreItem(Struct, frozen=True):
    """A datastore. `users`: the vmgroups that may use it on one of its hosts; `open_on`: hosts where every VM may."""

    datastore: Datastore
    users: tuple[tuple[str, Use], ...]
    open_on: tuple[str, ...]
    unknown: tuple[str, ...]
    unread: bool

    @property
    def name(self) -> str:
        """See `Entry`."""
        return self.datastore.name

    @property
    def known_as(self) -> tuple[str, ...]:
        """See `Entry`."""
        return tuple(filter(None, (self.datastore.name, self.datastore.url, self.datastore.inventory_path)))


def _items(joined: Joined) -> Iterator[DatastoreItem]:
    servings = Servings(joined)
    for datastore in sorted(joined.assessment.resolved.inventory.datastores, key=lambda each: (each.name, each.url)):
        mounting = set(servings.mounting(datastore.id))
        mounting |= {servings.names.get(name, name) for name in datastore.hosts if servings.silent(name)}
        on = {name: servings.on(name) for name in sorted(mounting)}
        together = Together.of(on.values())
        groups = sorted(together.with_rows_for(datastore.url).items())
        uses = ((name, use_of(group, datastore.url)) for name, group in groups)
        users = tuple((name, use) for name, use in uses if use is not None)
        open_on = tuple(name for name, serving in on.items() if serving.access == Standing.OPEN)
        yield DatastoreItem(datastore, users, open_on, together.unknown, together.unread)


def _users(item: DatastoreItem) -> str:
    named = [f"{Standing.OPEN} on {_some(item.open_on)}"] if item.open_on else []
    named += [_some([_user(name, use) for name, use in item.users])] if item.users else []
    return ", ".join([*named, *([UNKNOWN] if item.unknown else [])]) or NONE


def _user(name: str, use: Use) -> str:
    limits = ["mount"] if use.mounts else []
    limits += ["VMs on it"] if use.beside else []
    return f"{name} ({', '.join(limits)})" if limits else name


def _some(names: tuple[str, ...] | list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _size(megabytes: int | None) -> str:
    return UNKNOWN if megabytes is None else about(megabytes)


def _data(item: DatastoreItem) -> dict[str, Data]:
    of = item.datastore
    return {
        "url": of.url,
        "inventoryPath": of.inventory_path,
        "type": of.type,
        "capacityMB": of.capacity_mb,
        "freeMB": of.free_mb,
        "hosts": sorted(of.hosts),
        "vmgroups": [{"vmgroup": name, "rights": use.rights, "onlyVMsOnIt": use.beside} for name, use in item.users],
        "openOn": list(item.open_on),
    }


LISTING = Listing[DatastoreItem](
    items=_items,
    columns={
        "TYPE": lambda item: item.datastore.type or UNKNOWN,
        "CAPACITY": lambda item: _size(item.datastore.capacity_mb),
        "FREE": lambda item: _size(item.datastore.free_mb),
        "HOSTS": lambda item: str(len(item.datastore.hosts)),
        "USED BY": _users,
    },
    wide={"URL": lambda item: item.datastore.url, "PATH": lambda item: item.datastore.inventory_path or NONE},
    data=_data,
)
