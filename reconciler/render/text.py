"""Building blocks of output: escaping, width on a terminal, columns, bars, counts, sizes and ages."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from reconciler.model.diff import Value

GAP = "   "
_LEAST: Final = 8  # columns that a cell has at least, however narrow the terminal is
_HANGING: Final = 4
_NEARLY: Final = 0.8
_CODES: Final = re.compile(r"\x1b\[[0-9;]*m")
_AGES: Final = (("days", 86400), ("h", 3600), ("min", 60), ("s", 1))
_UNITS = (("PB", 1024**3), ("TB", 1024**2), ("GB", 1024))
Data = Any
"""Any value that JSON can hold."""


def _uncoloured(text: str, _word: str) -> str:
    return text


class Paint(Struct, frozen=True):
    """Looks of the output. Called with a text and a word (`create`, `blocked`, `OPEN` ...), it colours the text by
    the word: colour only repeats words, it never replaces them. `width`: columns of the terminal (None: it is none, and
    nothing is broken or cut); `pictures`: block characters can be seen.
    """

    colour: Callable[[str, str], str] = _uncoloured
    width: int | None = None
    pictures: bool = False

    def __call__(self, text: str, word: str) -> str:
        """Colour `text` by `word`."""
        return self.colour(text, word)


plain: Final = Paint()
"""Whatever is no terminal."""


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
    rows: Sequence[Sequence[str]],
    indent: str = "",
    paint: Paint = plain,
    least: Sequence[int] | None = None,
    cut: bool = False,
    names: int = 0,
) -> list[str]:
    """Align rows. Cells are cleaned here; `paint` gets each cell padded, so colour does not change its width. `least`:
    the widths, if they are not those of the rows.

    On a terminal that is too narrow the widest cells are broken into lines, or `cut`, never those of the column
    `names`. Where these alone are too long, each stands on a line of its own, above the rest of its row.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    sizes = list(least or [max(width(cell) for cell in column) for column in zip(*cells, strict=True)])
    if paint.width is None or not sizes:
        return [_line(row, row, sizes, indent, paint) for row in cells]
    room = paint.width - width(indent)
    fitted = _fitted(sizes, names, room)
    if fitted is not None:
        return ["\n".join(_broken(row, fitted, indent, paint, cut)) for row in cells]
    rest = [0, *sizes[:names], *sizes[names + 1 :]]
    below = _fitted(rest, 0, room) or [0, *(min(size, _LEAST) for size in rest[1:])]
    return [
        "\n".join(
            [
                indent + paint(row[names], row[names]),
                *_broken(["", *row[:names], *row[names + 1 :]], below, indent, paint, cut),
            ]
        )
        for row in cells
    ]


def _fitted(sizes: Sequence[int], names: int, room: int) -> list[int] | None:
    """Return widths that fit: of all columns but that of the names, the widest give way. None: there is too little
    room."""
    room -= sizes[names] + len(GAP) * (len(sizes) - 1)
    rest = sorted([*sizes[:names], *sizes[names + 1 :]])
    for position, size in enumerate(rest):
        limit = room // (len(rest) - position)
        if size > limit:
            fitted = [size if at == names else min(size, limit) for at, size in enumerate(sizes)]
            return fitted if limit >= _LEAST else None
        room -= size
    return list(sizes) if room >= 0 else None


def _broken(row: Sequence[str], sizes: Sequence[int], indent: str, paint: Paint, cut: bool) -> Iterator[str]:
    """Yield the lines that a row takes."""
    if cut:
        yield _line(
            [shortened(cell, size, paint) for cell, size in zip(row, sizes, strict=True)], row, sizes, indent, paint
        )
        return
    parts = [broken(cell, size) if width(cell) > size else [cell] for cell, size in zip(row, sizes, strict=True)]
    for number in range(max(map(len, parts))):
        line = [part[number] if number < len(part) else "" for part in parts]
        yield _line(line, row, sizes, indent, paint)


def _line(shown: Sequence[str], words: Sequence[str], sizes: Sequence[int], indent: str, paint: Paint) -> str:
    cells = (
        paint(pad(cell, size), word) if cell else pad(cell, size)
        for cell, word, size in zip(shown, words, sizes, strict=True)
    )
    return (indent + GAP.join(cells)).rstrip()


def shortened(text: str, columns: int, paint: Paint) -> str:
    """Cut `text` to this number of columns, and show that it goes on."""
    if width(bare(text)) <= columns:
        return text
    text = bare(text)
    more = "\u2026" if paint.pictures else "..."
    return _head(text, columns - len(more)) + more


def broken(text: str, columns: int) -> list[str]:
    """Break `text` into lines of at most this number of columns, between words where it can be."""
    done, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if width(longer) <= columns:
            line = longer
            continue
        done += [line] if line.strip() else []
        while width(word) > columns:
            head = _head(word, columns) or word[:1]
            done.append(head)
            word = word[len(head) :]
        line = word
    return [each.rstrip() for each in (*done, line) if each.strip()] or [""]


def _head(text: str, columns: int) -> str:
    """Return the beginning that takes at most this number of columns."""
    taken = 0
    for position, char in enumerate(text):
        taken += width(char)
        if taken > columns:
            return text[:position]
    return text


def lines(parts: Sequence[str], paint: Paint = plain) -> str:
    """Join lines to a text that ends with a newline; empty without lines. On a terminal, lines that are too long are
    broken between words, and go on below their indent."""
    if paint.width is not None:
        parts = [line for part in parts for each in part.split("\n") for line in _hanging(each, paint.width)]
    return "\n".join(parts) + "\n" if parts else ""


def _hanging(line: str, columns: int) -> list[str]:
    """Break a line; the codes of colours take no room, and a line that is broken goes without."""
    shown = bare(line)
    if width(shown) <= columns:
        return [line]
    text = shown.lstrip()
    lead = min(len(shown) - len(text), columns // 2)
    first, *more = broken(text, columns - lead)
    below = lead + min(_HANGING, columns // 4)
    return [" " * lead + first, *(" " * below + each for each in broken(" ".join(more), columns - below))]


def bare(text: str) -> str:
    """Leave out the codes of colours."""
    return _CODES.sub("", text)


def bar(share: float, paint: Paint, cells: int = 10) -> str:
    """Draw how full something is; empty where pictures cannot be seen. Coloured by how full it is."""
    if not paint.pictures:
        return ""
    full = round(8 * cells * min(max(share, 0.0), 1.0))
    drawn = "\u2588" * (full // 8) + ("" if full % 8 == 0 else chr(0x2590 - full % 8))
    return paint(drawn, fullness(share)) + "\u2591" * (cells - len(drawn))


def percent(share: float) -> str:
    """Spell a share, rounded down: only what is full is `100%`."""
    return f"{math.floor(100 * share + 1e-9)}%"  # 100 * 0.29 is a bit less than 29


def fullness(share: float) -> str:
    """The word that a share is coloured by."""
    return "overfull" if share > 1 else "nearly full" if share >= _NEARLY else "has room"


def age(seconds: float) -> str:
    """Spell a time that passed: `40 s`, `3 min`, `5 h`, `12 days`."""
    for unit, length in _AGES:
        if seconds >= 2 * length or unit == "s":
            return f"{max(0, int(seconds // length))} {unit}"
    raise AssertionError


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
