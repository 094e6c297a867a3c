"""The tables of `vdvs get`, as text and as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.model.diff import Op
from reconciler.model.refs import INVENTORY, KINDS, Kind, ObjectRef, Words
from reconciler.planning.joined import Joined
from reconciler.planning.scope import unread
from reconciler.render.history import applied_data
from reconciler.render.inventory import LISTINGS
from reconciler.render.inventory.entry import Listing
from reconciler.render.kinds import VIEWS
from reconciler.render.kinds.view import NONE, Row
from reconciler.render.text import Data, Paint, columns, lines, plain

AnyRow = Row[Any]


class Entry(Protocol):
    """A row of a table."""

    @property
    def name(self) -> str:
        """Name of what it shows."""

    @property
    def known_as(self) -> tuple[str, ...]:
        """Names that an object can be asked for by."""


E = TypeVar("E", bound=Entry)
Cells = Mapping[str, Callable[[E], str]]


class Table(Struct, Generic[E], frozen=True):
    """A table of `vdvs get`.

    `rows`: of a look; None in place of the refs: all. `none`: the sentence where there are none. `cells`: headings and
    cells, `wide` those that -o wide adds. `data`: a row in JSON. `unread`: why there may be more rows (None: there are
    none). `unknown`: whether a row, or a part of it, could not be read. `where`: the place where a name was looked for.
    `labelled`: its rows are selected by labels. `optional`: many sites have none of it. `tells_gaps`: a list of all has
    to say what it lacks. `gauges`: see `View`.
    """

    singular: str
    none: str
    rows: Callable[[Joined, frozenset[ObjectRef] | None], Sequence[E]]
    cells: Cells[E]
    wide: Cells[E]
    data: Callable[[E], dict[str, Data]]
    unread: Callable[[Joined], str | None]
    unknown: Callable[[E], bool]
    where: str = "in the manifests or on the site"
    labelled: bool = True
    optional: bool = False
    tells_gaps: bool = True
    gauges: Mapping[str, Callable[[E], float | None]] = field(default_factory=dict)

    def shown(self, wide: bool) -> Cells[E]:
        """Return headings and cells."""
        return {**self.cells, **self.wide} if wide else self.cells


def rows(joined: Joined, kind: Kind, only: frozenset[ObjectRef] | None = None) -> tuple[AnyRow, ...]:
    """The objects of one kind, in the order of the diff. `only`: just these (None: all)."""
    found = VIEWS[kind].items(joined)
    return tuple(Row(item, joined.names) for item in found if only is None or item.change.ref in only)


def table_text(table: Table[E], found: Sequence[E], *, wide: bool = False, paint: Paint = plain) -> str:
    """Write a table. Unless it is `wide`, cells are cut that have no room on the terminal."""
    if not found:
        return f"{table.none}\n"
    return cells_text(table.shown(wide), found, replace(paint, width=None) if wide else paint)


def cells_text(cells: Cells[E], found: Sequence[E], paint: Paint = plain) -> str:
    """Write rows below their headings."""
    rows = [tuple(cells), *([cell(row) for cell in cells.values()] for row in found)]
    return lines(columns(rows, paint=paint, cut=True))


def names_text(table: Table[E], found: Iterable[E]) -> str:
    """Write `kind/name`, a line each, for scripts."""
    return lines([line for row in found for line in columns([(f"{table.singular}/{row.name}",)])])


def items_data(items: Iterable[Data]) -> Data:
    """Rows as described by schemas/output/get.json."""
    return {"items": list(items)}


def row_data(row: AnyRow) -> dict[str, Data]:
    """One object."""
    change = row.change
    return {
        "object": str(change.ref),
        "kind": change.ref.kind.value,
        "name": row.name,
        "sync": change.sync.value,
        "reason": change.reason,
        "applied": applied_data(row.item.record),
        **VIEWS[change.ref.kind].data(row),
    }


def _set(row: AnyRow) -> str:
    record = row.item.record
    if record is None or not record.set:
        return NONE
    return f"{record.set} (claimed)" if record.claimed else record.set


def _why(row: AnyRow) -> str:
    return NONE if row.change.op is Op.KEEP else row.change.reason


def _name(row: Entry) -> str:
    return row.name


def _of_kind(kind: Kind) -> Table[AnyRow]:
    view, spec = VIEWS[kind], KINDS[kind]
    return Table(
        singular=spec.singular,
        none=f"No {'declared ' if view.only_declared else ''}{spec.nouns}.",
        rows=lambda joined, only: rows(joined, kind, only),
        cells={"NAME": _name, **view.columns, "SYNC": lambda row: row.change.sync.value},
        wide={**view.wide, "SET": _set, "WHY": _why},
        data=row_data,
        unread=lambda joined: unread(kind, joined.assessment.resolved, joined.assessment.observed),
        unknown=lambda row: row.change.op is Op.UNKNOWN,
        optional=spec.on_datastore,
        gauges=view.gauges,
        tells_gaps=kind is not Kind.HOST,  # hosts that a vCenter which is down would add are no objects of ours yet
    )


def _of_inventory(words: Words, listing: Listing[Any]) -> Table[Any]:
    return Table(
        singular=words.singular,
        none=f"No {words.nouns} in the inventory.",
        rows=lambda joined, _: tuple(listing.items(joined)),
        cells={"NAME": _name, **listing.columns},
        wide={**listing.wide, "WHY": lambda row: "; ".join(row.unknown) or NONE},
        data=lambda row: {
            "object": f"{words.singular}/{row.name}",
            "kind": words.noun[0].upper() + words.noun[1:],
            "name": row.name,
            **listing.data(row),
            "unknown": list(row.unknown),
        },
        unread=_gap,
        unknown=lambda row: row.unread,
        where="in the inventory",
        labelled=False,
    )


def _gap(joined: Joined) -> str | None:
    gaps = joined.assessment.resolved.inventory.gaps
    return f"the inventory is incomplete: {gaps[0]}" if gaps else None


TABLES: Final[dict[str, Table[Any]]] = {
    table.singular: table
    for table in (
        *map(_of_kind, VIEWS),
        *(_of_inventory(words, listing) for words, listing in zip(INVENTORY, LISTINGS, strict=True)),
    )
}
"""Everything that `vdvs get` lists."""
