"""Hosts: tables, descriptions and JSON."""

from __future__ import annotations

import re

from reconciler.model.diff import FieldChange, Standing
from reconciler.model.inventory import ESXiHost
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.model.kinds.host import (
    HOST_SETTINGS,
    DBMode,
    HostSetting,
    ObservedHost,
    ObservedSetting,
    Section,
    UnreachableHost,
)
from reconciler.model.refs import VOLUMES
from reconciler.planning.host.compliance import Compliance, verdict
from reconciler.planning.host.diff import serves_nobody
from reconciler.planning.joined import JoinedHost
from reconciler.planning.rights.drift import is_refused
from reconciler.render.kinds.view import NONE, UNKNOWN, Pairs, Row, View, listed, yes_no
from reconciler.render.text import Data, clean, show

_ACCESS = {
    DBMode.SINGLE_NODE: "enforced",
    DBMode.MULTI_NODE: "enforced",
    DBMode.BROKEN_LINK: "refused",
}
_IN_JSON = {UNKNOWN: "unknown", NONE: "none"}
_BASELINE = {Compliance.NONE: NONE, Compliance.UNKNOWN: UNKNOWN}
_IN_DATASTORE = re.compile(r"^[A-Za-z]+ \((.*)\)$", re.DOTALL)

_Host = Row[JoinedHost]


def access(item: JoinedHost) -> str:
    """Spell how vDVS on a host treats requests: `OPEN` means that every VM may do everything.

    Source: docs/domain.md#modes-of-a-host
    """
    seen = item.seen
    if not isinstance(seen, ObservedHost):
        return UNKNOWN
    if serves_nobody(seen):
        return NONE  # without a driver no request is served, whatever the link
    if seen.db_mode is DBMode.NOT_CONFIGURED:
        return Standing.OPEN.value
    if seen.db_mode in (DBMode.SINGLE_NODE, DBMode.MULTI_NODE) and item.uses is not None:
        return _enforced_by(item.uses)
    if is_locked(seen):
        return UNKNOWN  # requests wait for the lock, and are refused only if it is not released in time
    return _ACCESS[seen.db_mode]


def is_locked(seen: ObservedHost) -> bool:
    """Return whether another writer holds the lock of the config DB that a host is linked to."""
    return seen.db_mode is DBMode.BROKEN_LINK and seen.db_reason == "Locked"


def _enforced_by(db: ObservedConfigDB) -> str:
    """Return how vDVS uses a config DB in this state: it refuses every request if it cannot read it.

    Source: docs/domain.md#modes-of-a-host
    """
    if db.state is DBState.PRESENT:
        return "enforced"
    return "refused" if is_refused(db) else UNKNOWN


def _seen(row: _Host) -> ObservedHost | None:
    return row.item.seen if isinstance(row.item.seen, ObservedHost) else None


def _problem(row: _Host) -> str | None:
    """Reason why the host did not answer."""
    return row.item.seen.reason if isinstance(row.item.seen, UnreachableHost) else None


def _entry(row: _Host) -> ESXiHost:
    """The host in the inventory; without any value if it is not there."""
    return (row.item.resolved and row.item.resolved.entry) or ESXiHost("")


def _address(row: _Host) -> str | None:
    return row.item.resolved.address if row.item.resolved else None


def _state(row: _Host) -> str:
    return "connected" if _seen(row) else "unreachable" if _problem(row) else UNKNOWN


def _datastore(row: _Host) -> str | None:
    """The datastore that the link of the host leads to, or the link where that is none."""
    seen = _seen(row)
    if seen is None:
        return None
    if seen.link_path is None or not seen.link_path.startswith(VOLUMES):
        return seen.link
    volume = seen.link_path.removeprefix(VOLUMES).split("/", 1)[0]
    known = row.names.volume(volume)
    return known if known != volume else seen.volumes.get(volume) or volume


def _db(row: _Host) -> str:
    """The config DB that the host uses. Source: docs/domain.md#modes-of-a-host"""
    seen = _seen(row)
    if seen is None:
        return UNKNOWN
    mode = seen.db_mode
    match mode:
        case DBMode.MULTI_NODE:
            return f"{mode} {_datastore(row) or ''}".rstrip()
        case DBMode.SINGLE_NODE:
            return f"{mode} (lost at reboot)"
        case DBMode.BROKEN_LINK:
            return f"{mode} ({seen.db_reason})" if seen.db_reason else mode
        case _:
            return mode


def _driver(row: _Host) -> str:
    seen = _seen(row)
    return UNKNOWN if seen is None or seen.driver_error else seen.driver or NONE


def _baseline(row: _Host) -> str:
    found = verdict(row.item.resolved, _seen(row)).compliance
    return _BASELINE.get(found, found.value)


def _describe(row: _Host) -> Pairs:
    pairs = [("Address", _address(row) or UNKNOWN), ("State", _state(row)), *_vcenter(_entry(row))]
    seen = _seen(row)
    if seen is None:
        return [*pairs, ("Why", why)] if (why := _problem(row)) else pairs
    return [
        *pairs,
        ("Config DB", _db(row)),
        ("Access", access(row.item)),
        ("Link", seen.link or NONE),
        ("local.sh section", _section(seen.section)),
        ("Secure Boot", yes_no(seen.secure_boot)),
        ("Driver", f"{_driver(row)} ({seen.driver_error})" if seen.driver_error else _driver(row)),
        ("Service", seen.service.value),
        *((setting.noun.capitalize(), _setting(seen, setting)) for setting in HOST_SETTINGS),
        *listed("Datastore", [f"{name} ({volume})" for volume, name in sorted(seen.volumes.items())]),
    ]


def _vcenter(entry: ESXiHost) -> Pairs:
    """Facts of the inventory about a host."""
    known = {
        "vCenter": entry.connection,
        "ESXi": entry.version,
        "Maintenance mode": _maintenance(entry),
        "SSH service": _ssh(entry),
        "Lockdown mode": entry.lockdown,
        "Cluster": entry.cluster and entry.cluster + (" (managed by an image)" if entry.image_managed else ""),
    }
    return [(title, clean(value)) for title, value in known.items() if value is not None]


def _ssh(entry: ESXiHost) -> str | None:
    return None if entry.ssh_runs is None else "running" if entry.ssh_runs else "stopped"


def _maintenance(entry: ESXiHost) -> str | None:
    if entry.in_maintenance is None:
        return None
    by_us = entry.in_maintenance and entry.entered_by_vdvs
    return yes_no(entry.in_maintenance) + (", entered by vdvs" if by_us else "")


def _observed(seen: ObservedHost | None, setting: HostSetting) -> ObservedSetting:
    return (seen.settings if seen else {}).get(setting.name, ObservedSetting())


def _setting(seen: ObservedHost, setting: HostSetting) -> str:
    found = _observed(seen, setting)
    return found.error or found.value or f"{setting.default} (default)"


def _section(seen: Section) -> str:
    parts = [seen.form.value]
    if why := seen.why or seen.hindrance:
        parts.append(f"never runs ({why})" if seen.runs is False else why)
    if not seen.saved:
        parts.append("not saved to the boot bank")
    return ", ".join(parts)


def _data(row: _Host) -> dict[str, Data]:
    seen, state, allowed = _seen(row), _state(row), access(row.item)
    found = verdict(row.item.resolved, seen)
    return {
        "address": _address(row),
        "state": _IN_JSON.get(state, state),
        "problem": _problem(row) or None,
        "access": _IN_JSON.get(allowed, allowed.lower()),
        "dbMode": seen.db_mode.value if seen else None,
        "dbProblem": (seen.db_reason or None) if seen else None,
        "datastore": _datastore(row),
        "driver": seen.driver if seen else None,
        "driverProblem": seen.driver_error if seen else None,
        "service": seen.service.value if seen else "unknown",
        "persistence": seen.section.form.value if seen else None,
        "persistenceProblem": (seen.section.why or None) if seen else None,
        "secureBoot": seen.secure_boot if seen else None,
        **{setting.output: _observed(seen, setting).value for setting in HOST_SETTINGS},
        "baseline": {"compliance": found.compliance.value, "gaps": list(found.gaps)},
        "vcenter": _vcenter_data(_entry(row)),
    }


def _slim(row: _Host) -> dict[str, Data]:
    seen, state, allowed, entry = _seen(row), _state(row), access(row.item), _entry(row)
    return {
        "address": address if (address := _address(row)) != row.name else None,
        "state": _IN_JSON.get(state, state),
        "problem": _problem(row) or None,
        "access": _IN_JSON.get(allowed, allowed.lower()),
        "driver": seen.driver if seen else None,
        "service": seen.service.value if seen else "unknown",
        "maintenance": entry.in_maintenance or None,
        "cluster": entry.cluster,
    }


def _vcenter_data(entry: ESXiHost) -> Data:
    """Facts of the inventory about a host; null where unknown."""
    return {
        "connection": entry.connection.value if entry.connection else None,
        "esxiVersion": entry.version,
        "maintenanceMode": entry.in_maintenance,
        "enteredByVdvs": entry.entered_by_vdvs,
        "sshService": _ssh(entry),
        "lockdown": entry.lockdown.value if entry.lockdown else None,
        "cluster": entry.cluster,
        "imageManaged": entry.image_managed,
    }


def _brief(field: FieldChange) -> str | None:
    after = show(field.after)
    match field.path:
        case "configDB" if where := _IN_DATASTORE.match(after):
            return f"linked to {where[1]}"
        case "persistence" if after == "local.sh section":
            return "survives reboot"
        case "driver" | "service" if field.after is not None:
            return f"{field.path} {after}"
        case _:
            return None


VIEW = View[JoinedHost](
    key="hosts",
    items=lambda joined: joined.hosts.values(),
    columns={
        "STATE": _state,
        "DB": _db,
        "ACCESS": lambda row: access(row.item),
        "DRIVER": _driver,
        "SERVICE": lambda row: seen.service.value if (seen := _seen(row)) else UNKNOWN,
    },
    wide={
        "BASELINE": _baseline,
        "ADDRESS": lambda row: _address(row) or UNKNOWN,
        "ESXI": lambda row: _entry(row).version or UNKNOWN,
        "MAINTENANCE": lambda row: yes_no(_entry(row).in_maintenance),
        "PERSISTENCE": lambda row: seen.section.form.value if (seen := _seen(row)) else UNKNOWN,
        "SECURE BOOT": lambda row: yes_no(seen.secure_boot if (seen := _seen(row)) else None),
    },
    describe=_describe,
    data=_data,
    brief=_brief,
    slim=_slim,
)
