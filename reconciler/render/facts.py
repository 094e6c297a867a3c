"""What an assessment says about each object, gathered for tables, descriptions and their JSON."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.diff import Change, Op
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB, ResolvedConfigDB
from reconciler.model.kinds.host import DBMode, ObservedHost, ResolvedHost, UnreachableHost
from reconciler.model.kinds.vmgroup import TenantRow, VolumeUse
from reconciler.model.outcome import Assessment
from reconciler.model.ownership import Record
from reconciler.model.refs import SPECIAL_DATASTORES, VOLUMES, Kind, Location, ObjectRef, own_location
from reconciler.planning.history import history
from reconciler.planning.host.compliance import Verdict, verdict
from reconciler.planning.vmgroup.quotas import Stock, stocks
from reconciler.render.policy_facts import StoragePolicyFacts
from reconciler.render.volume_facts import VolumeFacts

UNKNOWN = "?"
NONE = "-"
_SYNC = {
    Op.CREATE: "missing",
    Op.UPDATE: "drifted",
    Op.DELETE: "drifted",
    Op.KEEP: "in sync",
    Op.BLOCKED: "blocked",
    Op.UNMANAGED: "unmanaged",
    Op.UNKNOWN: "unknown",
}
_ACCESS = {
    DBMode.NOT_CONFIGURED: "OPEN",
    DBMode.SINGLE_NODE: "enforced",
    DBMode.MULTI_NODE: "enforced",
    DBMode.BROKEN_LINK: "refused",
}


_UNUSABLE = ("Corrupt", "Incomplete", "WrongVersion")  # to vDVS too; what is merely locked may be free in a moment


class HostFacts(Struct, frozen=True):
    """A declared host. `seen` None: it was not observed; `why` says why not. `db`: the config DB that it uses, if that
    is one that was looked at."""

    change: Change
    resolved: ResolvedHost | None
    seen: ObservedHost | None
    why: str
    datastore: str | None  # of the config DB that it uses
    db: ObservedConfigDB | None = None
    record: Record | None = None

    @property
    def state(self) -> str:
        """Whether it answered."""
        return "connected" if self.seen else "unreachable" if self.why else UNKNOWN

    @property
    def baseline(self) -> Verdict:
        """Whether driver, service and log level are as declared."""
        return verdict(self.resolved, self.seen)

    @property
    def access(self) -> str:
        """Whether vDVS on it enforces anything: `OPEN` means that every VM may do everything."""
        if self.seen is None:
            return UNKNOWN
        if self.seen.db_mode is DBMode.NOT_CONFIGURED and self.seen.driver is None:
            return UNKNOWN if self.seen.driver_error else NONE  # without a driver nobody is served
        if self.seen.db_mode in (DBMode.SINGLE_NODE, DBMode.MULTI_NODE) and self.db is not None:
            return _enforced_by(self.db)
        return _ACCESS[self.seen.db_mode]


def _enforced_by(db: ObservedConfigDB) -> str:
    """What vDVS does with a config DB in this state: it refuses every request if it cannot understand it."""
    if db.state is DBState.PRESENT:
        return "enforced"
    return "refused" if db.state is not DBState.UNKNOWN or db.reason in _UNUSABLE else UNKNOWN


class Right(Struct, frozen=True):
    """One access row of a vmgroup. `datastore` is a name; `used`: (datastore, MB), each counted by itself."""

    datastore: str
    allow_create: bool | None
    max_mb: int | None
    total_mb: int | None
    used: tuple[tuple[str, int], ...]


class VMGroupFacts(Struct, frozen=True):
    """A vmgroup, declared or found. `tenant` None: the config DB has no such row, or could not be read. `stocks`: its
    volumes on each datastore, by its name."""

    change: Change
    config_db: str | None
    tenant: TenantRow | None
    default_datastore: str | None
    members: tuple[str, ...]
    rights: tuple[Right, ...]
    used_mb: int
    readable: bool
    stocks: tuple[tuple[str, Stock], ...] = ()
    record: Record | None = None


class ConfigDBFacts(Struct, frozen=True):
    """A config DB. Out of `hosts`, those in `linked` use it, and those in `silent` did not answer."""

    change: Change
    resolved: ResolvedConfigDB | None
    seen: ObservedConfigDB | None
    hosts: tuple[str, ...]
    linked: tuple[str, ...]
    silent: tuple[str, ...]
    record: Record | None = None

    @property
    def datastore(self) -> str:
        """The name of the datastore that it is on; `-` for a SingleNode one."""
        if self.resolved is None:
            return UNKNOWN
        return NONE if self.resolved.datastore is None else self.resolved.datastore.name

    @property
    def readable(self) -> bool:
        """Whether anything can be said about what is in it."""
        return self.seen is not None and self.seen.state is not DBState.UNKNOWN


Row = HostFacts | VMGroupFacts | ConfigDBFacts | StoragePolicyFacts | VolumeFacts


def sync(change: Change) -> str:
    """Whether an object is as its manifest says, in a word or two."""
    return _SYNC[change.op]


class Facts:
    """Everything about the objects of one assessment, by kind, in the order of its diff."""

    def __init__(self, assessment: Assessment) -> None:
        self._assessment = assessment
        self._resolved = assessment.resolved
        self._observed = assessment.observed
        self._names = _datastore_names(assessment.resolved.inventory)
        told = history(assessment.resolved, assessment.observed)
        self._records = {(applied.config_db.name, applied.object): applied.record for applied in told}

    def hosts(self) -> tuple[HostFacts, ...]:
        """The hosts."""
        resolved = {host.ref: host for host in self._resolved.hosts}
        rows = (self._host(change, resolved.get(change.ref)) for change in self._changes(Kind.HOST))
        users = {ref: host.config_db.name for ref, host in resolved.items() if host.config_db is not None}
        return tuple(replace(row, record=self._record(users.get(row.change.ref), row.change)) for row in rows)

    def config_dbs(self) -> tuple[ConfigDBFacts, ...]:
        """The config DBs."""
        resolved = {db.ref: db for db in self._resolved.config_dbs}
        rows = (self._config_db(change, resolved.get(change.ref)) for change in self._changes(Kind.CONFIG_DB))
        return tuple(replace(row, record=self._record(row.change.ref.name, row.change)) for row in rows)

    def vmgroups(self) -> tuple[VMGroupFacts, ...]:
        """The vmgroups, unmanaged ones included."""
        found: dict[str, tuple[ResolvedConfigDB, ObservedConfigDB, TenantRow, tuple[Stock, ...]]] = {}
        for db in self._resolved.config_dbs:
            seen = self._observed.config_dbs.get(db.location)
            if seen is not None:
                known = stocks(seen, self._observed.datastores) or {}
                for tenant in seen.tenants:
                    row = (db, seen, tenant, known.get(tenant.id, ()))
                    found[f"{db.ref.name}/{tenant.name}"] = found[tenant.name] = row
        declared = {group.ref: group.config_db for group in self._resolved.vmgroups}
        rows = (
            self._vmgroup(change, found.get(change.ref.name), declared.get(change.ref))
            for change in self._changes(Kind.VMGROUP)
        )
        return tuple(replace(row, record=self._record_of_vmgroup(row)) for row in rows)

    def _record_of_vmgroup(self, row: VMGroupFacts) -> Record | None:
        """Of this very vmgroup: one of the same name that is gone may have left another."""
        record = self._record(row.config_db, row.change)
        there = record is not None and row.tenant is not None and record.uid == row.tenant.id
        return record if there else None

    def _record(self, config_db: str | None, change: Change) -> Record | None:
        return self._records.get((config_db or "", str(change.ref)))

    def datastore(self, url: str | None) -> str:
        """The name of the datastore with this URL, or the URL."""
        return self._names.get(url, url) if url else NONE

    def _changes(self, kind: Kind) -> list[Change]:
        return [change for change in self._assessment.diff.changes if change.ref.kind is kind]

    def _host(self, change: Change, resolved: ResolvedHost | None) -> HostFacts:
        name = change.ref.name
        seen = self._observed.hosts.get(name) or self._observed.strangers.get(name)
        if not isinstance(seen, ObservedHost):
            return HostFacts(change, resolved, None, seen.reason if isinstance(seen, UnreachableHost) else "", None)
        return HostFacts(change, resolved, seen, "", self._link_datastore(seen), self._config_db_of(seen))

    def _config_db_of(self, host: ObservedHost) -> ObservedConfigDB | None:
        if host.db_mode is DBMode.SINGLE_NODE:
            return self._observed.config_dbs.get(own_location(host.name))
        return None if host.link_path is None else self._observed.config_dbs.get(Location(host.link_path))

    def _link_datastore(self, host: ObservedHost) -> str | None:
        if host.link_path is None or not host.link_path.startswith(VOLUMES):
            return host.link
        volume = host.link_path.removeprefix(VOLUMES).split("/", 1)[0]
        return self._names.get(VOLUMES + volume) or host.volumes.get(volume) or volume

    def _config_db(self, change: Change, resolved: ResolvedConfigDB | None) -> ConfigDBFacts:
        if resolved is None:
            return ConfigDBFacts(change, None, None, (), (), ())
        location = resolved.location
        answered = {name: host for name in resolved.hosts if isinstance(host := self._host_seen(name), ObservedHost)}
        linked = tuple(name for name, host in answered.items() if _uses(host, location))
        silent = tuple(name for name in resolved.hosts if name not in answered)
        return ConfigDBFacts(change, resolved, self._observed.config_dbs.get(location), resolved.hosts, linked, silent)

    def _host_seen(self, name: str) -> ObservedHost | UnreachableHost | None:
        return self._observed.hosts.get(name)

    def _vmgroup(
        self,
        change: Change,
        row: tuple[ResolvedConfigDB, ObservedConfigDB, TenantRow, tuple[Stock, ...]] | None,
        declared: ObjectRef | None,
    ) -> VMGroupFacts:
        if row is None:
            readable = change.op not in (Op.UNKNOWN, Op.BLOCKED)
            return VMGroupFacts(change, declared.name if declared else None, None, None, (), (), 0, readable)
        db, seen, tenant, stock = row
        names = {vm.uuid: vm.name for vm in self._resolved.inventory.vms}
        members = [(names.get(vm.vm_id) or vm.vm_name, vm.vm_id) for vm in seen.vms if vm.tenant_id == tenant.id]
        members.sort(key=lambda member: (member[0] is None, member))
        use = [use for use in seen.volume_use if use.tenant_id == tenant.id]
        return VMGroupFacts(
            change,
            db.ref.name,
            tenant,
            self.datastore(tenant.default_url),
            tuple(_member(*member) for member in members),
            self._rights(seen, tenant, use),
            sum(u.used_mb for u in use),
            True,
            tuple(sorted((self.datastore(one.url), one) for one in stock)),
        )

    def _rights(self, db: ObservedConfigDB, tenant: TenantRow, use: list[VolumeUse]) -> tuple[Right, ...]:
        rows = [row for row in db.privileges if row.tenant_id == tenant.id]
        own = {row.url for row in rows}
        rights = []
        for row in rows:
            counted = [
                u for u in use if (u.url not in own if row.url in SPECIAL_DATASTORES.values() else u.url == row.url)
            ]
            used = tuple((self.datastore(u.url), u.used_mb) for u in counted)
            create = None if row.allow_create is None else bool(row.allow_create)
            rights.append(Right(self.datastore(row.url), create, row.max_mb, row.total_mb, used))
        return tuple(sorted(rights, key=lambda right: right.datastore))


def _uses(host: ObservedHost, location: Location) -> bool:
    return host.db_mode is DBMode.SINGLE_NODE if location.host else host.link_path == location.path


def _member(name: str | None, uuid: str) -> str:
    return f"{name} ({uuid})" if name else uuid


def _datastore_names(inventory: Inventory) -> dict[str, str]:
    names = {url: name for name, url in SPECIAL_DATASTORES.items()}
    return names | {datastore.url: datastore.name for datastore in inventory.datastores}
