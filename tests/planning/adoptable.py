"""Sites as the original tool and careless hands leave them: legal rows with odd values, and hosts that use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from reconciler.model.inventory import Datastore, ESXiHost, Inventory, VirtualMachine
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.model.kinds.host import DBMode, ObservedHost, UnreachableHost
from reconciler.model.kinds.vmgroup import PrivilegeRow, TenantRow, VMRow
from reconciler.model.refs import (
    ALL_DS_URL,
    AUTH_DB,
    DEFAULT_VMGROUP,
    DEFAULT_VMGROUP_DESCRIPTION,
    DEFAULT_VMGROUP_UUID,
    VM_DS_URL,
    VOLUMES,
    Location,
    own_location,
)
from reconciler.model.state import Observed, ObservedDatastore
from tests.planning import compact

HOSTS = ["esx1", "ESX1.lab", "esx_1", "10.0.0.1"]
IDS = ["5a-1", "5a-2", "vsan:52-1"]
URLS = [VOLUMES + volume for volume in IDS]
STORE_NAMES = ["shared", "SHARED", "datastore1 (1)", "_VM_DS", "on", "123", "Küche: #1", "twice"]
ODD_URLS = [f"{VOLUMES}gone-1", f"{VOLUMES}5a-1/", "_DEFAULT_URL", "ds:///vmfs/volumes/5a-1/", f"{VOLUMES}a b"]
GROUP_NAMES = ["MYVMGROUP", "myvmgroup", "my_vmgroup", "my.vm-group", "_x", "no", "0x1F", "1.5", "2020-01-01", "a" * 64]
UNSAYABLE_NAMES = ["bad name!", "a" * 65, "policies", "_ORPHAN", "0f2d53d7-091e-4b04-a6b0-1d2a43c454eb", "x\n", "é"]
GROUP_IDS = [f"0f2d53d7-091e-4b04-a6b0-1d2a43c454e{digit}" for digit in range(8)]
ODD_IDS = ["0F2D53D7-091E-4B04-A6B0-1D2A43C454EB", "no uuid"]
VM_IDS = [f"564d171f-2de0-95b7-f9b8-9d9c42841b7{digit}" for digit in range(6)]
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
descriptions = st.one_of(st.sampled_from(["", "yes", "null", "1e3", "- a: b # c", " x ", "'\"\\"]), text)
limits = st.sampled_from([0, 0, 1, 200, 5120, 2**63 - 1])


@dataclass(frozen=True)
class Site:
    """What a look at a site has to go on, and what it finds."""

    inventory: Inventory
    observed: Observed


@st.composite
def sites(draw: st.DrawFn, *, broken: bool = False) -> Site:
    """Every rule of vDVS holds, unless `broken`: then a host may be down, and rows may be what they must not be."""
    inventory = _inventory(draw)
    paths = [f"{url}/dockvols/vmdkops_config.db" for url in URLS]
    databases = {Location(path): _database(draw, path, broken) for path in paths}
    present = [location.path for location, db in databases.items() if db.state is DBState.PRESENT]
    hosts = {name: _host(draw, name, present, inventory, broken) for name in HOSTS}
    for name, host in hosts.items():
        databases[own_location(name)] = _own(draw, name, host, broken)
    datastores = {url: ObservedDatastore(url, HOSTS[0], None, {}) for url in URLS}
    return Site(inventory, Observed(hosts, databases, datastores))


def _inventory(draw: st.DrawFn) -> Inventory:
    names = [draw(st.sampled_from(STORE_NAMES)) for _ in IDS]
    datastores = [Datastore(name, url, "VMFS", None, frozenset(HOSTS)) for name, url in zip(names, URLS, strict=True)]
    vms = []
    for number, uuid in enumerate(draw(st.lists(st.sampled_from(VM_IDS), unique=draw(st.integers(0, 4)) > 0))):
        name = draw(st.one_of(st.sampled_from(["photon", "# x", "a\nb: c", "\u202ex"]), text.filter(bool)))
        vms.append(VirtualMachine(name, f"/DC0/vm/{number}", uuid, None, None, None, ()))
    return Inventory(tuple(map(ESXiHost, HOSTS)), tuple(datastores), tuple(vms))


def _database(
    draw: st.DrawFn,
    path: str,
    broken: bool,
    states: Sequence[DBState] = (DBState.PRESENT, DBState.PRESENT, DBState.ABSENT),
) -> ObservedConfigDB:
    state = draw(st.sampled_from([*states, *([DBState.UNKNOWN] if broken else [])]))
    if state is not DBState.PRESENT:
        return ObservedConfigDB(path, state, "Locked" if broken else "", "it is locked", None, "")
    names = draw(st.lists(st.sampled_from(GROUP_NAMES * 3 + UNSAYABLE_NAMES), unique=True, max_size=4))
    uuids = draw(st.lists(st.sampled_from(GROUP_IDS * 3 + ODD_IDS), unique=True, min_size=4, max_size=4))
    tenants, access = [], []
    for name, uuid in zip(names, uuids, strict=False):
        default = draw(st.sampled_from([*URLS, *URLS, VM_DS_URL, ALL_DS_URL, *ODD_URLS]))
        tenants.append(TenantRow(uuid, name, draw(descriptions), default))
        urls = {default, *draw(st.lists(st.sampled_from([*URLS, VM_DS_URL, ALL_DS_URL, *ODD_URLS[:1]]), max_size=2))}
        access += [PrivilegeRow(uuid, url, draw(st.sampled_from([0, 1])), draw(limits), draw(limits)) for url in urls]
    owners = [tenant.id for tenant in tenants]
    listed = draw(st.lists(st.sampled_from(VM_IDS), unique=True)) if owners else []
    vms = [VMRow(vm, draw(st.sampled_from(owners)), draw(st.sampled_from([None, "photon", "a\n# b"]))) for vm in listed]
    if draw(st.booleans()):
        stock = draw(st.booleans())
        tenants.append(
            TenantRow(DEFAULT_VMGROUP_UUID, DEFAULT_VMGROUP, DEFAULT_VMGROUP_DESCRIPTION if stock else "", VM_DS_URL)
        )
        access += [PrivilegeRow(DEFAULT_VMGROUP_UUID, url, 1, 0, 0) for url in (VM_DS_URL, ALL_DS_URL)[: 1 + stock]]
    rows = ObservedConfigDB(path, state, "", "", HOSTS[0], "f", tuple(tenants), tuple(vms), tuple(access))
    return _spoilt(draw, rows) if broken else rows


def _own(draw: st.DrawFn, name: str, host: ObservedHost | UnreachableHost, broken: bool) -> ObservedConfigDB:
    """The config DB of a host alone; there is one only on a SingleNode host."""
    if isinstance(host, UnreachableHost):
        return ObservedConfigDB(AUTH_DB, DBState.UNKNOWN, "Unreachable", "it is down", None, "")
    if host.db_mode is not DBMode.SINGLE_NODE:
        return ObservedConfigDB(AUTH_DB, DBState.ABSENT, "", "", name, "absent")
    return _database(draw, AUTH_DB, broken, [DBState.PRESENT])


def _spoilt(draw: st.DrawFn, db: ObservedConfigDB) -> ObservedConfigDB:
    tenants = tuple(
        TenantRow(
            row.id,
            row.name,
            draw(st.sampled_from([row.description, None])),
            draw(st.sampled_from([row.default_url, row.default_url, None, ""])),
        )
        for row in db.tenants
    )
    access = tuple(
        PrivilegeRow(
            row.tenant_id, row.url, *draw(st.sampled_from([(1, 0, 0), (2, 0, 0), (None, 0, 0), (1, -1, None)]))
        )
        for row in db.privileges
        if draw(st.integers(0, 4))
    )
    owners = st.sampled_from([*(row.id for row in db.tenants), "gone", DEFAULT_VMGROUP_UUID])
    vms = tuple(VMRow(draw(st.sampled_from([row.vm_id, row.vm_id.upper()])), draw(owners), None) for row in db.vms)
    return ObservedConfigDB(db.path, db.state, "", "", HOSTS[0], "f", tenants, vms, access)


def _host(
    draw: st.DrawFn, name: str, present: list[str], inventory: Inventory, broken: bool
) -> ObservedHost | UnreachableHost:
    kinds = ["joined", "joined", "open", "single", *(["unreachable", "dangling"] if broken else [])]
    kind = draw(st.sampled_from(kinds))
    if kind == "unreachable":
        return UnreachableHost(name, "no answer")
    entry: dict[str, object] = {"is": "open", "volumes": {volume: volume for volume in IDS}}
    entry["driver"] = draw(st.sampled_from(["0.14.0577889-0.0.1", "1.0", None]))
    entry["service"] = draw(st.sampled_from(["running", "stopped"])) if entry["driver"] else "not installed"
    if kind == "joined" and present:
        path = draw(st.sampled_from(present))
        section = {"form": "ours", "datastore": path.split("/")[3]}
        entry |= {"link": path, "link_path": path, "db_mode": "MultiNode", "section": section}
    elif kind == "single":
        entry["db_mode"] = "SingleNode"
    elif kind == "dangling":
        gone = f"{VOLUMES}gone/dockvols/vmdkops_config.db"
        entry |= {"link": gone, "link_path": gone, "db_mode": "BrokenLink", "db_reason": "Missing"}
    return compact.observed_host(name, entry, inventory)
