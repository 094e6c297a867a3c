"""The passes of the differ: each reads the context of the site and yields the changes of the objects of one kind."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from reconciler.model.base import worst
from reconciler.model.diff import Change, Effect, Op, RightsChange
from reconciler.model.kinds.configdb import DBState
from reconciler.model.kinds.host import ObservedHost
from reconciler.planning.compare.context import DBContext, SiteContext, VMGroupContext
from reconciler.planning.configdb.own_db import own_db
from reconciler.planning.configdb.relocation import place_of, relocation_change
from reconciler.planning.configdb.repairs import repairs
from reconciler.planning.configdb.upgrade import upgrade
from reconciler.planning.host.diff import host_change
from reconciler.planning.host.undeclared import undeclared_host_changes
from reconciler.planning.rights import drift
from reconciler.planning.rights.change import of_host, spelled
from reconciler.planning.rights.releases import Feature, supported, without
from reconciler.planning.vmgroup.diff import vmgroup_change
from reconciler.planning.vmgroup.needed_access import with_needed_access
from reconciler.planning.vmgroup.rename import renaming_note
from reconciler.planning.vmgroup.taking_back import HARMLESS, taking_back
from reconciler.planning.vmgroup.undeclared import undeclared_change

_WRITABLE = (Op.CREATE, Op.UPDATE, Op.DELETE)


def config_dbs(site: SiteContext) -> Iterator[Change]:
    """The config DBs themselves."""
    for context in site.databases.values():
        change = _config_db(context, site)
        yield change if change.op is Op.KEEP else replace(change, effect=drift.of_rights(change, context.stored))


def _config_db(context: DBContext, site: SiteContext) -> Change:
    """Return the change of one config DB: its upgrade first, then the DB itself, then repairs of its rows. While it
    moves, or cannot be upgraded, nothing else is written to it."""
    ref, names = context.db.ref, site.names
    if context.relocation is not None:
        return relocation_change(context.db, context.relocation, site.resolved, names)
    if not isinstance(context.vmgroups, VMGroupContext):
        return context.presence
    parts = [context.presence]
    if context.seen.state is DBState.PRESENT:
        found = context.vmgroups
        rows = repairs(context.presence, context.seen, found.pairs, found.members, names)
        parts.append(replace(rows, rights=tuple(found.rights.of_repairs(rows))))
    if context.old_driver is not None:
        return Change(ref, Op.BLOCKED, context.old_driver, notes=_combined(parts).notes)
    if context.old:
        parts.insert(0, upgrade(ref, context.stored, site.resolved.inventory, names))
    return _with_taking_back(_combined(parts), parts)


def _with_taking_back(change: Change, parts: list[Change]) -> Change:
    """Add to the change of a config DB what may be made whatever the rest waits for."""
    back = [part.alone or part for part in parts if part.taking_back or _harmless(part)]
    if not back or (change.op in _WRITABLE and change.risk in HARMLESS):
        return change
    return replace(change, taking_back=_combined([replace(part, notes=(), held=()) for part in back]).as_part())


def _harmless(part: Change) -> bool:
    return part.op in _WRITABLE and bool(part.actions) and part.risk in HARMLESS


def _combined(parts: list[Change]) -> Change:
    """Combine several changes of one object: what can be done is done, and the rest is reported as held back."""
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


def vmgroups(site: SiteContext) -> Iterator[Change]:
    """The declared vmgroups, and those that no manifest declares."""
    for context in site.databases.values():
        for change in _vmgroups(context, site):
            if change.op not in _WRITABLE:
                yield change
            elif context.moves:
                why = f"its {context.db.ref} is moved first"
                yield Change(change.ref, Op.BLOCKED, why, change.fields, effect=change.effect)
            elif context.old and (context.old_driver or context.relocation):
                reason = f"its {context.db.ref} has an old schema and cannot be upgraded now"
                yield Change(change.ref, Op.BLOCKED, reason, notes=change.notes, effect=change.effect)
            else:
                yield change


def _vmgroups(context: DBContext, site: SiteContext) -> Iterator[Change]:
    found = context.vmgroups
    if not isinstance(found, VMGroupContext):
        yield from (Change(group.ref, *found, effect=drift.of_whole(context.stored)) for group in context.groups)
        return
    datastores, rights = site.expected.datastores, found.rights
    old = without(Feature.SPECIAL_QUOTAS, context.db.hosts, site.expected)
    for pair in (supported(with_needed_access(pair, found.members, site.names), old) for pair in found.pairs):
        change = vmgroup_change(pair, found.members, datastores, site.links, site.names)
        change = replace(change, rights=rights.of(change, pair.before, pair.after))
        if (former := found.renamed.get(change.ref)) is not None:
            notes = (renaming_note(pair.group, former), *change.notes)
            change = replace(change, notes=notes, formerly=former)
        change = taking_back(change, pair, found.members, rights, datastores, site.links, site.names)
        if change.op is not Op.KEEP and (effect := drift.of_pair(change, pair, found.members)) is not Effect.NEITHER:
            change = replace(change, effect=effect)
        yield change
    by_former_name = {former: ref for ref, former in found.renamed.items()}
    for each, why_not in found.undeclared:
        change = undeclared_change(each, why_not, found.members, datastores, site.links, site.names)
        if (now := by_former_name.get(each.state.name)) is not None:
            change = replace(change, notes=(*change.notes, f"{now} may be this one under a new name: see there first"))
        if change.undeclared:
            change = _with_rights(change, rights.held_by(each.state), counts=each.unknown or each.removed)
        else:
            change = replace(change, rights=rights.of(change, each.state, None))
        yield replace(change, effect=drift.of_undeclared(change, each.state, found.members))


def _with_rights(change: Change, held: tuple[RightsChange, ...], *, counts: bool) -> Change:
    """Tell the rights that no manifest here declares. If they count, they make an undeclared object a difference."""
    if not held:
        return change
    told = "; until then" if change.op is Op.REMOVED else ":" if counts else ";"
    return replace(change, reason=f"{change.reason}{told} {spelled(held)}", rights=held if counts else ())


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
        effect = Effect.NEITHER if change.op is Op.KEEP else drift.of_host(host, seen, follows=follows)
        yield replace(change, rights=() if follows else of_host(change, host, seen), effect=effect)
    yield from undeclared_host_changes(site)
