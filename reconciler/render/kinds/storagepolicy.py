"""Storage policies: tables, descriptions and JSON."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from reconciler.model.diff import Change
from reconciler.model.inventory import Datastore
from reconciler.model.kinds.storagepolicy import (
    ObservedStoragePolicies,
    ResolvedStoragePolicy,
    StoragePolicyFile,
    text_of,
)
from reconciler.model.ownership import Record
from reconciler.model.refs import Kind
from reconciler.model.state import ObservedDatastore
from reconciler.planning.files.storagepolicy import record_name
from reconciler.planning.joined import Joined
from reconciler.render.kinds.view import NONE, UNKNOWN, Pairs, Row, View, listed
from reconciler.render.text import Data, count


class StoragePolicyItem(Struct, frozen=True):
    """A storage policy, declared or found.

    `content` of its file: None if there is no such file or, `readable` False, it could not be read. `users`: volumes
    that name it (None: unknown).

    Source: docs/domain.md#storage-policies
    """

    change: Change
    datastore: str | None = None
    content: str | None = None
    readable: bool = False
    users: tuple[str, ...] | None = None
    record: Record | None = None


_StoragePolicy = Row[StoragePolicyItem]


def _items(joined: Joined) -> Iterator[StoragePolicyItem]:
    resolved, observed = joined.assessment.resolved, joined.assessment.observed
    places = {policy.ref.name: (policy.datastore, policy.name) for policy in resolved.files_of(ResolvedStoragePolicy)}
    for datastore in resolved.inventory.datastores:
        seen = observed.datastores.get(datastore.url)
        for name in seen.files_of(ObservedStoragePolicies).files if seen is not None else ():
            places.setdefault(name, (datastore, name))
            places.setdefault(f"{datastore.name}/{name}", (datastore, name))
    for change in joined.of_kind[Kind.STORAGE_POLICY]:
        if change.ref.name not in places:
            yield StoragePolicyItem(change)
            continue
        datastore, name = places[change.ref.name]
        record = joined.records.get(str(change.ref)) or joined.records.get(record_name(datastore, name))
        yield _item(change, datastore, name, observed.datastores.get(datastore.url), record)


def _item(
    change: Change, datastore: Datastore, name: str, seen: ObservedDatastore | None, record: Record | None
) -> StoragePolicyItem:
    if seen is None or seen.error is not None or seen.files_of(ObservedStoragePolicies).error is not None:
        return StoragePolicyItem(change, datastore.name, record=record)
    policies = seen.files_of(ObservedStoragePolicies)
    file = policies.files.get(name, StoragePolicyFile(None))
    users = None if policies.unread is not None else policies.users.get(name, ())
    content = None if file.content is None else text_of(file.content)
    return StoragePolicyItem(change, datastore.name, content, not file.problem, users, record)


def _users(row: _StoragePolicy) -> str:
    """Number of volumes that name the storage policy. Source: docs/domain.md#storage-policies"""
    return UNKNOWN if row.item.users is None else count(len(row.item.users), "volume")


def _content(row: _StoragePolicy) -> str:
    return row.item.content if row.item.content is not None else NONE if row.item.readable else UNKNOWN


def _describe(row: _StoragePolicy) -> Pairs:
    pairs = [("Datastore", row.item.datastore or UNKNOWN), ("Content", _content(row))]
    if not row.item.users:
        return [*pairs, ("Used by", _users(row))]
    return [*pairs, *listed("Used by", row.item.users), ("", "(what they got when they were made is not recorded)")]


def _data(row: _StoragePolicy) -> dict[str, Data]:
    users = None if row.item.users is None else list(row.item.users)
    return {"datastore": row.item.datastore, "content": row.item.content, "usedBy": users}


VIEW = View[StoragePolicyItem](
    key="storagePolicies",
    items=_items,
    columns={"DATASTORE": lambda row: row.item.datastore or UNKNOWN, "USED BY": _users, "CONTENT": _content},
    describe=_describe,
    data=_data,
)
