"""Where storage policies are: on which vSAN datastore, and which config DB says who applied them."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.desired import Desired
from reconciler.model.inventory import Datastore
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.resolved import Resolved, ResolvedConfigDB, ResolvedStoragePolicy, Unresolved
from reconciler.planning.look_up import LookUp, NotFoundError


def resolve_storage_policies(
    desired: Desired, names: LookUp, unresolved: list[Unresolved]
) -> tuple[ResolvedStoragePolicy, ...]:
    """Look up the datastore of each; two manifests of one and the same file both fail."""
    found: dict[tuple[str, str], list[ResolvedStoragePolicy]] = {}
    for policy in desired.storage_policies:
        try:
            datastore = names.vsan_datastore(policy.datastore)
        except NotFoundError as problem:
            unresolved.append(Unresolved(policy.ref, str(problem), (policy.name,)))
        else:
            one = ResolvedStoragePolicy(policy.ref, policy.name, datastore, policy.content)
            found.setdefault((datastore.url, policy.name), []).append(one)
    for twins in found.values():
        for one in twins if len(twins) > 1 else ():
            others = ", ".join(sorted(str(twin.ref) for twin in twins if twin is not one))
            reason = f"it is the same file as {others}: both are on {one.datastore.name}"
            unresolved.append(Unresolved(one.ref, reason, (one.name,)))
    kept = [twins[0] for twins in found.values() if len(twins) == 1]
    return tuple(sorted(kept, key=lambda policy: policy.ref.sort_key))


def record_name(datastore: Datastore, name: str) -> str:
    """What a record calls a storage policy: several datastores may have one of the same name."""
    return f"{Kind.STORAGE_POLICY.lower()}/{datastore.id}/{name}"


def keeper(datastore: Datastore, resolved: Resolved) -> ObjectRef | None:
    """The config DB that records who applied the policies of this datastore: the first of which a host mounts it.
    None: nothing is recorded, so nothing is ever pruned there."""
    mounting = {host.ref.name for host in resolved.hosts if {host.ref.name, host.address} & datastore.hosts}
    users: Sequence[ResolvedConfigDB] = [db for db in resolved.config_dbs if mounting & set(db.hosts)]
    return min((db.ref for db in users), key=lambda ref: ref.sort_key, default=None)
