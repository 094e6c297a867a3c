"""Building blocks of output: escaping, width on a terminal, columns, counts and sizes."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reconciler.model.diff import Value

GAP = "   "
_UNITS = (("PB", 1024**3), ("TB", 1024**2), ("GB", 1024))
Data = Any
"""Any value that JSON can hold."""

Paint = Callable[[str, str], str]
"""Colours a text by a word (`create`, `blocked`, `OPEN` ...). Colour only repeats words, it never replaces them."""


def plain(text: str, _word: str) -> str:
    """Leave text without colour."""
    return text


def clean(text: str) -> str:
    """Escape every character that does not print: control characters, terminal escapes, direction marks."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("ascii", "backslashreplace").decode() if ord(char) > 0x7F else repr(char)[1:-1]


def width(text: str) -> int:
    """Number of columns that `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def pad(text: str, columns: int) -> str:
    """Fill `text` up with blanks to this number of columns."""
    return text + " " * (columns - width(text))


def show(value: Value) -> str:
    """Spell a value on one line, as in a manifest."""
    if isinstance(value, str):
        return clean(value) if value else '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{clean(key)} {show(item)}" for key, item in value.items()) or "{}"
    if isinstance(value, Sequence):
        return ", ".join(show(item) for item in value) or "[]"
    return str(value)


def widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the width of each column."""
    return [max(width(clean(cell)) for cell in column) for column in zip(*rows, strict=True)]


def columns(
    rows: Sequence[Sequence[str]], indent: str = "", paint: Paint = plain, least: Sequence[int] | None = None
) -> list[str]:
    """Align rows. Cells are cleaned here; `paint` gets each cell padded, so colour does not change its width. `least`:
    the widths, if they are not those of the rows."""
    cells = [[clean(cell) for cell in row] for row in rows]
    sizes = least or [max(width(cell) for cell in column) for column in zip(*cells, strict=True)]
    return [
        (indent + GAP.join(paint(pad(cell, size), cell) for cell, size in zip(row, sizes, strict=True))).rstrip()
        for row in cells
    ]


def lines(parts: Sequence[str]) -> str:
    """Join lines to a text that ends with a newline; empty without lines."""
    return "\n".join(parts) + "\n" if parts else ""


def count(number: int, noun: str) -> str:
    """Count a noun: `1 host`, `2 hosts`."""
    if number != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("icy") else f"{noun}s"
    return f"{number} {noun}"


def about(megabytes: int) -> str:
    """Round a size for people: `0MB`, `180MB`, `1.2GB`."""
    for unit, factor in _UNITS:
        if megabytes >= factor:
            return f"{megabytes / factor:.1f}".removesuffix(".0") + unit
    return f"{megabytes}MB"
