"""A small world that plans can be carried out on: what the agent does, in memory, written from its protocol.

It knows nothing of planning. As strict as the agent: an action whose precondition does not hold is Refused.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import DBAction
from reconciler.model.errors import AgentRefusedError
from reconciler.model.kinds import AnyObservedFiles, FileAction
from reconciler.model.kinds.configdb import CopiedFrom, DBState, DeleteRow, ObservedConfigDB, Schema, UpgradeDB
from reconciler.model.kinds.host import (
    ChangeSetting,
    DBMode,
    HostAction,
    InstallDriver,
    LeaveOwnDB,
    LinkDB,
    MaintenanceAction,
    ObservedHost,
    ObservedSetting,
    RemoveDriver,
    RemoveSection,
    ReplaceDriver,
    RestartHostd,
    Section,
    SectionForm,
    Service,
    StartService,
    UnlinkDB,
    UnreachableHost,
    WriteSection,
)
from reconciler.model.kinds.storagepolicy import (
    ObservedStoragePolicies,
    RemoveStoragePolicy,
    StoragePolicyFile,
    WriteStoragePolicy,
)
from reconciler.model.kinds.vmgroup import (
    Access,
    AddMember,
    CreateVMGroup,
    DeleteVMGroup,
    LinkAction,
    Member,
    MoveMember,
    NameMember,
    PrivilegeRow,
    RemoveAccess,
    RemoveMember,
    RemoveNameLink,
    RenameVMGroup,
    SetAccess,
    SetNameLink,
    TenantRow,
    UpdateVMGroup,
    VMRow,
)
from reconciler.model.kinds.volume import ObservedVolumes, SetVolumeAccess
from reconciler.model.outcome import ActionResult
from reconciler.model.ownership import ForgetObject, Record, RecordObject
from reconciler.model.plan import DBPlan, MovePlan
from reconciler.model.refs import DEFAULT_VMGROUP, DEFAULT_VMGROUP_UUID, VOLUMES, Location, own_location
from reconciler.model.state import DockvolsEntry, EntryKind, Observed, ObservedDatastore


class RefusedError(Exception):
    """The world is not as an action expects it; `reason` as in the agent's protocol."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _with_policy(seen: ObservedStoragePolicies, action: WriteStoragePolicy | RemoveStoragePolicy) -> AnyObservedFiles:
    now = seen.files.get(action.name)
    expect((None if now is None else now.content) == action.before, "the policy is another", "Moved")
    files = {name: file for name, file in seen.files.items() if name != action.name}
    if isinstance(action, WriteStoragePolicy):
        files[action.name] = StoragePolicyFile(action.content + "\n")
    else:
        expect(not seen.users.get(action.name) and seen.unread is None, "the policy is in use", "InUse")
    return replace(seen, files=files)


def _with_access(seen: ObservedVolumes, action: SetVolumeAccess) -> AnyObservedFiles:
    now = seen.found.get(action.uuid, {}).get(action.name)
    expect(now is not None and now.digest == action.digest, "the metadata are others", "Moved")
    assert now is not None
    after = replace(now, access=action.access.value, digest=f"{now.digest}+")
    return replace(seen, found={**seen.found, action.uuid: {**seen.found[action.uuid], action.name: after}})


def expect(met: bool, message: str, reason: str = "Precondition") -> None:
    """Raise RefusedError unless `met`."""
    if not met:
        raise RefusedError(reason, message)


class Rows(Struct):
    """The rows of one config DB; `other` is the rest of what is observed of it."""

    other: ObservedConfigDB
    tenants: dict[str, TenantRow] = field(default_factory=dict)
    vms: dict[str, VMRow] = field(default_factory=dict)
    privileges: dict[tuple[str, str], PrivilegeRow] = field(default_factory=dict)
    records: dict[str, Record] | None = field(default_factory=dict)

    @classmethod
    def of(cls, db: ObservedConfigDB) -> Rows:
        """The rows of an observed config DB."""
        return cls(
            db,
            {row.id: row for row in db.tenants},
            {row.vm_id: row for row in db.vms},
            {(row.tenant_id, row.url): row for row in db.privileges},
            None if db.records is None else {record.object: record for record in db.records},
        )

    def fingerprint(self) -> str:
        """The same for the same rows."""
        if self.other.state is not DBState.PRESENT:
            return self.other.state.value
        parts = (
            sorted(map(repr, rows))
            for rows in (self.tenants.values(), self.vms.values(), self.privileges.values(), self.other.dead_rows)
        )
        return repr([self.other.schema, *parts])

    def observed(self) -> ObservedConfigDB:
        """As a host would report it."""
        rows = (tuple(self.tenants.values()), tuple(self.vms.values()), tuple(self.privileges.values()))
        found = replace(self.other, tenants=rows[0], vms=rows[1], privileges=rows[2], fingerprint=self.fingerprint())
        records = None if self.records is None else tuple(self.records.values())
        return replace(found, violations=tuple(sorted(self.violations())), records=records)

    def violations(self) -> set[str]:
        """The rules of vDVS that the rows break."""
        found = {f"{row.table} {row.key}: {row.why}" for row in self.other.dead_rows}
        if self.other.schema is Schema.V1_2_WITHOUT_NAMES:
            found.add("vms: no column vm_name")
        for tenant in self.tenants.values():
            if tenant.description is None:
                found.add(f"{tenant.id}: no description")
            if self.other.schema is not Schema.V1_1 and (tenant.id, tenant.default_url) not in self.privileges:
                found.add(f"{tenant.id}: no access to its default datastore {tenant.default_url}")
        for row in self.privileges.values():
            if row.allow_create not in (0, 1) or None in (row.max_mb, row.total_mb):
                found.add(f"{row.tenant_id} {row.url}: unreadable")
        for vm in self.vms.values():
            owner = self.tenants.get(vm.tenant_id)
            if owner is None or owner.id == DEFAULT_VMGROUP_UUID or owner.name == DEFAULT_VMGROUP:
                found.add(f"{vm.vm_id.lower()} in {vm.tenant_id}: a row that must not be")
            if vm.vm_id != vm.vm_id.lower():
                found.add(f"{vm.vm_id} in {vm.tenant_id}: in capitals")
        return found

    def row_of(self, uuid: str) -> VMRow | None:
        """The row of a VM, however it is spelt; one in lower case comes first."""
        return self.vms.get(uuid) or next((row for row in self.vms.values() if row.vm_id.lower() == uuid), None)

    def do(self, action: DBAction) -> None:
        """Carry out one action."""
        if isinstance(action, RecordObject | ForgetObject):
            self._write_down(action)
            return
        if not isinstance(action, CreateVMGroup | RemoveMember | DeleteRow | UpgradeDB):
            expect(action.uuid in self.tenants, f"no vmgroup {action.uuid}")
        match action:
            case CreateVMGroup():
                self._create(action)
            case UpdateVMGroup(uuid=uuid, description=description, default_url=default):
                old = self.tenants[uuid]
                description = old.description if description is None else description
                self.tenants[uuid] = TenantRow(uuid, old.name, description, default or old.default_url)
            case RenameVMGroup(uuid=uuid, before=before, name=name):
                expect(self.tenants[uuid].name == before, "it has another name")
                expect(
                    DEFAULT_VMGROUP not in (before, name) and uuid != DEFAULT_VMGROUP_UUID, "_DEFAULT keeps its name"
                )
                expect(name not in {row.name for row in self.tenants.values()}, "the name is taken")
                self.tenants[uuid] = replace(self.tenants[uuid], name=name)
            case SetAccess(uuid=uuid, access=access):
                self._grant(uuid, access)
            case RemoveAccess(uuid=uuid, url=url):
                expect((uuid, url) in self.privileges, f"no row for {url}")
                del self.privileges[uuid, url]
            case AddMember(uuid=uuid, member=member):
                self._insert(uuid, member)
            case MoveMember(uuid=uuid, from_uuid=source, member=member):
                row = self._member(source, member.uuid)
                del self.vms[row.vm_id]
                self.vms[member.uuid] = VMRow(member.uuid, uuid, member.name or row.vm_name)
            case NameMember(uuid=uuid, member=member):
                row = self._member(uuid, member.uuid)
                self.vms[row.vm_id] = row._replace(vm_name=member.name)
            case RemoveMember(uuid=uuid, member=member):
                del self.vms[self._member(uuid, member.uuid).vm_id]
            case UpgradeDB(names=names):
                self.other = replace(self.other, schema=Schema.V1_2)
                for member in names:
                    if (named := self.vms.get(member.uuid)) is not None and named.vm_name is None:
                        self.vms[member.uuid] = named._replace(vm_name=member.name)
            case DeleteRow(table=table, key=key):
                left = tuple(row for row in self.other.dead_rows if (row.table, row.key) != (table, key))
                expect(len(left) < len(self.other.dead_rows), "no such dead row")
                self.other = replace(self.other, dead_rows=left)
            case DeleteVMGroup(uuid=uuid):
                self._delete(action)

    def _write_down(self, action: RecordObject | ForgetObject) -> None:
        if self.records is None:
            return
        self.records.pop(action.object, None)
        if isinstance(action, RecordObject):
            self._forget_uid(action.uid)
            who = (None, False, "somebody", None, "")
            self.records[action.object] = Record(action.object, action.uid, action.set, action.digest, *who)

    def _forget_uid(self, uid: str | None) -> None:
        kept = (self.records or {}).items()
        if self.records is not None and uid is not None:
            self.records = {name: record for name, record in kept if record.uid != uid}

    def _create(self, action: CreateVMGroup) -> None:
        expect((action.name == DEFAULT_VMGROUP) == (action.uuid == DEFAULT_VMGROUP_UUID), "_DEFAULT has its own uuid")
        expect(action.uuid not in self.tenants, "the uuid is taken")
        expect(action.name not in {row.name for row in self.tenants.values()}, "the name is taken")
        owners = {row.tenant_id for rows in (self.vms, self.privileges) for row in rows.values()}
        expect(action.uuid not in owners, "rows of an earlier vmgroup are left")
        self.tenants[action.uuid] = TenantRow(action.uuid, action.name, action.description, action.default_url)
        for access in action.access:
            self._grant(action.uuid, access)
        for member in action.members:
            self._insert(action.uuid, member)

    def _grant(self, uuid: str, access: Access) -> None:
        row = PrivilegeRow(uuid, access.url, int(access.allow_create), access.max_mb, access.total_mb)
        self.privileges[uuid, access.url] = row

    def _insert(self, uuid: str, member: Member) -> None:
        expect(self.row_of(member.uuid) is None, f"{member.uuid} is already in a vmgroup")
        self.vms[member.uuid] = VMRow(member.uuid, uuid, member.name)

    def _member(self, tenant: str, uuid: str) -> VMRow:
        row = self.row_of(uuid)
        expect(row is not None and row.tenant_id == tenant, f"{uuid} is not in {tenant}")
        assert row is not None
        return row

    def _delete(self, action: DeleteVMGroup) -> None:
        expect(self.tenants[action.uuid].name == action.name, "it has another name")
        expect(all(row.tenant_id != action.uuid for row in self.vms.values()), "it has members")
        expect(all(use.tenant_id != action.uuid for use in self.other.volume_use), "it has volumes")
        if action.only_of is not None:
            expect(self.records is not None, "who applied it is unknown")
            record = (self.records or {}).get(f"vmgroup/{action.name}")
            last = record.set if record is not None and record.uid == action.uuid else ""
            expect(last in action.only_of, f"set {last} applied it")
        self._forget_uid(action.uuid)
        del self.tenants[action.uuid]
        self.privileges = {key: row for key, row in self.privileges.items() if key[0] != action.uuid}


class Site:
    """All of the world: hosts, config DBs, dockvols. Hosts share it, as they share datastores."""

    def __init__(self, observed: Observed) -> None:
        self.hosts = dict(observed.hosts)
        self.dbs = {path: Rows.of(db) for path, db in observed.config_dbs.items()}
        self.datastores = dict(observed.datastores)

    def observed(self) -> Observed:
        """One look at everything."""
        databases = {path: rows.observed() for path, rows in self.dbs.items()}
        return Observed({name: self._host(name) for name in self.hosts}, databases, dict(self.datastores))

    def _host(self, name: str) -> ObservedHost | UnreachableHost:
        """With the mode that follows from its link."""
        host = self.hosts[name]
        if isinstance(host, UnreachableHost):
            return host
        own = self.dbs.get(own_location(name))
        if own is not None and own.other.state is DBState.PRESENT and host.link is None:
            return replace(host, db_mode=DBMode.SINGLE_NODE)
        location = Location(host.link_path or "")
        if location not in self.dbs:
            return host
        good = self.dbs[location].other.state is DBState.PRESENT
        mode, reason = (DBMode.MULTI_NODE, "") if good else (DBMode.BROKEN_LINK, "Missing")
        return replace(host, db_mode=mode, db_reason=reason)

    def apply_file(self, action: FileAction) -> None:
        """Write or remove a file on a datastore. Raises RefusedError."""
        seen = self.datastores[action.url]
        if isinstance(action, SetVolumeAccess):
            after: AnyObservedFiles = _with_access(seen.files_of(ObservedVolumes), action)
        else:
            assert isinstance(action, WriteStoragePolicy | RemoveStoragePolicy)
            after = _with_policy(seen.files_of(ObservedStoragePolicies), action)
        others = tuple(found for found in seen.files if found.kind is not after.kind)
        self.datastores[action.url] = replace(seen, files=(*others, after))

    def apply_db(self, plan: DBPlan, after_each: Callable[[Rows], None] = lambda _: None) -> list[ActionResult]:
        """The transaction of a plan. Raises AgentRefusedError when all of it is refused."""
        rows = copy.deepcopy(self.dbs[plan.location])
        if plan.recover:
            self.dbs[plan.location] = replace(
                rows, other=replace(rows.other, state=DBState.PRESENT, reason="", message="")
            )
            return []
        if rows.fingerprint() != plan.fingerprint:
            raise AgentRefusedError("Moved", "the config DB is not what the plan was made from")
        if plan.create:
            rows = _made(rows, plan.with_default)
        if rows.other.state is not DBState.PRESENT:
            raise AgentRefusedError("Moved", "there is no config DB")
        upgrades = bool(plan.groups) and any(isinstance(action, UpgradeDB) for action in plan.groups[0])
        if rows.other.schema is not Schema.V1_2 and plan.groups and not upgrades:
            raise AgentRefusedError("WrongVersion", "its schema is old")
        results = []
        for group in plan.groups:
            before = copy.deepcopy(rows)
            try:
                for action in group:
                    rows.do(action)
                    after_each(rows)
                expect(rows.violations() <= before.violations(), "it would break a rule", "Violation")
                expect(rows.other.schema is Schema.V1_2, "the upgrade comes first", "WrongVersion")
                results += [ActionResult(ref, True) for ref in {action.ref: None for action in group}]
            except RefusedError as refused:
                if any(isinstance(action, UpgradeDB) for action in group):
                    raise AgentRefusedError(refused.reason, f"it cannot be upgraded: {refused}") from refused
                rows = before
                refs = {action.ref: None for action in group}
                results += [ActionResult(ref, False, refused.reason, str(refused)) for ref in refs]
        if plan.create or any(result.ok for result in results):
            self.dbs[plan.location] = replace(rows, other=replace(rows.other, writer=plan.writer))
        return results

    def copy_db(self, plan: MovePlan) -> None:
        """The first half of a move. Raises AgentRefusedError."""
        move, source = plan.move, Location(plan.move.source, plan.move.source_host)
        old, new = self.dbs[source], self.dbs[Location(move.path)]
        told = new.other.copied_from
        if (old.fingerprint(), new.fingerprint()) != (move.source_fingerprint, move.fingerprint):
            raise AgentRefusedError("Moved", "they are not what the plan was made from")
        if new.other.state is DBState.PRESENT and (
            told is None
            or told.location != source
            or (told.rows != old.fingerprint() and new.fingerprint() not in (told.rows, old.fingerprint()))
        ):
            raise AgentRefusedError("Moved", "it is no copy, or was changed")
        self.dbs[source] = replace(old, other=replace(old.other, moving_to=move.path))
        if told is not None and told.location == source and told.rows == old.fingerprint():
            return
        here = replace(
            old.other,
            path=move.path,
            copied_from=CopiedFrom(source.path, source.host, old.fingerprint()),
            moving_to=None,
            writer=plan.writer,
            backups=new.other.backups,
        )
        self.dbs[Location(move.path)] = replace(copy.deepcopy(old), other=here)

    def retire_db(self, plan: MovePlan) -> None:
        """The second half. Raises AgentRefusedError."""
        move, source, place = plan.move, Location(plan.move.source, plan.move.source_host), Location(plan.move.path)
        old, new = self.dbs.get(source), self.dbs[place]
        told = new.other.copied_from
        if told is None or told.location != source:
            raise AgentRefusedError("Moved", "it is no copy")
        if old is not None and old.other.state is DBState.PRESENT:
            if old.fingerprint() != move.source_fingerprint or old.fingerprint() not in (told.rows, new.fingerprint()):
                raise AgentRefusedError("Moved", "the old one was changed")
            if old.other.moving_to != move.path:
                raise AgentRefusedError("Moved", "the old one does not record that it is moved")
            gone = ObservedConfigDB(source.path, DBState.ABSENT, "", "", old.other.read_from, "absent")
            self.dbs[source] = Rows.of(gone)
            if source.host and isinstance(host := self.hosts[source.host], ObservedHost):
                self.hosts[source.host] = replace(host, link=move.path, link_path=move.path, db_mode=DBMode.MULTI_NODE)
        self.dbs[place] = replace(new, other=replace(new.other, copied_from=None))

    def apply_link(self, action: LinkAction) -> None:
        """Set or remove one name link."""
        datastore = self.datastores[action.url]
        entries = dict(datastore.entries)
        there = entries.get(action.name)
        expect(there is None or there.kind is EntryKind.LINK, "not a link", "NotALink")
        match action:
            case SetNameLink(url=url, name=name, uuid=uuid):
                entries[name] = DockvolsEntry(EntryKind.LINK, f"{url}/dockvols/{uuid}", 0)
            case RemoveNameLink(name=name, target=target):
                expect(there is None or there.target == target, "it leads elsewhere", "Moved")
                entries.pop(name, None)
        self.datastores[action.url] = ObservedDatastore(action.url, datastore.read_from, datastore.error, entries)

    def apply_host(self, name: str, actions: Iterable[HostAction | MaintenanceAction]) -> None:
        """Do these on a host, in order."""
        for action in actions:
            host = self.hosts[name]
            assert isinstance(host, ObservedHost)
            if isinstance(action, MaintenanceAction):  # which changes nothing that is observed on a host
                continue
            if isinstance(action, LeaveOwnDB):
                own = self.dbs[own_location(name)]
                expect(own.fingerprint() == action.fingerprint, "it was changed", "Moved")
                gone = ObservedConfigDB(own.other.path, DBState.ABSENT, "", "", name, "absent")
                self.dbs[own_location(name)] = Rows.of(gone)
                self.hosts[name] = replace(
                    host, link=action.path, link_path=action.path, db_mode=DBMode.MULTI_NODE, db_reason=""
                )
                continue
            self.hosts[name] = _on_host(host, action)


def _made(rows: Rows, with_default: bool) -> Rows:
    expect(rows.other.state in (DBState.ABSENT, DBState.EMPTY), "it is there", "Moved")
    made = Rows(replace(rows.other, state=DBState.PRESENT))
    if with_default:
        free = tuple(Access(url, True, 0, 0) for url in ("_ALL_DS://", "_VM_DS://"))
        ref, risk, text = rows.other.path, Risk.SAFE, "This is a default vmgroup"
        arguments: Sequence[object] = (ref, risk, DEFAULT_VMGROUP_UUID, DEFAULT_VMGROUP, text, "_VM_DS://", free, ())
        made.do(CreateVMGroup(*arguments))  # type: ignore[arg-type]
    return made


def _on_host(host: ObservedHost, action: HostAction) -> ObservedHost:
    match action:
        case LinkDB(path=path, before=before):
            expect(host.db_mode is not DBMode.SINGLE_NODE, "it has a config DB of its own", "NotALink")
            expect(host.link in (before, path), "the link is another one", "Moved")
            return replace(host, link=path, link_path=path, db_mode=DBMode.MULTI_NODE, db_reason="")
        case UnlinkDB(before=before):
            expect(host.link in (before, None), "the link is another one", "Moved")
            return replace(host, link=None, link_path=None, db_mode=DBMode.NOT_CONFIGURED)
        case WriteSection(datastore=datastore):
            return replace(host, section=Section(SectionForm.OURS, datastore, True))
        case RemoveSection():
            return replace(host, section=Section(SectionForm.MISSING, None, True))
        case InstallDriver(version=version):
            return replace(host, driver=version or "some", service=Service.STOPPED)
        case ReplaceDriver(before=before, version=version):
            expect(host.driver in (before, None), "the driver is another one", "Moved")
            return replace(host, driver=version or "some", service=Service.STOPPED)
        case RemoveDriver(before=before):
            expect(host.driver in (before, None), "the driver is another one", "Moved")
            return replace(host, driver=None, service=Service.NOT_INSTALLED)
        case ChangeSetting(setting=setting, value=value, before=before):
            found = host.settings.get(setting, ObservedSetting())
            expect(found.value in (before, value), f"{setting} is another one", "Moved")
            return replace(host, settings={**host.settings, setting: ObservedSetting(value)})
        case RestartHostd():
            return host
        case StartService():
            expect(host.driver is not None or host.service is Service.STOPPED, "nothing to start", "Missing")
            return replace(host, service=Service.RUNNING)
    raise AssertionError(action)


def mounts(host: ObservedHost, url: str) -> bool:
    """Whether the datastore with this URL is mounted on the host."""
    return url.removeprefix(VOLUMES) in host.volumes
