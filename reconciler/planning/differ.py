"""Resolved + Observed -> Diff: every object compared, every difference with its reason, its risk and its actions."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Cause, Change, Diff, Effect, Op, Standing
from reconciler.model.ownership import Applying, Record
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.compare.context import SiteContext, VMGroupContext, site_context
from reconciler.planning.kinds import PLANNED, places
from reconciler.planning.records.ownership import (
    Ledger,
    Place,
    Places,
    declared_last,
    forgotten,
    kept_at,
    ledger,
    recorded,
)
from reconciler.planning.rights import drift
from reconciler.planning.vmgroup.pairing import uuid_of

_NO_CAUSE = (Op.KEEP, Op.UNMANAGED, Op.UNKNOWN)


def diff(
    resolved: Resolved, observed: Observed, fresh: Mapping[ObjectRef, str], applying: Applying | None = None
) -> Diff:
    """Compare everything. Pure and total: what could not be looked up or read becomes a Change that says so.

    `fresh` holds UUIDs for new vmgroups (see `without_uuid`). The order of the inputs does not matter.
    `applying`: on whose behalf; None: nothing is recorded or pruned.
    """
    site = site_context(resolved, observed, fresh, applying)
    changes = [Change(each.ref, Op.BLOCKED, each.reason, effect=Effect.UNKNOWN) for each in resolved.unresolved]
    changes += [change for kind in PLANNED for change in kind.compare(site)]
    changes.sort(key=lambda change: change.ref.sort_key)
    changes = _spread_blocks(changes)
    recorded = any(observed.config_dbs[db.location].records for db in resolved.config_dbs) or bool(observed.kept)
    explains = recorded and any(change.op not in _NO_CAUSE for change in changes)
    if applying is None and not explains:
        return Diff(tuple(changes))
    recorded_at = places(resolved, site.expected, fresh)
    changes = _with_ownership(changes, site, recorded_at)
    return Diff(tuple(_with_causes(changes, site, recorded_at) if explains else changes))


def without_uuid(resolved: Resolved, observed: Observed) -> tuple[ObjectRef, ...]:
    """Return the vmgroups that are neither pinned nor there yet: each needs a fresh UUID before it can be planned."""
    present = {
        db.ref: {row.name: row.id for row in observed.config_dbs[db.location].tenants} for db in resolved.config_dbs
    }
    return tuple(group.ref for group in resolved.vmgroups if uuid_of(group, present[group.config_db]) is None)


def _with_causes(changes: list[Change], site: SiteContext, recorded_at: Places) -> list[Change]:
    """Add to each difference which side changed since the last apply, as far as records tell."""
    ledgers = {
        db.ref: ledger(db, site.found.config_dbs[db.location], site.found.kept) for db in site.resolved.config_dbs
    }
    kept = {db.ref: kept_at(db, site.found.kept) for db in site.resolved.config_dbs}
    found = []
    for change in changes:
        cause = Cause.UNKNOWN
        if change.op not in _NO_CAUSE:
            cause = _cause(change.ref, recorded_at, site, ledgers, kept)
        if cause is Cause.MANIFEST:
            change = _with_drift(change, recorded_at[change.ref], site)
        elif cause is not Cause.UNKNOWN:
            change = replace(change, cause=cause)
        found.append(change)
    return found


def _with_drift(change: Change, place: Place, site: SiteContext) -> Change:
    """Tell of an object whose manifest is not applied yet whether its site was changed, too, and the effect of that.

    A host that was applied to a config DB was linked to it. Of a vmgroup this side may know what was applied.
    """
    if change.host_state is Standing.OPEN:
        return replace(change, cause=Cause.BOTH)
    context = site.databases[place.db] if place.db is not None else None
    kept = site.found.kept.get(context.db.ref.name) if context is not None else None
    last = declared_last(kept, place.name) if kept is not None else None
    if context is None or not isinstance(context.vmgroups, VMGroupContext) or last is None or last.vmgroup is None:
        return replace(change, cause=Cause.MANIFEST)
    members = context.vmgroups.members
    live = members.states.get(place.uid or "")
    effect = drift.since_applied(last.vmgroup, live, members)
    if effect is None:
        return replace(change, cause=Cause.MANIFEST)
    return replace(change, cause=Cause.BOTH, effect=effect)


def _cause(
    ref: ObjectRef,
    recorded_at: Places,
    site: SiteContext,
    ledgers: Mapping[ObjectRef, Ledger | None],
    kept: Mapping[ObjectRef, Mapping[str, Record]],
) -> Cause:
    place, digest = recorded_at.get(ref), site.resolved.digests.get(ref)
    if place is None or place.db is None or digest is None:
        return Cause.UNKNOWN
    own, known = kept[place.db].get(place.name), ledgers[place.db]
    record = known.of(place.name, place.uid) if known is not None else None
    if own is None and record is None:
        return Cause.UNKNOWN
    if digest not in (own and own.digest, record and record.digest):
        return Cause.MANIFEST
    # Where it is to be depends on the manifest of its config DB, unless it is known to have been there.
    moot = ref != place.db and own is None and _cause(place.db, recorded_at, site, ledgers, kept) is Cause.MANIFEST
    return Cause.UNKNOWN if moot else Cause.SITE


def _with_ownership(changes: list[Change], site: SiteContext, recorded_at: Places) -> list[Change]:
    """Add the actions that record who applies each change, and those that drop the records of objects that are gone."""
    if site.applying is None or not site.applying.records:
        return changes
    found = []
    for change in changes:
        if (own := site.databases.get(change.ref)) is not None and own.ledger is not None:
            change = forgotten(change, [name for kind in PLANNED for name in kind.forgotten(own, site)])
        if (place := recorded_at.get(change.ref)) is not None and place.db is not None:
            digest, known = site.resolved.digests.get(change.ref), site.databases[place.db].ledger
            change = recorded(change, place, digest, known, site.applying)
        found.append(change)
    return found


def _spread_blocks(changes: list[Change]) -> list[Change]:
    """Objects tied by a VM that moves are written together or not at all: one that is blocked blocks the others."""
    by_ref = {change.ref: change for change in changes}
    pending = [change for change in changes if change.op in (Op.BLOCKED, Op.UNKNOWN)]
    ties: dict[ObjectRef, set[ObjectRef]] = {}
    for change in changes:
        for other in change.tied:
            ties.setdefault(other, set()).add(change.ref)
            ties.setdefault(change.ref, set()).add(other)
    roots = {change.ref: change for change in pending}
    while pending:
        cause = pending.pop()
        root = roots[cause.ref]
        why = f"which is {root.op}" if root is cause else f"which is {cause.op} because of {root.ref}"
        for ref in sorted(ties.get(cause.ref, ()), key=lambda ref: ref.sort_key):
            if by_ref[ref].op in (Op.CREATE, Op.UPDATE, Op.DELETE):
                reason = f"a VM moves between it and {cause.ref}, {why}: {root.reason}"
                by_ref[ref] = replace(
                    by_ref[ref], op=Op.BLOCKED, reason=reason, actions=(), risk=Risk.SAFE, rights=(), claim=""
                )
                roots[ref] = root
                pending.append(by_ref[ref])
    return [by_ref[change.ref] for change in changes]
