"""Storage policies of vSAN: where they are, how they differ, and their export.

Source: docs/domain.md#storage-policies
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Cause, Change, FieldChange, Op, Value
from reconciler.model.events import Condition, Truth
from reconciler.model.export import LeftOut, Manifest
from reconciler.model.inventory import Datastore
from reconciler.model.kinds.configdb import ResolvedConfigDB
from reconciler.model.kinds.storagepolicy import (
    LEFT_BEHIND,
    DesiredStoragePolicy,
    ObservedStoragePolicies,
    RemoveStoragePolicy,
    ResolvedStoragePolicy,
    StoragePolicyFile,
    WriteStoragePolicy,
    policy_of,
    text_of,
    why_not_policy,
    why_not_policy_name,
)
from reconciler.model.ownership import ForgetObject, Record
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Desired, Observed, Resolved, Unresolved
from reconciler.planning.compare.context import DBContext, SiteContext
from reconciler.planning.export.expressible import Adoptable, DatastoreSpelling
from reconciler.planning.export.names import document, kube_names
from reconciler.planning.lookup import InventoryLookup, NotFoundError
from reconciler.planning.records.ownership import Place, Places, gone_from_set, spell, unproven
from reconciler.planning.scope import incomplete

if TYPE_CHECKING:
    from reconciler.planning.joined import Joined


def resolve_storage_policies(desired: Desired, so_far: Resolved, names: InventoryLookup) -> Resolved:
    """Look up the datastore of each; two manifests of the same file both fail.

    Source: docs/domain.md#storage-policies
    """
    unresolved = list(so_far.unresolved)
    found: dict[tuple[str, str], list[ResolvedStoragePolicy]] = {}
    for policy in desired.files_of(DesiredStoragePolicy):
        try:
            datastore = names.vsan_datastore(policy.datastore)
        except NotFoundError as problem:
            unresolved.append(Unresolved(policy.ref, str(problem), (policy.name,), certain=True))
        else:
            one = ResolvedStoragePolicy(policy.ref, policy.name, datastore, policy.content)
            found.setdefault((datastore.url, policy.name), []).append(one)
    for twins in found.values():
        for one in twins if len(twins) > 1 else ():
            others = ", ".join(sorted(str(twin.ref) for twin in twins if twin is not one))
            reason = f"it is the same file as {others}: both are on {one.datastore.name}"
            unresolved.append(Unresolved(one.ref, reason, (one.name,), certain=True))
    kept = [twins[0] for twins in found.values() if len(twins) == 1]
    kept.sort(key=lambda policy: policy.ref.sort_key)
    return replace(so_far, files=(*so_far.files, *kept), unresolved=tuple(unresolved))


def record_name(datastore: Datastore, name: str) -> str:
    """Return the name of a storage policy in records: several datastores may have one of the same name."""
    return f"{Kind.STORAGE_POLICY.lower()}/{datastore.id}/{name}"


def keeper(datastore: Datastore, resolved: Resolved) -> ObjectRef | None:
    """The config DB that records who applied the policies of this datastore: the first of which a host mounts it.
    None: nothing is recorded, so nothing is ever pruned there.

    Source: docs/domain.md#storage-policies
    """
    mounting = {host.ref.name for host in resolved.hosts if {host.ref.name, host.address} & datastore.hosts}
    users: Sequence[ResolvedConfigDB] = [db for db in resolved.config_dbs if mounting & set(db.hosts)]
    return min((db.ref for db in users), key=lambda ref: ref.sort_key, default=None)


def policy_records(resolved: Resolved, _observed: Observed, _fresh: Mapping[ObjectRef, str]) -> Places:
    """A storage policy is recorded in the config DB that is the keeper of its datastore.

    Source: docs/domain.md#storage-policies
    """
    why = "no config DB says what was applied to it"
    return {
        policy.ref: Place(keeper(policy.datastore, resolved), record_name(policy.datastore, policy.name), why=why)
        for policy in resolved.files_of(ResolvedStoragePolicy)
    }


def policy_changes(site: SiteContext) -> Iterator[Change]:
    """How every storage policy differs, whether it is declared or only there.

    Source: docs/domain.md#storage-policies
    """
    for policy in site.resolved.files_of(ResolvedStoragePolicy):
        yield _declared(policy, site.found)
    for datastore in _by_url(site.resolved.inventory.datastores):
        seen = site.found.datastores.get(datastore.url)
        if seen is not None and seen.error is None:
            yield from _others(datastore, seen.files_of(ObservedStoragePolicies), site)


def forgotten_policies(context: DBContext, site: SiteContext) -> list[str]:
    """The records of policies that are neither there nor declared: a policy made later under such a name was never
    applied by vdvs.

    Source: docs/domain.md#storage-policies
    """
    resolved, records = site.resolved, {} if context.ledger is None else context.ledger.by_object
    kept = {record_name(policy.datastore, policy.name) for policy in resolved.files_of(ResolvedStoragePolicy)}
    failed = {name for each in resolved.unresolved if each.ref.kind is Kind.STORAGE_POLICY for name in each.known_as}
    gone = []
    for datastore in _by_url(resolved.inventory.datastores):
        seen = site.found.datastores.get(datastore.url)
        if seen is None or seen.error is not None or keeper(datastore, resolved) != context.db.ref:
            continue
        if (policies := seen.files_of(ObservedStoragePolicies)).error is None:
            kept |= {record_name(datastore, name) for name in (*policies.files, *failed)}
            begin = record_name(datastore, "")
            gone += [name for name in records if name.startswith(begin) and name not in kept]
    return sorted(gone)


def policy_conditions(change: Change, joined: Joined) -> Iterator[Condition]:
    """`NoLeftovers`: whether interrupted or failed updates by vDVS left anything beside the policy.

    Source: docs/domain.md#storage-policies
    """
    policy = joined.files.get(change.ref)
    datastore = joined.assessment.observed.datastores.get(policy.datastore.url) if policy is not None else None
    if policy is None or datastore is None:
        return
    seen = datastore.files_of(ObservedStoragePolicies)
    if (error := datastore.error or seen.error) is not None:
        yield Condition(change.ref, "NoLeftovers", Truth.UNKNOWN, "NotRead", error)
    elif found := leftovers(policy.name, seen):
        yield Condition(change.ref, "NoLeftovers", Truth.FALSE, "Leftovers", "; ".join(found))
    else:
        message = "no update of vDVS left anything beside it"
        yield Condition(change.ref, "NoLeftovers", Truth.TRUE, "None", message)


def leftovers(name: str, seen: ObservedStoragePolicies) -> tuple[str, ...]:
    """Return what updates of this policy by vDVS left beside it, in words.

    Source: docs/domain.md#storage-policies
    """
    shown = "vDVS lists it as a policy of its own; look, then remove it"
    return tuple(f"{name}{end}: {why}; {shown}" for end, why in LEFT_BEHIND.items() if f"{name}{end}" in seen.files)


def used_by(name: str, seen: ObservedStoragePolicies) -> str | None:
    """Return `2 volumes use it`, or that this is unknown; None: no volume does.

    Source: docs/domain.md#storage-policies
    """
    if seen.unread is not None:
        return f"which volumes use it is unknown: {seen.unread}"
    if not (users := seen.users.get(name, ())):
        return None
    return f"{len(users)} volumes use it" if len(users) > 1 else "1 volume uses it"


def _by_url(datastores: Iterable[Datastore]) -> list[Datastore]:
    unique = {datastore.url: datastore for datastore in sorted(datastores, key=lambda each: each.name, reverse=True)}
    return [unique[url] for url in sorted(unique)]


def _declared(policy: ResolvedStoragePolicy, observed: Observed) -> Change:
    ref, url, datastore = policy.ref, policy.datastore.url, observed.datastores.get(policy.datastore.url)
    if datastore is None:
        return Change(ref, Op.BLOCKED, f"no declared host mounts {policy.datastore.name}")
    seen = datastore.files_of(ObservedStoragePolicies)
    if (error := datastore.error or seen.error) is not None:
        return Change(ref, Op.UNKNOWN, error)
    file, notes = seen.files.get(policy.name), leftovers(policy.name, seen)
    if file is None:
        field = FieldChange("content", None, policy.content)
        write = WriteStoragePolicy(ref, Risk.SAFE, url, policy.name, policy.content, None)
        return Change(ref, Op.CREATE, "it is not there", (field,), (write,), Risk.SAFE, notes)
    if file.content is None:
        return Change(ref, Op.UNKNOWN, f"{policy.name} on {policy.datastore.name} {file.problem}", notes=notes)
    if text_of(file.content) == policy.content:
        return Change(ref, Op.KEEP, "as declared", notes=notes)
    field = FieldChange("content", text_of(file.content), policy.content)
    write = WriteStoragePolicy(ref, Risk.SAFE, url, policy.name, policy.content, file.content)
    notes = (*_not_reached(policy.name, seen), *notes)
    return Change(ref, Op.UPDATE, "differs from its manifest", (field,), (write,), Risk.SAFE, notes)


def _not_reached(name: str, seen: ObservedStoragePolicies) -> Iterator[str]:
    """Return notes on volumes that writing the file does not change: only vDVS, or objtool, changes existing ones.

    Source: docs/domain.md#storage-policies
    """
    if (users := used_by(name, seen)) is not None:
        yield (
            f"{users}; apply writes the file, which only new volumes follow: those that are there keep what they have."
            f" To change them too, run `vmdkops_admin.py policy update --name {name}` with the new content on a host"
            " in place of this apply: it refuses content that the file has already"
        )


def _others(datastore: Datastore, seen: ObservedStoragePolicies, site: SiteContext) -> Iterator[Change]:
    """Yield the changes of undeclared files. What an update left beside a policy is a note on that policy.

    Source: docs/domain.md#storage-policies
    """
    resolved, applying = site.resolved, site.applying
    mine = {policy.name for policy in resolved.files_of(ResolvedStoragePolicy) if policy.datastore.url == datastore.url}
    failed = [each for each in resolved.unresolved if each.ref.kind is Kind.STORAGE_POLICY]
    mine |= {name for each in failed for name in each.known_as}
    taken = {policy.ref.name for policy in resolved.files_of(ResolvedStoragePolicy)} | {
        each.ref.name for each in failed
    }
    several = sum(each.is_vsan for each in _by_url(resolved.inventory.datastores)) > 1
    db = keeper(datastore, resolved)
    known = None if db is None else site.databases[db].ledger
    for name in sorted(seen.files.keys() - mine):
        if policy_of(name) in mine | (seen.files.keys() - {name}):
            continue
        shown = f"{datastore.name}/{name}" if several or name in taken else name
        ref = ObjectRef(Kind.STORAGE_POLICY, shown)
        record = known.by_object.get(record_name(datastore, name)) if known is not None else None
        if applying is not None and applying.prune and record is not None and record.set == applying.set != "":
            own = known.kept_set(record.object, record.uid) if known is not None else None
            unseen = incomplete(resolved, site.found)
            why_not = unproven(applying.set, own, applying) or (f"{unseen}, so nothing is removed" if unseen else "")
            yield _pruned(ref, datastore, name, seen, record, why_not)
        else:
            removed = policy_of(name) == name and gone_from_set(record, applying)
            op = Op.REMOVED if removed else Op.UNMANAGED
            cause = Cause.MANIFEST if removed else Cause.UNKNOWN
            yield Change(ref, op, _why_there(name, record, removed), notes=leftovers(name, seen), cause=cause)


def _why_there(name: str, record: Record | None, removed: bool) -> str:
    if policy_of(name) != name:
        return f"left over from an update of {policy_of(name)}, which is gone; look, then remove it"
    if record is None:
        return "created outside the manifests"
    if removed:
        way_out = "`vdvs apply --prune` removes it, once no volume uses it"
        return f"set {record.set} applied it last ({spell(record)}) and no longer declares it; {way_out}"
    return (
        f"set {record.set} applied it last ({spell(record)})"
        if record.set
        else f"applied from no set ({spell(record)})"
    )


def _pruned(
    ref: ObjectRef, datastore: Datastore, name: str, seen: ObservedStoragePolicies, record: Record, why_not: str
) -> Change:
    why = f"set {record.set} applied it last and no longer declares it"
    content, users = seen.files[name].content, used_by(name, seen)
    hindrance = users or why_not or None
    if content is None:
        hindrance = f"it {seen.files[name].problem}"
    if hindrance is not None or content is None:
        return Change(ref, Op.BLOCKED, f"it cannot be removed: {hindrance}", notes=(why, *leftovers(name, seen)))
    remove = RemoveStoragePolicy(ref, Risk.RESTRICTS, datastore.url, name, content)
    forget = ForgetObject(ref, Risk.SAFE, record.object)
    field = FieldChange("content", text_of(content), None)
    notes = leftovers(name, seen)
    return Change(ref, Op.DELETE, why, (field,), (remove, forget), Risk.RESTRICTS, notes, cause=Cause.MANIFEST)


_ACTIONS = WriteStoragePolicy | RemoveStoragePolicy


def pruned_policies(permitted: Iterable[Change], resolved: Resolved) -> dict[ObjectRef, ObjectRef | None]:
    """The config DB that records each policy that is written, an undeclared one that is removed among them."""
    by_url = {datastore.url: datastore for datastore in resolved.inventory.datastores}
    urls = {change.ref: action.url for change in permitted for action in change.actions if isinstance(action, _ACTIONS)}
    return {ref: keeper(by_url[url], resolved) for ref, url in urls.items() if url in by_url}


def adopt_storage_policies(site: Adoptable) -> Iterator[Manifest]:
    """Manifests of the files that a manifest can express."""
    found, seen, left_out = site.found, site.seen, site.left_out
    spelling = DatastoreSpelling(found.inventory.datastores)
    there: dict[str, tuple[str, str, StoragePolicyFile]] = {}
    datastores = {each.url: each for each in found.inventory.datastores if each.is_vsan}
    for url, datastore in sorted(datastores.items()):
        shown = spelling.of(url) or url
        observed = seen.datastores.get(url)
        if observed is None:
            continue
        if (error := observed.error or observed.files_of(ObservedStoragePolicies).error) is not None:
            left_out.append(LeftOut(ObjectRef(Kind.STORAGE_POLICY, datastore.name), error, unread=True))
        for name, file in sorted(observed.files_of(ObservedStoragePolicies).files.items()):
            twin = any(
                name in each.files_of(ObservedStoragePolicies).files
                for other, each in seen.datastores.items()
                if other != url
            )
            there[f"{shown}/{name}" if twin else name] = (shown, name, file)
    names = kube_names(there)
    for key, (shown, name, file) in there.items():
        ref = ObjectRef(Kind.STORAGE_POLICY, key)
        if (why := _why_left_out(name, file)) is not None:
            left_out.append(LeftOut(ref, why, unread=file.content is None))
            continue
        spec: dict[str, Value] = {} if names[key] == name else {"name": name}
        spec |= {"datastore": {"url": shown} if "/" in shown else shown, "content": text_of(file.content or "")}
        yield Manifest(ref, document(Kind.STORAGE_POLICY, {"name": names[key]}, spec))


def _why_left_out(name: str, file: StoragePolicyFile) -> str | None:
    if file.content is None:
        return f"it {file.problem}"
    if policy_of(name) != name:
        return f"it is left over from an update of {policy_of(name)}"
    if (why := why_not_policy_name(name)) is not None:
        return f"no manifest can express its name: {why}"
    why = why_not_policy(text_of(file.content))
    return None if why is None else f"vSAN cannot take it: {why}"
