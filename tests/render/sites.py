"""Sites to render: each a small Assessment, put together by hand."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Cause, Change, Diff, Effect, FieldChange, Op, Standing
from reconciler.model.events import Condition, Truth
from reconciler.model.inventory import Datastore, ESXiHost, Inventory, VirtualMachine
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB, ResolvedConfigDB, Unmanaged
from reconciler.model.kinds.host import (
    DBMode,
    HostSpec,
    ObservedHost,
    Presence,
    ResolvedHost,
    Section,
    SectionForm,
    Service,
    UnreachableHost,
)
from reconciler.model.kinds.storagepolicy import ObservedStoragePolicies, ResolvedStoragePolicy, StoragePolicyFile
from reconciler.model.kinds.vmgroup import PrivilegeRow, TenantRow, VMRow, VolumeUse
from reconciler.model.kinds.volume import (
    Attached,
    ObservedVolumes,
    ResolvedVolume,
    SettingsState,
    VolumeAccess,
    VolumeSettings,
)
from reconciler.model.outcome import Assessment
from reconciler.model.ownership import Record
from reconciler.model.refs import Kind, Location, ObjectRef
from reconciler.model.state import Observed, ObservedDatastore, Resolved

URL = "/vmfs/volumes/5acd0a4e-8e7e1b10-1b1a-000c29000001"
LOCAL_URL = "/vmfs/volumes/5acd0a4e-8e7e1b10-1b1a-000c29000002"
GROUP = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
COMMIT = "4f2c1ab" + "0" * 33
WHEN = datetime(2026, 11, 23, 20, 15, tzinfo=UTC)
SHARED = Datastore("SHARED-Datastore", URL, "VMFS", 10240, frozenset({"esxiz10", "esxiz20"}))
LOCAL = Datastore("数据 存储", LOCAL_URL, "VMFS", 10240, frozenset({"esxiz10"}))
PHOTON = VirtualMachine("photon-01", "/DC0/vm/photon-01", "564d0000-0000-0000-0000-000000000001", None, None, None, ())
DB = ObjectRef(Kind.CONFIG_DB, "shared")


def host_ref(name: str) -> ObjectRef:
    return ObjectRef(Kind.HOST, name)


def group_ref(name: str) -> ObjectRef:
    return ObjectRef(Kind.VMGROUP, name)


def keep(ref: ObjectRef) -> Change:
    return Change(ref, Op.KEEP, "as declared")


def host(name: str, mode: DBMode = DBMode.MULTI_NODE, **other: object) -> ObservedHost:
    linked = mode is DBMode.MULTI_NODE
    values: dict[str, object] = {
        "name": name,
        "db_mode": mode,
        "db_reason": "",
        "link": SHARED.db_path if linked else None,
        "link_path": SHARED.db_path if linked else None,
        "section": Section(SectionForm.OURS if linked else SectionForm.MISSING, SHARED.id if linked else None, True),
        "driver": "0.14.0577889-0.0.1",
        "driver_error": None,
        "service": Service.RUNNING,
        "secure_boot": False,
        "volumes": {SHARED.id: SHARED.name},
        "can_write": True,
    }
    return ObservedHost(**(values | other))  # type: ignore[arg-type]


def config_db(state: DBState = DBState.PRESENT, reason: str = "", message: str = "") -> ObservedConfigDB:
    if state is not DBState.PRESENT:
        return ObservedConfigDB(SHARED.db_path, state, reason, message, None, "")
    return ObservedConfigDB(
        SHARED.db_path,
        state,
        "",
        "",
        "esxiz20",
        "f" * 64,
        tenants=(TenantRow(GROUP, "MYVMGROUP", "the \x1b[31mred\x1b[0m team", URL),),
        vms=(VMRow(PHOTON.uuid, GROUP, "stale name"), VMRow("564d0000-0000-0000-0000-000000000009", GROUP, None)),
        privileges=(PrivilegeRow(GROUP, URL, 1, 200, 5120), PrivilegeRow(GROUP, "_ALL_DS://", 0, 0, 1024)),
        volume_use=(VolumeUse(GROUP, URL, 1229, 7), VolumeUse(GROUP, LOCAL_URL, 100, 1)),
        writer="esxiz10",
        backups=("vmdkops_config.db.bak-20261123T201500Z",),
        records=(
            Record("configdb/shared", None, "acme/site:manifests", "d" * 64, None, False, "ann@ws", None, ""),
            Record("host/esxiz10", None, "", "d" * 64, COMMIT, False, "ann@ws", WHEN, ""),
            Record("vmgroup/MYVMGROUP", GROUP, "te\x1bam", "d" * 64, COMMIT, True, "bob@ws", WHEN, "ticket\x1b7"),
        ),
    )


def assessment(
    changes: tuple[Change, ...], hosts: dict[str, ObservedHost | UnreachableHost], db: ObservedConfigDB
) -> Assessment:
    declared = tuple(change.ref for change in changes if change.ref.kind is Kind.HOST)
    resolved = Resolved(
        Inventory(tuple(map(ESXiHost, hosts)), (SHARED, LOCAL), (PHOTON,)),
        (ResolvedConfigDB(DB, SHARED, tuple(ref.name for ref in declared), Presence.ABSENT, Unmanaged.REPORT, 10),),
        tuple(
            ResolvedHost(ref, f"{ref.name}.lab.local", DB, SHARED, HostSpec(service_running=True)) for ref in declared
        ),
        (),
        (),
    )
    return Assessment(resolved, Observed(hosts, {Location(SHARED.db_path): db}, {}), Diff(changes), WHEN)


def in_sync() -> Assessment:
    changes = (keep(DB), keep(host_ref("esxiz10")), keep(host_ref("esxiz20")), keep(group_ref("MYVMGROUP")))
    return assessment(changes, {"esxiz10": host("esxiz10"), "esxiz20": host("esxiz20")}, config_db())


def troubled() -> Assessment:
    """Everything that can be wrong with a host or a config DB at once, and names that try to write on the terminal."""
    broken = host("esxi\x1b[2J", DBMode.BROKEN_LINK, db_reason="Missing", driver_error="esxcli: exit code 1")
    hosts: dict[str, ObservedHost | UnreachableHost] = {
        "esxi\x1b[2J": broken,
        "esxiz10": host("esxiz10", DBMode.NOT_CONFIGURED, service=Service.STOPPED),
        "esxiz30": UnreachableHost("esxiz30", "connection refused"),
        "fresh": host("fresh", DBMode.NOT_CONFIGURED, driver=None, service=Service.NOT_INSTALLED),
        "主机一": host("主机一"),
    }
    link = FieldChange("configDB", "NotConfigured", "MultiNode (SHARED-Datastore)")
    note = "OPEN: every VM may create volumes without limit on this host"
    changes = (
        Change(DB, Op.UNKNOWN, "the config DB is locked"),
        Change(host_ref("esxi\x1b[2J"), Op.BLOCKED, "the file behind the link is gone"),
        Change(
            host_ref("esxiz10"),
            Op.UPDATE,
            "drifted",
            (link,),
            risk=Risk.RESTRICTS,
            notes=(note,),
            effect=Effect.GAVE,
            cause=Cause.SITE,
            host_state=Standing.OPEN,
        ),
        Change(host_ref("esxiz30"), Op.UNKNOWN, "connection refused", host_state=Standing.UNREACHABLE),
        Change(host_ref("fresh"), Op.UPDATE, "no driver", (FieldChange("driver.version", None, "0.14"),)),
        keep(host_ref("主机一")),
        Change(group_ref("MYVMGROUP"), Op.UNKNOWN, "the config DB could not be read"),
    )
    return assessment(changes, hosts, config_db(DBState.UNKNOWN, "Locked", "still locked after 10 s"))


def policies() -> Assessment:
    """Storage policies in every state."""
    vsan = Datastore("vsanDatastore", "/vmfs/volumes/vsan:52e1-9a5d", "vsan", None, frozenset({"esxiz10"}))
    text = '(("hostFailuresToTolerate" i1))'
    files = {
        "gold": StoragePolicyFile(f"{text}\n"),
        "by\x1bhand": StoragePolicyFile("any\x1b[2J"),
        "link": StoragePolicyFile(None, "is no file, but a link"),
    }
    users = {"gold": (f"{GROUP}/web", f"{GROUP}/\x1bdb")}
    seen = ObservedDatastore(vsan.url, "esxiz10", None, {}, {}, (ObservedStoragePolicies(None, None, files, users),))
    ref = {name: ObjectRef(Kind.STORAGE_POLICY, name) for name in ("by\x1bhand", "gold", "link", "nowhere", "silver")}
    change = FieldChange("content", text, text.replace("i1", "i2"))
    changes = (
        keep(DB),
        keep(host_ref("esxiz10")),
        Change(ref["by\x1bhand"], Op.UNMANAGED, "created outside the manifests"),
        Change(ref["gold"], Op.UPDATE, "differs from its manifest", (change,), notes=("2 volumes use it",)),
        Change(ref["link"], Op.UNKNOWN, "link on vsanDatastore is no file, but a link"),
        Change(ref["nowhere"], Op.BLOCKED, 'no datastore "vsan" in the inventory'),
        Change(ref["silver"], Op.CREATE, "it is not there", (FieldChange("content", None, text),)),
    )
    found = assessment(changes, {"esxiz10": host("esxiz10")}, config_db())
    declared = tuple(ResolvedStoragePolicy(ref[name], name, vsan, text) for name in ("gold", "link", "silver"))
    inventory = replace(found.resolved.inventory, datastores=(SHARED, LOCAL, vsan))
    resolved = replace(found.resolved, inventory=inventory, files=declared)
    return replace(found, resolved=resolved, observed=replace(found.observed, datastores={vsan.url: seen}))


def volumes() -> Assessment:
    """Volumes in every state."""
    texts = ("MYVMGROUP/\x1bweb@SHARED-Datastore", "MYVMGROUP/db@SHARED-Datastore", "MYVMGROUP/gone@SHARED-Datastore")
    ref = {name: ObjectRef(Kind.VOLUME, text) for name, text in zip(("web", "db", "gone"), texts, strict=True)}
    nowhere = ObjectRef(Kind.VOLUME, "MYVMGROUP/x@nowhere")
    change = FieldChange("access", "read-write", "read-only")
    changes = (
        keep(DB),
        keep(host_ref("esxiz10")),
        Change(
            ref["web"],
            Op.UPDATE,
            "differs from its manifest",
            (change,),
            risk=Risk.RESTRICTS,
            notes=("it is read-only from",),
        ),
        keep(ref["db"]),
        Change(ref["gone"], Op.BLOCKED, "it is not there"),
        Change(nowhere, Op.BLOCKED, 'no datastore "nowhere" in the inventory'),
    )
    found = assessment(changes, {"esxiz10": host("esxiz10")}, config_db())
    of = SHARED, group_ref("MYVMGROUP"), ("MYVMGROUP",), None, DB, VolumeAccess.READ_ONLY
    declared = tuple(
        ResolvedVolume(ref[key], name, *of) for key, name in (("web", "\x1bweb"), ("db", "db"), ("gone", "gone"))
    )
    settings = {
        "\x1bweb": VolumeSettings(SettingsState.READ, "", "d", None, Attached(None, "old\x1bname")),
        "db": VolumeSettings(SettingsState.READ, "", "d", "read-only"),
    }
    files = (ObservedVolumes(looked=None, found={GROUP: settings}),)
    seen = ObservedDatastore(SHARED.url, "esxiz10", None, {}, files=files)
    resolved = replace(found.resolved, files=declared)
    return replace(found, resolved=resolved, observed=replace(found.observed, datastores={SHARED.url: seen}))


def judged(found: Assessment) -> tuple[Condition, ...]:
    """Conditions of the kind that planning makes, one or two an object."""
    conditions = []
    for change in found.diff.changes:
        status = Truth.TRUE if change.op is Op.KEEP else Truth.UNKNOWN if change.op is Op.UNKNOWN else Truth.FALSE
        reason = "InSync" if change.op is Op.KEEP else "Drifted"
        conditions.append(Condition(change.ref, "InSync", status, reason, change.reason))
        conditions += [Condition(change.ref, "Enforced", Truth.FALSE, "NotConfigured", note) for note in change.notes]
    return tuple(conditions)
