"""The books of vDVS (what a quota is counted by) against the volumes that are there, and quotas against datastores.

vDVS never compares the two: clones, and volumes made while a host had no config DB, were never booked; volumes that
were removed by hand stay booked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from reconciler.model.diff import Change
from reconciler.model.events import Condition, Truth
from reconciler.model.inventory import Datastore
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.model.kinds.vmgroup import BookedVolume
from reconciler.model.refs import ObjectRef
from reconciler.model.state import ObservedDatastore, VolumeFile
from reconciler.model.units import format_size
from reconciler.planning.rights.cells import Promises, cells
from reconciler.planning.rights.decision import Lookup
from reconciler.planning.spelling import DisplayNames
from reconciler.planning.vmgroup.state import VMGroupState, observed_states

if TYPE_CHECKING:
    from reconciler.planning.joined import Joined


class Stock(Struct, frozen=True):
    """Volumes of a vmgroup on one datastore: by the books, and in its folder (None: it could not be listed in full).

    `why` says why not. `gone` are booked and not there, `unbooked` are there and not booked, `short` are there and
    booked as smaller than they are.

    Source: docs/domain.md#quotas
    """

    url: str
    booked: tuple[BookedVolume, ...]
    found: tuple[VolumeFile, ...] | None
    gone: tuple[BookedVolume, ...] = ()
    unbooked: tuple[VolumeFile, ...] = ()
    short: tuple[VolumeFile, ...] = ()
    why: str = ""


Stocks = Mapping[str, tuple[Stock, ...]]


def stocks(db: ObservedConfigDB, datastores: Mapping[str, ObservedDatastore]) -> Stocks | None:
    """Return the stock of each vmgroup by its UUID: every datastore where it has anything by either account, by URL.

    None: the books were not read. Source: docs/domain.md#quotas
    """
    if db.booked is None:
        return None
    booked: dict[tuple[str, str], list[BookedVolume]] = {}
    for row in db.booked:
        booked.setdefault((row.tenant_id, row.url), []).append(row)
    folders = {(uuid, url) for url, seen in datastores.items() for uuid in seen.entries}
    known = {row.id for row in db.tenants}
    found: dict[str, list[Stock]] = {uuid: [] for uuid in known}
    for uuid, url in sorted(booked.keys() | folders):
        if uuid in known:
            found[uuid].append(_stock(url, uuid, tuple(booked.get((uuid, url), ())), datastores.get(url)))
    return {uuid: tuple(stock) for uuid, stock in found.items()}


def _stock(url: str, uuid: str, booked: tuple[BookedVolume, ...], seen: ObservedDatastore | None) -> Stock:
    if seen is None:
        return Stock(url, booked, None, why="no host that was looked at mounts it")
    if seen.error is not None:
        return Stock(url, booked, None, why=seen.error)
    entry = seen.entries.get(uuid)
    found = seen.volumes.get(uuid, ())
    if entry is not None and entry.volumes != len(found):
        return Stock(url, booked, None, why=f"{entry.volumes} volumes are too many to list")
    there, counted = {volume.name for volume in found}, {row.name: row.mb or 0 for row in booked}
    gone = tuple(row for row in booked if row.name not in there)
    unbooked = tuple(volume for volume in found if volume.name not in counted)
    short = tuple(volume for volume in found if (volume.mb or 0) > counted.get(volume.name, volume.mb or 0))
    return Stock(url, booked, found, gone, unbooked, short)


def vmgroup_conditions(change: Change, joined: Joined) -> Iterator[Condition]:
    """`BooksMatch` of every vmgroup in a config DB that could be read. Source: docs/domain.md#quotas"""
    group = joined.vmgroups[change.ref]
    db = None if group.config_db is None else joined.config_dbs[group.config_db].seen
    if group.tenant is not None and db is not None and db.state is DBState.PRESENT:
        yield books_match(change.ref, None if db.booked is None else group.stocks, joined.names)


def books_match(ref: ObjectRef, known: tuple[Stock, ...] | None, names: DisplayNames) -> Condition:
    """Whether the books count what is there (`known`; None: not read): a quota is only as accurate as they are.

    Source: docs/domain.md#quotas
    """
    if known is None:
        return Condition(ref, "BooksMatch", Truth.UNKNOWN, "NotRead", "there are too many booked volumes to list")
    wrong = [part for stock in known for part in _gaps(stock, names)]
    if wrong:
        gone, unbooked = (any(getattr(stock, part) for stock in known) for part in ("gone", "unbooked"))
        reason = "GoneAndNotBooked" if gone and unbooked else "Gone" if gone else "NotBooked" if unbooked else "Short"
        return Condition(ref, "BooksMatch", Truth.FALSE, reason, "; ".join(wrong))
    unseen = next((stock for stock in known if stock.found is None), None)
    if unseen is not None:
        message = f"{names.datastore(unseen.url)} could not be compared: {unseen.why}"
        return Condition(ref, "BooksMatch", Truth.UNKNOWN, "NotRead", message)
    return Condition(ref, "BooksMatch", Truth.TRUE, "Match", "the books count every volume that is there, and no other")


def _gaps(stock: Stock, names: DisplayNames) -> Iterator[str]:
    where = f"on {names.datastore(stock.url)}"
    if stock.gone:
        one = len(stock.gone) == 1
        verbs = "is gone and still fills" if one else "are gone and still fill"
        yield f"the books count {_volumes(stock.gone)} {where} that {verbs} its quota"
    if stock.unbooked:
        one = len(stock.unbooked) == 1
        was, them = ("was", "it") if one else ("were", "them")
        yield f"{_volumes(stock.unbooked)} {where} {was} never booked, so no quota counts {them}"
    if stock.short:
        verb = "is" if len(stock.short) == 1 else "are"
        yield f"{_volumes(stock.short)} {where} {verb} booked as smaller, so a quota counts too little"


def _volumes(found: tuple[BookedVolume, ...] | tuple[VolumeFile, ...]) -> str:
    sizes = [volume.mb for volume in found]
    total = sum(size or 0 for size in sizes)
    about = "at least " if None in sizes else ""
    size = f" ({about}{format_size(total)})" if total else ""
    return f"{len(found)} volume{'' if len(found) == 1 else 's'}{size}"


def limits_fit(ref: ObjectRef, db: ObservedConfigDB, datastores: Iterable[Datastore], names: DisplayNames) -> Condition:
    """Whether every datastore could hold all that the limits promise. A vmgroup without a limit promises nothing.

    Source: docs/domain.md#quotas
    """
    fit = Condition(ref, "LimitsFit", Truth.TRUE, "Fit", "every datastore could hold what its limits allow together")
    by_name = sorted(datastores, key=lambda datastore: datastore.name)
    known = [(each, each.capacity_mb) for each in by_name if each.capacity_mb is not None]
    groups = observed_states(db).values()
    if sum(map(_largest_limit, groups)) <= min((capacity for _, capacity in known), default=0):
        return fit
    wanted = [(datastore.url, frozenset(Lookup)) for datastore, _ in known]
    sums = {url: Promises() for url, _ in wanted}
    for group in groups:
        for url, right in cells(group, wanted):
            sums[url].add(right)
    wrong = []
    for datastore, capacity in known:
        of = sums[datastore.url]
        if of.promised_mb > capacity:
            whose = f"the limits of {of.limited} vmgroups add" if of.limited > 1 else "the limit of a vmgroup adds"
            holds = f"{whose} up to {format_size(of.promised_mb)}, and it holds {format_size(capacity)}"
            wrong.append(f"on {names.datastore(datastore.url)} {holds}{_free_words(datastore)}")
    if wrong:
        return Condition(ref, "LimitsFit", Truth.FALSE, "Overcommitted", "; ".join(wrong))
    return fit


def _largest_limit(group: VMGroupState) -> int:
    """Return the most that a vmgroup can promise on a datastore, in MB: one of its rows decides there."""
    return max([0, *(row.total_mb for row in group.access.values() if row is not None)])


def _free_words(datastore: Datastore) -> str:
    if datastore.free_mb is None:
        return ""
    return f", {format_size(datastore.free_mb) if datastore.free_mb else 'nothing'} of it free"
