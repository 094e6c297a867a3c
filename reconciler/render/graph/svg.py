"""The graph as SVG, in three columns: VMs, vmgroups with a line for each right, datastores. No script, no style sheet,
nothing from elsewhere, and the same picture for the same graph.
"""

from __future__ import annotations

from html import escape
from typing import Final

from reconciler.model.diff import Standing
from reconciler.render.graph import Graph, Group
from reconciler.render.graph.dot import colour_of
from reconciler.render.status.load import promised_text
from reconciler.render.text import clean, shortened, width
from reconciler.render.text import plain as _plain

_LINE, _PAD, _GAP, _BETWEEN = 18, 8, 14, 90  # pixels: of a line of text, in a box, between boxes, between columns
_CHAR: Final = 7.3  # pixels that a column of the font takes
_MOST: Final = 90  # columns of a text, which its title has in full
_INK, _FAINT, _PAPER = "#222222", "#8a8a8a", "#ffffff"


class _Drawing:
    """Elements, and the lowest point of each column."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.parts: list[str] = []
        self.wires: list[str] = []

    def box(self, x: float, y: float, w: float, texts: list[str], colour: str) -> float:
        """Draw a box with a line for each text, the first of them bold; return its height."""
        height = len(texts) * _LINE + 2 * _PAD
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{height:g}" rx="4" fill="{_PAPER}" stroke="{colour}"/>'
        )
        for number, text in enumerate(texts):
            self.text(x + _PAD, y + _PAD + (number + 0.75) * _LINE, text, bold=number == 0)
        return height

    def text(self, x: float, y: float, text: str, *, bold: bool = False) -> None:
        """Write one line; what it is too short for is its title."""
        whole = clean(text)
        short = shortened(whole, _MOST, _plain)
        weight = ' font-weight="bold"' if bold else ""
        title = f"<title>{escape(whole)}</title>" if short != whole else ""
        self.parts.append(f'<text x="{x:g}" y="{y:g}" fill="{_INK}"{weight}>{title}{escape(short)}</text>')

    def bar(self, x: float, y: float, w: float, share: float) -> None:
        """Draw how full something is."""
        colour = colour_of(Standing.OPEN if share > 1 else Standing.IN_SYNC)
        self.parts.append(f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="3" fill="#dddddd"/>')
        self.parts.append(f'<rect x="{x:g}" y="{y:g}" width="{w * min(share, 1):g}" height="3" fill="{colour}"/>')

    def wire(self, start: tuple[float, float], end: tuple[float, float], colour: str, dashed: bool) -> None:
        """Draw a curve from the right side of one box to the left side of another."""
        middle = (start[0] + end[0]) / 2
        path = f"M{start[0]:g},{start[1]:g} C{middle:g},{start[1]:g} {middle:g},{end[1]:g} {end[0]:g},{end[1]:g}"
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.wires.append(f'<path d="{path}" fill="none" stroke="{colour}"{dash}/>')


def svg_text(of: Graph, title: str) -> str:
    """Draw the graph."""
    names = {each.datastore.url: each.datastore.name for each in of.datastores}
    drawing = _Drawing(title)
    shown = [(group, _texts(group, names)) for group in of.groups]
    vms = [_vm_texts(group) for group in of.groups]
    stores = [[each.datastore.name, promised_text(each)] for each in of.datastores]
    left = _PAD
    middle = left + _wide(vms) + _BETWEEN
    last = _wide(stores)
    right = middle + _wide([texts for _, texts in shown]) + _BETWEEN
    ends, bottom = _draw_groups(drawing, shown, vms, (left, middle))
    y = float(_PAD)
    for each, texts in zip(of.datastores, stores, strict=True):
        colour = colour_of(Standing.OPEN if (each.share or 0) > 1 else None)
        height = drawing.box(right, y, last, texts, colour)
        if (share := each.share) is not None:
            drawing.bar(right + _PAD, y + height - 6, last - 2 * _PAD, share)
        for (x, at), creates, ink in ends.get(each.datastore.url, ()):
            drawing.wire((x, at), (right, y + height / 2), ink, not creates)
        y += height + _GAP
    return _document(drawing, right + last + _PAD, max(bottom, y))


_Ends = dict[str, list[tuple[tuple[float, float], bool, str]]]


def _draw_groups(
    drawing: _Drawing, shown: list[tuple[Group, list[str]]], vms: list[list[str]], at: tuple[float, float]
) -> tuple[_Ends, float]:
    """Draw VMs and groups side by side, so that no two wires between them cross; return where rights begin, by the
    datastore that they lead to, and the lowest point."""
    left, middle = at
    narrow, wide = _wide(vms), _wide([texts for _, texts in shown])
    ends: _Ends = {}
    y = float(_PAD)
    for (group, texts), members in zip(shown, vms, strict=True):
        colour = colour_of(group.standing)
        height = drawing.box(middle, y, wide, texts, colour)
        if members:
            other = drawing.box(left, y, narrow, members, _FAINT)
            drawing.wire((left + narrow, y + _PAD + _LINE / 2), (middle, y + _PAD + _LINE / 2), _FAINT, False)
            height_of_both = max(height, other)
        else:
            height_of_both = height
        first = len(texts) - len(group.rights)
        for number, right in enumerate(group.rights, first):
            line = y + _PAD + (number + 0.5) * _LINE
            if right.share is not None:
                drawing.bar(middle + _PAD, y + _PAD + (number + 1) * _LINE - 3, wide - 2 * _PAD, right.share)
            ends.setdefault(right.url, []).append(((middle + wide, line), right.creates, colour))
        y += height_of_both + _GAP
    return ends, y


def _texts(group: Group, names: dict[str, str]) -> list[str]:
    title = f"{group.name} ({group.standing.value})" if group.standing else group.name
    return [title, *(f"{names[right.url]}: {right.text}" for right in group.rights)]


def _vm_texts(group: Group) -> list[str]:
    return [f"{len(group.vms)} VM{'' if len(group.vms) == 1 else 's'}", *group.vms] if group.vms else []


def _wide(boxes: list[list[str]]) -> float:
    """Return the width of a column of boxes."""
    longest = max((min(width(clean(text)), _MOST) for texts in boxes for text in texts), default=0)
    return longest * _CHAR + 2 * _PAD


def _document(drawing: _Drawing, w: float, h: float) -> str:
    title = escape(clean(drawing.title))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{w:g}" height="{h:g}" viewBox="0 0 {w:g} {h:g}" '
            'role="img" font-family="monospace" font-size="12">',
            f"<title>{title}</title>",
            f'<rect width="{w:g}" height="{h:g}" fill="{_PAPER}"/>',
            *drawing.wires,
            *drawing.parts,
            "</svg>",
            "",
        ]
    )
