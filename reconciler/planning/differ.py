"""Resolved + Observed -> Diff: every object compared, every difference with its reason, its risk and its actions.

The passes read one context and each yields the changes of its objects; what is recorded of who applies them comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec.structs import replace

from reconciler.model.actions import DBAction
from reconciler.model.diff import Change, Diff, Op
from reconciler.model.kinds.configdb import DBState
from reconciler.model.kinds.host import ObservedHost
from reconciler.model.ownership import Applying
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.risk import Risk, worst
from reconciler.model.state import Observed, Resolved
from reconciler.planning.configdb.own_db import own_db
from reconciler.planning.configdb.relocation import place_of, relocation_change
from reconciler.planning.configdb.repairs import repairs
from reconciler.planning.configdb.upgrade import upgrade
from reconciler.planning.context import DBContext, SiteContext, VMGroupContext, site_context
from reconciler.planning.host.diff import host_change
from reconciler.planning.host.undeclared import undeclared_host_changes
from reconciler.planning.ownership import forgotten, object_name, recorded
from reconciler.planning.rights.change import of_host
from reconciler.planning.rights.releases import Feature, supported, without
from reconciler.planning.storagepolicy import forgotten_policies, policy_changes
from reconciler.planning.vmgroup.diff import vmgroup_change
from reconciler.planning.vmgroup.needed_access import with_needed_access
from reconciler.planning.vmgroup.pairing import uuid_of
from reconciler.planning.vmgroup.undeclared import undeclared_change
from reconciler.planning.volume import forgotten_volumes, volume_changes

_WRITABLE = (Op.CREATE, Op.UPDATE, Op.DELETE)


def diff(
    resolved: Resolved, observed: Observed, fresh: Mapping[ObjectRef, str], applying: Applying | None = None
) -> Diff:
    """Compare everything. Pure and total: what could not be looked up or read becomes a Change that says so.

    `fresh` holds UUIDs for the vmgroups to be made (see `without_uuid`). The order of the inputs does not matter.
    `applying`: on whose behalf; None: nobody applies, so nothing is recorded or pruned.
    """
    site = site_context(resolved, observed, fresh, applying)
    changes = [change for compare in _PASSES for change in compare(site)]
    changes.sort(key=lambda change: change.ref.sort_key)
    return Diff(tuple(_spread_blocks(changes)))


def without_uuid(resolved: Resolved, observed: Observed) -> tuple[ObjectRef, ...]:
    """The vmgroups that are neither pinned nor there yet: each needs a fresh UUID before it can be planned."""
    present = {
        db.ref: {row.name: row.id for row in observed.config_dbs[db.location].tenants} for db in resolved.config_dbs
    }
    return tuple(group.ref for group in resolved.vmgroups if uuid_of(group, present[group.config_db]) is None)


def unresolved(site: SiteContext) -> Iterator[Change]:
    """What could not be looked up is left as it is."""
    return (Change(failed.ref, Op.BLOCKED, failed.reason) for failed in site.resolved.unresolved)


def config_dbs(site: SiteContext) -> Iterator[Change]:
    """The config DBs themselves."""
    for context in site.databases.values():
        change = _config_db(context, site)
        if change.op in (Op.CREATE, Op.UPDATE, Op.KEEP):
            change = replace(change, actions=(*change.actions, *_forgotten(context, site)))
        yield _recorded(change, Kind.CONFIG_DB, change.ref.name, None, context, site)


def _config_db(context: DBContext, site: SiteContext) -> Change:
    """One that moves is only moved, one that cannot be upgraded is not written to; else its upgrade comes first, then
    the DB itself, then repairs of its rows."""
    ref, names = context.db.ref, site.names
    if context.relocation is not None:
        return relocation_change(context.db, context.relocation, site.resolved, names)
    if not isinstance(context.vmgroups, VMGroupContext):
        return context.presence
    parts = [context.presence]
    if context.seen.state is DBState.PRESENT:
        found = context.vmgroups
        rows = repairs(ref, context.seen, found.pairs, found.members, names)
        parts.append(replace(rows, rights=tuple(found.rights.of_repairs(rows))))
    if context.old_driver is not None:
        return Change(ref, Op.BLOCKED, context.old_driver, notes=_combined(parts).notes)
    if context.old:
        parts.insert(0, upgrade(ref, context.stored, site.resolved.inventory, names))
    return _combined(parts)


def _combined(parts: list[Change]) -> Change:
    """One change out of several of one object: all is done that can be done, the rest is held back and named."""
    doing = [part for part in parts if part.op in _WRITABLE]
    blocked = [part for part in parts if part.op is Op.BLOCKED]
    notes = tuple(note for part in parts for note in part.notes)
    held = [*(part.reason for part in blocked), *(why for part in parts for why in part.held)]
    if not doing and blocked:
        return replace(blocked[0], notes=notes, held=tuple(held[1:]))
    if not doing and held:
        return replace(parts[0], op=Op.BLOCKED, reason=held[0], notes=(*held[1:], *notes))
    first = next(iter(doing), parts[0])
    return replace(
        first,
        fields=tuple(field for part in doing for field in part.fields),
        actions=tuple(action for part in doing for action in part.actions),
        risk=worst([part.risk for part in doing]),
        notes=notes,
        held=tuple(held),
        rights=tuple(right for part in doing for right in part.rights),
    )


def _forgotten(context: DBContext, site: SiteContext) -> Iterable[DBAction]:
    ref, resolved, known, applying = context.db.ref, site.resolved, context.ledger, site.applying
    yield from forgotten(ref, resolved.hosts, known, applying)
    yield from forgotten_policies(ref, resolved, site.found, known, applying)
    yield from forgotten_volumes(ref, resolved, site.found, known, applying)


def vmgroups(site: SiteContext) -> Iterator[Change]:
    """The declared vmgroups, and those that no manifest declares."""
    for context in site.databases.values():
        for change in _vmgroups(context, site):
            if change.op not in _WRITABLE:
                yield change
            elif context.moves:
                yield Change(change.ref, Op.BLOCKED, f"its {context.db.ref} is moved first", change.fields)
            elif context.old and (context.old_driver or context.relocation):
                reason = f"its {context.db.ref} has an old schema and cannot be upgraded now"
                yield Change(change.ref, Op.BLOCKED, reason, notes=change.notes)
            else:
                yield change


def _vmgroups(context: DBContext, site: SiteContext) -> Iterator[Change]:
    found = context.vmgroups
    if not isinstance(found, VMGroupContext):
        yield from (Change(group.ref, *found) for group in context.groups)
        return
    datastores, rights = site.expected.datastores, found.rights
    old = without(Feature.SPECIAL_QUOTAS, context.db.hosts, site.expected)
    for pair in (supported(with_needed_access(pair, found.members, site.names), old) for pair in found.pairs):
        change = vmgroup_change(pair, found.members, datastores, site.links, site.names)
        if change.actions:
            change = replace(change, rights=rights.of(change, pair.before, pair.after))
        yield _recorded(change, Kind.VMGROUP, pair.group.name, pair.after.uuid, context, site)
    for each, why_not in found.undeclared:
        change = undeclared_change(each, why_not, found.members, datastores, site.links, site.names)
        yield replace(change, rights=rights.of(change, each.state, None))


def hosts(site: SiteContext) -> Iterator[Change]:
    """The declared hosts, and those that no manifest declares and that have vDVS."""
    for host in site.resolved.hosts:
        context = site.databases.get(host.config_db) if host.config_db is not None else None
        seen = site.expected.hosts[host.ref.name]
        moves = context.relocation if context is not None else None
        source = moves.source if moves is not None and moves.move is not None else None
        own = own_db(host, seen, site.resolved, site.found, site.names)
        joinable = context is not None and context.joinable
        change = host_change(host, seen, joinable, site.attached, site.names, source, own)
        follows = isinstance(seen, ObservedHost) and source is not None and place_of(seen) == source
        change = replace(change, rights=() if follows else of_host(change, host, seen))
        yield _recorded(change, Kind.HOST, host.ref.name, None, context, site)
    yield from undeclared_host_changes(site.found, site.names)


def files(site: SiteContext) -> Iterator[Change]:
    """Files on datastores."""
    ledgers = {ref: context.ledger for ref, context in site.databases.items()}
    yield from policy_changes(site.resolved, site.found, ledgers, site.applying)
    yield from volume_changes(site.resolved, site.found, ledgers, site.applying)


_PASSES: tuple[Callable[[SiteContext], Iterable[Change]], ...] = (unresolved, config_dbs, vmgroups, hosts, files)


def _recorded(
    change: Change, kind: Kind, name: str, uid: str | None, context: DBContext | None, site: SiteContext
) -> Change:
    known, digest = context.ledger if context is not None else None, site.resolved.digests.get(change.ref)
    return recorded(change, object_name(kind, name), uid, digest, known, site.applying)


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
