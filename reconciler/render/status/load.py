"""How full everything is: quotas of vmgroups, and datastores by what is promised of them. The worst first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.refs import ObjectRef
from reconciler.model.units import format_size
from reconciler.planning.rights.access import AccessMap, Promised
from reconciler.render.text import Data, Paint, about, bar, columns, count, fullness

MOST = 20
_FEW = 5


class Quota(Struct, frozen=True):
    """The quota of a vmgroup on one datastore, and how much of it is used.

    Source: docs/domain.md#quotas
    """

    ref: ObjectRef
    datastore: str
    used_mb: int
    total_mb: int

    @property
    def share(self) -> float:
        """The part that is used."""
        return self.used_mb / self.total_mb


class Load(Struct, frozen=True):
    """Quotas of which something is used, the fullest first, and all datastores, the most promised first."""

    quotas: tuple[Quota, ...]
    datastores: tuple[Promised, ...]


def load(found: AccessMap) -> Load:
    """Return how full everything is."""
    names = {datastore.url: datastore.name for datastore in found.datastores}
    quotas = [
        Quota(group.ref, names[url], cell.used_mb, limit)
        for group in found.groups.values()
        for url, cell in group.cells.items()
        if (limit := cell.use.limit_mb) and cell.used_mb
    ]
    quotas.sort(key=lambda quota: (-quota.share, quota.ref.sort_key, quota.datastore))
    datastores = sorted(found.promised(), key=lambda each: (-(promised_share(each) or 0), each.datastore.name))
    return Load(tuple(quotas), tuple(datastores))


def promised_share(of: Promised) -> float | None:
    """Return the part of a datastore that is promised; None: how large it is is not known."""
    return of.promised_mb / of.datastore.capacity_mb if of.datastore.capacity_mb else None


def load_text(of: Load, paint: Paint, full: bool) -> list[str]:
    """Write both, the worst few unless `full`."""
    parts = []
    quotas = of.quotas if full else of.quotas[:_FEW]
    if quotas:
        rows = [
            [
                f"{quota.ref} on {quota.datastore}",
                f"{100 * quota.used_mb // quota.total_mb}%",
                f"{about(quota.used_mb)} of {format_size(quota.total_mb)} used",
            ]
            for quota in quotas
        ]
        parts += ["", "Quotas, the fullest first:"]
        parts += _with_bars(rows, [quota.share for quota in quotas], paint)
        parts += _rest(len(quotas), len(of.quotas))
    wanted = [each for each in of.datastores if each.promised_mb or each.used_mb]
    datastores = wanted if full else wanted[:_FEW]
    if datastores:
        rows = [[each.datastore.name, *_promised(each)] for each in datastores]
        parts += ["", "Datastores, the most promised first:"]
        parts += _with_bars(rows, [promised_share(each) or 0 for each in datastores], paint)
        parts += _rest(len(datastores), len(wanted))
    return parts


def _with_bars(rows: list[list[str]], shares: Sequence[float], paint: Paint) -> list[str]:
    """Align rows, with a bar in front of the share in the second column where pictures can be seen."""
    digits = max(len(row[1]) for row in rows)
    for row, share in zip(rows, shares, strict=True):
        row[1] = " ".join(filter(None, [bar(share, Paint(pictures=paint.pictures)), f"{row[1]:>{digits}}"]))
    words = {row[1]: fullness(share) for row, share in zip(rows, shares, strict=True)}
    colour: Callable[[str, str], str] = lambda text, cell: paint(text, words[cell]) if cell in words else text  # noqa: E731
    return columns(rows, indent="  ", paint=replace(paint, colour=colour))


def _promised(of: Promised) -> list[str]:
    """The share that is promised, and the sums: `140%`, `14TB of 10TB promised, 1TB used, 3 vmgroups without limit`."""
    capacity, share = of.datastore.capacity_mb, promised_share(of)
    of_all = "" if capacity is None else f" of {about(capacity)}"
    words = [f"{about(of.promised_mb)}{of_all} promised", f"{about(of.used_mb)} used"]
    words += [f"{count(of.unlimited, 'vmgroup')} without limit"] if of.unlimited else []
    return ["?" if share is None else f"{round(100 * share)}%", ", ".join(words)]


def _rest(shown: int, found: int) -> list[str]:
    return [f"  ... and {found - shown} more, which --full shows"] if shown < found else []


def load_data(of: Load) -> dict[str, Data]:
    """Return both for schemas/output/status.json: at most so many quotas, and every datastore."""
    return {
        "quotas": [
            {
                "object": str(quota.ref),
                "datastore": quota.datastore,
                "usedMB": quota.used_mb,
                "totalMB": quota.total_mb,
            }
            for quota in of.quotas[:MOST]
        ],
        "datastores": [promised_data(each) for each in of.datastores],
    }


def promised_data(of: Promised) -> dict[str, Data]:
    """Return the use of one datastore; null where the inventory does not say."""
    return {
        "name": of.datastore.name,
        "capacityMB": of.datastore.capacity_mb,
        "freeMB": of.datastore.free_mb,
        "usedMB": of.used_mb,
        "promisedMB": of.promised_mb,
        "unlimited": of.unlimited,
    }
