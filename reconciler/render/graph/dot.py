"""The graph for Graphviz: `vdvs graph -o dot | dot -Tsvg`."""

from __future__ import annotations

from reconciler.model.diff import Standing
from reconciler.render.graph import Graph
from reconciler.render.status.load import promised_text
from reconciler.render.text import clean, lines
from reconciler.render.words import STANDINGS

_COLOURS = {"good": "#2e7d32", "drift": "#b26a00", "bad": "#c62828", "unknown": "#6a3fb5"}


def colour_of(standing: Standing | None) -> str:
    """Return the colour of a state."""
    return "#555555" if standing is None else _COLOURS[STANDINGS[standing].kind]


def dot_text(of: Graph) -> str:
    """Write a digraph. Names are labels only, nodes have ids of ours."""
    ids = {each.datastore.url: f"d{number}" for number, each in enumerate(of.datastores)}
    parts = ["digraph vdvs {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    for number, group in enumerate(of.groups):
        title = [group.name, group.standing.value] if group.standing else [group.name]
        parts.append(f"  g{number} [label={_quoted(*title)}, color={_quoted(colour_of(group.standing))}];")
        for position, vm in enumerate(group.vms):
            node = f"v{number}_{position}"
            parts += [f"  {node} [label={_quoted(vm)}, style=rounded];", f"  {node} -> g{number};"]
        for right in group.rights:
            style = "solid" if right.creates else "dashed"
            parts.append(f"  g{number} -> {ids[right.url]} [label={_quoted(right.text)}, style={style}];")
    for each in of.datastores:
        label = _quoted(each.datastore.name, promised_text(each))
        colour = _quoted(colour_of(Standing.OPEN if (each.share or 0) > 1 else None))
        parts.append(f"  {ids[each.datastore.url]} [label={label}, shape=cylinder, color={colour}];")
    return lines([*parts, "}"])


def _quoted(*texts: str) -> str:
    """A string of DOT whose label has these lines: an ampersand would begin an HTML entity, a backslash an escape."""
    escaped = (clean(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") for text in texts)
    return '"' + "\\n".join(escaped) + '"'
