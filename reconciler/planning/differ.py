"""Resolved + Observed -> Diff: every object compared, every difference with its reason, its risk and its actions."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Change, Diff, Op
from reconciler.model.ownership import Applying
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.compare.context import SiteContext, site_context
from reconciler.planning.kinds import PLANNED, places
from reconciler.planning.records.ownership import forgotten, recorded
from reconciler.planning.vmgroup.pairing import uuid_of


def diff(
    resolved: Resolved, observed: Observed, fresh: Mapping[ObjectRef, str], applying: Applying | None = None
) -> Diff:
    """Compare everything. Pure and total: what could not be looked up or read becomes a Change that says so.

    `fresh` holds UUIDs for new vmgroups (see `without_uuid`). The order of the inputs does not matter.
    `applying`: on whose behalf; None: nothing is recorded or pruned.
    """
    site = site_context(resolved, observed, fresh, applying)
    changes = [Change(failed.ref, Op.BLOCKED, failed.reason) for failed in resolved.unresolved]
    changes += [change for kind in PLANNED for change in kind.compare(site)]
    changes.sort(key=lambda change: change.ref.sort_key)
    return Diff(tuple(_with_ownership(_spread_blocks(changes), site, fresh)))


def without_uuid(resolved: Resolved, observed: Observed) -> tuple[ObjectRef, ...]:
    """Return the vmgroups that are neither pinned nor there yet: each needs a fresh UUID before it can be planned."""
    present = {
        db.ref: {row.name: row.id for row in observed.config_dbs[db.location].tenants} for db in resolved.config_dbs
    }
    return tuple(group.ref for group in resolved.vmgroups if uuid_of(group, present[group.config_db]) is None)


def _with_ownership(changes: list[Change], site: SiteContext, fresh: Mapping[ObjectRef, str]) -> list[Change]:
    """Add the actions that record who applies each change, and those that drop the records of objects that are gone."""
    if site.applying is None or not site.applying.records:
        return changes
    recorded_at = places(site.resolved, site.expected, fresh)
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
