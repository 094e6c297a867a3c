"""An assessment joined: for each object how it differs, what is declared, what was found, and who applied it.

Descriptions and lists of objects are made from these, without joins of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from operator import attrgetter
from typing import TypeVar

from msgspec import Struct

from reconciler.model.diff import Change
from reconciler.model.events import Condition
from reconciler.model.files import ResolvedFile
from reconciler.model.kinds.configdb import ObservedConfigDB, ResolvedConfigDB
from reconciler.model.kinds.host import ObservedHost, ResolvedHost, UnreachableHost
from reconciler.model.kinds.vmgroup import Member, PrivilegeRow, ResolvedVMGroup, TenantRow, VMRow, VolumeUse
from reconciler.model.outcome import Assessment
from reconciler.model.ownership import Record
from reconciler.model.refs import SPECIAL_DATASTORES, Kind, ObjectRef
from reconciler.planning.configdb.orphans import no_orphans
from reconciler.planning.configdb.relocation import place_of
from reconciler.planning.records.history import altered_records, history
from reconciler.planning.scope import vmgroup_ref
from reconciler.planning.spelling import display_names
from reconciler.planning.vmgroup.quotas import Stock, stocks

_R = TypeVar("_R")
_TENANT = attrgetter("tenant_id")
_SPECIAL_URLS = frozenset(SPECIAL_DATASTORES.values())


class JoinedAccess(Struct, frozen=True):
    """A row of `privileges`, and `used`: the volumes counted on each datastore that this row decides for.

    Source: docs/domain.md#quotas
    """

    row: PrivilegeRow
    used: tuple[VolumeUse, ...]


class JoinedVMGroup(Struct, frozen=True):
    """A vmgroup, declared (`resolved`) or found. `tenant` None: its config DB has no such row, or could not be read.

    `config_db`: where it is or will be (None: not known). `members` are sorted by name, those without one last;
    `access` by the name of the datastore. `used_mb`: booked on all datastores. `stocks`: by the books and as found, by
    datastore (empty also where the books were not read). `record`: of this UUID.
    """

    change: Change
    resolved: ResolvedVMGroup | None = None
    config_db: ObjectRef | None = None
    tenant: TenantRow | None = None
    members: tuple[Member, ...] = ()
    access: tuple[JoinedAccess, ...] = ()
    used_mb: int = 0
    stocks: tuple[Stock, ...] = ()
    record: Record | None = None


class JoinedHost(Struct, frozen=True):
    """A host. `seen` None: it was not asked. `uses`: the config DB that it uses now, if that one was read."""

    change: Change
    resolved: ResolvedHost | None = None
    seen: ObservedHost | UnreachableHost | None = None
    uses: ObservedConfigDB | None = None
    record: Record | None = None


class JoinedConfigDB(Struct, frozen=True):
    """A config DB. Of the hosts that are to use it, those in `linked` do; those in `silent` did not answer."""

    change: Change
    resolved: ResolvedConfigDB | None = None
    seen: ObservedConfigDB | None = None
    linked: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    record: Record | None = None


class Joined:
    """The objects of one assessment by ref, each kind joined at once on first access, in linear time.

    Every mapping is in the order of the diff. `names`: display names for the ids of its inventory.
    """

    def __init__(self, assessment: Assessment) -> None:
        self.assessment = assessment
        self.names = display_names(assessment.resolved.inventory)
        self._resolved = assessment.resolved
        self._observed = assessment.observed

    @cached_property
    def changes(self) -> Mapping[ObjectRef, Change]:
        """The changes of all kinds."""
        return {change.ref: change for change in self.assessment.diff.changes}

    @cached_property
    def of_kind(self) -> Mapping[Kind, tuple[Change, ...]]:
        """The changes of each kind."""
        found: dict[Kind, list[Change]] = {kind: [] for kind in Kind}
        for change in self.assessment.diff.changes:
            found[change.ref.kind].append(change)
        return {kind: tuple(changes) for kind, changes in found.items()}

    @cached_property
    def hosts(self) -> Mapping[ObjectRef, JoinedHost]:
        """Hosts, including undeclared ones that answered."""
        declared = {host.ref: host for host in self._resolved.hosts}
        return {change.ref: self._host(change, declared.get(change.ref)) for change in self.of_kind[Kind.HOST]}

    @cached_property
    def config_dbs(self) -> Mapping[ObjectRef, JoinedConfigDB]:
        """Config DBs."""
        declared = {db.ref: db for db in self._resolved.config_dbs}
        return {
            change.ref: self._config_db(change, declared.get(change.ref)) for change in self.of_kind[Kind.CONFIG_DB]
        }

    @cached_property
    def vmgroups(self) -> Mapping[ObjectRef, JoinedVMGroup]:
        """Vmgroups, including undeclared ones."""
        declared = {group.ref: group for group in self._resolved.vmgroups}
        found = {ref: (tables, row) for tables in self._tables for ref, row in tables.refs.items()}
        joined = {}
        for change in self.of_kind[Kind.VMGROUP]:
            ref, group = change.ref, declared.get(change.ref)
            if ref in found:
                joined[ref] = self._vmgroup(change, group, *found[ref])
            else:
                joined[ref] = JoinedVMGroup(change, group, None if group is None else group.config_db)
        return joined

    @cached_property
    def files(self) -> Mapping[ObjectRef, ResolvedFile]:
        """Declared files on datastores that could be looked up."""
        return {file.ref: file for file in self._resolved.files}

    @cached_property
    def unresolved(self) -> Mapping[ObjectRef, str]:
        """Reasons why objects, or parts of them, could not be looked up."""
        parts = {
            group.ref: "; ".join(why)
            for group in self._resolved.vmgroups
            if (
                why := [
                    *group.unclear,
                    *group.unknown_among(group.unknown, there=True),
                    *filter(None, [group.unselected]),
                ]
            )
        }
        return parts | {failed.ref: failed.reason for failed in self._resolved.unresolved}

    @cached_property
    def unresolved_why(self) -> Mapping[ObjectRef, str]:
        """One word for each of these reasons, where it concerns the whole object."""
        return {failed.ref: failed.why for failed in self._resolved.unresolved}

    @cached_property
    def orphans(self) -> Mapping[ObjectRef, Condition]:
        """`NoOrphans` of each config DB that could be read."""
        return {condition.ref: condition for condition in no_orphans(self._resolved, self._observed)}

    @cached_property
    def altered_records(self) -> Mapping[ObjectRef, str]:
        """The contradictions between the records of each config DB and what this side keeps."""
        return altered_records(self._resolved, self._observed)

    def record(self, db: ObjectRef | None, name: str) -> Record | None:
        """Return the record in `db` of the object that `history` calls `name`."""
        return self._records.get((db, name))

    @cached_property
    def records(self) -> Mapping[str, Record]:
        """The last apply of each object as `history` calls it, whichever config DB has it: of files on datastores."""
        return {name: record for (_, name), record in self._records.items()}

    @cached_property
    def _records(self) -> dict[tuple[ObjectRef | None, str], Record]:
        applied = history(self._resolved, self._observed)
        found: dict[tuple[ObjectRef | None, str], Record] = {
            (each.config_db, each.object): each.record for each in applied
        }
        return found | {(each.config_db, each.object): each.record for each in applied if not each.record.claimed}

    def _host(self, change: Change, declared: ResolvedHost | None) -> JoinedHost:
        name = change.ref.name
        seen = self._observed.hosts.get(name) or self._observed.undeclared_hosts.get(name)
        uses = (
            self._observed.config_dbs.get(place)
            if isinstance(seen, ObservedHost) and (place := place_of(seen))
            else None
        )
        record = self.record(declared.config_db if declared else None, str(change.ref))
        return JoinedHost(change, declared, seen, uses, record)

    def _config_db(self, change: Change, declared: ResolvedConfigDB | None) -> JoinedConfigDB:
        if declared is None:
            return JoinedConfigDB(change)
        seen = {name: self._observed.hosts.get(name) for name in declared.hosts}
        answered = {name: host for name, host in seen.items() if isinstance(host, ObservedHost)}
        return JoinedConfigDB(
            change,
            declared,
            self._observed.config_dbs.get(declared.location),
            tuple(name for name, host in answered.items() if place_of(host) == declared.location),
            tuple(name for name in declared.hosts if name not in answered),
            self.record(change.ref, str(change.ref)),
        )

    @cached_property
    def _tables(self) -> list[_Tables]:
        return [self._read(db) for db in self._resolved.config_dbs if db.location in self._observed.config_dbs]

    def _read(self, db: ResolvedConfigDB) -> _Tables:
        seen = self._observed.config_dbs[db.location]
        prefix = vmgroup_ref(db.ref, "", self._resolved).name
        return _Tables(
            db.ref,
            {ObjectRef(Kind.VMGROUP, prefix + row.name): row for row in seen.tenants},
            _grouped(seen.vms, _TENANT),
            _grouped(seen.privileges, _TENANT),
            _grouped(seen.volume_use, _TENANT),
            stocks(seen, self._observed.datastores) or {},
        )

    def _vmgroup(
        self, change: Change, declared: ResolvedVMGroup | None, tables: _Tables, row: TenantRow
    ) -> JoinedVMGroup:
        members = [Member(vm.vm_id, self.names.vm_name(vm.vm_id, vm.vm_name)) for vm in tables.vms.get(row.id, ())]
        use = tables.use.get(row.id, ())
        record = self.record(tables.db, str(change.ref))
        return JoinedVMGroup(
            change,
            declared,
            tables.db,
            row,
            tuple(sorted(members, key=lambda member: (member.name is None, member.name or "", member.uuid))),
            self._access(tables.privileges.get(row.id, ()), use),
            sum(each.used_mb for each in use),
            tables.stocks.get(row.id, ()),
            record if record is not None and record.uid == row.id else None,  # a namesake may have left another
        )

    def _access(self, rows: Iterable[PrivilegeRow], use: Iterable[VolumeUse]) -> tuple[JoinedAccess, ...]:
        """Return each row with what counts against it: that of a special name applies where no other row does."""
        ordered = sorted(rows, key=lambda row: self.names.datastore(row.url) or "")
        own = {row.url for row in ordered}
        elsewhere = tuple(each for each in use if each.url not in own)
        by_url = _grouped(use, attrgetter("url"))
        return tuple(
            JoinedAccess(row, elsewhere if row.url in _SPECIAL_URLS else tuple(by_url.get(row.url, ())))
            for row in ordered
        )


class _Tables(Struct, frozen=True):
    """The rows of one config DB: vmgroups by ref, what belongs to each by its UUID."""

    db: ObjectRef
    refs: Mapping[ObjectRef, TenantRow]
    vms: Mapping[str, list[VMRow]]
    privileges: Mapping[str, list[PrivilegeRow]]
    use: Mapping[str, list[VolumeUse]]
    stocks: Mapping[str, tuple[Stock, ...]]


def _grouped(rows: Iterable[_R], key: Callable[[_R], str]) -> dict[str, list[_R]]:
    found: dict[str, list[_R]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found
