"""Valid documents -> the objects that they declare. What the schema promised is not checked again."""

from __future__ import annotations

import os.path
from functools import lru_cache
from typing import Any

from reconciler.loader.manifests import Document
from reconciler.model.kinds.configdb import DesiredConfigDB, HostSelector, Unmanaged
from reconciler.model.kinds.host import DesiredDriver, DesiredHost, Maintenance, Presence
from reconciler.model.kinds.site import SSH, Credentials, Lab, SecretFrom, Site, VCenter
from reconciler.model.kinds.vmgroup import DesiredAccess, DesiredVMGroup, VMRef, VMSelector
from reconciler.model.refs import VOLUMES, DatastoreRef, Kind, ObjectRef
from reconciler.model.units import parse_duration, parse_size

LAB_DIRECTORY = ".vdvs-lab"
SSH_USER, CONNECT_TIMEOUT, CONCURRENCY = "root", "10s", 64
MAINTENANCE_TIMEOUT = "30m"
BACKUPS_TO_KEEP = 10
BACKUPS_OF_ONE_NODE = 2  # they lie in the host's memory


def site(document: Document) -> Site:
    """The Site. Its paths are taken relative to the folder of its file."""
    spec = document.data.get("spec", {})
    folder = document.file.folder
    inventory = spec.get("inventory")
    allowed = spec.get("allow", {}).get("hosts")
    return Site(
        name=document.data["metadata"]["name"],
        source=document.source,
        way=_ssh(spec["ssh"], folder) if "ssh" in spec else _lab(spec.get("lab", {}), folder),
        vcenters=tuple(_vcenter(given, folder) for given in spec.get("vsphere", ())),
        inventory_file=None if inventory is None else _absolute(folder, inventory["file"]),
        allowed_hosts=None if allowed is None else tuple(allowed),
    )


def _lab(lab: dict[str, Any], folder: str) -> Lab:
    return Lab(_absolute(folder, lab.get("directory", LAB_DIRECTORY)))


def _ssh(ssh: dict[str, Any], folder: str) -> SSH:
    identity, known = ssh.get("identityFile"), ssh.get("knownHostsFile")
    return SSH(
        user=ssh.get("user", SSH_USER),
        port=ssh.get("port"),
        identity_file=None if identity is None else _absolute(folder, identity),
        known_hosts_file=None if known is None else _absolute(folder, known),
        credentials=_credentials(ssh.get("credentials", {}), folder),
        connect_timeout=int(parse_duration(ssh.get("connectTimeout", CONNECT_TIMEOUT))),
        concurrency=ssh.get("concurrency", CONCURRENCY),
        ignore_host_keys=ssh.get("insecureIgnoreHostKey", False),
        manage_service=ssh.get("service") == "Manage",
    )


def _vcenter(given: dict[str, Any], folder: str) -> VCenter:
    authority = given.get("caFile")
    return VCenter(
        server=given["server"],
        port=given.get("port", 443),
        credentials=_credentials(given["credentials"], folder),
        ca_file=None if authority is None else _absolute(folder, authority),
        thumbprint=given.get("thumbprint"),
    )


def _credentials(given: dict[str, dict[str, str]], folder: str) -> Credentials:
    return Credentials(*(_secret_from(given.get(key), folder) for key in ("usernameFrom", "passwordFrom")))


def _secret_from(given: dict[str, str] | None, folder: str) -> SecretFrom | None:
    if given is None:
        return None
    return SecretFrom(env=given.get("env"), file=_absolute(folder, given["file"]) if "file" in given else None)


def _absolute(folder: str, path: str) -> str:
    """`path` taken relative to `folder`; `~` is the home of who runs vdvs."""
    return os.path.abspath(os.path.join(folder, os.path.expanduser(path)))


def host(document: Document) -> DesiredHost:
    """A Host."""
    metadata, spec = document.data["metadata"], document.data.get("spec", {})
    name = spec.get("name", metadata["name"])
    driver = spec.get("driver")
    return DesiredHost(
        ref=ObjectRef(Kind.HOST, name),
        source=document.source,
        address=spec.get("address", name),
        labels=labels(metadata),
        driver=None if driver is None else _driver(driver),
        service_running=True if "service" in spec else None,
        log_level=spec.get("service", {}).get("logLevel"),
    )


def _driver(driver: dict[str, Any]) -> DesiredDriver:
    digest = driver.get("sha256")
    state = Presence(driver.get("state", Presence.PRESENT))
    sha256 = digest.lower() if digest else None
    hostd = bool(driver.get("restartHostd", False))
    return DesiredDriver(driver.get("version"), driver.get("source"), sha256, state, hostd, _maintenance(driver))


def _maintenance(driver: dict[str, Any]) -> Maintenance | None:
    if driver.get("maintenanceMode") != "Required":
        return None
    seconds = int(parse_duration(driver.get("maintenanceTimeout", MAINTENANCE_TIMEOUT)))
    return Maintenance(seconds, int(driver.get("maxUnavailable", 1)))


def labels(metadata: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The labels of an object, sorted."""
    return _pairs(metadata["labels"]) if "labels" in metadata else ()


def _pairs(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def config_db(document: Document, host_names: dict[str, str]) -> DesiredConfigDB:
    """A ConfigDB. `host_names`: names in the inventory of the declared Hosts, by metadata.name."""
    spec = document.data["spec"]
    default = spec.get("defaultVMGroup")
    keep = BACKUPS_TO_KEEP if "datastore" in spec else BACKUPS_OF_ONE_NODE
    return DesiredConfigDB(
        ref=ObjectRef(Kind.CONFIG_DB, document.data["metadata"]["name"]),
        source=document.source,
        datastore=datastore(spec["datastore"]) if "datastore" in spec else None,
        hosts=_selector(spec["hosts"], host_names) if "hosts" in spec else None,
        default_vmgroup=None if default is None else Presence(default),
        unmanaged=Unmanaged(spec.get("unmanaged", Unmanaged.REPORT)),
        backups_to_keep=int(spec.get("backups", {}).get("keep", keep)),
        labels=labels(document.data["metadata"]),
    )


def datastore(value: str | dict[str, str]) -> DatastoreRef:
    """A datastore as a manifest names it: by its name alone, or by one of three ways."""
    if isinstance(value, str):
        return DatastoreRef(name=value)
    if "url" in value:
        return DatastoreRef(url=datastore_url(value["url"]))
    return DatastoreRef(name=value.get("name"), inventory_path=value.get("inventoryPath"))


def datastore_url(url: str) -> str:
    """`/vmfs/volumes/<id>`, as the config DB stores it, of that or of vCenter's `ds:///vmfs/volumes/<id>/`."""
    return VOLUMES + url.removeprefix("ds://").removeprefix(VOLUMES).rstrip("/")


def _selector(hosts: dict[str, Any], host_names: dict[str, str]) -> HostSelector:
    if "matchLabels" in hosts:
        return HostSelector(match_labels=_pairs(hosts["matchLabels"]))
    if "cluster" in hosts:
        return HostSelector(cluster=hosts["cluster"].rstrip("/"))
    return HostSelector(names=tuple(host_names.get(name, name) for name in hosts["names"]))


def vmgroup(document: Document, only_db: str, *, qualified: bool) -> DesiredVMGroup:
    """A VMGroup. `only_db`: where it lives unless it says so; `qualified`: its ref shows the config DB too.

    Raises ValueError for a size that fits the schema, but not the config DB.
    """
    data = document.data
    metadata, spec = data["metadata"], data.get("spec", {})
    name = spec.get("name") or metadata["name"]
    db = spec.get("configDB", only_db)
    uuid, access, vms, selector = spec.get("uuid"), spec.get("access"), spec.get("vms"), spec.get("vmSelector")
    return DesiredVMGroup(
        ref=ObjectRef(Kind.VMGROUP, f"{db}/{name}" if qualified else name),
        source=document.source,
        name=name,
        config_db=db,
        uuid=None if uuid is None else uuid.lower(),
        description=spec.get("description"),
        default_datastore=spec.get("defaultDatastore"),
        access=None if access is None else tuple([_access(**entry) for entry in access]),
        vms=None if vms is None else tuple([VMRef(vm) if vm.__class__ is str else _vm(vm) for vm in vms]),
        vm_selector=None if selector is None else VMSelector(selector["folder"], selector.get("namePattern", "*")),
        labels=labels(metadata),
        previous_names=tuple(spec.get("previousNames", ())),
    )


@lru_cache(maxsize=4096)
def _access(
    datastore: str,
    allowCreate: bool = False,
    volumeMaxSize: str = "",
    volumeTotalSize: str = "",
) -> DesiredAccess:
    """An entry of `access`, by the names of its fields. Most vmgroups share a few."""
    return DesiredAccess(
        datastore,
        allowCreate,
        parse_size(volumeMaxSize) if volumeMaxSize else 0,
        parse_size(volumeTotalSize) if volumeTotalSize else 0,
    )


def _vm(vm: dict[str, str]) -> VMRef:
    uuid = vm.get("uuid")
    return VMRef(vm.get("name"), uuid.lower() if uuid else None, vm.get("inventoryPath"))
