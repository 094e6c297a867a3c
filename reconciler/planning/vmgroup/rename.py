"""Renames of vmgroups: obstacles, the name links, and renames that nobody declared.

vDVS serves a vmgroup from `dockvols/<name>` if that exists, without asking whose folder it leads to. So nothing of the
old name may stay behind, or the next vmgroup of that name gets these volumes; and nothing foreign may be at the new
name when the config DB says it, or this vmgroup gets foreign ones.

Source: docs/domain.md#layout-of-dockvols
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Final

from reconciler.model.base import Risk
from reconciler.model.diff import FieldChange
from reconciler.model.kinds.vmgroup import RemoveNameLink, ResolvedVMGroup, SetNameLink
from reconciler.model.refs import ObjectRef
from reconciler.model.state import DockvolsEntry, EntryKind, ObservedDatastore
from reconciler.planning.spelling import DisplayNames
from reconciler.planning.vmgroup.link_conflicts import LinkConflicts
from reconciler.planning.vmgroup.name_links import LinkChange, folder_of, leads_nowhere
from reconciler.planning.vmgroup.state import VMGroupState

_PLAIN: Final = re.compile(
    r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z_][a-z0-9_.-]*", re.IGNORECASE
)  # text in YAML


def why_not_rename(
    before: VMGroupState,
    after: VMGroupState,
    datastores: Mapping[str, ObservedDatastore],
    others: LinkConflicts,
    names: DisplayNames,
) -> str | None:
    """Return what keeps `before` from being renamed to `after` now, or None.

    Source: docs/domain.md#layout-of-dockvols
    """
    if "\ufffd" in before.name:
        return f"its name {before.name} is not text, so a link of that name could not be removed"
    for url in sorted(datastores):
        shown = names.datastore(url) or url
        if (error := datastores[url].error) is not None:
            return f"dockvols on {shown} could not be read ({error}), and a link of its old name may be there"
        if (found := _obstacle(before, after, datastores[url], others)) is not None:
            path, what = found
            return f"dockvols/{path} on {shown} {what}"
    return None


def _obstacle(
    before: VMGroupState, after: VMGroupState, datastore: ObservedDatastore, others: LinkConflicts
) -> tuple[str, str] | None:
    entries = datastore.entries
    old, new, folder = entries.get(before.name), entries.get(after.name), entries.get(after.uuid)
    if folder is not None and folder.kind is not EntryKind.FOLDER:
        leads = f" to {folder.target}" if folder.target else ""
        return after.uuid, f"is a {folder.kind}{leads}; look, then remove it"
    if old is not None and old.kind is not EntryKind.LINK:
        return (
            before.name,
            f"is a {old.kind}, and vDVS uses it in place of the vmgroup's folder; look, then move it",
        )
    rivals = others.namesakes(after.name, after.uuid)
    if (rival := next((uuid for uuid in rivals if uuid in entries), None)) is not None:
        return after.name, f"belongs to a vmgroup of another config DB, with the uuid {rival}; take another name"
    if new is None or new.target == folder_of(datastore.url, after.uuid):
        return None
    if new.kind is not EntryKind.LINK:
        return after.name, f"is already there (a {new.kind}); look what it is, then remove it"
    if not _is_stale(new, after, others):
        return after.name, f"leads to {new.target}, which is no folder of a vmgroup known here; look, then remove it"
    return None


def _is_stale(link: DockvolsEntry, group: VMGroupState, others: LinkConflicts) -> bool:
    """Whether a link of the new name is certainly left over: it leads to a vmgroup of another name.

    Source: docs/domain.md#layout-of-dockvols
    """
    uuid = (link.target or "").rpartition("/")[2]
    return uuid == group.uuid or (others.all_read and group.name not in others.names.get(uuid, {group.name}))


def disk_by_name(name: str, disks: Mapping[str, tuple[str, ...]], names: DisplayNames) -> str | None:
    """Return which VM has a disk attached by the path `dockvols/<name>/`, which breaks when the link goes; or None.

    Source: docs/domain.md#layout-of-dockvols
    """
    for vm in sorted(disks, key=lambda vm: names.vm(vm, None)):
        for disk in disks[vm]:
            if disk.partition("dockvols/")[2].partition("/")[0] == name:
                return names.attached(vm, None, disk)
    return None


def rename_links(
    ref: ObjectRef,
    before: VMGroupState,
    after: VMGroupState,
    datastores: Mapping[str, ObservedDatastore],
    others: LinkConflicts,
    names: DisplayNames,
) -> Iterator[LinkChange]:
    """The links of the old name go, and what is left at the new one; then the new links come, where the folder is and
    no other vmgroup has the name.

    Source: docs/domain.md#layout-of-dockvols
    """
    for url in sorted(datastores):
        entries, wanted = datastores[url].entries, folder_of(url, after.uuid)
        path = f"links[{names.datastore(url)}]"
        for name in (before.name, after.name):
            entry = entries.get(name)
            if entry is None or (name == after.name and entry.target == wanted):
                continue
            harmless = (entry.target or "").rpartition("/")[2] == after.uuid or leads_nowhere(entry, datastores)
            risk = Risk.SAFE if harmless else Risk.RESTRICTS
            note = None if harmless else f"EXPOSED: dockvols/{name} on {names.datastore(url)} leads to {entry.target}"
            action = RemoveNameLink(ref, risk, url, name, entry.target or "")
            yield LinkChange(FieldChange(path, name, None), action, note)
        new = entries.get(after.name)
        alone = others.alone(after.name, after.uuid)
        if after.uuid in entries and alone and (new is None or new.target != wanted):
            set_link = SetNameLink(ref, Risk.SAFE, url, after.name, after.uuid)
            yield LinkChange(FieldChange(path, None, after.name), set_link)


def former_links(
    ref: ObjectRef,
    group: VMGroupState,
    previous: Iterable[str],
    datastores: Mapping[str, ObservedDatastore],
    disks: Mapping[str, tuple[str, ...]],
    names: DisplayNames,
) -> Iterator[LinkChange]:
    """Links of previous names that still lead to this vmgroup: the next one of such a name would get its volumes.

    Source: docs/domain.md#layout-of-dockvols
    """
    former = sorted(previous)
    for url in sorted(datastores) if former else ():
        entries = datastores[url].entries
        for name in (name for name in former if name in entries):
            target = entries[name].target or ""
            if target.rpartition("/")[2] == group.uuid:
                field = FieldChange(f"links[{names.datastore(url)}]", name, None)
                held = disk_by_name(name, disks, names)
                action = None if held else RemoveNameLink(ref, Risk.RESTRICTS, url, name, target)
                yield LinkChange(field, action, held=held)


def perhaps_renamed(
    missing: Iterable[tuple[ResolvedVMGroup, VMGroupState]], left: Sequence[VMGroupState], applied: Container[str]
) -> dict[ObjectRef, str]:
    """Return the names that `missing` vmgroups may have had, which are declared and not there yet: those of undeclared
    ones, `left`, that have most of the same VMs, or that were `applied` (UUIDs) and are like the declared one without
    VMs. Where several may be the same one, it is that with most of its VMs; else none.

    Source: docs/domain.md#layout-of-dockvols
    """
    if not left:
        return {}
    by_vm = {vm: state for state in left for vm in state.members}
    like: dict[object, list[VMGroupState]] = {}
    for state in left:
        if state.uuid in applied:
            for content in ((), _content(state)):
                like.setdefault(content, []).append(state)
    found: dict[str, list[tuple[int, ObjectRef]]] = {}
    for group, after in missing:
        if (former := _former(group, after, by_vm, like)) is not None:
            found.setdefault(former.name, []).append((-len(former.members.keys() & after.members.keys()), group.ref))
    best = {name: sorted(claims) for name, claims in found.items()}
    return {claims[0][1]: name for name, claims in best.items() if len(claims) == 1 or claims[0][0] < claims[1][0]}


def _former(
    group: ResolvedVMGroup,
    after: VMGroupState,
    by_vm: Mapping[str, VMGroupState],
    like: Mapping[object, Sequence[VMGroupState]],
) -> VMGroupState | None:
    if shared := Counter(by_vm[vm].uuid for vm in after.members if vm in by_vm):
        uuid, number = shared.most_common(1)[0]
        former = next(by_vm[vm] for vm in after.members if vm in by_vm and by_vm[vm].uuid == uuid)
        return former if 2 * number >= max(len(former.members), len(after.members)) else None
    stated = group.access is not None and group.default_url is not None
    alike = [
        state
        for state in like.get(_content(after) if stated else (), ())
        if group.description in (None, state.description)
        and (group.members is None or not (after.members or state.members))
    ]
    return alike[0] if len(alike) == 1 else None


def _content(state: VMGroupState) -> object:
    return state.default_url, tuple(state.access.items())


def renaming_note(group: ResolvedVMGroup, former: str) -> str:
    """Return what makes a new vmgroup the one of another name, in words."""
    line = previous_names_line((former, *group.previous_names))
    return f"if it is vmgroup {former} under a new name: `{line}` in its spec keeps the uuid, and so the volumes"


def previous_names_line(names: Iterable[str]) -> str:
    """Return the line of a manifest that says it was called so: `previousNames: [web]`."""
    spelled = (name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False) for name in names)
    return f"previousNames: [{', '.join(spelled)}]"
