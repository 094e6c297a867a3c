"""Lookup of names in one inventory; the reasons why a name is missing, ambiguous or unusable are for the user.

Source: docs/domain.md#identity-of-vms-and-datastores
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TypeVar, cast
from uuid import UUID

from msgspec.structs import replace

from reconciler.model.errors import FirstFew, nearest
from reconciler.model.inventory import Connection, Datastore, ESXiHost, Inventory, VirtualMachine
from reconciler.model.kinds.host import DesiredHost
from reconciler.model.kinds.vmgroup import (
    Access,
    DesiredAccess,
    Member,
    Unclear,
    VMRef,
    VMSelector,
    access_values,
)
from reconciler.model.memo import kept_with
from reconciler.model.refs import SPECIAL_DATASTORES, VOLUMES, DatastoreRef

_K = TypeVar("_K")


_T = TypeVar("_T")


class NotFoundError(Exception):
    """A name that cannot be looked up; the message is the reason for the user. `meant`: see `Unclear`."""

    def __init__(self, reason: str, meant: frozenset[str] | None = None) -> None:
        super().__init__(reason)
        self.unclear = Unclear(reason, meant)


def look_up_all(look_up: Callable[[_K], _T], wanted: Iterable[_K]) -> tuple[list[_T], tuple[Unclear, ...]]:
    """Look up all of `wanted`: what was found, and what was not."""
    found: list[_T] = []
    unclear: list[Unclear] = []
    for one in wanted:
        try:
            found.append(look_up(one))
        except NotFoundError as problem:
            unclear.append(problem.unclear)
    return found, tuple(dict.fromkeys(unclear))


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """` (did you mean "x"?)`, or nothing. What cannot be seen is escaped."""
    found = nearest(word, choices, alike=0.8)
    return "" if found is None else f" (did you mean {json.dumps(found, ensure_ascii=not found.isprintable())}?)"


def _plain(text: str) -> str:
    """Return a UUID, in any of the forms that people copy, as the inventory has it; empty if it is none."""
    digits = text.translate(str.maketrans("", "", "{}- "))
    return str(UUID(digits)) if re.fullmatch(r"[0-9A-Fa-f]{32}", digits) else ""


def _swapped(uuid: str) -> str:
    """Return a UUID with the bytes of its first three groups swapped; empty if it is none."""
    try:
        return str(UUID(bytes_le=UUID(uuid).bytes))
    except ValueError:
        return ""


class InventoryLookup:
    """Look-ups in one inventory, whatever its order. They raise NotFoundError for a missing or ambiguous name unless
    their docstring says otherwise.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._all = sorted(inventory.datastores, key=lambda d: (d.name, d.url, d.inventory_path or ""))
        self._datastores = _index((d.name, d) for d in self._all)
        self._urls = dict(SPECIAL_DATASTORES)  # by name; filled on demand
        self._rows: dict[DesiredAccess, Access] = {}  # filled on demand: most vmgroups share a few
        self._inventory = inventory
        self._few = FirstFew()

    # Each is built on first access: most sites name VMs in one way only, and hosts need none of them.
    @cached_property
    def _by_path(self) -> list[tuple[str, VirtualMachine]]:
        return [(vm.path, vm) for vm in sorted(self._inventory.vms, key=_place)]

    @cached_property
    def _paths(self) -> dict[str, list[VirtualMachine]]:
        return _index(self._by_path)

    @cached_property
    def _vms(self) -> dict[str, list[VirtualMachine]]:
        return _index((vm.name, vm) for vm in self._inventory.vms)

    @cached_property
    def _uuids(self) -> Mapping[str, list[VirtualMachine]]:
        return _by_uuid(self._inventory)

    @cached_property
    def _instance_uuids(self) -> dict[str, VirtualMachine]:
        return {vm.instance_uuid.lower(): vm for vm in reversed(self._inventory.vms) if vm.instance_uuid}

    @cached_property
    def _hosts(self) -> dict[str, ESXiHost]:
        """Hosts by name, in small letters: DNS knows no case. A host that several vCenters show is connected to one of
        them at most."""
        found: dict[str, ESXiHost] = {}
        for entry in self._inventory.hosts:
            if entry.name.lower() not in found or entry.connection is Connection.CONNECTED:
                found[entry.name.lower()] = entry
        return found

    @property
    def complete(self) -> bool:
        """Whether everything was read, so that what is not found does not exist."""
        return self._inventory.complete

    def host(self, wanted: DesiredHost) -> ESXiHost | None:
        """The host, by its name or its address; None if the inventory does not show it."""
        return self._hosts.get(wanted.ref.name.lower()) or self._hosts.get(wanted.address.lower())

    def host_like(self, wanted: DesiredHost) -> str:
        """Return the host that was probably meant by one that the inventory does not show."""
        names = {entry.name for entry in self._inventory.hosts}
        short = {name.partition(".")[0]: name for name in names}
        if near := did_you_mean(wanted.address, names):
            return near
        found = nearest(wanted.address.partition(".")[0], short, alike=0.8)
        return did_you_mean(short[found], names) if found is not None else ""

    def cluster_of(self, wanted: DesiredHost) -> str | None:
        """The inventory path of the cluster that a host is in; None: in none, or that is not known."""
        entry = self.host(wanted)
        return None if entry is None else entry.cluster

    def cluster(self, wanted: str) -> str:
        """The inventory path of this cluster, in which there is a host."""
        known = sorted({host.cluster for host in self._inventory.hosts if host.cluster is not None})
        if wanted not in known:
            near = did_you_mean(wanted, known)
            others = f"; it shows {', '.join(known)}" if known and not near else near
            raise NotFoundError(f'no cluster "{wanted}" with a host in the inventory{others}')
        return wanted

    def datastore(self, wanted: DatastoreRef) -> Datastore:
        """The datastore that `wanted` names."""
        if wanted.name is not None:
            found = self._datastores.get(wanted.name, [])
        else:
            found = [
                d
                for d in self._all
                if wanted.url == d.url or (wanted.inventory_path and wanted.inventory_path == d.inventory_path)
            ]
        if not found:
            near = did_you_mean(str(wanted), self._few(d.name for d in self._all))
            raise NotFoundError(f'no datastore "{wanted}" in the inventory{near}')
        if len({d.url for d in found}) > 1:
            urls = ", ".join(sorted(d.url for d in found))
            meant = frozenset(d.url for d in found)
            raise NotFoundError(f'datastore "{wanted}" is ambiguous ({urls}); name it by its url', meant)
        # Two vCenters may show the same datastore, each with its own hosts.
        return replace(found[0], hosts=frozenset().union(*(d.hosts for d in found)))

    def vsan_datastore(self, wanted: DatastoreRef | None) -> Datastore:
        """The vSAN datastore that `wanted` names; without a name, the only one."""
        if wanted is not None:
            found = self.datastore(wanted)
            if not found.is_vsan:
                raise NotFoundError(f'datastore "{wanted}" is of type {found.type}; storage policies are on vSAN only')
            return found
        known = {datastore.url: datastore.name for datastore in self._all if datastore.is_vsan}
        if not known:
            raise NotFoundError("the inventory has no datastore of type vsan, and storage policies are on vSAN only")
        if len(known) > 1:
            names = ", ".join(sorted(known.values()))
            raise NotFoundError(f"there are {len(known)} vSAN datastores ({names}); name one as spec.datastore")
        return self.datastore(DatastoreRef(url=next(iter(known))))

    def datastore_url(self, name: str) -> str:
        """The URL of the datastore called `name`, or of a special one. A URL is returned as it is, even one that the
        inventory does not show: rows outlive datastores.
        """
        if name.startswith(VOLUMES):
            return name
        if name not in self._urls:
            self._urls[name] = self.datastore(DatastoreRef(name=name)).url
        return self._urls[name]

    def access(self, wanted: DesiredAccess) -> Access:
        """The row for `wanted`, with the URL of its datastore."""
        row = self._rows.get(wanted)
        if row is None:
            url = self.datastore_url(wanted.datastore)
            row = self._rows[wanted] = Access(url, *access_values(wanted))
        return row

    def members(self, wanted: Iterable[VMRef]) -> tuple[list[Member], tuple[Unclear, ...]]:
        """The VMs that these name; see `look_up_all`."""
        refs, known = list(wanted), _unambiguous(self._inventory)
        found = [known.get(ref.name) for ref in refs]
        return look_up_all(self.member, refs) if None in found else (cast("list[Member]", found), ())

    def member(self, wanted: VMRef) -> Member:
        """The VM that `wanted` names."""
        if wanted.uuid is not None:
            known = self._uuids.get(wanted.uuid)
            return self._checked(min(known, key=_place)) if known else self._unknown(wanted.uuid)
        if wanted.inventory_path is not None:
            found = self._paths.get(wanted.inventory_path, [])
            if not found:
                near = did_you_mean(wanted.inventory_path, self._few(self._paths))
                raise NotFoundError(f'no VM at "{wanted.inventory_path}" in the inventory{near}')
            if len(found) > 1:
                uuids = ", ".join(sorted(vm.uuid for vm in found))
                reason = f'several VMs are at "{wanted.inventory_path}" ({uuids}); name it by uuid'
                raise NotFoundError(reason, frozenset(vm.uuid for vm in found))
            return self._checked(found[0])
        found = self._vms.get(wanted.name or "", [])
        if not found and wanted.name in self._paths:
            raise NotFoundError(f'no VM "{wanted.name}" in the inventory; a path is given as inventoryPath')
        if not found and (known := self._uuids.get(_plain(wanted.name or ""))):
            meant = min(known, key=_place)
            raise NotFoundError(
                f'no VM "{wanted.name}" in the inventory; {meant.name} is given as `uuid: {meant.uuid}`'
            )
        if not found:
            near = did_you_mean(wanted.name or "", self._few(self._vms))
            raise NotFoundError(f'no VM "{wanted.name}" in the inventory{near}')
        if len(found) > 1:
            paths = ", ".join(sorted(vm.path for vm in found))
            reason = f'VM "{wanted.name}" is ambiguous ({paths}); name it by uuid or inventoryPath'
            raise NotFoundError(reason, frozenset(vm.uuid for vm in found))
        return self._checked(found[0])

    def _unknown(self, uuid: str) -> Member:
        """A VM that nothing in the inventory has the UUID of. It may be behind a gap of the inventory; without gaps, it
        is none, or was called by an id that vDVS does not know.

        Source: docs/domain.md#identity-of-vms-and-datastores
        """
        meant = self._instance_uuids.get(uuid)
        if meant is not None:
            reason = f"{uuid} is the instance UUID of VM {meant.name}; vDVS knows it by its BIOS UUID, {meant.uuid}"
            raise NotFoundError(reason, frozenset({meant.uuid}))
        if (swapped := _swapped(uuid)) in self._uuids:
            meant = min(self._uuids[swapped], key=_place)
            reason = f"{uuid} is how a guest may show the BIOS UUID of VM {meant.name}; vDVS knows it by {swapped}"
            raise NotFoundError(reason, frozenset({swapped}))
        return Member(uuid, None)

    def paths_of(self, uuid: str) -> list[str]:
        """Return the inventory paths of the VMs with this BIOS UUID."""
        return [vm.path for vm in self._uuids.get(uuid, ())]

    def unknown(self, member: Member) -> bool:
        """Return whether there is certainly no such VM."""
        return self.complete and member.uuid not in self._uuids

    def selected(self, selector: VMSelector) -> tuple[list[Member], tuple[Unclear, ...]]:
        """Every VM below the folder whose name matches."""
        return look_up_all(self._checked, (vm for vm in self._below(selector.folder) if _matches(vm, selector)))

    def why_none_selected(self, selector: VMSelector) -> str:
        """Why a selector matches no VM: it may be misspelt, or nobody is there yet."""
        if any(True for _ in self._below(selector.folder)):
            return f'no VM below "{selector.folder}" has a name like "{selector.name_pattern}"'
        near = did_you_mean(selector.folder, self._few(self._folders()))
        return f'no VM is below "{selector.folder}" in the inventory{near}'

    def _folders(self) -> Iterator[str]:
        folders = {path.rpartition("/")[0] for path, _ in self._by_path}
        yield from {"/".join(each.split("/")[:depth]) for each in folders for depth in range(2, each.count("/") + 2)}

    def _below(self, folder: str) -> Iterator[VirtualMachine]:
        prefix = folder.rstrip("/") + "/"
        for position in range(bisect_left(self._by_path, prefix, key=lambda entry: entry[0]), len(self._by_path)):
            path, vm = self._by_path[position]
            if not path.startswith(prefix):
                return
            yield vm

    def _checked(self, vm: VirtualMachine) -> Member:
        twins = self._uuids[vm.uuid]
        if len(twins) > 1:
            paths = ", ".join(sorted(twin.path for twin in twins))
            raise NotFoundError(
                f'VM "{vm.name}" shares its BIOS UUID {vm.uuid} with another ({paths}), and vDVS cannot tell them '
                "apart; give one of them a new one",
                frozenset({vm.uuid}),
            )
        return Member(vm.uuid, vm.name)


@kept_with
def _by_uuid(inventory: Inventory) -> Mapping[str, list[VirtualMachine]]:
    return _index((vm.uuid, vm) for vm in inventory.vms)


@kept_with
def _unambiguous(inventory: Inventory) -> Mapping[str | None, Member]:
    """The VMs with a unique name and UUID, by name: nearly always all of them."""
    names, uuids = Counter(vm.name for vm in inventory.vms), Counter(vm.uuid for vm in inventory.vms)
    return {vm.name: Member(vm.uuid, vm.name) for vm in inventory.vms if names[vm.name] == 1 == uuids[vm.uuid]}


def _place(vm: VirtualMachine) -> tuple[str, str]:
    return vm.path, vm.uuid


def _matches(vm: VirtualMachine, selector: VMSelector) -> bool:
    return fnmatchcase(vm.name, selector.name_pattern)


def _index(pairs: Iterable[tuple[str, _T]]) -> dict[str, list[_T]]:
    found: dict[str, list[_T]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
