"""The context of the passes: the whole site, and each config DB with its vmgroups."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.diff import Change, Op
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB, ResolvedConfigDB
from reconciler.model.kinds.vmgroup import ResolvedVMGroup
from reconciler.model.ownership import Applying
from reconciler.model.refs import DEFAULT_VMGROUP, Kind, ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.configdb.diff import config_db_change, usable, used_elsewhere
from reconciler.planning.configdb.old_schema import is_old, lifted_all
from reconciler.planning.configdb.relocation import Relocation, relocation
from reconciler.planning.configdb.upgrade import why_not_upgrade
from reconciler.planning.records.ownership import Ledger, kept_at, ledger, object_name
from reconciler.planning.rights.change import RightsChanges, of_default
from reconciler.planning.scope import incomplete, perhaps_anywhere, unresolved_vmgroups
from reconciler.planning.spelling import DisplayNames, display_names
from reconciler.planning.vmgroup.default import fallback
from reconciler.planning.vmgroup.link_conflicts import LinkConflicts, link_conflicts
from reconciler.planning.vmgroup.membership import Membership, Misspelt
from reconciler.planning.vmgroup.pairing import Pair, pairs
from reconciler.planning.vmgroup.rename import perhaps_renamed
from reconciler.planning.vmgroup.state import VMGroupState, observed_states, orphaned
from reconciler.planning.vmgroup.undeclared import Undeclared, hindrance, mentioned, undeclared


class VMGroupContext(Struct, frozen=True):
    """The vmgroups of one config DB: declared ones paired with existing ones, and the `undeclared`, each with what
    keeps it from being deleted (None: nothing does, or it is only reported). `renamed`: the undeclared ones that
    declared ones may be, see `rename.perhaps_renamed`.
    """

    pairs: tuple[Pair, ...]
    undeclared: tuple[tuple[Undeclared, str | None], ...]
    members: Membership
    rights: RightsChanges
    renamed: Mapping[ObjectRef, str]


class DBContext(Struct, frozen=True):
    """A config DB, as it was read (`stored`), and as it is once it is upgraded and moved (`seen`).

    `presence`: how the DB itself differs, apart from its rows and its move. `ledger`: who applied what in it, and where
    that is recorded (None: unknown, or nothing may be written to it now). `old_driver`: why it cannot be upgraded.
    `joinable`: hosts may be pointed at it. `vmgroups`: what its vmgroups are compared with, or why they cannot be.
    """

    db: ResolvedConfigDB
    stored: ObservedConfigDB
    seen: ObservedConfigDB
    presence: Change
    relocation: Relocation | None
    old_driver: str | None
    joinable: bool
    ledger: Ledger | None
    groups: tuple[ResolvedVMGroup, ...]
    vmgroups: VMGroupContext | tuple[Op, str]

    @property
    def moves(self) -> bool:
        """Whether a move of it is pending, blocked or not: until it is done, nothing else is written to it."""
        return self.relocation is not None and self.relocation.pending

    @property
    def old(self) -> bool:
        """Whether it has to be upgraded before anything else is written to it."""
        return is_old(self.stored)


class SiteContext(Struct, frozen=True):
    """The whole site: what is wanted, what was `found`, and what is found once config DBs are upgraded and moved
    (`expected`).

    `applying`: on whose behalf (None: nobody's). `links`: other vmgroups with the same name. `attached`: the names
    of the VMs with vDVS disks attached, by host; `disks`, `homes`: see `Membership`. `databases` by ref.
    """

    resolved: Resolved
    found: Observed
    expected: Observed
    names: DisplayNames
    applying: Applying | None
    links: LinkConflicts
    attached: Mapping[str, tuple[str, ...]]
    disks: Mapping[str, tuple[str, ...]]
    homes: Mapping[str, frozenset[str]]
    databases: Mapping[ObjectRef, DBContext]


def site_context(
    resolved: Resolved, found: Observed, fresh: Mapping[ObjectRef, str], applying: Applying | None
) -> SiteContext:
    """Build everything that the passes need. `fresh`: UUIDs for new vmgroups."""
    inventory = resolved.inventory
    names = display_names(inventory)
    relocations = {db.ref: relocation(db, resolved, found, names) for db in resolved.config_dbs}
    upgraded = lifted_all(found, inventory)
    moved = {
        db.location: moves.rows
        for db in resolved.config_dbs
        if (moves := relocations[db.ref]) is not None and moves.rows is not None
    }
    expected = replace(upgraded, config_dbs={**upgraded.config_dbs, **moved}) if moved else upgraded
    links = link_conflicts(resolved, expected, fresh)
    disks, homes = _disks(inventory), _homes(inventory)
    site = SiteContext(resolved, found, expected, names, applying, links, _attached(inventory), disks, homes, {})
    groups: dict[ObjectRef, list[ResolvedVMGroup]] = {db.ref: [] for db in resolved.config_dbs}
    for group in resolved.vmgroups:
        groups[group.config_db].append(group)
    unseen = incomplete(resolved, expected)
    databases = {
        db.ref: _db_context(db, site, groups[db.ref], relocations[db.ref], fresh, unseen) for db in resolved.config_dbs
    }
    return replace(site, databases=databases)


def _db_context(
    db: ResolvedConfigDB,
    site: SiteContext,
    groups: list[ResolvedVMGroup],
    moves: Relocation | None,
    fresh: Mapping[ObjectRef, str],
    unseen: str | None,
) -> DBContext:
    resolved, observed, names = site.resolved, site.expected, site.names
    stored, seen = site.found.config_dbs[db.location], observed.config_dbs[db.location]
    pending = moves is not None and moves.pending
    presence = config_db_change(db, resolved, observed, names)
    presence = replace(presence, rights=of_default(presence, seen, names))
    elsewhere = not pending and used_elsewhere(db, resolved, observed, names) is not None
    old_driver = None if pending else why_not_upgrade(db, stored, observed)
    joinable = usable(presence, seen) and old_driver is None and not elsewhere
    writable = seen.state is DBState.PRESENT or presence.op is Op.CREATE
    known = ledger(db, seen, observed.kept)
    not_comparable = _why_not_comparable(db, seen, presence, moves, elsewhere)
    applying = None if pending else site.applying
    if applying is not None and applying.prune:
        # Pruning removes all members where a selector matches nothing, and those that nobody sees any longer.
        groups = [replace(group, removes_members=True, selects=False) for group in groups]
    return DBContext(
        db,
        stored,
        seen,
        presence,
        moves,
        old_driver,
        joinable if moves is None or not pending else moves.move is not None,
        known if writable and not pending else None,
        tuple(groups),
        not_comparable or _vmgroups(db, site, seen, groups, applying, fresh, unseen, known),
    )


def _why_not_comparable(
    db: ResolvedConfigDB, seen: ObservedConfigDB, presence: Change, moves: Relocation | None, elsewhere: bool
) -> tuple[Op, str] | None:
    """Why the vmgroups of a config DB cannot be compared with anything."""
    if moves is not None and moves.pending:
        return None if moves.rows is not None else (Op.BLOCKED, f"its {db.ref} is {Op.BLOCKED}")
    if seen.state is DBState.UNKNOWN and not elsewhere:
        return Op.UNKNOWN, f"its {db.ref} cannot be read: {seen.message}"
    if elsewhere or (seen.state is not DBState.PRESENT and presence.op is not Op.CREATE):
        return Op.BLOCKED, f"its {db.ref} is {presence.op}"
    return None


def _vmgroups(
    db: ResolvedConfigDB,
    site: SiteContext,
    seen: ObservedConfigDB,
    groups: list[ResolvedVMGroup],
    applying: Applying | None,
    fresh: Mapping[ObjectRef, str],
    unseen: str | None,
    known: Ledger | None,
) -> VMGroupContext:
    datastores, names = site.expected.datastores, site.names
    states = observed_states(seen)
    begin = object_name(Kind.VMGROUP, "")
    applied = {name.removeprefix(begin): own.uid for name, own in kept_at(db, site.found.kept).items()}
    found = pairs(groups, states, fresh, orphaned(seen), applied)
    perhaps = perhaps_anywhere(site.resolved)
    rest = [
        (
            each,
            (each.unproven if each.only_of is not None else "")
            or hindrance(each.state, seen, unseen, perhaps, datastores, site.links, names)
            if each.only_of is not None or each.removed
            else None,
        )
        for each in undeclared(db, states.values(), groups, known, applying, site.resolved)
    ]
    doomed = {each.state.uuid: each.ref for each, why in rest if each.only_of is not None and why is None}
    members = _membership(db, site, seen, states, found, doomed)
    renamed = _renamed(db, site, states, found, known)
    return VMGroupContext(tuple(found), tuple(rest), members, RightsChanges(members, names), renamed)


def _renamed(
    db: ResolvedConfigDB,
    site: SiteContext,
    states: Mapping[str, VMGroupState],
    found: list[Pair],
    known: Ledger | None,
) -> Mapping[ObjectRef, str]:
    """Return the names that vmgroups which are not there yet may have had."""
    missing = [(pair.group, pair.after) for pair in found if pair.before is None and pair.group.uuid is None]
    if not missing:
        return {}
    ours = ("", site.applying.set if site.applying is not None else "")
    spared = mentioned(db, states.values(), [pair.group for pair in found], site.resolved)
    left, applied = [], set()
    for state in states.values():
        record = known.of_vmgroup(state.name, state.uuid) if known is not None else None
        if state.name in spared or state.uuid in spared or (record is not None and record.set not in ours):
            continue
        left.append(state)
        if record is not None:
            applied.add(state.uuid)
    return perhaps_renamed(missing, left, applied)


def _attached(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    """The names of the VMs with vDVS disks attached, by the host that they run on."""
    found: dict[str, list[str]] = {}
    for vm in inventory.vms:
        if vm.volumes and vm.host is not None:
            found.setdefault(vm.host, []).append(vm.name)
    return {host: tuple(sorted(vms)) for host, vms in found.items()}


def _disks(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    """The vDVS disks attached to each VM of the inventory, by BIOS UUID."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys((vm.uuid for vm in inventory.vms), ())
    for vm in inventory.vms:
        if vm.volumes:
            found[vm.uuid] = tuple(sorted((*found[vm.uuid], *vm.volumes)))
    return found


def _homes(inventory: Inventory) -> dict[str, frozenset[str]]:
    """The URLs of the datastores that VMs with vDVS disks lie on, by BIOS UUID."""
    found: dict[str, frozenset[str]] = {}
    for vm in inventory.vms:
        if vm.volumes and vm.datastore is not None:
            found[vm.uuid] = found.get(vm.uuid, frozenset()) | {vm.datastore}
    return found


def _membership(
    db: ResolvedConfigDB,
    site: SiteContext,
    seen: ObservedConfigDB,
    states: Mapping[str, VMGroupState],
    found: list[Pair],
    doomed: Mapping[str, ObjectRef],
) -> Membership:
    owners = {row.vm_id: row.tenant_id for row in seen.vms}
    odd = sorted((row.vm_id, row.tenant_id) for row in seen.vms if row.vm_id.lower() not in owners)
    default = next((pair.after for pair in found if pair.group.name == DEFAULT_VMGROUP), None)
    return Membership(
        owners=owners,
        misspelt={vm_id.lower(): Misspelt(vm_id, tenant) for vm_id, tenant in reversed(odd)},
        claims={
            vm.uuid: each.after for each in found for vm in each.group.members or () if vm.uuid in each.after.members
        },
        declared={**{pair.after.uuid: pair.group.ref for pair in found}, **doomed},
        unresolved=unresolved_vmgroups(db.ref, site.resolved),
        states=states,
        disks=site.disks,
        homes=site.homes,
        selecting=frozenset(pair.after.uuid for pair in found if pair.group.selects),
        gap=next(iter(site.resolved.inventory.gaps), None),
        fallback=fallback(db, seen, states.values(), default),
        doomed=frozenset(doomed),
    )
