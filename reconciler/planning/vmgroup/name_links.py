"""The links `dockvols/<vmgroup name>`: vDVS follows them blindly, so a wrong one hands out foreign volumes.

Source: docs/domain.md#layout-of-dockvols
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from reconciler.model.base import Risk
from reconciler.model.diff import FieldChange
from reconciler.model.kinds.vmgroup import LinkAction, RemoveNameLink, SetNameLink, TenantRow
from reconciler.model.refs import SPECIAL_DATASTORES, ObjectRef
from reconciler.model.state import DockvolsEntry, EntryKind, ObservedDatastore
from reconciler.planning.spelling import DisplayNames
from reconciler.planning.vmgroup.link_conflicts import LinkConflicts
from reconciler.planning.vmgroup.state import VMGroupState

_POLICIES = "policies"  # beside the folders of the vmgroups


class LinkChange(Struct, frozen=True):
    """The link of one vmgroup on one datastore: what would be done, or why it cannot be (`held`)."""

    field: FieldChange
    action: LinkAction | None
    note: str | None = None
    held: str | None = None


def link_changes(
    ref: ObjectRef,
    group: VMGroupState,
    datastores: Mapping[str, ObservedDatastore],
    others: LinkConflicts,
    names: DisplayNames,
) -> Iterator[LinkChange]:
    """Every datastore where the name link of an existing vmgroup is missing or leads elsewhere.

    A link is wanted only where the folder is (vDVS makes both together, at the first volume), and where it serves
    no other vmgroup: without it, vDVS uses the folder of each UUID.

    Source: docs/domain.md#layout-of-dockvols
    """
    alone = others.alone(group.name, group.uuid)
    for url in sorted(datastores):
        entries = datastores[url].entries
        link, folder = entries.get(group.name), entries.get(group.uuid)
        if link is None and folder is None:
            continue
        shown = names.datastore(url) or url
        if folder is not None and folder.kind is not EntryKind.FOLDER:
            leads = f" to {folder.target}" if folder.target else ""
            held = f"EXPOSED: dockvols/{group.uuid} on {shown} is a {folder.kind}{leads}; look, then remove it"
            yield LinkChange(FieldChange(f"links[{shown}]", str(folder.kind), group.uuid), None, held=held)
        elif link is None:
            if folder is not None and alone:
                action = SetNameLink(ref, Risk.SAFE, url, group.name, group.uuid)
                yield LinkChange(FieldChange(f"links[{shown}]", "missing", group.name), action)
        elif link.target != folder_of(url, group.uuid):
            yield _wrong_link(ref, group, url, link, folder is not None and alone, datastores, shown)


def _wrong_link(
    ref: ObjectRef,
    group: VMGroupState,
    url: str,
    link: DockvolsEntry,
    wanted: bool,
    datastores: Mapping[str, ObservedDatastore],
    shown: str,
) -> LinkChange:
    """Correct a link that leads elsewhere; `wanted`: a link of this name is needed.

    Source: docs/domain.md#layout-of-dockvols
    """
    path = f"links[{shown}]"
    if link.kind is not EntryKind.LINK:
        held = f"dockvols/{group.name} on {shown} is a {link.kind}, and vDVS uses it in place of the vmgroup's folder"
        return LinkChange(FieldChange(path, str(link.kind), group.name), None, held=held)
    # By an old name of the datastore, or to another one: wrong, but to no other vmgroup's folder.
    risk, note = Risk.RESTRICTS, None
    if leads_nowhere(link, datastores):
        risk = Risk.SAFE
        note = f"dockvols/{group.name} on {shown} leads to {link.target}, which does not exist, and vDVS ignores it"
    elif (link.target or "").rpartition("/")[2] != group.uuid:
        exposure = f"leads to {link.target}, so this vmgroup sees volumes that are not its own"
        note = f"EXPOSED: dockvols/{group.name} on {shown} {exposure}"
    if wanted:
        action: LinkAction = SetNameLink(ref, risk, url, group.name, group.uuid)
        return LinkChange(FieldChange(path, link.target, group.name), action, note)
    action = RemoveNameLink(ref, risk, url, group.name, link.target or "")
    return LinkChange(FieldChange(path, link.target, None), action, note)


def leads_nowhere(link: DockvolsEntry, datastores: Mapping[str, ObservedDatastore]) -> bool:
    """Whether a link certainly leads to nothing: vDVS then serves the vmgroup from the folder of its UUID, as if there
    were no link. That ends as soon as the folder is created.

    Source: docs/domain.md#layout-of-dockvols
    """
    url, _, name = (link.target or "").partition("/dockvols/")
    seen = datastores.get(url)
    return (
        link.kind is EntryKind.LINK
        and bool(name)
        and seen is not None
        and seen.error is None
        and (name.partition("/")[0] not in seen.entries)
    )


def name_taken(group: VMGroupState, datastores: Mapping[str, ObservedDatastore], names: DisplayNames) -> str | None:
    """Why a new vmgroup must not be made: something in `dockvols/` has its name; vDVS would serve it from there.

    Source: docs/domain.md#layout-of-dockvols
    """
    for url in sorted(datastores):
        entry = datastores[url].entries.get(group.name)
        if entry is not None and entry.target != folder_of(url, group.uuid):
            shown = names.datastore(url)
            return (
                f"dockvols/{group.name} is already there on {shown} (a {entry.kind}); look what it is, then remove it"
            )
    # A special row reaches every datastore.
    everywhere = bool(group.access.keys() & set(SPECIAL_DATASTORES.values()))
    for url in sorted(datastores):
        if (error := datastores[url].error) is not None and (everywhere or url in group.access):
            return f"dockvols on {names.datastore(url)} could not be read ({error})"
    return None


def exposing_names(tenants: Sequence[TenantRow]) -> Iterator[str]:
    """Vmgroups that vDVS serves from a folder that is not theirs, because they are named like it.

    Source: docs/domain.md#layout-of-dockvols
    """
    of_id = {tenant.id: tenant.name for tenant in tenants}
    for tenant in tenants:
        if tenant.name in of_id and tenant.name != tenant.id:
            owner = f"the folder of vmgroup {of_id[tenant.name]}, and so its volumes"
        elif tenant.name == _POLICIES:
            owner = "the folder in which vDVS keeps its vSAN policies"
        else:
            continue
        yield f"EXPOSED: vmgroup {tenant.name} (id {tenant.id}) is served from {owner}; give it another name"


def folder_of(url: str, uuid: str) -> str:
    """The folder of a vmgroup on a datastore. Source: docs/domain.md#layout-of-dockvols"""
    return f"{url}/dockvols/{uuid}"


def volumes_of(uuid: str, datastores: Mapping[str, ObservedDatastore], names: DisplayNames) -> str | None:
    """`3 volumes in dockvols on SHARED-Datastore`, for the first datastore where the vmgroup has any; else None."""
    for url in sorted(datastores):
        entry = datastores[url].entries.get(uuid)
        if entry is not None and entry.volumes:
            plural = "" if entry.volumes == 1 else "s"
            return f"{entry.volumes} volume{plural} in dockvols on {names.datastore(url)}"
    return None
