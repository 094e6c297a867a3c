"""Vmgroups that no manifest declares: reported, left alone, or deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.base import Risk, worst
from reconciler.model.diff import Action, Cause, Change, FieldChange, Op
from reconciler.model.kinds.configdb import ObservedConfigDB, ResolvedConfigDB, Unmanaged
from reconciler.model.kinds.vmgroup import DeleteVMGroup, RemoveNameLink, ResolvedVMGroup
from reconciler.model.ownership import Applying, Record
from reconciler.model.refs import DEFAULT_VMGROUP, Kind, ObjectRef
from reconciler.model.state import DockvolsEntry, EntryKind, ObservedDatastore, Resolved
from reconciler.planning.records.ownership import Ledger, gone_from_set, object_name, spell, unproven
from reconciler.planning.scope import unresolved_vmgroups, vmgroup_ref
from reconciler.planning.spelling import DisplayNames
from reconciler.planning.vmgroup.link_conflicts import LinkConflicts
from reconciler.planning.vmgroup.membership import Membership, member_changes
from reconciler.planning.vmgroup.name_links import LinkChange, volumes_of
from reconciler.planning.vmgroup.pairing import may_be
from reconciler.planning.vmgroup.rename import disk_by_name
from reconciler.planning.vmgroup.state import VMGroupState


class Undeclared(Struct, frozen=True):
    """A vmgroup that no manifest declares, and why it is reported or to be deleted.

    `only_of`: it is to be deleted if one of these sets applied it last ("": if none did); None: it is only reported.
    `unknown`: no record says that anybody ever applied it, or only one that this side would have to know of, and does
    not. `removed`: the set of the manifests here applied it last and no longer declares it, and `pruned`: it is to be
    deleted for that.
    `unproven`: why the config DB's word for that does not do (empty: it does, or this side knows it, too); `disputed`:
    how the config DB contradicts what this side knows of that, so that it is not pruned.

    Source: docs/domain.md#who-applied-what
    """

    ref: ObjectRef
    state: VMGroupState
    why: str
    only_of: tuple[str, ...] | None = None
    unknown: bool = False
    removed: bool = False
    pruned: bool = False
    unproven: str = ""
    disputed: str = ""


def undeclared(
    db: ResolvedConfigDB,
    states: Iterable[VMGroupState],
    groups: Iterable[ResolvedVMGroup],
    known: Ledger | None,
    applying: Applying | None,
    resolved: Resolved,
) -> Iterator[Undeclared]:
    """Return the undeclared vmgroups of `db` that are to be reported or deleted.

    Source: docs/domain.md#who-applied-what
    """
    states = list(states)
    spared = mentioned(db, states, groups, resolved)
    prefix = vmgroup_ref(db.ref, "", resolved).name
    for state in states:
        if state.name in spared or state.uuid in spared:
            continue
        ref = ObjectRef(Kind.VMGROUP, prefix + state.name)
        record = known.of_vmgroup(state.name, state.uuid) if known is not None else None
        found = _to_delete(db, ref, state, record, known, applying) if known is not None else None
        if found is not None:
            yield found
        elif applying is not None and known is not None and (last := _removed(state, record, known, applying)):
            why = f"set {last.set} applied it last ({spell(last)}) and no longer declares it"
            kept = known.kept_set(object_name(Kind.VMGROUP, state.name), state.uuid)
            doubt = unproven(last.set, kept, applying)
            yield Undeclared(ref, state, why, removed=True, unproven=doubt, disputed=_disputed(last, record))
        elif db.unmanaged is not Unmanaged.IGNORE:
            unknown = record is None or _only_claimed(record, known, applying)
            yield Undeclared(ref, state, _report(db, known, record, applying), unknown=unknown)


def mentioned(
    db: ResolvedConfigDB, states: Iterable[VMGroupState], groups: Iterable[ResolvedVMGroup], resolved: Resolved
) -> set[str]:
    """Names and UUIDs of vmgroups that the manifests mention. A previous name no longer counts once
    the vmgroup is found by its pinned UUID: a vmgroup with that name is another one. One that is somebody else's does
    not count either: whoever mentions it would keep its owner from removing it."""
    groups, states = list(groups), list(states)
    by_uuid, by_name = ({getattr(state, key): state for state in states} for key in ("uuid", "name"))
    names = {group.name for group in groups} | unresolved_vmgroups(db.ref, resolved)
    names |= {
        name
        for group in groups
        if group.previous_names and group.uuid not in by_uuid
        for name in group.previous_names
        if name not in by_name or may_be(group, by_name[name])
    }
    uuids = {
        group.uuid
        for group in groups
        if group.uuid and (group.uuid not in by_uuid or may_be(group, by_uuid[group.uuid]))
    }
    return names | uuids | {DEFAULT_VMGROUP}  # ConfigDB.spec.defaultVMGroup speaks of that one, or leaves it alone


def _to_delete(
    db: ResolvedConfigDB,
    ref: ObjectRef,
    state: VMGroupState,
    record: Record | None,
    known: Ledger,
    applying: Applying | None,
) -> Undeclared | None:
    mine = applying.set if applying is not None else ""
    last = record.set if record is not None else ""
    kept = known.kept_set(object_name(Kind.VMGROUP, state.name), state.uuid)
    if kept is not None and kept not in ("", mine):
        return None  # whatever the config DB says now: this side knows whose it is
    if applying is not None and applying.backup is not None and last in ("", mine):
        return Undeclared(ref, state, f"it is not in {applying.backup}", tuple(sorted({"", mine})))
    if applying is not None and applying.prune and mine and last == mine:
        why = f"set {mine} applied it last and no longer declares it"
        return Undeclared(ref, state, why, (mine,), pruned=True, unproven=unproven(mine, kept, applying))
    if db.unmanaged is Unmanaged.DELETE and last in ("", mine) and (applying is None or applying.whole):
        why = f"no manifest declares it, and spec.unmanaged of {db.ref} is Delete"
        return Undeclared(ref, state, why, tuple(sorted({"", mine})))
    return None


def _only_claimed(record: Record, known: Ledger | None, applying: Applying | None) -> bool:
    """Return whether this side knows of applies in this config DB from this set, or from none, but not of this one."""
    ours = record.set in ("", applying.set if applying is not None else "")
    return known is not None and bool(known.kept) and ours and known.kept.get(record.object) is None


def _removed(state: VMGroupState, record: Record | None, known: Ledger, applying: Applying) -> Record | None:
    """The last apply of a vmgroup that the set here declares no longer; None: it is none of this set, or its manifest
    may just not be given."""
    own = known.kept.get(object_name(Kind.VMGROUP, state.name))
    if own is not None and (own.uid != state.uuid or (applying.trust_records and record is not None)):
        own = None
    if not gone_from_set((own if own is not None and own.set else record), applying):
        return None
    return record if record is not None and record.set == applying.set else own


def _disputed(last: Record, record: Record | None) -> str:
    if last is record:
        return ""
    if record is None:
        return "its record in the config DB is gone; apply it once more before it is removed"
    of = f"set {record.set} applied it" if record.set else "it was applied from no set"
    return f"the config DB claims that {of} since ({spell(record)}); --trust-records believes it"


def _report(db: ResolvedConfigDB, known: Ledger | None, record: Record | None, applying: Applying | None) -> str:
    stays = ""
    if db.unmanaged is Unmanaged.DELETE:
        part = applying is not None and not applying.whole
        stays = "; it stays, as only a part of the manifests is given" if part else "; it stays"
    if known is None:
        return f"no manifest declares it, and who applied it is unknown{stays}"
    if record is None:
        return f"created outside the manifests{stays}"
    if not record.set:
        return f"applied from no set ({spell(record)}), and no longer declared{stays}"
    return f"set {record.set} applied it last ({spell(record)}){stays}"


def hindrance(
    state: VMGroupState,
    seen: ObservedConfigDB,
    unseen: str | None,
    perhaps: Mapping[str, str],
    datastores: Mapping[str, ObservedDatastore],
    others: LinkConflicts,
    names: DisplayNames,
) -> str | None:
    """Return what keeps this vmgroup from being deleted now, whoever its members are; or None. `unseen`: why this
    pass does not see everything; `perhaps`: likewise of single vmgroups, by name and UUID.

    Source: docs/domain.md#who-applied-what
    """
    if (volumes := volumes_of(state.uuid, datastores, names)) is not None:
        return f"{volumes}; remove or migrate them first"
    if any(use.tenant_id == state.uuid and use.count for use in seen.volume_use):
        return "the books still count volumes for it"
    unseen = unseen or perhaps.get(state.name) or perhaps.get(state.uuid)
    if unseen is not None:
        return f"{unseen}, so nothing is removed"
    if "\ufffd" in state.name:
        return "its name is not text, so a link of that name could not be removed"
    for url in sorted(datastores):
        entries = datastores[url].entries
        folder, link = entries.get(state.uuid), entries.get(state.name)
        if folder is not None and folder.kind is not EntryKind.FOLDER:
            return f"dockvols/{state.uuid} on {names.datastore(url)} is a {folder.kind}; look, then remove it"
        if link is not None and (why := _why_keep(link, state, others)) is not None:
            return f"dockvols/{state.name} on {names.datastore(url)} {why}; look, then remove it"
    return None


def _why_keep(link: DockvolsEntry, state: VMGroupState, others: LinkConflicts) -> str | None:
    if link.kind is not EntryKind.LINK:
        return f"is a {link.kind}"
    uuid = _leads_to(link)
    known = uuid == state.uuid or uuid in others.names
    return None if known else f"leads to {link.target}, which is no folder of a vmgroup known here"


def _leads_to(link: DockvolsEntry) -> str:
    return (link.target or "").rpartition("/")[2]


def undeclared_change(
    found: Undeclared,
    why_not: str | None,
    membership: Membership,
    datastores: Mapping[str, ObservedDatastore],
    others: LinkConflicts,
    names: DisplayNames,
) -> Change:
    """Return the change of an undeclared vmgroup. `why_not`: what keeps it from being deleted."""
    ref, state = found.ref, found.state
    if found.removed:
        return Change(
            ref, Op.REMOVED, f"{found.why}; {_way_out(found, found.disputed or why_not)}", cause=Cause.MANIFEST
        )
    if found.only_of is None:
        return Change(ref, Op.UNMANAGED, found.why)
    if why_not is None:
        why_not = disk_by_name(state.name, membership.disks, names)
    if why_not is not None:
        return Change(ref, Op.BLOCKED, f"it cannot be deleted: {why_not}", notes=(found.why,))
    members = list(member_changes(ref, state, replace(state, members={}), False, membership, names))
    tied = frozenset(change.tied for change in members if change.tied is not None)
    if held := [change.held for change in members if change.held is not None]:
        return Change(ref, Op.BLOCKED, f"it cannot be deleted: {held[0]}", notes=(*held[1:], found.why), tied=tied)
    links = list(_links(ref, state, datastores, others, names))
    actions: list[Action] = [change.action for change in members if change.action is not None]
    actions += [change.action for change in links if change.action is not None]
    actions.append(DeleteVMGroup(ref, Risk.DESTROYS, state.uuid, state.name, found.only_of))
    fields = (*(change.field for change in members), *(change.field for change in links))
    cause = Cause.MANIFEST if found.pruned else Cause.UNKNOWN
    risk = worst([action.risk for action in actions])
    return Change(ref, Op.DELETE, found.why, fields, tuple(actions), risk, tied=tied, cause=cause)


def _way_out(found: Undeclared, why_not: str | None) -> str:
    if why_not is not None:
        return f"--prune leaves it: {why_not}"
    command = "`vdvs apply --prune --allow-destroy`"
    return f"{found.unproven} with {command}" if found.unproven else f"{command} removes it"


def _links(
    ref: ObjectRef,
    state: VMGroupState,
    datastores: Mapping[str, ObservedDatastore],
    others: LinkConflicts,
    names: DisplayNames,
) -> Iterator[LinkChange]:
    """Remove its name links: the next vmgroup of that name would be served from there. Those of a namesake in another
    config DB stay.

    Source: docs/domain.md#layout-of-dockvols
    """
    for url in sorted(datastores):
        link = datastores[url].entries.get(state.name)
        if link is None:
            continue
        uuid = _leads_to(link)
        if uuid == state.uuid or state.name not in others.names.get(uuid, ()):
            risk = Risk.SAFE if uuid == state.uuid else Risk.RESTRICTS
            field = FieldChange(f"links[{names.datastore(url)}]", state.name, None)
            yield LinkChange(field, RemoveNameLink(ref, risk, url, state.name, link.target or ""))
