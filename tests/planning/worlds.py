"""Small but nasty worlds for hypothesis: few names and ids, so that everything collides with everything."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import CopiedFrom, DBState, DeadRow, ObservedConfigDB, Schema, Unmanaged
from reconciler.model.kinds.host import ObservedHost, Presence, UnreachableHost
from reconciler.model.kinds.vmgroup import Access, PrivilegeRow, TenantRow, VMRow, VolumeUse
from reconciler.model.ownership import Applying, Record, Stamp
from reconciler.model.plan import APPLY, APPLY_AND_DESTROY, Policy
from reconciler.model.refs import (
    ALL_DS_URL,
    DEFAULT_VMGROUP,
    DEFAULT_VMGROUP_UUID,
    OLD_DEFAULT_URL,
    VM_DS_URL,
    Location,
    own_location,
)
from reconciler.model.state import Desired, Observed, ObservedDatastore
from reconciler.planning.vmgroup.state import VMGroupState
from tests.planning import compact
from tests.planning.golden import HEAL
from tests.planning.interpreter import Rows, Site

HOSTS = ["h1", "h2", "h3"]
STORES = ["d1", "d2"]
URLS = [compact.url_of(name) for name in STORES]
GROUPS = ["g1", "g2", "g3"]
VMS = ["v1", "v2", "v3", "v4"]
ids = st.sampled_from([*(f"id-{name}" for name in GROUPS), "id-x", "id-gone", DEFAULT_VMGROUP_UUID])
limits = st.sampled_from([0, 0, 100, 200])
rows_of_access = st.builds(Access, st.sampled_from([*URLS, ALL_DS_URL, VM_DS_URL]), st.booleans(), limits, limits)


@st.composite
def states(draw: st.DrawFn) -> VMGroupState:
    """A vmgroup with readable rows, its default datastore perhaps without one."""
    rows = draw(st.lists(rows_of_access, max_size=4))
    default = draw(st.sampled_from([*URLS, VM_DS_URL, None]))
    return VMGroupState("id", "g", "", default, {row.url: row for row in rows}, {})


def sometimes(draw: st.DrawFn, strategy: st.SearchStrategy[Any]) -> Any:
    """A value, or None as often."""
    return draw(strategy) if draw(st.booleans()) else None


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    """Names that collide, and now and then a BIOS UUID that two VMs share."""
    vms = []
    for vm in draw(st.lists(st.sampled_from(VMS), unique=True)):
        disk = sometimes(draw, ids) if draw(st.booleans()) else None
        vms.append(
            {
                "name": vm if draw(st.integers(0, 5)) else "v1",
                "uuid": f"uuid-{vm}" if draw(st.integers(0, 9)) else "uuid-v2",
                "path": f"/vm/{draw(st.sampled_from('ab'))}/{vm}",
                "volumes": [f"[d1] dockvols/{disk}/x.vmdk"] if disk else [],
            }
        )
    datastores = [{"name": name, "hosts": HOSTS} for name in STORES]
    complete = bool(draw(st.integers(0, 5)))
    return compact.inventory({"hosts": HOSTS, "datastores": datastores, "vms": vms, "complete": complete})


@st.composite
def desires(draw: st.DrawFn) -> Desired:
    """One or two config DBs, their hosts, some vmgroups; always something that the loader would let through."""
    second = draw(st.integers(0, 3)) == 0
    store = draw(st.sampled_from([*STORES, *STORES, *STORES, "nowhere"]))
    databases: dict[str, Any] = {"a": {"datastore": store, **({"hosts": ["h1", "h2"]} if second else {})}}
    if second:
        databases["b"] = {"datastore": draw(st.sampled_from(STORES)), "hosts": ["h3"]}
    for entry in databases.values():
        entry["unmanaged"] = draw(st.sampled_from(list(Unmanaged))).value
        if (wanted := sometimes(draw, st.sampled_from(list(Presence)))) is not None:
            entry["defaultVMGroup"] = wanted.value
    names = draw(st.lists(st.sampled_from([*GROUPS, *GROUPS, DEFAULT_VMGROUP]), unique=True))
    keys = [f"{draw(st.sampled_from(sorted(databases)))}/{name}" if second else name for name in names]
    groups = {key: _vmgroup(draw, key) for key in keys}
    for former in sorted({*GROUPS, "x"} - set(names)):  # the loader lets only names through that nobody bears
        if (key := draw(st.sampled_from([None, None, *keys]))) is not None and not key.endswith(DEFAULT_VMGROUP):
            groups[key].setdefault("previousNames", []).append(former)
    hosts = {name: draw(st.sampled_from(_HOST_WISHES)) for name in draw(_subset([*HOSTS, "h9"]))}
    return compact.desired({"hosts": hosts, "configdbs": databases, "vmgroups": groups})


_HOST_WISHES: list[dict[str, Any]] = [
    {},
    {},
    {"service": "Running"},
    {"service": "Running", "driver": {"version": "0.14", "source": "/d.vib"}},
    {"driver": {"state": "Absent"}},
    {"service": "Running", "logLevel": "DEBUG"},
]


def _subset(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), unique=True, min_size=1)


def _vmgroup(draw: st.DrawFn, key: str) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    datastores = [*STORES, "_ALL_DS", "_VM_DS"]
    if draw(st.booleans()):
        entry["description"] = draw(st.sampled_from(["", "new"]))
    if draw(st.integers(0, 3)):
        access = draw(st.dictionaries(st.sampled_from(datastores), st.sampled_from(_ACCESS), min_size=1))
        entry["access"] = access
        defaults = sorted(set(access) - {"_ALL_DS"})
        if defaults and draw(st.integers(0, 3)) > 0:
            entry["defaultDatastore"] = draw(st.sampled_from(defaults))
    if key.endswith(DEFAULT_VMGROUP):
        return entry
    if draw(st.integers(0, 3)):
        wanted = [{"uuid": f"uuid-{vm}"} if draw(st.booleans()) else vm for vm in draw(_members)]
        entry["vms"] = wanted
    if draw(st.integers(0, 5)) == 0:
        entry["vmSelector"] = {"folder": draw(st.sampled_from(["/vm/a", "/vm/none"])), "namePattern": "v*"}
    if draw(st.integers(0, 7)) == 0:
        entry["uuid"] = draw(ids)
    return entry


_members = st.lists(st.sampled_from(VMS), unique=True, max_size=2)
_ACCESS: list[Any] = ["create", "mount", {"allowCreate": True, "volumeMaxSize": "100MB"}, {"volumeTotalSize": "200MB"}]


@st.composite
def databases(draw: st.DrawFn, store: str, state: DBState, *, old: bool | None = None) -> ObservedConfigDB:
    """Any rows that SQLite would hold: NULLs, orphans, upper case, twisted ids; rules of vDVS broken now and then.
    `old`: whether its schema is 1.1, or was half upgraded (None: either way)."""
    plain = compact.observed_db(store, state.value if state is not DBState.UNKNOWN else "Locked")
    if state is DBState.UNKNOWN and draw(st.booleans()):
        plain = replace(plain, reason="HotJournal")
    if state is not DBState.PRESENT:
        backups = ("old",) if draw(st.integers(0, 4)) == 0 else ()
        return replace(plain, fingerprint=state.value, backups=backups)
    tenants = [_tenant(draw, name) for name in draw(_subset([*GROUPS, "x", DEFAULT_VMGROUP]))]
    tenants = list({row.id: row for row in tenants}.values())
    old = draw(st.integers(0, 4)) == 0 if old is None else old
    if old:
        tenants = [replace(row, default_url=draw(st.sampled_from([row.default_url, ""]))) for row in tenants]
    access = [_privilege(draw, tenant) for tenant in tenants for _ in range(draw(st.integers(0, 2)))]
    for tenant in tenants:
        if tenant.default_url and draw(st.integers(0, 5)):
            access.append(PrivilegeRow(tenant.id, tenant.default_url, 1, 0, 0))
    if old and any(row.id == DEFAULT_VMGROUP_UUID for row in tenants) and draw(st.booleans()):
        former = draw(st.sampled_from([(1, 0, 0), (1, 0, 0), (0, 0, 0), (1, 100, 200), (2, 0, 0)]))
        access.append(PrivilegeRow(DEFAULT_VMGROUP_UUID, OLD_DEFAULT_URL, *former))
    owners = st.sampled_from([*(row.id for row in tenants), *(row.id for row in tenants), "id-gone", "id-g1"])
    vms = [_vm_row(draw, vm, draw(owners)) for vm in draw(st.lists(st.sampled_from([*VMS, "gone"]), max_size=5))]
    dead = draw(st.lists(st.sampled_from(_DEAD), unique=True, max_size=2)) if draw(st.integers(0, 3)) == 0 else []
    use = [VolumeUse(tenant.id, URLS[0], 100, 1) for tenant in tenants if draw(st.integers(0, 5)) == 0]
    found = replace(
        plain,
        tenants=tuple(tenants),
        vms=tuple({row.vm_id.lower(): row for row in vms}.values()),
        privileges=tuple({(row.tenant_id, row.url): row for row in access}.values()),
        volume_use=tuple(use),
        dead_rows=tuple(dead),
        writer=sometimes(draw, st.sampled_from(HOSTS)),
        records=tuple(_records(draw, tenants)) if draw(st.integers(0, 7)) else None,
        schema=draw(st.sampled_from([*Schema, Schema.V1_1])) if old else Schema.V1_2,
    )
    return Rows.of(found).observed()


_DEAD = [
    DeadRow("vms", ("blob:AB",), "id-g1", "X'AB'", "the id is not text"),
    DeadRow("privileges", ("text:69", "text:70"), "id-gone", URLS[0], "its vmgroup does not exist"),
]


def _records(draw: st.DrawFn, tenants: list[TenantRow]) -> Iterator[Record]:
    """Of vmgroups as they are, of the same name with another UUID, and of those that are gone."""
    uids = set()
    if draw(st.booleans()):
        for name in ("configdb/a", "configdb/b", *(f"host/{host}" for host in HOSTS)):
            yield Record(name, None, "s1", draw(st.sampled_from(["m1", "m1", "m1", "m2"])), None, False, "", None, "")
    for name in draw(st.lists(st.sampled_from([*(row.name for row in tenants), "gone"]), unique=True)):
        own = next((row.id for row in tenants if row.name == name), "id-gone")
        uid = own if draw(st.integers(0, 5)) else draw(ids)
        if uid not in uids:
            uids.add(uid)
            of, digest = draw(st.sampled_from(["", "s1", "s1", "s2"])), draw(st.sampled_from(["m1", "m2"]))
            yield Record(f"vmgroup/{name}", uid, of, digest, None, False, "bob@ws", None, "")


def _tenant(draw: st.DrawFn, name: str) -> TenantRow:
    uuid = compact.group_id(name) if draw(st.integers(0, 9)) else draw(ids)
    default = draw(st.sampled_from([*URLS, *URLS, VM_DS_URL])) if draw(st.integers(0, 9)) else None
    return TenantRow(
        uuid, name, draw(st.sampled_from(["", "old", "new"])) if draw(st.integers(0, 9)) else None, default
    )


def _privilege(draw: st.DrawFn, tenant: TenantRow) -> PrivilegeRow:
    row = draw(rows_of_access)
    limit = row.max_mb if draw(st.integers(0, 9)) else None
    return PrivilegeRow(tenant.id, row.url, int(row.allow_create), limit, row.total_mb)


def _vm_row(draw: st.DrawFn, vm: str, tenant: str) -> VMRow:
    uuid = f"uuid-{vm}"
    return VMRow(uuid if draw(st.integers(0, 7)) else uuid.upper(), tenant, sometimes(draw, st.just(vm)))


_ENTRIES: list[int | str] = [0, 2, "file", "-> id-g1", "-> id-g2", "-> id-x"]
_HOST_KINDS: list[Any] = [
    "joined d1",
    "joined d1",
    "joined d2",
    "open",
    "open",
    "unreachable",
    {"is": "joined d1", "section": {"form": "other", "datastore": "d1", "runs": None, "why": "line 9: it was edited"}},
    {"is": "joined d2", "section": {"form": "other", "runs": None, "why": "line 9: its tag is not closed"}},
    {"is": "joined d1", "can_write": False, "service": "stopped"},
    {"is": "open", "driver": None, "service": "not installed"},
    {"is": "open", "driver": None, "driver_error": "no answer", "service": "unknown"},
    {"is": "open", "db_mode": "SingleNode"},
    {"is": "joined d1", "driver": "0.13.1"},
    {"is": "open", "volumes": {"id-d1": "d1"}},
    {"is": "joined d1", "link": "/vmfs/volumes/d1/dockvols/vmdkops_config.db"},
    {"is": "joined gone", "db_mode": "BrokenLink", "db_reason": "Missing"},
]
_STATES = [DBState.PRESENT] * 6 + [DBState.ABSENT, DBState.ABSENT, DBState.EMPTY, DBState.UNKNOWN]


@st.composite
def looks(draw: st.DrawFn, inventory: Inventory) -> Observed:
    """What hosts may report."""
    hosts: dict[str, ObservedHost | UnreachableHost] = {
        name: compact.observed_host(name, draw(st.sampled_from(_HOST_KINDS)), inventory) for name in HOSTS
    }
    found = [draw(databases(store, draw(st.sampled_from(_STATES)))) for store in STORES]
    alone = [host.name for host in hosts.values() if isinstance(host, ObservedHost) and host.db_mode == "SingleNode"]
    own = {own_location(name): draw(databases(f"own {name}", draw(st.sampled_from(_STATES)))) for name in alone}
    if draw(st.integers(0, 3)) == 0:
        found = [_copied(draw, found[0], [*own.items(), (Location(found[1].path), found[1])]), found[1]]
    datastores = [_datastore(draw, store) for store in STORES]
    seen = Observed(
        hosts,
        {**{Location(db.path): db for db in found}, **own},
        {datastore.url: datastore for datastore in datastores},
    )
    return Site(seen).observed()  # with the modes that follow from the links


def _copied(draw: st.DrawFn, db: ObservedConfigDB, others: list[tuple[Location, ObservedConfigDB]]) -> ObservedConfigDB:
    """A config DB that says it is a copy; often it is."""
    place, other = draw(st.sampled_from(others))
    if db.state is not DBState.PRESENT:
        return db
    if other.state is DBState.PRESENT and draw(st.booleans()):
        db = Rows.of(replace(other, path=db.path)).observed()
    if db.schema is not Schema.V1_2:  # of an old schema nothing is copied
        return db
    copied = draw(st.sampled_from([db.fingerprint, other.fingerprint, "then"]))
    return replace(db, copied_from=CopiedFrom(place.path, place.host, copied))


def _datastore(draw: st.DrawFn, store: str) -> ObservedDatastore:
    if draw(st.integers(0, 9)) == 0:
        return compact.observed_datastore(store, "I/O error")
    if draw(st.booleans()):
        return compact.observed_datastore(store, {})
    folders = draw(st.dictionaries(ids, st.sampled_from([0, 0, 2]), max_size=3))
    links = draw(st.dictionaries(st.sampled_from([*GROUPS, DEFAULT_VMGROUP]), st.sampled_from(_ENTRIES), max_size=2))
    return compact.observed_datastore(store, {**folders, **links})


class World(Struct, frozen=True):
    """Everything that a pass looks at, and what it may write."""

    desired: Desired
    inventory: Inventory
    observed: Observed
    policy: Policy
    applying: Applying | None


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Any world."""
    inventory = draw(inventories())
    policy = draw(st.sampled_from([APPLY, APPLY, APPLY_AND_DESTROY, HEAL]))
    return World(draw(desires()), inventory, draw(looks(inventory)), policy, draw(applyings))


applyings = st.one_of(
    st.none(),
    st.builds(Applying, st.just(""), st.just(Stamp("ann@ws")), st.booleans()),
    st.builds(Applying, st.just("s1"), st.just(Stamp("ann@ws")), st.booleans(), st.booleans()),
    st.just(Applying("s1", Stamp("ann@ws"), prune=True)),
)


def shuffled(world: World, chance: random.Random) -> World:
    """The same world, told in another order."""

    def mixed(values: Any) -> Any:
        items = list(values.items() if isinstance(values, dict) else values)
        chance.shuffle(items)
        return dict(items) if isinstance(values, dict) else tuple(items)

    desired, seen = world.desired, world.observed
    groups = [
        replace(
            group,
            vms=group.vms and mixed(group.vms),
            access=group.access and mixed(group.access),
        )
        for group in desired.vmgroups
    ]
    wanted = replace(
        desired, hosts=mixed(desired.hosts), config_dbs=mixed(desired.config_dbs), vmgroups=mixed(tuple(groups))
    )
    rows = {
        path: replace(
            db,
            tenants=mixed(db.tenants),
            vms=mixed(db.vms),
            privileges=mixed(db.privileges),
            records=db.records and mixed(db.records),
        )
        for path, db in seen.config_dbs.items()
    }
    entries = {
        url: replace(datastore, entries=mixed(dict(datastore.entries))) for url, datastore in seen.datastores.items()
    }
    inventory = replace(
        world.inventory,
        hosts=mixed(world.inventory.hosts),
        datastores=mixed(world.inventory.datastores),
        vms=mixed(world.inventory.vms),
    )
    looked = Observed(mixed(dict(seen.hosts)), mixed(rows), mixed(entries))
    return World(wanted, inventory, looked, world.policy, world.applying)
