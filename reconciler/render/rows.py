"""The objects that `get` lists, as data."""

from __future__ import annotations

from reconciler.model.inventory import ESXiHost
from reconciler.model.kinds.configdb import DBState
from reconciler.planning.vmgroup.quotas import Stock
from reconciler.render.data import Data
from reconciler.render.facts import NONE, UNKNOWN, HostFacts, Row, VMGroupFacts, sync
from reconciler.render.history import applied_data
from reconciler.render.policy_facts import StoragePolicyFacts
from reconciler.render.volume_facts import VolumeFacts

_NO_VOLUME: Data = {"vmgroup": None, "datastore": None, "volume": None}
_ACCESS = {UNKNOWN: "unknown", NONE: "none"}


def rows_data(found: tuple[Row, ...]) -> Data:
    """schemas/output/get.json"""
    return {"items": [row_data(row) for row in found]}


def row_data(row: Row) -> Data:
    """One object."""
    change = row.change
    head: Data = {"object": str(change.ref), "kind": change.ref.kind.value, "name": change.ref.name}
    head |= {"sync": sync(change), "reason": change.reason, "applied": applied_data(row.record)}
    if isinstance(row, HostFacts):
        return head | _host_data(row)
    if isinstance(row, VMGroupFacts):
        return head | _vmgroup_data(row)
    if isinstance(row, StoragePolicyFacts):
        users = None if row.users is None else list(row.users)
        return head | {"datastore": row.datastore, "content": row.content, "usedBy": users}
    if isinstance(row, VolumeFacts):
        of = row.resolved
        where = {"vmgroup": of.vmgroup.name, "datastore": of.datastore.name, "volume": of.name} if of else _NO_VOLUME
        return head | where | {"access": row.access, "attachedTo": row.attached}
    seen = row.seen
    return head | {
        "datastore": row.resolved.datastore.name if row.resolved and row.resolved.datastore else None,
        "path": row.resolved.location.path if row.resolved else None,
        "mode": row.resolved.mode.value if row.resolved else None,
        "state": seen.state.value if seen else DBState.UNKNOWN.value,
        "problem": (seen.message or None) if seen else None,
        "schema": seen.schema.value if seen and seen.state is DBState.PRESENT else None,
        "vmgroups": len(seen.tenants) if seen and seen.state is DBState.PRESENT else None,
        "hosts": list(row.hosts),
        "linkedHosts": list(row.linked),
        "readFrom": seen.read_from if seen else None,
        "writer": seen.writer if seen else None,
        "backups": list(seen.backups) if seen and row.readable else None,
        "violations": list(seen.violations) if seen and row.readable else None,
    }


def _host_data(row: HostFacts) -> Data:
    seen = row.seen
    return {
        "address": row.resolved.address if row.resolved else None,
        "state": row.state if row.state != UNKNOWN else "unknown",
        "problem": row.why or None,
        "access": _ACCESS.get(row.access, row.access.lower()),
        "dbMode": seen.db_mode.value if seen else None,
        "dbProblem": (seen.db_reason or None) if seen else None,
        "datastore": row.datastore,
        "driver": seen.driver if seen else None,
        "driverProblem": seen.driver_error if seen else None,
        "service": seen.service.value if seen else "unknown",
        "persistence": seen.section.form.value if seen else None,
        "persistenceProblem": (seen.section.why or None) if seen else None,
        "secureBoot": seen.secure_boot if seen else None,
        "logLevel": seen.log_level if seen else None,
        "baseline": {"compliance": row.baseline.compliance.value, "gaps": list(row.baseline.gaps)},
        "vcenter": _vcenter_data(row.resolved.entry if row.resolved else None),
    }


def _vcenter_data(entry: ESXiHost | None) -> Data:
    """How the inventory shows a host; null for what it does not tell."""
    found = entry or ESXiHost("")
    return {
        "connection": found.connection.value if found.connection else None,
        "esxiVersion": found.version,
        "maintenanceMode": found.in_maintenance,
        "enteredByVdvs": found.entered_by_vdvs,
        "sshService": None if found.ssh_runs is None else "running" if found.ssh_runs else "stopped",
        "lockdown": found.lockdown.value if found.lockdown else None,
        "cluster": found.cluster,
        "imageManaged": found.image_managed,
    }


def _vmgroup_data(row: VMGroupFacts) -> Data:
    return {
        "configDB": row.config_db,
        "uuid": row.tenant.id if row.tenant else None,
        "description": row.tenant.description if row.tenant else None,
        "defaultDatastore": row.default_datastore,
        "vms": list(row.members),
        "access": [
            {
                "datastore": right.datastore,
                "allowCreate": right.allow_create,
                "volumeMaxMB": right.max_mb,
                "volumeTotalMB": right.total_mb,
                "used": [{"datastore": name, "usedMB": used} for name, used in right.used],
            }
            for right in row.rights
        ],
        "volumes": [_stock_data(datastore, stock) for datastore, stock in row.stocks],
    }


def _stock_data(datastore: str, stock: Stock) -> Data:
    found = stock.found
    sizes = [volume.mb for volume in found or ()]
    return {
        "datastore": datastore,
        "bookedCount": len(stock.booked),
        "bookedMB": sum(volume.mb or 0 for volume in stock.booked),
        "foundCount": None if found is None else len(found),
        "foundMB": None if found is None or None in sizes else sum(size or 0 for size in sizes),
        "gone": [volume.name or "" for volume in stock.gone],
        "notBooked": [volume.name for volume in stock.unbooked],
    }
