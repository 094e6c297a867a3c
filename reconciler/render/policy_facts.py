"""What an assessment says about storage policies."""

from __future__ import annotations

from msgspec import Struct

from reconciler.model.diff import Change
from reconciler.model.kinds.storagepolicy import (
    ObservedStoragePolicies,
    ResolvedStoragePolicy,
    StoragePolicyFile,
    text_of,
)
from reconciler.model.outcome import Assessment
from reconciler.model.ownership import Record
from reconciler.model.refs import Kind
from reconciler.model.state import ObservedDatastore
from reconciler.planning.history import history


class StoragePolicyFacts(Struct, frozen=True):
    """A storage policy, declared or found. `content`: what is in its file (None: no such file, or it could not be
    read, as `readable` says); `users`: the volumes that name it (None: that could not be told)."""

    change: Change
    datastore: str | None
    content: str | None
    readable: bool
    users: tuple[str, ...] | None
    record: Record | None = None


def storage_policies(assessment: Assessment) -> tuple[StoragePolicyFacts, ...]:
    """All of them, in the order of the diff."""
    resolved, observed = assessment.resolved, assessment.observed
    places = {policy.ref.name: (policy.datastore, policy.name) for policy in resolved.files_of(ResolvedStoragePolicy)}
    for datastore in resolved.inventory.datastores:
        seen = observed.datastores.get(datastore.url)
        for name in seen.files_of(ObservedStoragePolicies).files if seen is not None else ():
            places.setdefault(name, (datastore, name))
            places.setdefault(f"{datastore.name}/{name}", (datastore, name))
    records = {applied.object: applied.record for applied in history(resolved, observed)}
    found = []
    for change in assessment.diff.changes:
        if change.ref.kind is Kind.STORAGE_POLICY:
            datastore_and_name = places.get(change.ref.name)
            if datastore_and_name is None:
                found.append(StoragePolicyFacts(change, None, None, False, None))
                continue
            place, name = datastore_and_name
            seen = observed.datastores.get(place.url)
            record = records.get(str(change.ref)) or records.get(f"storagepolicy/{place.id}/{name}")
            found.append(_facts(change, place.name, name, seen, record))
    return tuple(found)


def _facts(
    change: Change, datastore: str, name: str, seen: ObservedDatastore | None, record: Record | None
) -> StoragePolicyFacts:
    if seen is None or seen.error is not None or seen.files_of(ObservedStoragePolicies).error is not None:
        return StoragePolicyFacts(change, datastore, None, False, None, record)
    policies = seen.files_of(ObservedStoragePolicies)
    file = policies.files.get(name, StoragePolicyFile(None))
    users = None if policies.unread is not None else policies.users.get(name, ())
    content = None if file.content is None else text_of(file.content)
    return StoragePolicyFacts(change, datastore, content, not file.problem, users, record)
