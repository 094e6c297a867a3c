"""How full everything is: quotas of vmgroups, and datastores by what is promised of them. The worst first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.inventory import Datastore
from reconciler.model.refs import ObjectRef
from reconciler.model.units import format_size
from reconciler.planning.rights.cells import Promises
from reconciler.render.page.access import AccessMap, datastore_data
from reconciler.render.text import Data, Paint, about, bar, columns, count, fullness, percent

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


class Promised(Struct, frozen=True):
    """Promises of space on a datastore. `used_mb`: booked there; `unknown`: the number of its hosts of which nothing is
    known, so that more may be promised.

    Source: docs/domain.md#quotas
    """

    datastore: Datastore
    used_mb: int
    promises: Promises
    unknown: int

    @property
    def share(self) -> float | None:
        """The part that is promised; None: how large it is is not known."""
        capacity = self.datastore.capacity_mb
        return self.promises.promised_mb / capacity if capacity else None


class Load(Struct, frozen=True):
    """Quotas of which something is used, the fullest first, and all datastores, the most promised first."""

    quotas: tuple[Quota, ...]
    datastores: tuple[Promised, ...]


def load(access: AccessMap) -> Load:
    """Return how full everything is."""
    quotas, sums = [], [Promises() for _ in access.columns]
    for ref, group in access.look.joined.vmgroups.items():
        for number, found, used in access.cells(group):
            sums[number].add(found)
            if used and (limit := found.limit_mb):
                quotas.append(Quota(ref, access.columns[number].datastore.name, used, limit))
    quotas.sort(key=lambda quota: (-quota.share, quota.ref.sort_key, quota.datastore))
    datastores = sorted(promised(access, sums), key=lambda each: (-(each.share or 0), each.datastore.name))
    return Load(tuple(quotas), tuple(datastores))


def promised(access: AccessMap, sums: Sequence[Promises]) -> tuple[Promised, ...]:
    """Return what is promised of each datastore, by name. `sums`: of the rights on each."""
    return tuple(
        Promised(column.datastore, access.booked(column.datastore.url), promises, column.silent)
        for column, promises in zip(access.columns, sums, strict=True)
    )


def load_text(of: Load, paint: Paint, full: bool) -> list[str]:
    """Write both, the worst few unless `full`."""
    parts = []
    quotas = of.quotas if full else of.quotas[:_FEW]
    if quotas:
        rows = [
            [
                f"{quota.ref} on {quota.datastore}",
                percent(quota.share),
                f"{about(quota.used_mb)} of {format_size(quota.total_mb)} used",
            ]
            for quota in quotas
        ]
        parts += ["", "Quotas, the fullest first:"]
        parts += _with_bars(rows, [quota.share for quota in quotas], paint)
        parts += _rest(len(quotas), len(of.quotas))
    wanted = [each for each in of.datastores if each.promises.promised_mb or each.promises.unlimited or each.used_mb]
    datastores = wanted if full else wanted[:_FEW]
    if datastores:
        rows = [[each.datastore.name, *_promised(each)] for each in datastores]
        parts += ["", "Datastores, the most promised first:"]
        parts += _with_bars(rows, [each.share or 0 for each in datastores], paint)
        parts += _rest(len(datastores), len(wanted))
    return parts


def _with_bars(rows: list[list[str]], shares: Sequence[float], paint: Paint) -> list[str]:
    """Align rows, with a bar before the share in the second column where pictures can be seen and there is room."""
    digits = max(len(row[1]) for row in rows)
    words = [[name, f"{share:>{digits}}", text] for name, share, text in rows]
    drawn = [bar(share, Paint(pictures=paint.pictures)) for share in shares]
    if paint.pictures:
        with_bars = [[name, f"{each} {share}", text] for (name, share, text), each in zip(words, drawn, strict=True)]
        if all(row[1] in line for row, line in zip(with_bars, columns(with_bars, "  ", paint), strict=True)):
            words = with_bars
    full = {row[1]: fullness(share) for row, share in zip(words, shares, strict=True)}
    colour: Callable[[str, str], str] = lambda text, cell: paint(text, full[cell]) if cell in full else text  # noqa: E731
    return columns(words, indent="  ", paint=replace(paint, colour=colour))


def _promised(of: Promised) -> list[str]:
    """The share that is promised, and the sums: `90%+`, `9TB of 10TB promised, 1TB used, 3 vmgroups without limit`."""
    words = [promised_text(of), f"{about(of.used_mb)} used"]
    words += [f"{count(of.promises.unlimited, 'vmgroup')} without limit"] if of.promises.unlimited else []
    words += [f"{count(of.unknown, 'host')} not seen"] if of.unknown else []
    share = "?" if of.share is None else percent(of.share)
    return [f"{share}+" if of.promises.unlimited else share, ", ".join(words)]


def promised_text(of: Promised) -> str:
    """`14TB of 10TB promised`."""
    capacity = of.datastore.capacity_mb
    return f"{about(of.promises.promised_mb)}{'' if capacity is None else f' of {about(capacity)}'} promised"


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
        "datastores": [datastore_data(each.datastore, each.used_mb, each.promises) for each in of.datastores],
    }
