"""The graph as a flowchart of Mermaid, which GitHub and GitLab draw in Markdown."""

from __future__ import annotations

import re

from reconciler.render.graph import Graph
from reconciler.render.graph.dot import colour_of
from reconciler.render.status.load import promised_text
from reconciler.render.text import clean, lines

_PLAIN = frozenset(" ,.()/:+-=_%@")
_LISTED = re.compile(r"\d*[.+-]")


def mermaid_text(of: Graph) -> str:
    """Write a flowchart. Names are labels only, nodes have ids of ours."""
    ids = {each.datastore.url: f"d{number}" for number, each in enumerate(of.datastores)}
    parts = ["flowchart LR"]
    for number, group in enumerate(of.groups):
        state = f"<br>{_escaped(group.standing.value)}" if group.standing else ""
        parts.append(f'  g{number}["{_escaped(group.name)}{state}"]')
        parts.append(f"  style g{number} stroke:{colour_of(group.standing)}")
        for position, vm in enumerate(group.vms):
            parts.append(f'  v{number}_{position}(["{_escaped(vm)}"]) --> g{number}')
        for right in group.rights:
            arrow = "-->" if right.creates else "-.->"
            parts.append(f'  g{number} {arrow}|"{_escaped(right.text)}"| {ids[right.url]}')
    for each in of.datastores:
        name, promised = _escaped(each.datastore.name), _escaped(promised_text(each))
        parts.append(f'  {ids[each.datastore.url]}[("{name}<br>{promised}")]')
    return lines(parts)


def _escaped(text: str) -> str:
    """Spell every character that is no letter, digit or plain sign as an entity: none of them means anything then, be
    it to Mermaid, to Markdown or in HTML. Neither does a sign that would begin a list of Markdown."""
    text = clean(text)
    listed = _LISTED.match(text)
    begins = -1 if listed is None else listed.end() - 1
    return "".join(
        char if position != begins and (char.isalnum() or char in _PLAIN) else f"#{ord(char)};"
        for position, char in enumerate(text)
    )
