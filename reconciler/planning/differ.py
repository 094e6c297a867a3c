"""Resolved + Observed -> Diff: every object compared, every difference with its reason, its risk and its actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.diff import Change, Diff, Op
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB, ResolvedConfigDB
from reconciler.model.kinds.host import ObservedHost, ResolvedHost
from reconciler.model.ownership import Applying
from reconciler.model.refs import DEFAULT_VMGROUP, Kind, ObjectRef
from reconciler.model.risk import Risk
from reconciler.model.state import Observed, Resolved
from reconciler.planning.configdb.diff import config_db_change, usable, used_elsewhere
from reconciler.planning.configdb.old_schema import is_old, lifted_all
from reconciler.planning.configdb.own_db import own_db
from reconciler.planning.configdb.relocation import Relocation, place_of, relocation, relocation_change
from reconciler.planning.configdb.repairs import with_repairs
from reconciler.planning.configdb.upgrade import waiting, why_not_upgrade, with_upgrade
from reconciler.planning.host.diff import host_change
from reconciler.planning.host.undeclared import undeclared_host_changes
from reconciler.planning.ownership import Ledger, forgotten, ledger, object_name, recorded
from reconciler.planning.rights.change import RightsChanges, of_default, of_host
from reconciler.planning.rights.releases import Feature, supported, without
from reconciler.planning.scope import incomplete, unresolved_vmgroups
from reconciler.planning.spelling import DisplayNames
from reconciler.planning.storagepolicy import forgotten_policies, policy_changes
from reconciler.planning.vmgroup.default import fallback
from reconciler.planning.vmgroup.diff import vmgroup_change
from reconciler.planning.vmgroup.link_conflicts import link_conflicts
from reconciler.planning.vmgroup.membership import Membership, Misspelt
from reconciler.planning.vmgroup.needed_access import with_needed_access
from reconciler.planning.vmgroup.pairing import Pair, pairs, uuid_of
from reconciler.planning.vmgroup.state import VMGroupState, observed_states, orphaned
from reconciler.planning.vmgroup.undeclared import hindrance, undeclared, undeclared_change
from reconciler.planning.volume import forgotten_volumes, volume_changes

_WRITTEN = (Op.CREATE, Op.UPDATE, Op.KEEP)


def diff(
    resolved: Resolved, observed: Observed, fresh: Mapping[ObjectRef, str], applying: Applying | None = None
) -> Diff:
    """Compare everything. Pure and total: what could not be looked up or read becomes a Change that says so.

    `fresh` holds UUIDs for the vmgroups to be made (see `without_uuid`). The order of the inputs does not matter.
    `applying`: on whose behalf; None: nobody applies, so nothing is recorded or pruned.
    """
    names = DisplayNames(resolved.inventory)
    worlds = _Worlds(resolved, observed, lifted_all(observed, resolved.inventory), names, applying)
    judged = {db.ref: _judged(db, worlds, fresh) for db in resolved.config_dbs}
    changes = [Change(failed.ref, Op.BLOCKED, failed.reason) for failed in resolved.unresolved]
    changes += [change for each in judged.values() for change in each.changes]
    attached = _attached(resolved.inventory)
    for host in resolved.hosts:
        uses = judged.get(host.config_db) if host.config_db is not None else None
        changes.append(_host(host, uses, attached, worlds))
    changes += undeclared_host_changes(observed, names)
    ledgers = {ref: each.known for ref, each in judged.items()}
    changes += policy_changes(resolved, observed, ledgers, applying)
    changes += volume_changes(resolved, observed, ledgers, applying)
    changes.sort(key=lambda change: change.ref.sort_key)
    return Diff(tuple(_spread_blocks(changes)))


class _Worlds(Struct, frozen=True):
    """What is compared: what is wanted, what was `found`, and what would be found if all config DBs were `upgraded`."""

    resolved: Resolved
    found: Observed
    upgraded: Observed
    names: DisplayNames
    applying: Applying | None


class _Judged(Struct, frozen=True):
    """A config DB with its vmgroups: how they differ, whether hosts may be pointed at it, who applied what in it (None:
    nobody can say), and where it moves from, if it does."""

    changes: tuple[Change, ...]
    joinable: bool
    known: Ledger | None = None
    moves: Relocation | None = None


def _judged(db: ResolvedConfigDB, worlds: _Worlds, fresh: Mapping[ObjectRef, str]) -> _Judged:
    resolved, observed, names = worlds.resolved, worlds.upgraded, worlds.names
    moves = relocation(db, resolved, worlds.found, names)
    if moves is not None and not (moves.led and moves.move is None):
        changes = _relocated(db, moves, resolved, observed, fresh, names)
        return _Judged(tuple(changes), moves.move is not None, None, moves)
    seen = observed.config_dbs[db.location]
    change = config_db_change(db, resolved, observed, names)
    change = replace(change, rights=of_default(change, seen, names))
    known = ledger(seen) if seen.state is DBState.PRESENT or change.op is Op.CREATE else None
    if used_elsewhere(db, resolved, observed, names) is not None:
        mine = [group.ref for group in resolved.vmgroups if group.config_db == db.ref]
        waiting_groups = (Change(ref, Op.BLOCKED, f"its {db.ref} is {change.op}") for ref in mine)
        return _Judged((change, *waiting_groups), False, known, moves)
    old = worlds.found.config_dbs[db.location]
    old_driver = why_not_upgrade(db, old, observed)
    itself, *groups = _contents(db, change, resolved, observed, fresh, worlds.applying, names)
    itself = with_upgrade(itself, old, old_driver, resolved.inventory, names)
    itself = _db_recorded(itself, worlds, known)
    itself = itself if moves is None else relocation_change(db, moves, resolved, names)
    if is_old(old) and itself.op is Op.BLOCKED:
        groups = list(waiting(groups, db.ref))
    return _Judged((itself, *groups), usable(change, seen) and old_driver is None, known, moves)


def _host(
    host: ResolvedHost, judged: _Judged | None, attached: Mapping[str, tuple[str, ...]], worlds: _Worlds
) -> Change:
    seen = worlds.upgraded.hosts[host.ref.name]
    moves = judged.moves if judged is not None else None
    source = moves.source if moves is not None and moves.move is not None else None
    own = own_db(host, seen, worlds.resolved, worlds.found, worlds.names)
    joinable = judged is not None and judged.joinable
    change = host_change(host, seen, joinable, attached, worlds.names, source, own)
    follows = isinstance(seen, ObservedHost) and source is not None and place_of(seen) == source
    change = replace(change, rights=() if follows else of_host(change, host, seen))
    known = judged.known if judged is not None else None
    return _recorded(change, Kind.HOST, host.ref.name, None, worlds.resolved, known, worlds.applying)


def _attached(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    """The names of the VMs with vDVS disks attached, by the host that they run on."""
    found: dict[str, list[str]] = {}
    for vm in inventory.vms:
        if vm.volumes and vm.host is not None:
            found.setdefault(vm.host, []).append(vm.name)
    return {host: tuple(sorted(vms)) for host, vms in found.items()}


def without_uuid(resolved: Resolved, observed: Observed) -> tuple[ObjectRef, ...]:
    """The vmgroups that are neither pinned nor there yet: each needs a fresh UUID before it can be planned."""
    present = {
        db.ref: {row.name: row.id for row in observed.config_dbs[db.location].tenants} for db in resolved.config_dbs
    }
    return tuple(group.ref for group in resolved.vmgroups if uuid_of(group, present[group.config_db]) is None)


def _contents(
    db: ResolvedConfigDB,
    db_change: Change,
    resolved: Resolved,
    observed: Observed,
    fresh: Mapping[ObjectRef, str],
    applying: Applying | None,
    names: DisplayNames,
) -> Iterator[Change]:
    """The config DB itself, and its vmgroups."""
    groups = [group for group in resolved.vmgroups if group.config_db == db.ref]
    prune = applying is not None and applying.prune
    if prune:  # that a selector matches nothing is now an order to remove whom it does not match
        groups = [replace(group, removes_members=True) for group in groups]
    seen = observed.config_dbs[db.location]
    if seen.state is DBState.UNKNOWN:
        yield db_change
        yield from (Change(group.ref, Op.UNKNOWN, f"its {db.ref} cannot be read: {seen.message}") for group in groups)
        return
    if seen.state is not DBState.PRESENT and db_change.op is not Op.CREATE:
        yield db_change
        yield from (Change(group.ref, Op.BLOCKED, f"its {db.ref} is {db_change.op}") for group in groups)
        return
    states = observed_states(seen)
    found = pairs(groups, states, fresh, orphaned(seen))
    others = link_conflicts(resolved, observed, fresh)
    known, unseen = ledger(seen), incomplete(resolved, observed)
    rest = list(undeclared(db, states.values(), groups, known, applying, resolved))
    why_not = {
        each.ref: hindrance(each.state, seen, unseen, observed.datastores, others, names)
        for each in rest
        if each.only_of is not None
    }
    doomed = {each.state.uuid: each.ref for each in rest if why_not.get(each.ref, "") is None}
    book = replace(_membership(db, seen, states, found, resolved, unseen), prune=prune)
    book = replace(book, declared={**book.declared, **doomed}, doomed=frozenset(doomed))
    rights = RightsChanges(book, names)
    if seen.state is DBState.PRESENT:
        db_change = with_repairs(db_change, seen, found, book, names)
        db_change = replace(db_change, rights=(*db_change.rights, *rights.of_repairs(db_change)))
    yield db_change
    old = without(Feature.SPECIAL_QUOTAS, db.hosts, observed)
    for pair in (supported(with_needed_access(pair, book, names), old) for pair in found):
        change = vmgroup_change(pair, book, observed.datastores, others, names)
        if change.actions:
            change = replace(change, rights=rights.of(change, pair.before, pair.after))
        yield _recorded(change, Kind.VMGROUP, pair.group.name, pair.after.uuid, resolved, known, applying)
    for each in rest:
        change = undeclared_change(each, why_not.get(each.ref), book, observed.datastores, others, names)
        yield replace(change, rights=rights.of(change, each.state, None))


def _db_recorded(change: Change, worlds: _Worlds, known: Ledger | None) -> Change:
    resolved, applying = worlds.resolved, worlds.applying
    if change.op in _WRITTEN:
        forget = forgotten(change.ref, resolved.hosts, known, applying)
        forget += forgotten_policies(change.ref, resolved, worlds.found, known, applying)
        forget += forgotten_volumes(change.ref, resolved, worlds.found, known, applying)
        change = replace(change, actions=(*change.actions, *forget))
    return _recorded(change, Kind.CONFIG_DB, change.ref.name, None, resolved, known, applying)


def _recorded(
    change: Change,
    kind: Kind,
    name: str,
    uid: str | None,
    resolved: Resolved,
    known: Ledger | None,
    applying: Applying | None,
) -> Change:
    return recorded(change, object_name(kind, name), uid, resolved.digests.get(change.ref), known, applying)


def _relocated(
    db: ResolvedConfigDB,
    moves: Relocation,
    resolved: Resolved,
    observed: Observed,
    fresh: Mapping[ObjectRef, str],
    names: DisplayNames,
) -> Iterator[Change]:
    """A config DB that moves, or cannot, and its vmgroups: nothing else is written to it meanwhile."""
    itself = relocation_change(db, moves, resolved, names)
    yield itself
    if moves.rows is None:
        mine = [group.ref for group in resolved.vmgroups if group.config_db == db.ref]
        yield from (Change(ref, Op.BLOCKED, f"its {db.ref} is {itself.op}") for ref in mine)
        return
    there = replace(observed, config_dbs={**observed.config_dbs, db.location: moves.rows})
    _, *groups = _contents(db, itself, resolved, there, fresh, None, names)
    for change in groups:
        if change.op in (Op.CREATE, Op.UPDATE, Op.DELETE):
            change = Change(change.ref, Op.BLOCKED, f"its {db.ref} is moved first", change.fields)
        yield change


def _membership(
    db: ResolvedConfigDB,
    seen: ObservedConfigDB,
    states: Mapping[str, VMGroupState],
    found: list[Pair],
    resolved: Resolved,
    unseen: str | None,
) -> Membership:
    owners = {row.vm_id: row.tenant_id for row in seen.vms}
    odd = sorted((row.vm_id, row.tenant_id) for row in seen.vms if row.vm_id.lower() not in owners)
    disks: dict[str, tuple[str, ...]] = dict.fromkeys((vm.uuid for vm in resolved.inventory.vms), ())
    homes: dict[str, frozenset[str]] = {}
    for vm in resolved.inventory.vms:
        if vm.volumes:
            disks[vm.uuid] = tuple(sorted((*disks[vm.uuid], *vm.volumes)))
            if vm.datastore is not None:
                homes[vm.uuid] = homes.get(vm.uuid, frozenset()) | {vm.datastore}
    default = next((pair.after for pair in found if pair.group.name == DEFAULT_VMGROUP), None)
    return Membership(
        owners=owners,
        misspelt={vm_id.lower(): Misspelt(vm_id, tenant) for vm_id, tenant in reversed(odd)},
        claims={member.uuid: pair.after for pair in found for member in pair.group.members or ()},
        declared={pair.after.uuid: pair.group.ref for pair in found},
        unresolved=unresolved_vmgroups(db.ref, resolved),
        states=states,
        disks=disks,
        homes=homes,
        all_seen=resolved.inventory.complete,
        incomplete=unseen,
        fallback=fallback(db, seen, states.values(), default),
    )


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
