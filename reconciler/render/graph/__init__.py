"""The graph of rights: VMs, the vmgroups that they are in, and the datastores that these may use. A module a format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.diff import Standing
from reconciler.model.kinds.vmgroup import FULL_ACCESS, Access
from reconciler.model.refs import ALL_DS_URL, DEFAULT_VMGROUP, ObjectRef
from reconciler.model.units import format_size
from reconciler.planning.joined import JoinedVMGroup
from reconciler.planning.rights.cells import Cell, Promises
from reconciler.planning.rights.decision import granted
from reconciler.render.page.access import AccessMap
from reconciler.render.status.load import Promised, promised
from reconciler.render.text import about

_EVERYTHING: Final = granted(ALL_DS_URL, Access(ALL_DS_URL, **FULL_ACCESS)).spelled(each=False)
_OTHERS: Final = "every VM in no vmgroup"


class Right(Struct, frozen=True):
    """Rights of a group on one datastore, in words. `creates`: not only mount; `share`: how much of its quota is used
    (None: it has none)."""

    url: str
    text: str
    creates: bool
    share: float | None = None


class Group(Struct, frozen=True):
    """A vmgroup, or every VM on a host that is open (then `ref` is None). `standing`: the word for its state. `known`:
    nothing is missing only because it could not be read."""

    ref: ObjectRef | None
    name: str
    standing: Standing | None
    vms: tuple[str, ...]
    rights: tuple[Right, ...]
    known: bool = True


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
        (their URLs), or perhaps may."""
        names, members, urls = frozenset(vmgroups), frozenset(vms), frozenset(datastores)
        kept = []
        for group in self.groups:
            if group.ref is not None and group.name in names:
                kept.append(group)
            elif inside := tuple(vm for vm in group.vms if vm in members):
                kept.append(replace(group, vms=inside))
            elif rights := tuple(right for right in group.rights if right.url in urls):
                kept.append(replace(group, rights=rights))
            elif urls and not group.known:
                kept.append(group)
        return self._with(kept, urls)

    def _with(self, groups: Sequence[Group], urls: frozenset[str]) -> Graph:
        used = urls | {right.url for group in groups for right in group.rights}
        return Graph(tuple(groups), tuple(each for each in self.datastores if each.datastore.url in used))


def graph(access: AccessMap) -> Graph:
    """Return the graph of an access map. VMs are shown by name, or with their UUID where others have that name."""
    joined, columns = access.look.joined, access.columns
    members = {ref: _members(access, group) for ref, group in joined.vmgroups.items()}
    shown = {uuid: joined.names.short_vm(uuid, name) for known in members.values() for uuid, name in known.items()}
    names = Counter(shown.values())
    known = {uuid: name if names[name] == 1 else f"{name} ({uuid})" for uuid, name in shown.items()}
    opened: dict[str, list[str]] = {}
    for column in columns:
        for host in column.open_on:
            opened.setdefault(host, []).append(column.datastore.url)
    groups = [
        Group(None, f"every VM on {host}", Standing.OPEN, (), tuple(Right(url, _EVERYTHING, True) for url in urls))
        for host, urls in sorted(opened.items())
    ]
    sums = [Promises() for _ in columns]
    for ref, group in joined.vmgroups.items():
        if access.declared and group.resolved is None:
            continue
        rights = []
        for number, found, used in access.cells(group):
            sums[number].add(found)
            rights.append(_right(columns[number].datastore.url, found, used))
        vms = sorted(known[uuid] for uuid in members[ref])
        state = access.state(group)
        vms += [_OTHERS] if state is not None and state.name == DEFAULT_VMGROUP else []
        groups.append(Group(ref, ref.name, group.change.standing, tuple(vms), tuple(rights), access.is_known(group)))
    return Graph(tuple(groups), promised(access, sums))


def _members(access: AccessMap, group: JoinedVMGroup) -> Mapping[str, str | None]:
    state = access.state(group)
    return state.members if state is not None else {member.uuid: member.name for member in group.members}


def _right(url: str, found: Cell, used: int) -> Right:
    limit = found.limit_mb
    text = f"{found.rights}, depending on the release of vDVS" if found.unsure else found.rights
    if limit:
        text += f" ({about(used)} of {format_size(limit)} used)"
    elif used:
        text += f" ({about(used)} used)"
    return Right(url, text, bool(found.way.creates), used / limit if limit else None)
