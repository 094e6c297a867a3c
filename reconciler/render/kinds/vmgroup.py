"""Vmgroups: tables, descriptions and JSON, with access rows and the use of quotas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from reconciler.model.diff import Op
from reconciler.model.kinds.vmgroup import ACCESS_FIELDS, Access, AccessField, PrivilegeRow
from reconciler.model.units import format_size
from reconciler.planning.joined import JoinedAccess, JoinedVMGroup
from reconciler.planning.vmgroup.quotas import Stock
from reconciler.render.kinds.view import NONE, UNKNOWN, Pairs, Row, View, listed
from reconciler.render.text import Data, about, count, show

_VMGroup = Row[JoinedVMGroup]
_RIGHTS: Final = {True: "create and mount", False: "mount only"}


LIMITS: Final = tuple(field for field in ACCESS_FIELDS if field.attribute != "allow_create")
"""The fields of an access row that limit what it allows.

Source: docs/domain.md#quotas
"""


def limits_text(row: PrivilegeRow | Access) -> str:
    """Spell the limits of an access row: `volumeMaxSize 200MB, volumeTotalSize 5GB`.

    Source: docs/domain.md#the-config-db-schema-12
    """
    values = ((field, field.stored(getattr(row, field.attribute))) for field in LIMITS)
    return ", ".join(
        f"{field.name} {UNKNOWN if value is None else show(field.format(value))}" for field, value in values
    )


def access_data(row: PrivilegeRow | Access | None, fields: Iterable[AccessField] = ACCESS_FIELDS) -> dict[str, Data]:
    """Fields of an access row in JSON; null where vDVS cannot use the value, and without a row.

    Source: docs/domain.md#the-config-db-schema-12
    """
    return {field.output: row and field.stored(getattr(row, field.attribute)) for field in fields}


def _rights(row: PrivilegeRow) -> str:
    return _RIGHTS[bool(row.allow_create)]


def _unread(row: _VMGroup) -> str:
    """Cell of a vmgroup without a row: `-`, or `?` where the config DB could not be read."""
    return UNKNOWN if row.change.op in (Op.UNKNOWN, Op.BLOCKED) else NONE


def _default_datastore(row: _VMGroup) -> str | None:
    return row.names.datastore(row.item.tenant.default_url) or NONE if row.item.tenant else None


def _members(row: _VMGroup) -> list[str]:
    return [row.names.vm(member.uuid, member.name) for member in row.item.members]


def _used(access: JoinedAccess, row: _VMGroup) -> list[tuple[str, int]]:
    """MB that count against an access row, by datastore: each has the whole quota.

    Source: docs/domain.md#quotas
    """
    return [(row.names.datastore(use.url) or "", use.used_mb) for use in access.used]


def _stocks(row: _VMGroup) -> list[tuple[str, Stock]]:
    return sorted(
        ((row.names.datastore(stock.url) or "", stock) for stock in row.item.stocks), key=lambda each: each[0]
    )


def _tightest(row: _VMGroup) -> tuple[int, int] | None:
    """MB used of the quota nearest to being used up, and that quota; None: there is none.

    Source: docs/domain.md#quotas
    """
    limits = [
        (used, total)
        for access in row.item.access
        if (total := _quota(access))
        for used in [use.used_mb for use in access.used] or [0]
    ]
    return max(limits, key=lambda limit: limit[0] / limit[1], default=None)


def _quota_used(row: _VMGroup) -> str:
    """`1.2GB of 5GB (24%)`. Source: docs/domain.md#quotas"""
    if row.item.tenant is None:
        return _unread(row)
    tightest = _tightest(row)
    return f"{about(row.item.used_mb)}, unlimited" if tightest is None else _share(*tightest)


def _quota(access: JoinedAccess) -> int:
    """Return the quota of a row, in MB; 0 where it has none that counts."""
    total = access.row.total_mb
    return total if isinstance(total, int) and total > 0 else 0


def _share(used: int, total: int) -> str:
    return f"{about(used)} of {format_size(total)} ({100 * used // total}%)"


def _uses(access: JoinedAccess, row: _VMGroup) -> list[str]:
    """Use of the quota of an access row, a text for each datastore that the row applies to.

    Source: docs/domain.md#quotas
    """
    used, total = _used(access, row), _quota(access)
    if not total:
        return [f"{about(mb)} on {name}" for name, mb in used]
    if [use.url for use in access.used] == [access.row.url]:
        return [_share(used[0][1], total)]
    return [f"{_share(mb, total)} on {name}" for name, mb in used] or [_share(0, total)]


def _stock_text(stock: Stock) -> str:
    """Volumes found against volumes booked: `3 volumes (300MB)`, and the differences. Source: docs/domain.md#quotas"""
    booked = f"{len(stock.booked)} booked ({about(sum(volume.mb or 0 for volume in stock.booked))})"
    if stock.found is None:
        return f"not seen ({stock.why}); {booked}"
    sizes = [volume.mb for volume in stock.found if volume.mb is not None]
    size = f" ({about(sum(sizes))})" if sizes or not stock.found else ""
    there = f"{count(len(stock.found), 'volume')}{size}"
    wrong = [f"{len(stock.gone)} of them gone"] if stock.gone else []
    wrong += [f"{len(stock.unbooked)} never booked"] if stock.unbooked else []
    wrong += [f"{len(stock.short)} booked as smaller"] if stock.short else []
    return f"{there}; {booked}: {', '.join(wrong)}" if wrong else there


def _describe(row: _VMGroup) -> Pairs:
    item = row.item
    pairs = [("Config DB", item.config_db.name if item.config_db else UNKNOWN)]
    if item.tenant is None:
        return pairs
    pairs += [
        ("UUID", item.tenant.id),
        ("Description", item.tenant.description or NONE),
        ("Default datastore", _default_datastore(row) or NONE),
    ]
    for position, access in enumerate(item.access):
        rights = f"{row.names.datastore(access.row.url)}: {_rights(access.row)}"
        text = "; ".join([rights, limits_text(access.row), *(f"used {use}" for use in _uses(access, row))])
        pairs.append(("" if position else "Access", text))
    volumes = [f"{datastore}: {_stock_text(stock)}" for datastore, stock in _stocks(row)]
    return pairs + (listed("Volumes", volumes) if volumes else []) + listed("VMs", _members(row))


def _data(row: _VMGroup) -> dict[str, Data]:
    item = row.item
    return {
        "configDB": item.config_db.name if item.config_db else None,
        "uuid": item.tenant.id if item.tenant else None,
        "description": item.tenant.description if item.tenant else None,
        "defaultDatastore": _default_datastore(row),
        "vms": _members(row),
        "access": [
            {
                "datastore": row.names.datastore(access.row.url),
                **access_data(access.row),
                "used": [{"datastore": name, "usedMB": used} for name, used in _used(access, row)],
            }
            for access in item.access
        ],
        "volumes": [_stock_data(datastore, stock) for datastore, stock in _stocks(row)],
    }


def _slim(row: _VMGroup) -> dict[str, Data]:
    item = row.item
    if item.tenant is None:
        return {}
    return {"vms": len(item.members), "usedMB": item.used_mb, "tightest": _tightest(row)}


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


VIEW = View[JoinedVMGroup](
    key="vmgroups",
    items=lambda joined: joined.vmgroups.values(),
    columns={
        "DEFAULT DATASTORE": lambda row: _default_datastore(row) or _unread(row),
        "VMS": lambda row: str(len(row.item.members)) if row.item.tenant else _unread(row),
        "DATASTORES": lambda row: str(len(row.item.access)) if row.item.tenant else _unread(row),
        "QUOTA USED": _quota_used,
    },
    wide={
        "UUID": lambda row: row.item.tenant.id if row.item.tenant else _unread(row),
        "CONFIG DB": lambda row: row.item.config_db.name if row.item.config_db else UNKNOWN,
        "DESCRIPTION": lambda row: row.item.tenant.description or NONE if row.item.tenant else _unread(row),
    },
    describe=_describe,
    data=_data,
    slim=_slim,
    gauges={"QUOTA USED": lambda row: (of := _tightest(row)) and of[0] / of[1]},
)
