"""Short spellings of Desired, Inventory and Observed, for cases that people read. What is not said has a default.

Names stand for ids throughout: datastore `shared` has the id `id-shared`, VM `vm1` the BIOS UUID `uuid-vm1`, vmgroup
`g1` the UUID `id-g1` (and `new-g1` while it is not there yet), unless a case says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from reconciler.model.inventory import Connection, Datastore, ESXiHost, Inventory, Lockdown, Power, VirtualMachine
from reconciler.model.kinds.configdb import (
    CopiedFrom,
    DBState,
    DeadRow,
    DesiredConfigDB,
    HostSelector,
    ObservedConfigDB,
    Schema,
    Unmanaged,
)
from reconciler.model.kinds.host import (
    DBMode,
    DesiredDriver,
    DesiredHost,
    HostSpec,
    Maintenance,
    ObservedHost,
    ObservedSetting,
    Presence,
    Section,
    SectionForm,
    Service,
    UnreachableHost,
)
from reconciler.model.kinds.storagepolicy import DesiredStoragePolicy, ObservedStoragePolicies, StoragePolicyFile
from reconciler.model.kinds.vmgroup import (
    BookedVolume,
    DesiredAccess,
    DesiredVMGroup,
    PrivilegeRow,
    TenantRow,
    VMRef,
    VMRow,
    VMSelector,
    VolumeUse,
)
from reconciler.model.kinds.volume import (
    Attached,
    DesiredVolume,
    ObservedVolumes,
    SettingsState,
    VolumeAccess,
    VolumeSettings,
)
from reconciler.model.ownership import Record
from reconciler.model.refs import (
    AUTH_DB,
    DEFAULT_VMGROUP,
    DEFAULT_VMGROUP_UUID,
    OLD_DEFAULT_URL,
    SPECIAL_DATASTORES,
    VOLUMES,
    DatastoreRef,
    Kind,
    Location,
    ObjectRef,
    Source,
    own_location,
)
from reconciler.model.state import Desired, DockvolsEntry, EntryKind, Observed, ObservedDatastore, VolumeFile
from reconciler.model.units import parse_size

Plain = Mapping[str, Any]
NOWHERE = Source("case", 1, 1)
DRIVER = "0.14"


def url_of(datastore: str) -> str:
    """The URL of a datastore called so; special names have their own."""
    if datastore == OLD_DEFAULT_URL:
        return datastore
    return SPECIAL_DATASTORES.get(datastore) or f"{VOLUMES}id-{datastore}"


def group_id(name: str) -> str:
    """The UUID of a vmgroup called so that is there."""
    return DEFAULT_VMGROUP_UUID if name == DEFAULT_VMGROUP else f"id-{name}"


def inventory(plain: Plain) -> Inventory:
    """`{"hosts": [NAME], "datastores": [{"name": ...}], "vms": [{"name": ...}]}`; datastores are on every host."""
    hosts = tuple(plain["hosts"])
    return Inventory(
        hosts=tuple(_esxi(name, plain.get("shown", {}).get(name, {})) for name in hosts),
        datastores=tuple(_datastore(entry, hosts) for entry in plain["datastores"]),
        vms=tuple(_vm(entry) for entry in plain["vms"]),
        gaps=() if plain.get("complete", True) else ("vCenter vc2 cannot be reached",),
    )


def _esxi(name: str, entry: Plain) -> ESXiHost:
    """A host as vCenter shows it: `"shown": {NAME: {"version": ..., "cluster": ...}}`."""
    given = dict(entry)
    if "connection" in given:
        given["connection"] = Connection(given["connection"])
    if "lockdown" in given:
        given["lockdown"] = Lockdown(given["lockdown"])
    return ESXiHost(name, **given)


def _datastore(entry: Plain, hosts: tuple[str, ...]) -> Datastore:
    name = entry["name"]
    mounting = frozenset(entry.get("hosts", hosts))
    url = entry.get("url", url_of(name))
    path = entry.get("path", f"/DC0/datastore/{name}")
    return Datastore(name, url, entry.get("type", "VMFS"), 102400, mounting, path, entry.get("free"))


def _vm(entry: Plain) -> VirtualMachine:
    name = entry["name"]
    return VirtualMachine(
        name=name,
        path=entry.get("path", f"/DC0/vm/{name}"),
        uuid=entry.get("uuid", f"uuid-{name}"),
        instance_uuid=None,
        host=entry.get("host"),
        datastore=url_of(entry.get("datastore", "shared")),
        volumes=tuple(entry.get("volumes", ())),
        power=Power(entry["power"]) if "power" in entry else None,
    )


def desired(plain: Plain) -> Desired:
    """`{hosts: {NAME: {...}}, configdbs: {NAME: {...}}, vmgroups: {NAME: {...}}}`, fields as in manifests.
    `storagepolicies: {NAME: CONTENT}`, or `{content: ..., datastore: ...}`.
    `volumes: {VMGROUP/NAME@DATASTORE: ACCESS}`.

    `digests: {OBJECT: ...}` are those of the manifests; `m1` unless a case says otherwise.
    """
    databases = plain.get("configdbs") or {}
    groups = plain.get("vmgroups") or {}
    found = Desired(
        site=None,
        hosts=tuple(_host(name, entry or {}) for name, entry in (plain.get("hosts") or {}).items()),
        config_dbs=tuple(_config_db(name, entry) for name, entry in databases.items()),
        vmgroups=tuple(_vmgroup(name, entry or {}, tuple(databases)) for name, entry in groups.items()),
    )
    files = [
        *(_policy(name, entry) for name, entry in (plain.get("storagepolicies") or {}).items()),
        *(_volume(key, access, found) for key, access in _items(plain, "volumes")),
    ]
    found = replace(found, files=tuple(files))
    digests = plain.get("digests") or {}
    kinds = (found.hosts, found.config_dbs, found.vmgroups, found.files)
    refs = [item.ref for items in kinds for item in items]
    return replace(found, digests=tuple((ref, digests.get(str(ref), "m1")) for ref in refs))


def _host(name: str, entry: Plain) -> DesiredHost:
    driver = entry.get("driver")
    return DesiredHost(
        ref=ObjectRef(Kind.HOST, name),
        source=NOWHERE,
        address=entry.get("address", name),
        labels=tuple(sorted((entry.get("labels") or {}).items())),
        spec=HostSpec(
            driver=driver
            and DesiredDriver(
                driver.get("version"),
                driver.get("source"),
                driver.get("sha256"),
                Presence(driver.get("state", "Present")),
                driver.get("restartHostd", False),
                driver.get("maintenance") and Maintenance(*driver["maintenance"]),
            ),
            service_running=True if entry.get("service") == "Running" else None,
            settings={"service.logLevel": entry["logLevel"]} if "logLevel" in entry else {},
        ),
    )


def _config_db(name: str, entry: Plain) -> DesiredConfigDB:
    hosts, datastore = entry.get("hosts"), entry.get("datastore")
    selector = None
    if isinstance(hosts, list):
        selector = HostSelector(names=tuple(hosts))
    elif isinstance(hosts, str):
        selector = HostSelector(cluster=hosts)
    elif hosts:
        selector = HostSelector(match_labels=tuple(sorted(hosts.items())))
    return DesiredConfigDB(
        ref=ObjectRef(Kind.CONFIG_DB, name),
        source=NOWHERE,
        datastore=DatastoreRef(**datastore)
        if isinstance(datastore, dict)
        else datastore and DatastoreRef(name=datastore),
        hosts=selector,
        default_vmgroup=Presence(entry["defaultVMGroup"]) if "defaultVMGroup" in entry else None,
        unmanaged=Unmanaged(entry.get("unmanaged", "Report")),
        backups_to_keep=10,
    )


def _vmgroup(key: str, entry: Plain, databases: tuple[str, ...]) -> DesiredVMGroup:
    """Where there are several config DBs, the key is `DB/NAME`."""
    database, _, name = key.rpartition("/")
    selector, access, vms = entry.get("vmSelector"), entry.get("access"), entry.get("vms")
    return DesiredVMGroup(
        ref=ObjectRef(Kind.VMGROUP, key),
        source=NOWHERE,
        name=name,
        config_db=database or databases[0],
        uuid=entry.get("uuid"),
        description=entry.get("description"),
        default_datastore=entry.get("defaultDatastore"),
        access=None if access is None else tuple(_access(name, row) for name, row in access.items()),
        vms=None if vms is None else tuple(_vm_ref(vm) for vm in vms),
        vm_selector=selector and VMSelector(selector["folder"], selector.get("namePattern", "*")),
        previous_names=tuple(entry.get("previousNames", ())),
    )


def _policy(key: str, entry: Plain | str) -> DesiredStoragePolicy:
    """Where two datastores have one of the same name, the key is `DATASTORE/NAME`."""
    parts = {"content": entry} if isinstance(entry, str) else entry
    datastore = DatastoreRef(name=parts["datastore"]) if "datastore" in parts else None
    ref = ObjectRef(Kind.STORAGE_POLICY, key)
    return DesiredStoragePolicy(ref, NOWHERE, (), key.rpartition("/")[2], datastore, parts["content"])


def _items(plain: Plain, key: str) -> list[tuple[str, Any]]:
    return list((plain.get(key) or {}).items())


def _volume(key: str, access: str, found: Desired) -> DesiredVolume:
    group, name = key.rsplit("/", 1)
    name, datastore = name.split("@")
    vmgroup = ObjectRef(Kind.VMGROUP, group)
    homes = [each.config_db for each in found.vmgroups if each.ref == vmgroup] or [found.config_dbs[0].ref.name]
    place = DatastoreRef(name=datastore)
    return DesiredVolume(ObjectRef(Kind.VOLUME, key), NOWHERE, (), name, place, vmgroup, homes[0], VolumeAccess(access))


def _vm_ref(entry: Plain | str) -> VMRef:
    if isinstance(entry, str):
        return VMRef(name=entry)
    return VMRef(entry.get("name"), entry.get("uuid"), entry.get("inventoryPath"))


def _access(datastore: str, entry: Plain | str) -> DesiredAccess:
    """`{allowCreate: true, volumeMaxSize: 200MB, ...}`; `create` and `mount` for the two without limits."""
    if isinstance(entry, str):
        return DesiredAccess(datastore, {"create": True, "mount": False}[entry], 0, 0)
    limits = [parse_size(entry[key]) if key in entry else 0 for key in ("volumeMaxSize", "volumeTotalSize")]
    return DesiredAccess(datastore, entry.get("allowCreate", False), *limits)


def observed(plain: Plain, known: Inventory) -> Observed:
    """`{"hosts": {NAME: ...}, "config_dbs": {DATASTORE: ...}, "dockvols": {DATASTORE: ...}}`; see the parts below.

    `"settings": {DATASTORE: ERROR or {VMGROUP: {NAME: ACCESS or [ACCESS, VM] or {STATE: WHY}}}}`: of volumes.
    `"policies": {DATASTORE: ERROR or {"files": {NAME: CONTENT or [PROBLEM]}, "users": {NAME: [VOLUME]}}}`.
    A config DB under `own HOST` is that host's own (SingleNode). `undeclared_hosts`: hosts that no manifest declares.
    """
    ids = {datastore.name: datastore for datastore in known.datastores}
    databases = {name: observed_db(name, entry) for name, entry in plain.get("config_dbs", {}).items()}
    dockvols = plain.get("dockvols", {})
    policies = plain.get("policies", {})
    datastores = [
        replace(
            observed_datastore(name, dockvols.get(name, {})),
            files=(_policies(policies.get(name, {})), _volumes(plain.get("settings", {}).get(name, {}))),
        )
        for name in ids
    ]
    return Observed(
        hosts={name: observed_host(name, entry, known) for name, entry in plain.get("hosts", {}).items()},
        config_dbs={place_called(name): db for name, db in databases.items()},
        datastores={datastore.url: datastore for datastore in datastores},
        undeclared_hosts={
            name: found
            for name, entry in plain.get("undeclared", {}).items()
            if isinstance(found := observed_host(name, entry, known), ObservedHost)
        },
    )


def place_called(name: str) -> Location:
    """Where the config DB is that is listed under this name."""
    own = own_location(name.removeprefix("own "))
    return own if name.startswith("own ") else Location(f"{url_of(name)}/dockvols/vmdkops_config.db")


def observed_host(name: str, entry: str | Plain, known: Inventory) -> ObservedHost | UnreachableHost:
    """`unreachable`; `open` (no link, no section); `single` (a config DB of its own, no section);
    `joined` or `joined DATASTORE` (linked by id, section written).

    An object starts from its `is` and overrides single fields.
    """
    parts = {"is": entry} if isinstance(entry, str) else dict(entry)
    kind, _, datastore = parts.pop("is", "joined").partition(" ")
    if kind == "unreachable":
        return UnreachableHost(name, f"cannot connect to {name}")
    path = f"{url_of(datastore or 'shared')}/dockvols/vmdkops_config.db" if kind == "joined" else None
    section = Section(SectionForm.OURS, f"id-{datastore or 'shared'}", True) if path else _NO_SECTION
    fields: dict[str, Any] = {
        "db_mode": _MODES[kind],
        "db_reason": "",
        "link": path,
        "link_path": path,
        "section": section,
        "driver": DRIVER,
        "driver_error": None,
        "service": Service.RUNNING,
        "secure_boot": False,
        "volumes": {datastore.id: datastore.name for datastore in known.datastores if name in datastore.hosts},
        "can_write": True,
    }
    types: dict[str, Callable[[Any], Any]] = {
        "db_mode": DBMode,
        "service": Service,
        "section": _section,
        "settings": lambda found: {name: ObservedSetting(**setting) for name, setting in found.items()},
    }
    fields |= {key: types.get(key, lambda value: value)(value) for key, value in parts.items()}
    return ObservedHost(name=name, **fields)


_MODES = {"joined": DBMode.MULTI_NODE, "open": DBMode.NOT_CONFIGURED, "single": DBMode.SINGLE_NODE}
_NO_SECTION = Section(SectionForm.MISSING, None, True)


def _section(plain: Plain) -> Section:
    told = {key: plain[key] for key in ("runs", "why", "hindrance") if key in plain}
    return Section(SectionForm(plain["form"]), plain.get("datastore"), plain.get("saved", True), **told)


def observed_db(datastore: str, entry: str | Plain) -> ObservedConfigDB:
    """`absent`, `empty`, or the reason why it is unknown; else `{"vmgroups": {NAME: {...}}, "rows": {TABLE: [...]}}`.

    A vmgroup is `{"default": DS, "access": {DS: [allow, max, total]}, "vms": [NAME], "description": "", "id": ...}`.
    `copied_from` is `[DATASTORE or "own HOST", FINGERPRINT]`, `moving_to` a DATASTORE.
    `rows` adds raw rows, `dead` those that serve nobody. `records` are `[object, uid, set, digest]`, or null where
    unknown. Other keys are fields of ObservedConfigDB.
    """
    path = AUTH_DB if datastore.startswith("own ") else f"{url_of(datastore)}/dockvols/vmdkops_config.db"
    if isinstance(entry, str):
        entry = {"state": entry}
    parts = dict(entry)
    state, groups, rows = parts.pop("state", "present"), parts.pop("vmgroups", {}), parts.pop("rows", {})
    if state not in list(DBState):
        state, reason = "unknown", state
        message = f"{path}: {reason}"
    else:
        reason = message = ""
    tenants = [_tenant(name, group) for name, group in groups.items()]
    vms = [VMRow(f"uuid-{vm}", tenant.id, vm) for tenant in tenants for vm in groups[tenant.name].get("vms", ())]
    access = [row for tenant in tenants for row in _privileges(tenant, groups[tenant.name])]
    records = parts.pop("records", [])
    use = [VolumeUse(group, url_of(name), used, count) for group, name, used, count in rows.get("volume_use", ())]
    fields: dict[str, Any] = {
        "read_from": "esx1",
        "fingerprint": f"fingerprint-{datastore}",
        "tenants": (*tenants, *(TenantRow(*row) for row in rows.get("tenants", ()))),
        "vms": (*vms, *(VMRow(*row) for row in rows.get("vms", ()))),
        "privileges": (*access, *(PrivilegeRow(row[0], url_of(row[1]), *row[2:]) for row in rows.get("access", ()))),
        "volume_use": tuple(use),
        "dead_rows": tuple(DeadRow(table, (key,), *rest) for table, key, *rest in rows.get("dead", ())),
        "booked": tuple(BookedVolume(row[0], url_of(row[1]), *row[2:]) for row in rows.get("volumes", ())),
        "records": None if records is None else tuple(_record(*row) for row in records),
    }
    if "copied_from" in parts:
        name, copied = parts.pop("copied_from")
        place = place_called(name)
        fields["copied_from"] = CopiedFrom(place.path, place.host, copied)
    if "moving_to" in parts:
        fields["moving_to"] = place_called(parts.pop("moving_to")).path
    fields |= {key: tuple(value) if isinstance(value, list) else value for key, value in parts.items()}
    fields["schema"] = Schema(fields.get("schema", Schema.V1_2))
    return ObservedConfigDB(path, DBState(state), reason, message, **fields)


def _record(name: str, uid: str | None, of: str, digest: str = "m1") -> Record:
    return Record(name, uid, of, digest, "4f2c1ab", False, "ann@ws", None, "")


def _tenant(name: str, group: Plain) -> TenantRow:
    default = group.get("default", "shared")
    uuid = group.get("id", group_id(name))
    return TenantRow(uuid, name, group.get("description", ""), default and url_of(default))


def _privileges(tenant: TenantRow, group: Plain) -> list[PrivilegeRow]:
    rows = group.get("access", {"shared": [1, 0, 0]})
    return [PrivilegeRow(tenant.id, url_of(name), *row) for name, row in rows.items()]


def observed_datastore(name: str, entry: str | Plain) -> ObservedDatastore:
    """An error, or entries: a number (a folder with so many volumes), `file`, `-> TARGET` (a neighbour, or a path),
    or volumes with their sizes in MB (`{VOLUME: MB}`)."""
    url = url_of(name)
    if isinstance(entry, str):
        return ObservedDatastore(url, None, entry, {})
    entries = {key: _entry(url, value) for key, value in entry.items()}
    folders = {key: value for key, value in entry.items() if isinstance(value, dict)}
    volumes = {key: tuple(VolumeFile(*volume) for volume in value.items()) for key, value in folders.items()}
    return ObservedDatastore(url, "esx1", None, entries, volumes)


def _policies(entry: Plain | str) -> ObservedStoragePolicies:
    """A content is the whole file, its line feed too, unless it is a list: then it could not be read."""
    if isinstance(entry, str):
        return ObservedStoragePolicies(entry)
    files = {
        name: StoragePolicyFile(file) if isinstance(file, str) else StoragePolicyFile(None, file[0])
        for name, file in entry.get("files", {}).items()
    }
    users = {name: tuple(volumes) for name, volumes in entry.get("users", {}).items()}
    return ObservedStoragePolicies(None, None, files, users, entry.get("unread"))


def _volumes(entry: Plain | str) -> ObservedVolumes:
    if isinstance(entry, str):
        return ObservedVolumes(entry)
    found = {
        group_id(group): {name: _settings(settings) for name, settings in volumes.items()}
        for group, volumes in entry.items()
    }
    return ObservedVolumes(looked=None, found=found)


def _settings(entry: str | list[str | None] | Plain | None) -> VolumeSettings:
    if isinstance(entry, Mapping):
        ((state, why),) = entry.items()
        return VolumeSettings(SettingsState(state), why)
    access, vm = entry if isinstance(entry, list) else (entry, "")
    attached = None if vm == "" else Attached(None, vm)
    return VolumeSettings(SettingsState.READ, "", f"digest-{access}", access, attached)


def _entry(url: str, value: int | str | Plain) -> DockvolsEntry:
    if isinstance(value, Mapping):
        return DockvolsEntry(EntryKind.FOLDER, None, len(value))
    if isinstance(value, int):
        return DockvolsEntry(EntryKind.FOLDER, None, value)
    if value == "file":
        return DockvolsEntry(EntryKind.FILE, None, 0)
    target = value.removeprefix("-> ")
    return DockvolsEntry(EntryKind.LINK, target if target.startswith("/") else f"{url}/dockvols/{target}", 0)
