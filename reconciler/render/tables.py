"""The tables of `get`, as text and as data."""

from __future__ import annotations

from reconciler.model.diff import Op
from reconciler.model.kinds.configdb import DBState
from reconciler.model.kinds.host import DBMode
from reconciler.model.outcome import Assessment
from reconciler.model.refs import Kind, ObjectRef
from reconciler.planning.host.compliance import Compliance
from reconciler.render.facts import NONE, UNKNOWN, ConfigDBFacts, Facts, HostFacts, Row, VMGroupFacts, sync
from reconciler.render.policy_facts import StoragePolicyFacts, storage_policies
from reconciler.render.quota import tightest
from reconciler.render.text import Paint, columns, count, lines, plain
from reconciler.render.volume_facts import VolumeFacts, declared_volumes

KINDS = (Kind.CONFIG_DB, Kind.HOST, Kind.VMGROUP, Kind.STORAGE_POLICY, Kind.VOLUME)
_NOTHING = {
    Kind.HOST: "hosts",
    Kind.CONFIG_DB: "config DBs",
    Kind.VMGROUP: "vmgroups",
    Kind.STORAGE_POLICY: "storage policies",
    Kind.VOLUME: "declared volumes",
}
_HEADINGS = {
    Kind.HOST: ("NAME", "STATE", "DB", "ACCESS", "DRIVER", "SERVICE", "SYNC"),
    Kind.VMGROUP: ("NAME", "DEFAULT DATASTORE", "VMS", "DATASTORES", "QUOTA USED", "SYNC"),
    Kind.CONFIG_DB: ("NAME", "DATASTORE", "MODE", "STATE", "VMGROUPS", "HOSTS", "SYNC"),
    Kind.STORAGE_POLICY: ("NAME", "DATASTORE", "USED BY", "CONTENT", "SYNC"),
    Kind.VOLUME: ("NAME", "ACCESS", "ATTACHED TO", "SYNC"),
}
_WIDE = {
    Kind.HOST: ("BASELINE", "ADDRESS", "ESXI", "MAINTENANCE", "PERSISTENCE", "SECURE BOOT", "SET", "WHY"),
    Kind.VMGROUP: ("UUID", "CONFIG DB", "DESCRIPTION", "SET", "WHY"),
    Kind.CONFIG_DB: ("READ FROM", "WRITER", "BACKUPS", "PATH", "SET", "WHY"),
    Kind.STORAGE_POLICY: ("SET", "WHY"),
    Kind.VOLUME: ("SET", "WHY"),
}


_BASELINE = {Compliance.NONE: NONE, Compliance.UNKNOWN: UNKNOWN}


def rows(assessment: Assessment, kind: Kind, only: frozenset[ObjectRef] | None = None) -> tuple[Row, ...]:
    """The objects of one kind, those in `only` if it is given."""
    facts = Facts(assessment)
    found: tuple[Row, ...]
    match kind:
        case Kind.HOST:
            found = facts.hosts()
        case Kind.VMGROUP:
            found = facts.vmgroups()
        case Kind.STORAGE_POLICY:
            found = storage_policies(assessment)
        case Kind.VOLUME:
            found = declared_volumes(assessment)
        case _:
            found = facts.config_dbs()
    return found if only is None else tuple(row for row in found if row.change.ref in only)


def table_text(kind: Kind, found: tuple[Row, ...], *, wide: bool = False, paint: Paint = plain) -> str:
    """One kind as a table."""
    if not found:
        return f"No {_NOTHING[kind]}.\n"
    headings = _HEADINGS[kind] + (_WIDE[kind] if wide else ())
    cells = [_cells(row) + (_wide_cells(row) if wide else ()) for row in found]
    return lines(columns([headings, *cells], paint=paint))


def names_text(found: tuple[Row, ...]) -> str:
    """`kind/name`, a line each, for scripts."""
    return lines([line for row in found for line in columns([(str(row.change.ref),)])])


def db_text(host: HostFacts) -> str:
    """Which config DB a host uses."""
    if host.seen is None:
        return UNKNOWN
    mode = host.seen.db_mode
    match mode:
        case DBMode.MULTI_NODE:
            return f"{mode} {host.datastore or ''}".rstrip()
        case DBMode.SINGLE_NODE:
            return f"{mode} (lost at reboot)"
        case DBMode.BROKEN_LINK:
            return f"{mode} ({host.seen.db_reason})" if host.seen.db_reason else mode
        case _:
            return mode


def driver_text(host: HostFacts) -> str:
    """Which VIB a host has."""
    if host.seen is None or host.seen.driver_error:
        return UNKNOWN
    return host.seen.driver or NONE


def state_text(db: ConfigDBFacts) -> str:
    """Whether a config DB can be used, and why not."""
    if db.seen is None:
        return UNKNOWN
    return db.seen.reason or db.seen.state.value if db.seen.state is DBState.UNKNOWN else db.seen.state.value


def users_text(row: StoragePolicyFacts) -> str:
    """How many volumes name a storage policy."""
    return UNKNOWN if row.users is None else count(len(row.users), "volume")


def content_text(row: StoragePolicyFacts) -> str:
    """What is in it."""
    return row.content if row.content is not None else NONE if row.readable else UNKNOWN


def attached_text(row: VolumeFacts) -> str:
    """The VM that has a volume attached."""
    return row.attached or (UNKNOWN if row.access is None else NONE)


def _cells(row: Row) -> tuple[str, ...]:
    name, synced = row.change.ref.name, sync(row.change)
    if isinstance(row, HostFacts):
        service = row.seen.service.value if row.seen else UNKNOWN
        return (name, row.state, db_text(row), row.access, driver_text(row), service, synced)
    if isinstance(row, VMGroupFacts):
        none = NONE if row.readable else UNKNOWN
        vms, datastores = (str(len(row.members)), str(len(row.rights))) if row.tenant else (none, none)
        return (name, row.default_datastore or none, vms, datastores, tightest(row), synced)
    if isinstance(row, StoragePolicyFacts):
        return (name, row.datastore or UNKNOWN, users_text(row), content_text(row), synced)
    if isinstance(row, VolumeFacts):
        return (name, row.access or UNKNOWN, attached_text(row), synced)
    mode = row.resolved.mode.value if row.resolved else UNKNOWN
    readable = row.seen is not None and row.seen.state is DBState.PRESENT
    vmgroups = str(len(row.seen.tenants)) if row.seen and readable else UNKNOWN
    linked = f"{len(row.linked)}/{len(row.hosts)}" if row.resolved else UNKNOWN
    return (name, row.datastore, mode, state_text(row), vmgroups, linked, synced)


def _wide_cells(row: Row) -> tuple[str, ...]:
    why = NONE if row.change.op is Op.KEEP else row.change.reason
    of = (row.record.set if row.record else "") or NONE
    if isinstance(row, HostFacts):
        address = row.resolved.address if row.resolved else UNKNOWN
        section = row.seen.section.form.value if row.seen else UNKNOWN
        secure = yes_no(row.seen.secure_boot if row.seen else None)
        entry = row.resolved.entry if row.resolved else None
        version, maintenance = (entry.version or UNKNOWN, entry.in_maintenance) if entry else (UNKNOWN, None)
        baseline = _BASELINE.get(row.baseline.compliance, row.baseline.compliance.value)
        return (baseline, address, version, yes_no(maintenance), section, secure, of, row.why or why)
    if isinstance(row, VMGroupFacts):
        none = NONE if row.readable else UNKNOWN
        uuid, description = (row.tenant.id, row.tenant.description or NONE) if row.tenant else (none, none)
        return (uuid, row.config_db or UNKNOWN, description, of, why)
    if isinstance(row, StoragePolicyFacts | VolumeFacts):
        return (of, why)
    seen = row.seen
    path = row.resolved.location.path if row.resolved else UNKNOWN
    reader = writer = backups = UNKNOWN
    if seen is not None and row.readable:
        reader, writer, backups = seen.read_from or NONE, seen.writer or NONE, str(len(seen.backups))
    return (reader, writer, backups, path, of, why)


def yes_no(value: bool | None) -> str:
    """A fact that may be unknown."""
    return UNKNOWN if value is None else "yes" if value else "no"
