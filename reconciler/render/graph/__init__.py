"""The graph of rights: VMs, the vmgroups that they are in, and the datastores that these may use. A module a format."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.diff import Standing
from reconciler.model.refs import DEFAULT_VMGROUP, ObjectRef
from reconciler.model.units import format_size
from reconciler.planning.rights.access import AccessMap, Cell, Promised
from reconciler.planning.rights.decision import UNLIMITED, Grant
from reconciler.planning.spelling import DisplayNames
from reconciler.render.text import about

_EVERYTHING: Final = Grant(UNLIMITED, UNLIMITED).spelled(each=False)
_OTHERS: Final = "every VM in no vmgroup"


class Right(Struct, frozen=True):
    """What a group may do on one datastore, in words. `creates`: not only mount; `share`: how much of its quota is used
    (None: it has none)."""

    url: str
    text: str
    creates: bool
    share: float | None = None


class Group(Struct, frozen=True):
    """A vmgroup, or every VM on a host that is open (then `ref` is None). `standing`: the word for its state."""

    ref: ObjectRef | None
    name: str
    standing: Standing | None
    vms: tuple[str, ...]
    rights: tuple[Right, ...]


class Graph(Struct, frozen=True):
    """Groups, those of open hosts first, and datastores by name."""

    groups: tuple[Group, ...]
    datastores: tuple[Promised, ...]

    def among(self, only: Container[ObjectRef] | None) -> Graph:
        """Return the part with these vmgroups (None: all of it)."""
        if only is None:
            return self
        return self._with([group for group in self.groups if group.ref is not None and group.ref in only], frozenset())

    def of(self, *, vmgroups: Iterable[str] = (), vms: Iterable[str] = (), datastores: Iterable[str] = ()) -> Graph:
        """Return the part with these vmgroups, with the vmgroups of these VMs, and whatever may use these datastores
        (their URLs)."""
        names, members, urls = frozenset(vmgroups), frozenset(vms), frozenset(datastores)
        kept = []
        for group in self.groups:
            if group.ref is not None and group.name in names:
                kept.append(group)
            elif inside := tuple(vm for vm in group.vms if vm in members):
                kept.append(replace(group, vms=inside))
            elif rights := tuple(right for right in group.rights if right.url in urls):
                kept.append(replace(group, rights=rights))
        return self._with(kept, urls)

    def _with(self, groups: Sequence[Group], urls: frozenset[str]) -> Graph:
        used = urls | {right.url for group in groups for right in group.rights}
        return Graph(tuple(groups), tuple(each for each in self.datastores if each.datastore.url in used))


def graph(found: AccessMap, standings: Mapping[ObjectRef, Standing], names: DisplayNames) -> Graph:
    """Return the graph of an access map. VMs are shown by name, or by UUID where that is not known or not unique."""
    known = _vm_names(found, names)
    groups = [
        Group(
            ref,
            ref.name,
            standings.get(ref),
            (
                *sorted(known[uuid] for uuid in group.state.members),
                *([_OTHERS] if group.state.name == DEFAULT_VMGROUP else []),
            ),
            tuple(_right(url, group.cells[url]) for url in _ordered(group.cells, found)),
        )
        for ref, group in found.groups.items()
    ]
    opened = [
        Group(None, f"every VM on {host}", Standing.OPEN, (), tuple(Right(url, _EVERYTHING, True) for url in urls))
        for host, urls in found.open_on.items()
    ]
    return Graph((*opened, *groups), found.promised())


def _ordered(cells: Mapping[str, Cell], found: AccessMap) -> Sequence[str]:
    return [each.url for each in found.datastores if each.url in cells]


def _right(url: str, cell: Cell) -> Right:
    limit = cell.use.limit_mb
    text = f"{cell.use.rights}, VMs on it only" if cell.use.beside else cell.use.rights
    if limit:
        text += f" ({about(cell.used_mb)} of {format_size(limit)} used)"
    elif cell.used_mb:
        text += f" ({about(cell.used_mb)} used)"
    return Right(url, text, not cell.use.mounts, cell.used_mb / limit if limit else None)


def _vm_names(found: AccessMap, names: DisplayNames) -> dict[str, str]:
    members = {uuid: name for group in found.groups.values() for uuid, name in group.state.members.items()}
    shown = {uuid: names.short_vm(uuid, name) for uuid, name in members.items()}
    seen: dict[str, int] = {}
    for name in shown.values():
        seen[name] = seen.get(name, 0) + 1
    return {uuid: name if seen[name] == 1 else f"{name} ({uuid})" for uuid, name in shown.items()}


def promised_text(of: Promised) -> str:
    """How much of a datastore is promised: `5GB of 512GB promised`."""
    capacity = "" if of.datastore.capacity_mb is None else f" of {about(of.datastore.capacity_mb)}"
    more = f", {of.unlimited} without limit" if of.unlimited else ""
    return f"{about(of.promised_mb)}{capacity} promised{more}"
