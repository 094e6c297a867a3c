"""One vCenter, followed by its PropertyCollector: everything once, in pages, and from then on what has changed.

pyVmomi waits where it talks, so all of this runs in a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import threading
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any

from msgspec import Struct
from pyVim.connect import SmartStubAdapter
from pyVmomi import vim, vmodl

from reconciler.inventory import tls
from reconciler.model.errors import InventoryError
from reconciler.model.kinds.site import Login, VCenter

TIMEOUT = 60  # seconds that vCenter may take for one answer
_PAGE = 2000  # objects in one answer
_Collector = vmodl.query.PropertyCollector
PROPERTIES = {
    vim.VirtualMachine: (
        "name", "parent", "parentVApp", "runtime.host", "runtime.powerState", "config.uuid", "config.instanceUuid",
        "config.template", "config.hardware.device", "config.files.vmPathName",
    ),
    vim.HostSystem: (
        "name", "parent", "datastore", "runtime.connectionState", "runtime.inMaintenanceMode", "config.product.version",
        "config.lockdownMode", "availableField", "customValue", "config.service",
    ),
    vim.ComputeResource: ("name", "parent"),
    vim.Datastore: ("name", "parent", "summary.url", "summary.type", "summary.capacity", "summary.freeSpace"),
    vim.Folder: ("name", "parent"),
    vim.Datacenter: ("name", "parent"),
    vim.VirtualApp: ("name", "parentFolder", "parentVApp"),
}  # fmt: skip
NOTES_OF_HOSTS = {
    vim.HostSystem: ("name", "availableField", "customValue"),
}
_SINCE_7 = {vim.ComputeResource: ("lifecycleManaged",)}  # an older vCenter refuses to hear of it
_DOCKVOLS = "] dockvols/"
# Custom attributes of hosts: that vdvs put one into maintenance mode, or started its SSH service.
MAINTENANCE, SSH_SERVICE = "vdvs.maintenance", "vdvs.ssh"
SSH_KEY = "TSM-SSH"  # what vCenter calls that service
BROKEN = (OSError, HTTPException)
_EXPIRED = (vim.fault.NotAuthenticated, vmodl.fault.ManagedObjectNotFound, vmodl.query.InvalidCollectorVersion)


class Seen(Struct, frozen=True):
    """An object of vCenter: its kind (`VirtualMachine`), and what it tells of itself. A reference is the id of what it
    refers to; of the devices of a VM only the names of the vDVS disks are kept. `missing`: what could not be read."""

    kind: str
    values: dict[str, Any]
    missing: frozenset[str] = frozenset()

    def note(self, mark: str) -> str:
        """What a custom attribute of a host says; empty if nothing."""
        names = self.values.get("availableField", {})
        return "".join(text for key, text in self.values.get("customValue", {}).items() if names.get(key) == mark)


class Host(Struct, frozen=True):
    """A host that is to be changed: itself, what it tells, and what writes a note into its custom attribute."""

    system: Any
    seen: Seen
    note: Callable[[str], None]


class VCenterReader:
    """Follows one vCenter: these properties of objects of these kinds. `read` logs in when it has to; a session that
    has expired is nothing that anybody sees."""

    def __init__(
        self, vcenter: VCenter, login: Callable[[], Login], properties: Mapping[Any, tuple[str, ...]] = PROPERTIES
    ) -> None:
        self._vcenter = vcenter
        self._properties = properties
        self._login = login
        self._refused: tuple[object, str] | None = None
        self._stub: Any = None
        self._session: Any = None  # whoever is logged in
        self._version = ""
        self._seen: dict[str, Seen] = {}
        self._shown: dict[str, Seen] | None = None
        self._turn = threading.Lock()

    def read(self) -> dict[str, Seen]:
        """Everything that vCenter shows now, by its id; the very object of the last time if nothing changed.
        Raises InventoryError when it cannot be read."""
        with self._turn:
            return self._read()

    def _read(self) -> dict[str, Seen]:
        try:
            if self._session is not None:
                with contextlib.suppress(*_EXPIRED, *BROKEN):
                    return self._follow()
            self.close()
            self._connect()
            return self._follow()
        except BaseException as error:
            self.close()
            trouble = told(error, f"vCenter {self._vcenter.server}")
            if trouble is None:
                raise
            raise trouble from error

    def host(self, mark: str, *names: str) -> Host | None:
        """The one host that has one of these names, to be changed and noted with `mark`; None: there is none, or more
        than one. Raises InventoryError, and what vCenter does."""
        seen = self.read()
        found = [key for key, one in seen.items() if one.kind == "HostSystem" and one.values.get("name") in names]
        return self._to_change(mark, found[0], seen[found[0]]) if len(found) == 1 else None

    def noted(self, mark: str) -> list[Host]:
        """Every host on which `mark` says something. Raises as `host` does."""
        seen = self.read()
        return [self._to_change(mark, key, one) for key, one in seen.items() if one.note(mark)]

    def _to_change(self, mark: str, key: str, seen: Seen) -> Host:
        system, fields = vim.HostSystem(key, self._stub), self._session.content.customFieldsManager
        with self._turn:
            known = [field.key for field in fields.field if field.name == mark]
            field = known[0] if known else fields.AddCustomFieldDef(name=mark, moType=vim.HostSystem).key
        return Host(system, seen, lambda text: fields.SetField(entity=system, key=field, value=text))

    def close(self) -> None:
        """Log out, if that can be done; never raises."""
        stub, session, self._stub, self._session = self._stub, self._session, None, None
        self._seen, self._version, self._shown = {}, "", None
        if session is not None:
            with contextlib.suppress(vmodl.MethodFault, *BROKEN):
                session.content.sessionManager.Logout()
        if stub is not None:
            stub.DropConnections()

    def _connect(self) -> None:
        login = self._login()
        password = login.password.reveal() if login.password is not None else ""
        proof = login.user, hashlib.sha256(password.encode()).digest()
        if self._refused is not None and self._refused[0] == proof:
            raise InventoryError(self._refused[1])
        try:
            self._stub = SmartStubAdapter(
                host=self._vcenter.server,
                port=self._vcenter.port,
                sslContext=tls.context(self._vcenter, TIMEOUT),
                httpConnectionTimeout=TIMEOUT,
            )
            session: Any = vim.ServiceInstance("ServiceInstance", self._stub)
            session.content.sessionManager.Login(login.user, password, None)
            self._session = session
        except vim.fault.InvalidLogin:
            said = f"vCenter {self._vcenter.server}: user name or password is wrong; not tried again with the same ones"
            self._refused = proof, said
            raise
        self._watch()

    def _watch(self) -> None:
        """Tell the session what is to be followed."""
        content = self._session.RetrieveContent()
        kinds = list(self._properties)
        newer = _SINCE_7 if int(content.about.apiVersion.partition(".")[0]) >= 7 else {}
        view = content.viewManager.CreateContainerView(content.rootFolder, kinds, True)
        through = _Collector.TraversalSpec(name="all", type=vim.view.ContainerView, path="view", skip=False)
        wanted = _Collector.FilterSpec(
            objectSet=[_Collector.ObjectSpec(obj=view, skip=True, selectSet=[through])],
            propSet=[
                _Collector.PropertySpec(type=kind, pathSet=[*paths, *newer.get(kind, ())])
                for kind, paths in self._properties.items()
            ],
        )
        self._collector = content.propertyCollector.CreatePropertyCollector()
        self._collector.CreateFilter(wanted, partialUpdates=False)  # a change tells the whole property

    def _follow(self) -> dict[str, Seen]:
        """Take in what has changed, page after page."""
        options = _Collector.WaitOptions(maxWaitSeconds=0, maxObjectUpdates=_PAGE)
        while (news := self._collector.WaitForUpdatesEx(self._version, options)) is not None:
            self._version, self._shown = news.version, None
            for one in news.filterSet:
                for update in one.objectSet:
                    self._take(update)
            if not news.truncated:
                break
        if self._shown is None:
            self._shown = dict(self._seen)
        return self._shown

    def _take(self, update: Any) -> None:
        key = update.obj._moId
        if update.kind == "leave":
            self._seen.pop(key, None)
            return
        before = self._seen.get(key)
        values = dict(before.values) if before is not None and update.kind == "modify" else {}
        for change in update.changeSet:
            values[change.name] = _plain(change.name, change.val)
        missing = frozenset(gap.path for gap in update.missingSet)
        self._seen[key] = Seen(type(update.obj).__name__.rpartition(".")[2], values, missing - values.keys())


def told(error: BaseException, where: str) -> InventoryError | None:
    """What went wrong in words that say what to do; None if that is not known."""
    match error:
        case InventoryError():
            return error
        case vim.fault.InvalidLogin():
            return InventoryError(f"{where}: user name or password is wrong")
        case vmodl.MethodFault():
            return InventoryError(f"{where} refuses: {error.msg or type(error).__name__}")
        case ssl.SSLCertVerificationError():
            way_out = "give spec.vsphere[].caFile or thumbprint"
            return InventoryError(f"{where}: its certificate is not trusted ({error.verify_message}); {way_out}")
        case OSError() | HTTPException():
            return InventoryError(f"{where} cannot be reached: {getattr(error, 'strerror', None) or error}")
    return None


def _plain(name: str, value: Any) -> Any:
    if name == "config.hardware.device":
        return tuple(_vdvs_disks(value or ()))
    if name == "datastore":
        return tuple(datastore._moId for datastore in value or ())
    if name == "availableField":
        return {field.key: field.name for field in value or ()}
    if name == "config.service":
        return {service.key: service.running for service in (value.service if value is not None else ())}
    if name == "customValue":
        return {field.key: field.value for field in value or ()}
    return value._moId if isinstance(value, vim.ManagedEntity) else value


def _vdvs_disks(devices: Any) -> list[str]:
    names = (
        getattr(device.backing, "fileName", None) for device in devices if isinstance(device, vim.vm.device.VirtualDisk)
    )
    return sorted(name for name in names if name and _DOCKVOLS in name)
