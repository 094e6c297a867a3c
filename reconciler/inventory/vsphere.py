"""The inventory of one or several vCenters."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote

from reconciler.inventory.vcenter import MAINTENANCE, SSH_KEY, Host, Seen, VCenterReader
from reconciler.model.errors import InventoryError
from reconciler.model.inventory import Connection, Datastore, ESXiHost, Inventory, Lockdown, Power, VirtualMachine
from reconciler.model.kinds.site import Login, VCenter
from reconciler.model.memo import Memo
from reconciler.model.refs import VOLUMES

_MB = 2**20
_LOGGING_OUT = 10.0  # seconds; a session that is left ends by itself
_CONNECTION = {
    "connected": Connection.CONNECTED,
    "notResponding": Connection.NOT_RESPONDING,
    "disconnected": Connection.DISCONNECTED,
}
_POWER = {"poweredOn": Power.ON, "poweredOff": Power.OFF, "suspended": Power.SUSPENDED}
_LOCKDOWN = {
    "lockdownDisabled": Lockdown.OFF,
    "lockdownNormal": Lockdown.NORMAL,
    "lockdownStrict": Lockdown.STRICT,
}


class VSphereInventory:
    """Implements `ports.InventorySource`. Each vCenter is read in full once, then only for changes."""

    def __init__(self, vcenters: Sequence[tuple[VCenter, Callable[[], Login]]]) -> None:
        self._readers = [VCenterReader(vcenter, login) for vcenter, login in vcenters]
        self._parts: list[Memo[Inventory]] = [Memo() for _ in vcenters]
        self._whole: Memo[Inventory] = Memo()
        self._lock = asyncio.Lock()

    async def snapshot(self) -> Inventory:
        """See `ports.InventorySource`. A vCenter that cannot be read is a gap in the inventory."""
        async with self._lock:
            reads = [_apart(reader.read) for reader in self._readers]
            found = await asyncio.gather(*reads, return_exceptions=True)
        parts, gaps = [], []
        for reader, one, part in zip(self._readers, found, self._parts, strict=True):
            if isinstance(one, InventoryError):
                gaps.append(str(one))
            elif isinstance(one, BaseException):
                raise one
            else:
                try:
                    parts.append(part((one,), partial(inventory_of, one)))
                except Exception as error:  # what one vCenter shows is no matter of the others
                    gaps.append(f"what {reader.name} shows cannot be understood ({type(error).__name__}: {error})")
        if not parts:
            raise InventoryError("; ".join(gaps))
        return self._whole((*parts, *gaps), lambda: _merged(parts, gaps))

    def host(self, name: str) -> Host:
        """Return the one host of this name, to be changed.

        Blocks on vCenter. Raises InventoryError or pyVmomi's errors.
        """
        for reader in self._readers:
            if (found := reader.host(MAINTENANCE, name)) is not None:
                return found
        raise InventoryError(f"no vCenter shows one host {name}")

    async def close(self) -> None:
        """Log out everywhere, if that does not take long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOGGING_OUT):
                await asyncio.gather(*(_apart(reader.close) for reader in self._readers))


_T = TypeVar("_T")


async def _apart(do: Callable[[], _T]) -> _T:
    """Return what `do` returns, in a thread that nothing waits for once we are interrupted: a vCenter that is silent
    would hold up the end of the command for a minute."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(how: Callable[[Any], None], what: Any) -> None:
        if not done.done():
            how(what)

    def run() -> None:
        try:
            outcome = partial(settle, done.set_result, do())
        except Exception as error:
            outcome = partial(settle, done.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(outcome)

    threading.Thread(target=run, daemon=True).start()
    return await done


def _merged(parts: Sequence[Inventory], gaps: Sequence[str]) -> Inventory:
    return Inventory(
        hosts=tuple(host for part in parts for host in part.hosts),
        datastores=tuple(datastore for part in parts for datastore in part.datastores),
        vms=tuple(vm for part in parts for vm in part.vms),
        gaps=(*gaps, *(gap for part in parts for gap in part.gaps)),
    )


def inventory_of(seen: Mapping[str, Seen]) -> Inventory:
    """Return the inventory of one vCenter. Pure. An object without the properties that identify it is a gap.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """
    hosts = {key: one.values["name"] for key, one in seen.items() if one.kind == "HostSystem" and "name" in one.values}
    mounts: dict[str, set[str]] = {}
    for key, name in hosts.items():
        for datastore in seen[key].values.get("datastore", ()):
            mounts.setdefault(datastore, set()).add(name)
    paths = _Paths(seen)
    esxi = sorted((_host(name, seen[key], seen, paths) for key, name in hosts.items()), key=lambda host: host.name)
    datastores, vms, gaps = [], [], []
    urls: dict[tuple[str, str], str] = {}
    for key, one in seen.items():
        if one.kind != "Datastore":
            continue
        place = _datastore(key, one, mounts.get(key, ()), paths)
        if place is None:
            continue
        datastores.append(place)
        urls[paths.datacenter(key), one.values["name"]] = place.url
    for key, one in seen.items():
        if one.kind != "VirtualMachine" or one.values.get("config.template"):
            continue
        vm = _vm(key, one, hosts, urls, paths)
        if vm is None:
            gaps.append(f"VM {paths.of(key)} has no readable configuration")
        else:
            vms.append(vm)
    return Inventory(tuple(esxi), tuple(datastores), tuple(vms), tuple(sorted(gaps)))


def _host(name: str, one: Seen, seen: Mapping[str, Seen], paths: _Paths) -> ESXiHost:
    values, parent = one.values, one.values.get("parent", "")
    cluster = seen.get(parent)
    if cluster is not None and cluster.kind != "ClusterComputeResource":  # a standalone host's ComputeResource
        cluster = None
    return ESXiHost(
        name=name,
        connection=_CONNECTION.get(values.get("runtime.connectionState", "")),
        version=values.get("config.product.version"),
        in_maintenance=values.get("runtime.inMaintenanceMode"),
        lockdown=_LOCKDOWN.get(values.get("config.lockdownMode", "")),
        cluster=paths.of(parent) if cluster is not None else None,
        image_managed=cluster.values.get("lifecycleManaged") if cluster is not None else None,
        entered_by_vdvs=bool(one.note(MAINTENANCE)),
        ssh_runs=values.get("config.service", {}).get(SSH_KEY),
    )


def _datastore(key: str, one: Seen, hosts: Iterable[str], paths: _Paths) -> Datastore | None:
    values = one.values
    url = volume_url(values.get("summary.url") or "")
    if url is None or "name" not in values:
        return None  # no config DB can be there
    return Datastore(
        name=_decoded(values["name"]),
        url=url,
        type=values.get("summary.type") or "unknown",
        capacity_mb=_megabytes(values.get("summary.capacity")),
        hosts=frozenset(hosts),
        inventory_path=paths.of(key),
        free_mb=_megabytes(values.get("summary.freeSpace")),
    )


def _megabytes(size: int | None) -> int | None:
    return None if size is None else size // _MB


def volume_url(url: str) -> str | None:
    """Return `/vmfs/volumes/<id>`, as hosts and the config DB have it, for vCenter's `ds:///vmfs/volumes/<id>/`.

    None if the URL has another form.
    Source: docs/domain.md#identity-of-vms-and-datastores
    """
    _, volumes, volume = url.rstrip("/").rpartition(VOLUMES)
    return VOLUMES + volume if volumes and volume else None


def _vm(
    key: str, one: Seen, hosts: Mapping[str, str], urls: Mapping[tuple[str, str], str], paths: _Paths
) -> VirtualMachine | None:
    """Return the VM by its BIOS UUID in lower case; None if its UUID, name or disks cannot be read.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """
    values = one.values
    uuid, instance = values.get("config.uuid"), values.get("config.instanceUuid")
    if not uuid or "name" not in values or "config.hardware.device" in one.missing:
        return None
    home = (values.get("config.files.vmPathName") or "").partition("] ")[0].removeprefix("[")
    return VirtualMachine(
        name=_decoded(values["name"]),
        path=paths.of(key),
        uuid=uuid.lower(),
        instance_uuid=instance.lower() if instance else None,
        host=hosts.get(values.get("runtime.host", "")),
        datastore=urls.get((paths.datacenter(key), home)),
        volumes=values.get("config.hardware.device", ()),
        power=_POWER.get(values.get("runtime.powerState", "")),
    )


def _decoded(name: str) -> str:
    """Return a name as people see it: vCenter encodes `/`, `\\` and `%` as %2f, %5c and %25."""
    return unquote(name) if "%" in name else name


class _Paths:
    """Inventory paths, `/DC0/vm/folder/name`, with parts as vCenter encodes them (`a%2fb` is one name)."""

    def __init__(self, seen: Mapping[str, Seen]) -> None:
        self._seen = seen
        self._known: dict[str, str] = {}

    def of(self, key: str) -> str:
        """Return the path of an object, or its known part if its parents are not shown."""
        if key not in self._known:
            lines = list(self._line(key))
            for position in range(len(lines) - 1, -1, -1):
                above = self._known.get(lines[position + 1], "") if position + 1 < len(lines) else ""
                self._known.setdefault(lines[position], f"{above}/{self._seen[lines[position]].values.get('name', '')}")
        return self._known[key]

    def datacenter(self, key: str) -> str:
        """Return the id of the object's datacenter, or ""."""
        return next((one for one in self._line(key) if self._seen[one].kind == "Datacenter"), "")

    def _line(self, key: str) -> Iterator[str]:
        """Yield the object, its parent, and so on, without the root folder, whose name is not part of paths."""
        passed: set[str] = set()
        while key in self._seen and key not in passed:
            passed.add(key)
            yield key
            values = self._seen[key].values
            key = values.get("parent") or values.get("parentVApp") or values.get("parentFolder") or ""
