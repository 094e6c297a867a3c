"""The graph as text: each vmgroup with its VMs and what it may do where."""

from __future__ import annotations

from reconciler.render.graph import Graph, Group
from reconciler.render.status.load import Promised, promised_text
from reconciler.render.text import Paint, bar, clean, columns, count, lines, plain


def tree_text(of: Graph, paint: Paint = plain) -> str:
    """Write a block for each group, then the datastores."""
    names = {each.datastore.url: each.datastore.name for each in of.datastores}
    parts: list[str] = []
    for group in of.groups:
        parts += [*_group(group, names, paint), ""]
    used = {right.url for group in of.groups for right in group.rights}
    known = all(group.known for group in of.groups)
    rows = [[each.datastore.name, promised_text(each) + _nobody(each, used, known)] for each in of.datastores]
    parts += [count(len(rows), "datastore") + (":" if rows else "."), *(columns(rows, "  ", paint) if rows else [])]
    return lines(parts, paint)


def _group(group: Group, names: dict[str, str], paint: Paint) -> list[str]:
    title = clean(group.name if group.ref is None else str(group.ref))
    parts = [f"{title}   {paint(group.standing.value, group.standing.value)}" if group.standing else title]
    if not group.known:
        return [*parts, "  its VMs, and what they may do, are not known"]
    if group.ref is not None:
        parts.append(f"  {count(len(group.vms), 'VM')}{': ' if group.vms else ''}{', '.join(map(clean, group.vms))}")
    rows = [[f"-> {names[right.url]}", _with_bar(right.text, right.share, paint)] for right in group.rights]
    return [*parts, *(columns(rows, "  ", paint) if rows else ["  may use no datastore"])]


def _with_bar(text: str, share: float | None, paint: Paint) -> str:
    drawn = "" if share is None else bar(share, Paint(pictures=paint.pictures))
    return f"{drawn} {text}" if drawn else text


def _nobody(of: Promised, used: set[str], known: bool) -> str:
    if of.unknown:
        return f", {count(of.unknown, 'host')} not seen"
    if not known:
        return ", as far as is known"
    return "" if of.datastore.url in used else ", nobody may use it"
