"""A connection to one vCenter through its PropertyCollector: reads everything once, in pages, then only changes.

pyVmomi blocks while it waits for vCenter, so all of this runs in a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import ssl
import threading
from collections.abc import Callable, Mapping
from http.client import HTTPException
from time import monotonic
from typing import Any

from msgspec import Struct
from pyVim.connect import SmartStubAdapter
from pyVmomi import vim, vmodl

from reconciler.inventory import tls
from reconciler.model.base import clip
from reconciler.model.errors import InventoryError, UsageError
from reconciler.model.kinds.site import Login, VCenter

_log = logging.getLogger(__name__)
TIMEOUT = 60  # seconds to wait for an answer of vCenter
_PAGE = 2000  # objects per answer
_SLOW = 5.0  # seconds; a failure that takes longer is followed by as long a rest
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
_SINCE_7 = {vim.ComputeResource: ("lifecycleManaged",)}  # an older vCenter rejects it
_DOCKVOLS = "] dockvols/"
# Custom attributes of hosts that vdvs put into maintenance mode, or whose SSH service it started.
MAINTENANCE, SSH_SERVICE = "vdvs.maintenance", "vdvs.ssh"
SSH_KEY = "TSM-SSH"  # vCenter's key of that service


class Seen(Struct, frozen=True):
    """An object of vCenter: its kind (`VirtualMachine`) and its properties.

    A reference is the id of its target; of the devices of a VM only the names of vDVS disks are kept. `missing`:
    properties that could not be read.
    """

    kind: str
    values: dict[str, Any]
    missing: frozenset[str] = frozenset()

    def note(self, mark: str) -> str:
        """Return the text of a host's custom attribute; empty if there is none."""
        names = self.values.get("availableField", {})
        return "".join(text for key, text in self.values.get("customValue", {}).items() if names.get(key) == mark)


class Host(Struct, frozen=True):
    """A host of vCenter that is to be changed.

    `system`: its managed object; `seen`: its properties; `note`: writes a text into its custom attribute.
    """

    system: Any
    seen: Seen
    note: Callable[[str], None]


class VCenterReader:
    """Follows these properties of the objects of one vCenter.

    `read` logs in when needed, also after a session expired.
    """

    def __init__(
        self, vcenter: VCenter, login: Callable[[], Login], properties: Mapping[Any, tuple[str, ...]] = PROPERTIES
    ) -> None:
        self._vcenter = vcenter
        self._properties = properties
        self._login = login
        self._refused: tuple[object, str] | None = None
        self._stub: Any = None
        self._session: Any = None  # logged in
        self._version = ""
        self._seen: dict[str, Seen] = {}
        self._shown: dict[str, Seen] | None = None
        self._lock = threading.Lock()
        self._trouble: InventoryError | None = None  # of the last attempt
        self._rest_until = 0.0  # a vCenter that took a minute to fail is not waited for again at once

    @property
    def name(self) -> str:
        """The vCenter, in messages."""
        return f"vCenter {self._vcenter.server}"

    def read(self) -> dict[str, Seen]:
        """Return everything that vCenter shows, by id; the same object as last time if nothing changed.

        Raises InventoryError.
        """
        with self._lock:
            return self._read()

    def _read(self) -> dict[str, Seen]:
        begun = monotonic()
        if self._trouble is not None and begun < self._rest_until:
            raise InventoryError(str(self._trouble))
        self._trouble = None
        try:
            if self._session is not None:
                try:
                    return self._follow()
                except Exception as error:  # of an expired session, a restarted vCenter, or what else it says
                    _log.info("%s: logging in again, as it could not be followed: %s", self.name, _line(error))
            self.close()
            self._connect()
            found = self._follow()
            _log.info("%s: %d objects read in %.2f s", self.name, len(found), monotonic() - begun)
            return found
        except BaseException as error:
            self.close()
            spent = monotonic() - begun
            self._rest_until = monotonic() + spent if spent > _SLOW else 0.0
            if not isinstance(error, Exception) or isinstance(error, UsageError):  # credentials that cannot be used
                raise
            self._trouble = as_inventory_error(error, self.name)
            raise self._trouble from error

    def host(self, mark: str, *names: str) -> Host | None:
        """Return the only host with one of these names, to be changed and noted with `mark`; None if there is no such
        host.
        Also None if several hosts match. Raises InventoryError or pyVmomi's errors.
        """
        seen = self.read()
        found = [key for key, one in seen.items() if one.kind == "HostSystem" and one.values.get("name") in names]
        return self._changeable(mark, found[0], seen[found[0]]) if len(found) == 1 else None

    def noted(self, mark: str) -> list[Host]:
        """Return every host whose custom attribute `mark` is not empty. Raises as `host` does."""
        seen = self.read()
        return [self._changeable(mark, key, one) for key, one in seen.items() if one.note(mark)]

    def _changeable(self, mark: str, key: str, seen: Seen) -> Host:
        system, fields = vim.HostSystem(key, self._stub), self._session.content.customFieldsManager
        with self._lock:
            known = [field.key for field in fields.field if field.name == mark]
            field = known[0] if known else fields.AddCustomFieldDef(name=mark, moType=vim.HostSystem).key
        return Host(system, seen, lambda text: fields.SetField(entity=system, key=field, value=text))

    def close(self) -> None:
        """Log out if possible; never raises."""
        stub, session, self._stub, self._session = self._stub, self._session, None, None
        self._seen, self._version, self._shown = {}, "", None
        if session is not None:
            with contextlib.suppress(Exception):
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
                sslContext=tls.context(self._vcenter, TIMEOUT, login.trusted),
                httpConnectionTimeout=TIMEOUT,
            )
            session: Any = vim.ServiceInstance("ServiceInstance", self._stub)
            session.content.sessionManager.Login(login.user, password, None)
            self._session = session
        except vim.fault.InvalidLogin:
            reason = f"{self.name}: user name or password is wrong; the same ones are not tried again"
            self._refused = proof, reason
            raise
        self._watch()

    def _watch(self) -> None:
        """Register the properties to follow with the session."""
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
        self._collector.CreateFilter(wanted, partialUpdates=False)  # report the whole property on a change

    def _follow(self) -> dict[str, Seen]:
        """Apply the changes since the last call, page after page."""
        options = _Collector.WaitOptions(maxWaitSeconds=0, maxObjectUpdates=_PAGE)
        while (news := self._collector.WaitForUpdatesEx(self._version, options)) is not None:
            self._version, self._shown = news.version, None
            _log.debug("%s < changes up to version %s", self.name, self._version)
            for one in news.filterSet:
                for update in one.objectSet:
                    self._apply_update(update)
            if not news.truncated:
                break
        if self._shown is None:
            self._shown = dict(self._seen)
        return self._shown

    def _apply_update(self, update: Any) -> None:
        key = update.obj._moId
        if update.kind == "leave":
            self._seen.pop(key, None)
            return
        before = self._seen.get(key)
        values = dict(before.values) if before is not None and update.kind == "modify" else {}
        for change in update.changeSet:
            values[change.name] = _property_value(change.name, change.val)
        missing = frozenset(gap.path for gap in update.missingSet)
        self._seen[key] = Seen(type(update.obj).__name__.rpartition(".")[2], values, missing - values.keys())


def as_inventory_error(error: Exception, where: str) -> InventoryError:
    """Return the error as an InventoryError with a remedy. Whatever the library of a peer raises is of that peer."""
    match error:
        case InventoryError():
            return error
        case vim.fault.InvalidLogin():
            return InventoryError(f"{where}: user name or password is wrong")
        case vmodl.MethodFault():
            return InventoryError(f"{where} refuses: {_line(error.msg or type(error).__name__)}")
        case ssl.SSLCertVerificationError():
            way_out = "give spec.vsphere[].caFile or thumbprint"
            return InventoryError(f"{where}: its certificate is not trusted ({error.verify_message}); {way_out}")
        case OSError() | HTTPException():
            return InventoryError(f"{where} cannot be reached: {_line(getattr(error, 'strerror', None) or error)}")
    return InventoryError(f"{where} cannot be reached: it answers what no vCenter does ({_line(error)})")


def _line(what: object) -> str:
    return clip(next(iter(str(what).splitlines()), "") or type(what).__name__, 500)


def _property_value(name: str, value: Any) -> Any:
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
    """Return the names of the disks in a `dockvols` folder, sorted.

    Source: docs/domain.md#layout-of-dockvols
    """
    names = (
        getattr(device.backing, "fileName", None) for device in devices if isinstance(device, vim.vm.device.VirtualDisk)
    )
    return sorted(name for name in names if name and _DOCKVOLS in name)
