"""The tables of `vdvs get`, as text and as data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from reconciler.model.diff import Op
from reconciler.model.refs import KINDS, Kind, ObjectRef
from reconciler.planning.joined import Joined
from reconciler.render.history import applied_data
from reconciler.render.kinds import VIEWS
from reconciler.render.kinds.view import NONE, Row
from reconciler.render.text import Data, Paint, columns, lines, plain

AnyRow = Row[Any]


def rows(joined: Joined, kind: Kind, only: frozenset[ObjectRef] | None = None) -> tuple[AnyRow, ...]:
    """The objects of one kind, in the order of the diff. `only`: just these (None: all)."""
    found = VIEWS[kind].items(joined)
    return tuple(Row(item, joined.names) for item in found if only is None or item.change.ref in only)


def table_text(kind: Kind, found: Sequence[AnyRow], *, wide: bool = False, paint: Paint = plain) -> str:
    """Write one kind as a table."""
    view = VIEWS[kind]
    if not found:
        return f"No {'declared ' if view.only_declared else ''}{KINDS[kind].nouns}.\n"
    cells = {"NAME": _name, **view.columns, "SYNC": _sync_of}
    if wide:
        cells |= {**view.wide, "SET": _set, "WHY": _why}
    return lines(columns([tuple(cells), *([cell(row) for cell in cells.values()] for row in found)], paint=paint))


def names_text(found: Iterable[AnyRow]) -> str:
    """Write `kind/name`, a line each, for scripts."""
    return lines([line for row in found for line in columns([(str(row.change.ref),)])])


def rows_data(found: Iterable[AnyRow]) -> Data:
    """Objects as described by schemas/output/get.json."""
    return {"items": [row_data(row) for row in found]}


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


def _name(row: AnyRow) -> str:
    return row.name


def _sync_of(row: AnyRow) -> str:
    return row.change.sync.value


def _set(row: AnyRow) -> str:
    record = row.item.record
    if record is None or not record.set:
        return NONE
    return f"{record.set} (claimed)" if record.claimed else record.set


def _why(row: AnyRow) -> str:
    return NONE if row.change.op is Op.KEEP else row.change.reason
