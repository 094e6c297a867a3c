"""`get --watch` on a terminal: the table, drawn anew in place after each look, with what has changed marked."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec.structs import replace

from reconciler.cli import formats
from reconciler.cli.output import paint
from reconciler.render import text
from reconciler.render.tables import Table
from reconciler.render.text import Paint

_CHANGED, _GONE, _SAME = "*", "-", ""
_AROUND: Final = 4  # lines that no row can have: title, heading, the rest, the cursor


class Live:
    """The table on a terminal. `title`: what is watched, and how often."""

    def __init__(self, table: Table[Any], output: str, by: Any, title: str) -> None:
        self._table = table
        self._wide = output == "wide"
        self._by = by
        self._title = title
        self._cells: dict[Any, list[str]] = {}
        self._rows: dict[Any, Any] = {}
        self._changed: dict[Any, str] = {}  # when it was, by row
        self._marks: dict[Any, str] = {}
        self._notes: list[str] = []
        self._drawn: list[str] = []

    def text(self, rows: Sequence[Any], complete: bool, at: datetime) -> str:
        """Draw what a look found. What a look missed that was not `complete` stays as it was."""
        now = {row.known_as: row for row in formats.ordered(self._table, rows, self._by)}
        cells = {key: [cell(row) for cell in self._table.shown(self._wide).values()] for key, row in now.items()}
        first = not self._rows and not self._drawn
        gone = {key: row for key, row in self._rows.items() if key not in now and self._marks.get(key) != _GONE}
        if complete:
            now |= gone
            cells |= {key: [row.name, "gone", *[""] * (len(self._cells[key]) - 2)] for key, row in gone.items()}
        else:
            now, cells = self._rows | now, self._cells | cells
        differ = {key for key, each in cells.items() if self._cells.get(key) != each and not first}
        self._marks = {key: _GONE if key in gone and complete else _CHANGED if key in differ else _SAME for key in now}
        when = f"{at.astimezone(UTC):%H:%M:%S}"
        self._changed = {key: was for key, was in self._changed.items() if key in now} | dict.fromkeys(differ, when)
        self._rows, self._cells = now, cells
        return self._frame(f"{self._title}   {when} UTC   {text.count(len(differ), 'change')}")

    def note(self, why: str) -> None:
        """Show this below the next frame."""
        self._notes.append(why)

    def failed(self, why: str) -> str:
        """Draw the same once more, and why there is nothing newer."""
        self.note(f"{why}; what is shown is from before")
        return self._frame(self._title)

    def _frame(self, title: str) -> str:
        """Return what draws over the frame before."""
        size, paints = shutil.get_terminal_size(), paint()
        notes = [text.clean(note) for note in self._notes]
        shown, left = self._fitting(max(1, size.lines - _AROUND - len(notes)))
        lines = [title, *self._aligned(shown, replace(paints, width=size.columns - 1))]
        lines += [f"... and {text.count(left, 'row')} more"] if left else []
        lines = [text.shortened(line, size.columns - 1, paints) for line in [*lines, *notes]]
        up = sum(max(1, -(-text.width(text.bare(line)) // size.columns)) for line in self._drawn)
        self._drawn, self._notes = lines, []
        return (f"\x1b[{up}A\r\x1b[J" if up else "") + "\n".join(lines) + "\n"

    def _fitting(self, room: int) -> tuple[list[Any], int]:
        """Return the rows that there is room for, and how many others there are. Of too many, those that changed come
        first, the last one at the top."""
        keys = list(self._rows)
        if len(keys) > room:
            keys.sort(key=lambda key: self._changed.get(key, ""), reverse=True)
        return keys[:room], max(0, len(keys) - room)

    def _aligned(self, keys: Sequence[Any], paints: Paint) -> list[str]:
        """Return the lines of the table: with bars and numbers, or where there is no room, with bars only."""
        if not keys:
            return [self._table.none]
        heading = ["", *self._table.shown(self._wide), "CHANGED"]
        found: list[list[str]] = []
        for gauged in (self._bar_and_text, self._bar) if paints.pictures and self._table.gauges else (self._text,):
            found = [heading, *(self._row(key, gauged, paints) for key in keys)]
            if sum(text.widths(found)) + len(text.GAP) * (len(heading) - 1) <= (paints.width or 0):
                break
        # The mark stands before the name, as one column with it, which is never cut.
        joined = [[f"{mark:1} {name}", *rest] for mark, name, *rest in found]
        lines = text.columns(joined, paint=paints, cut=True)
        # A row is a line here, whatever of it is cut: what is drawn anew is counted in lines.
        return text.columns(joined, paint=replace(paints, width=None)) if any("\n" in line for line in lines) else lines

    def _row(self, key: Any, gauged: Callable[[float, str, Paint], str], paints: Paint) -> list[str]:
        cells = list(self._cells[key])
        for position, name in enumerate(self._table.shown(self._wide)):
            gauge = self._table.gauges.get(name)
            share = gauge(self._rows[key]) if gauge is not None and self._marks[key] != _GONE else None
            if share is not None:
                cells[position] = gauged(share, cells[position], replace(paints, colour=text.plain.colour))
        return [self._marks[key], *cells, self._changed.get(key, "")]

    @staticmethod
    def _bar_and_text(share: float, cell: str, paints: Paint) -> str:
        return f"{text.bar(share, paints)} {cell}"

    @staticmethod
    def _bar(share: float, _cell: str, paints: Paint) -> str:
        return f"{text.bar(share, paints)} {text.percent(share)}"

    @staticmethod
    def _text(_share: float, cell: str, _paints: Paint) -> str:
        return cell
