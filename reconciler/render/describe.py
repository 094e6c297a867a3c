"""All about one object."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.diff import Op
from reconciler.model.events import Condition
from reconciler.model.inventory import ESXiHost
from reconciler.model.kinds.host import Section
from reconciler.model.ownership import Record
from reconciler.planning.spelling import LOST
from reconciler.render.data import Data, change_data
from reconciler.render.diff import change_text
from reconciler.render.facts import NONE, UNKNOWN, ConfigDBFacts, HostFacts, Row, VMGroupFacts, sync
from reconciler.render.history import moment
from reconciler.render.past import Rows, events_data, events_text
from reconciler.render.policy_facts import StoragePolicyFacts
from reconciler.render.quota import limit, stock_text, uses
from reconciler.render.rows import row_data
from reconciler.render.tables import attached_text, content_text, db_text, driver_text, state_text, users_text, yes_no
from reconciler.render.text import Paint, clean, columns, lines, plain
from reconciler.render.volume_facts import VolumeFacts

Pairs = list[tuple[str, str]]


def describe_text(row: Row, conditions: Sequence[Condition], past: Rows = (), paint: Paint = plain) -> str:
    """Facts, then the conditions, then the last events, then the change that would be made."""
    facts = [("Object", str(row.change.ref)), ("Sync", sync(row.change)), *_applied(row.record), *_pairs(row)]
    parts = columns(facts, paint=paint)
    parts += ["", *_conditions(conditions, paint)] if conditions else []
    text = lines(parts) + (f"\n{events_text(past, paint)}" if past else "")
    return text if row.change.op is Op.KEEP else f"{text}\n{change_text(row.change, paint)}"


def _applied(record: Record | None) -> Pairs:
    if record is None:
        return []
    commit = f", git {record.revision}" if record.revision else ""
    of = f", set {record.set}" if record.set else ""
    last = f"{moment(record)} by {record.by or UNKNOWN}{of}{commit}"
    return [("Applied", last), *([("Reason", record.reason)] if record.reason else [])]


def describe_data(row: Row, conditions: Sequence[Condition], past: Rows = ()) -> Data:
    """schemas/output/describe.json"""
    return {
        "item": row_data(row),
        "conditions": [condition_data(condition) for condition in conditions],
        "change": change_data(row.change),
        "events": events_data(past)["items"],
    }


def condition_data(condition: Condition) -> Data:
    """One condition."""
    return {
        "object": str(condition.ref),
        "type": condition.type,
        "status": condition.status.value,
        "reason": condition.reason,
        "message": condition.message,
        "since": condition.since.isoformat() if condition.since else None,
    }


def _conditions(conditions: Sequence[Condition], paint: Paint) -> list[str]:
    rows = [(each.type, each.status.value, each.reason, each.message) for each in conditions]
    return columns([("CONDITION", "STATUS", "REASON", "MESSAGE"), *rows], paint=paint)


def _pairs(row: Row) -> Pairs:
    if isinstance(row, HostFacts):
        return _host(row)
    if isinstance(row, StoragePolicyFacts):
        return _policy(row)
    if isinstance(row, VolumeFacts):
        return _volume(row)
    return _vmgroup(row) if isinstance(row, VMGroupFacts) else _config_db(row)


def _host(row: HostFacts) -> Pairs:
    pairs = [("Address", row.resolved.address if row.resolved else UNKNOWN), ("State", row.state)]
    pairs += _vcenter(row.resolved.entry if row.resolved else None)
    if row.seen is None:
        return [*pairs, ("Why", row.why)] if row.why else pairs
    seen = row.seen
    return [
        *pairs,
        ("Config DB", db_text(row)),
        ("Access", row.access),
        ("Link", seen.link or NONE),
        ("local.sh section", _section(seen.section)),
        ("Secure Boot", yes_no(seen.secure_boot)),
        ("Driver", f"{driver_text(row)} ({seen.driver_error})" if seen.driver_error else driver_text(row)),
        ("Service", seen.service.value),
        ("Log level", seen.log_error or seen.log_level or "INFO (default)"),
        *_list("Datastore", [f"{name} ({volume})" for volume, name in sorted(seen.volumes.items())]),
    ]


def _vcenter(entry: ESXiHost | None) -> Pairs:
    """What the inventory tells of a host beside its name."""
    if entry is None:
        return []
    told = {
        "vCenter": entry.connection,
        "ESXi": entry.version,
        "Maintenance mode": _maintenance(entry),
        "SSH service": None if entry.ssh_runs is None else "running" if entry.ssh_runs else "stopped",
        "Lockdown mode": entry.lockdown,
        "Cluster": entry.cluster and entry.cluster + (" (managed by an image)" if entry.image_managed else ""),
    }
    return [(title, clean(value)) for title, value in told.items() if value is not None]


def _maintenance(entry: ESXiHost) -> str | None:
    if entry.in_maintenance is None:
        return None
    return yes_no(entry.in_maintenance) + (
        ", entered by vdvs" if entry.in_maintenance and entry.entered_by_vdvs else ""
    )


def _section(seen: Section) -> str:
    parts = [seen.form.value]
    if why := seen.why or seen.hindrance:
        parts.append(f"never runs ({why})" if seen.runs is False else why)
    if not seen.saved:
        parts.append("not saved to the boot bank")
    return ", ".join(parts)


def _vmgroup(row: VMGroupFacts) -> Pairs:
    pairs = [("Config DB", row.config_db or UNKNOWN)]
    if row.tenant is None:
        return pairs
    pairs += [
        ("UUID", row.tenant.id),
        ("Description", row.tenant.description or NONE),
        ("Default datastore", row.default_datastore or NONE),
    ]
    for position, right in enumerate(row.rights):
        create = {None: UNKNOWN, True: "create and mount", False: "mount only"}[right.allow_create]
        limits = f"volume {limit(right.max_mb)}, total {limit(right.total_mb)}"
        text = "; ".join([f"{right.datastore}: {create}; {limits}", *(f"used {use}" for use in uses(right))])
        pairs.append(("" if position else "Access", text))
    volumes = [f"{datastore}: {stock_text(stock)}" for datastore, stock in row.stocks]
    return pairs + (_list("Volumes", volumes) if volumes else []) + _list("VMs", row.members)


def _policy(row: StoragePolicyFacts) -> Pairs:
    pairs = [("Datastore", row.datastore or UNKNOWN), ("Content", content_text(row))]
    if not row.users:
        return [*pairs, ("Used by", users_text(row))]
    return [*pairs, *_list("Used by", row.users), ("", "(what they got when they were made is not recorded)")]


def _volume(row: VolumeFacts) -> Pairs:
    of = row.resolved
    where = (of.name, of.vmgroup.name, of.datastore.name) if of is not None else (UNKNOWN, UNKNOWN, UNKNOWN)
    pairs = list(zip(("Volume", "VMGroup", "Datastore"), where, strict=True))
    return [*pairs, ("Access", row.access or UNKNOWN), ("Attached to", attached_text(row))]


def _config_db(row: ConfigDBFacts) -> Pairs:
    if row.resolved is None:
        return []
    pairs = [
        ("Mode", row.resolved.mode.value if row.resolved.datastore else f"{row.resolved.mode}: {LOST}"),
        ("Datastore", row.datastore),
        ("Path", row.resolved.location.path),
        ("State", state_text(row)),
        *_list("Hosts", [_use(row, name) for name in row.hosts]),
    ]
    if row.seen is None or not row.readable:
        return [*pairs, ("Why", row.seen.message)] if row.seen else pairs
    return [
        *pairs,
        ("Schema", row.seen.schema.value),
        ("Read from", row.seen.read_from or NONE),
        ("Writer", row.seen.writer or NONE),
        *_list("VMGroups", sorted(tenant.name for tenant in row.seen.tenants)),
        *_list("Backups", row.seen.backups),
        *(_list("Leftovers", row.seen.leftovers) if row.seen.leftovers else []),
        *_list("Violations", row.seen.violations),
    ]


def _use(row: ConfigDBFacts, host: str) -> str:
    if host in row.linked:
        return host
    return f"{host} ({'did not answer' if host in row.silent else 'not linked'})"


def _list(title: str, items: Sequence[str]) -> Pairs:
    return [("" if position else title, clean(item)) for position, item in enumerate(items)] or [(title, NONE)]
