"""Config DBs: tables, descriptions and JSON."""

from __future__ import annotations

from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.planning.joined import JoinedConfigDB
from reconciler.planning.spelling import LOST
from reconciler.render.kinds.view import NONE, UNKNOWN, Pairs, Row, View, listed
from reconciler.render.text import Data

_ConfigDB = Row[JoinedConfigDB]


def _readable(row: _ConfigDB) -> ObservedConfigDB | None:
    """The observed config DB, unless it could not be read."""
    seen = row.item.seen
    return None if seen is None or seen.state is DBState.UNKNOWN else seen


def _present(row: _ConfigDB) -> ObservedConfigDB | None:
    seen = row.item.seen
    return None if seen is None or seen.state is not DBState.PRESENT else seen


def _datastore(row: _ConfigDB) -> str:
    if row.item.resolved is None:
        return UNKNOWN
    return NONE if row.item.resolved.datastore is None else row.item.resolved.datastore.name


def _path(row: _ConfigDB) -> str | None:
    return row.item.resolved.location.path if row.item.resolved else None


def _state(row: _ConfigDB) -> str:
    """State of the config DB; the reason where it could not be read."""
    seen = row.item.seen
    if seen is None:
        return UNKNOWN
    return seen.reason or seen.state.value if seen.state is DBState.UNKNOWN else seen.state.value


def _describe(row: _ConfigDB) -> Pairs:
    item = row.item
    if item.resolved is None:
        return []
    pairs = [
        ("Mode", item.resolved.mode.value if item.resolved.datastore else f"{item.resolved.mode}: {LOST}"),
        ("Datastore", _datastore(row)),
        ("Path", item.resolved.location.path),
        ("State", _state(row)),
        *listed("Hosts", [_use(item, name) for name in item.resolved.hosts]),
    ]
    seen = _readable(row)
    if seen is None:
        return [*pairs, ("Why", item.seen.message)] if item.seen else pairs
    return [
        *pairs,
        ("Schema", seen.schema.value),
        ("Read from", seen.read_from or NONE),
        ("Writer", seen.writer or NONE),
        *listed("VMGroups", sorted(tenant.name for tenant in seen.tenants)),
        *listed("Backups", seen.backups),
        *(listed("Leftovers", seen.leftovers) if seen.leftovers else []),
        *listed("Violations", seen.violations),
    ]


def _use(item: JoinedConfigDB, host: str) -> str:
    if host in item.linked:
        return host
    return f"{host} ({'did not answer' if host in item.silent else 'not linked'})"


def _data(row: _ConfigDB) -> dict[str, Data]:
    resolved, seen, readable, present = row.item.resolved, row.item.seen, _readable(row), _present(row)
    return {
        "datastore": resolved.datastore.name if resolved and resolved.datastore else None,
        "path": _path(row),
        "mode": resolved.mode.value if resolved else None,
        "state": seen.state.value if seen else DBState.UNKNOWN.value,
        "problem": (seen.message or None) if seen else None,
        "schema": present.schema.value if present else None,
        "vmgroups": len(present.tenants) if present else None,
        "hosts": list(resolved.hosts) if resolved else [],
        "linkedHosts": list(row.item.linked),
        "readFrom": seen.read_from if seen else None,
        "writer": seen.writer if seen else None,
        "backups": list(readable.backups) if readable else None,
        "violations": list(readable.violations) if readable else None,
    }


def _slim(row: _ConfigDB) -> dict[str, Data]:
    data = _data(row)
    return data | {key: len(data[key]) for key in ("hosts", "linkedHosts")} | {"backups": None, "violations": None}


VIEW = View[JoinedConfigDB](
    key="configDBs",
    items=lambda joined: joined.config_dbs.values(),
    columns={
        "DATASTORE": _datastore,
        "MODE": lambda row: row.item.resolved.mode.value if row.item.resolved else UNKNOWN,
        "STATE": _state,
        "VMGROUPS": lambda row: str(len(seen.tenants)) if (seen := _present(row)) else UNKNOWN,
        "HOSTS": lambda row: f"{len(row.item.linked)}/{len(of.hosts)}" if (of := row.item.resolved) else UNKNOWN,
    },
    wide={
        "READ FROM": lambda row: seen.read_from or NONE if (seen := _readable(row)) else UNKNOWN,
        "WRITER": lambda row: seen.writer or NONE if (seen := _readable(row)) else UNKNOWN,
        "BACKUPS": lambda row: str(len(seen.backups)) if (seen := _readable(row)) else UNKNOWN,
        "PATH": lambda row: _path(row) or UNKNOWN,
    },
    describe=_describe,
    data=_data,
    slim=_slim,
)
