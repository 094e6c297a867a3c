"""Conditions: what an assessment means for each object, in words that last longer than one diff."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.diff import Change, Op
from reconciler.model.events import Condition, Truth
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.model.kinds.host import DBMode, ObservedHost, SectionForm, UnreachableHost
from reconciler.model.kinds.storagepolicy import ObservedStoragePolicies, ResolvedStoragePolicy
from reconciler.model.outcome import Assessment
from reconciler.model.refs import AUTH_DB, Kind, ObjectRef
from reconciler.planning.configdb.old_schema import half_upgraded, is_old
from reconciler.planning.configdb.orphans import no_orphans
from reconciler.planning.host.diff import OPEN_NOTE, is_open
from reconciler.planning.host.vcenter import host_conditions
from reconciler.planning.scope import vmgroup_ref
from reconciler.planning.spelling import LOST, DisplayNames
from reconciler.planning.storagepolicy import leftovers
from reconciler.planning.vmgroup.quotas import books_match, limits_fit, stocks

_IN_SYNC = {
    Op.KEEP: (Truth.TRUE, "InSync"),
    Op.UNMANAGED: (Truth.TRUE, "Unmanaged"),
    Op.BLOCKED: (Truth.FALSE, "Blocked"),
    Op.UNKNOWN: (Truth.UNKNOWN, "Unknown"),
}


def conditions(assessment: Assessment) -> tuple[Condition, ...]:
    """The conditions of every object of the diff, ordered by object and type. Pure.

    Every object: `InSync`. Hosts: also `Reachable`, `Enforced` (False: open to everybody), `Persistent`, and where
    vCenter tells, `Connected`, `Maintenance`, `Lockdown`. Config DBs: also `Readable`, `Valid`, `LimitsFit`,
    `NoOrphans`; SingleNode ones `Persistent` (False). VMGroups: also `Resolved`, `BooksMatch`. Storage policies: also
    `Resolved`, `NoLeftovers`. Volumes: also `Resolved`.
    """
    unresolved = {failed.ref: failed.reason for failed in assessment.resolved.unresolved}
    databases = {db.ref: assessment.observed.config_dbs[db.location] for db in assessment.resolved.config_dbs}
    entries = {host.ref: host.entry for host in assessment.resolved.hosts}
    names = DisplayNames(assessment.resolved.inventory)
    found = [*_quotas(assessment, names), *no_orphans(assessment.resolved, assessment.observed)]
    for change in assessment.diff.changes:
        found.append(_in_sync(change))
        match change.ref.kind:
            case Kind.HOST:
                found.extend(_host(change.ref, assessment.observed.hosts.get(change.ref.name)))
                if (entry := entries.get(change.ref)) is not None:
                    found.extend(host_conditions(change.ref, entry))
            case Kind.CONFIG_DB if change.ref in databases:
                found.extend(_config_db(change.ref, databases[change.ref]))
                if databases[change.ref].path == AUTH_DB:
                    found.append(Condition(change.ref, "Persistent", Truth.FALSE, "SingleNode", f"it is {LOST}"))
            case Kind.STORAGE_POLICY if change.op is not Op.UNMANAGED:
                found.append(_resolved(change.ref, unresolved.get(change.ref)))
                found.extend(_policy(change.ref, assessment))
            case Kind.VMGROUP | Kind.VOLUME if change.op is not Op.UNMANAGED:
                found.append(_resolved(change.ref, unresolved.get(change.ref)))
    return tuple(sorted(found, key=lambda condition: (condition.ref.sort_key, condition.type)))


def _quotas(assessment: Assessment, names: DisplayNames) -> Iterator[Condition]:
    """What the books and the limits say, of every vmgroup and every config DB that could be read."""
    resolved, observed = assessment.resolved, assessment.observed
    shown = {change.ref for change in assessment.diff.changes}
    for db in resolved.config_dbs:
        seen = observed.config_dbs[db.location]
        if seen.state is not DBState.PRESENT:
            continue
        yield limits_fit(db.ref, seen, resolved.inventory.datastores, names)
        known = stocks(seen, observed.datastores)
        for row in seen.tenants:
            if (ref := vmgroup_ref(db.ref, row.name, resolved)) in shown:
                yield books_match(ref, None if known is None else known[row.id], names)


def _in_sync(change: Change) -> Condition:
    status, reason = _IN_SYNC.get(change.op, (Truth.FALSE, "Drifted"))
    return Condition(change.ref, "InSync", status, reason, change.reason)


def _host(ref: ObjectRef, seen: ObservedHost | UnreachableHost | None) -> Iterator[Condition]:
    if seen is None:
        return
    if isinstance(seen, UnreachableHost):
        yield Condition(ref, "Reachable", Truth.FALSE, "NoAnswer", seen.reason)
        for judged in ("Enforced", "Persistent"):
            yield Condition(ref, judged, Truth.UNKNOWN, "NoAnswer", "the host did not answer")
        return
    yield Condition(ref, "Reachable", Truth.TRUE, "Answered", "the agent answered")
    yield _enforced(ref, seen)
    yield _persistent(ref, seen)


def _enforced(ref: ObjectRef, seen: ObservedHost) -> Condition:
    if is_open(seen):
        return Condition(ref, "Enforced", Truth.FALSE, "NotConfigured", OPEN_NOTE)
    if seen.db_mode is DBMode.NOT_CONFIGURED:
        return Condition(ref, "Enforced", Truth.TRUE, "NoDriver", "no driver, so nobody is served")
    if seen.db_mode is DBMode.BROKEN_LINK:
        message = f"the config DB cannot be used ({seen.db_reason}), so every request is refused"
        return Condition(ref, "Enforced", Truth.TRUE, seen.db_reason or "BrokenLink", message)
    return Condition(ref, "Enforced", Truth.TRUE, seen.db_mode.value, "the config DB decides every request")


def _persistent(ref: ObjectRef, seen: ObservedHost) -> Condition:
    if seen.db_mode is DBMode.SINGLE_NODE:
        return Condition(ref, "Persistent", Truth.FALSE, "SingleNode", f"its own config DB is {LOST}")
    if seen.secure_boot:
        return Condition(ref, "Persistent", Truth.FALSE, "SecureBoot", "local.sh never runs under Secure Boot")
    section = seen.section
    if section.form in (SectionForm.MISSING, SectionForm.NO_FILE):
        message = f"local.sh section: {section.form.value}; the link is lost at the next reboot"
        return Condition(ref, "Persistent", Truth.FALSE, "NoSection", message)
    target = (seen.link_path or "").split("/")
    volume = target[3] if target[1:3] == ["vmfs", "volumes"] and len(target) > 3 else None
    if volume is not None and section.datastore not in (None, volume, seen.volumes.get(volume)):
        message = f"local.sh names {section.datastore}, not the datastore that the link leads to now"
        return Condition(ref, "Persistent", Truth.FALSE, "OtherSection", message)
    if section.runs is None:
        message = f"it cannot be told whether the link is there after a boot: {section.why}"
        return Condition(ref, "Persistent", Truth.UNKNOWN, "CannotTell", message)
    if not section.runs:
        message = f"the local.sh section never runs: {section.why}"
        return Condition(ref, "Persistent", Truth.FALSE, "NeverRuns", message)
    if not section.saved:
        return Condition(ref, "Persistent", Truth.FALSE, "NotSaved", "the edit of local.sh is not in the boot bank yet")
    return Condition(ref, "Persistent", Truth.TRUE, "Section", "local.sh makes the link again at every boot")


def _config_db(ref: ObjectRef, seen: ObservedConfigDB) -> Iterator[Condition]:
    if seen.state is DBState.UNKNOWN:
        yield Condition(ref, "Readable", Truth.UNKNOWN, seen.reason, seen.message)
        yield Condition(ref, "Valid", Truth.UNKNOWN, seen.reason, "it could not be read")
        return
    if seen.state is not DBState.PRESENT:
        yield Condition(ref, "Readable", Truth.FALSE, seen.state.value.capitalize(), "there is no config DB")
        yield Condition(ref, "Valid", Truth.UNKNOWN, seen.state.value.capitalize(), "there is no config DB")
        return
    yield Condition(ref, "Readable", Truth.TRUE, "Read", f"read from {seen.read_from}")
    if is_old(seen):
        half = half_upgraded(seen)
        problem = "vDVS left its upgrade half-done" if half else f"its schema is {seen.schema}, not 1.2"
        message = "; ".join([f"{problem}; `vdvs apply` upgrades it", *seen.violations])
        yield Condition(ref, "Valid", Truth.FALSE, "HalfUpgraded" if half else "OldSchema", message)
    elif seen.violations:
        yield Condition(ref, "Valid", Truth.FALSE, "Violations", "; ".join(seen.violations))
    else:
        yield Condition(ref, "Valid", Truth.TRUE, "Valid", "every rule of vDVS holds")


def _policy(ref: ObjectRef, assessment: Assessment) -> Iterator[Condition]:
    """What interrupted or failed updates of vDVS left beside it."""
    for policy in assessment.resolved.files_of(ResolvedStoragePolicy):
        datastore = assessment.observed.datastores.get(policy.datastore.url)
        if policy.ref != ref or datastore is None:
            continue
        if (error := datastore.error or datastore.files_of(ObservedStoragePolicies).error) is not None:
            yield Condition(ref, "NoLeftovers", Truth.UNKNOWN, "NotRead", error)
        elif found := leftovers(policy.name, datastore.files_of(ObservedStoragePolicies)):
            yield Condition(ref, "NoLeftovers", Truth.FALSE, "Leftovers", "; ".join(found))
        else:
            yield Condition(ref, "NoLeftovers", Truth.TRUE, "None", "no update of vDVS left anything beside it")


def _resolved(ref: ObjectRef, reason: str | None) -> Condition:
    if reason is None:
        return Condition(ref, "Resolved", Truth.TRUE, "Found", "every name is in the inventory")
    return Condition(ref, "Resolved", Truth.FALSE, "NotFound", reason)
