"""What a change means in rights, in a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.model.diff import RightsChange, Value
from reconciler.render.text import clean

_SHOWN = 4
_CREATE = "create, delete and mount "


def rights_lines(changes: Sequence[RightsChange]) -> Iterator[str]:
    """The first few, a line each, and how many more there are."""
    for change in changes[:_SHOWN]:
        yield clean(_sentence(change))
    if len(changes) > _SHOWN:
        yield f"... and {len(changes) - _SHOWN} more, which -o json shows"


def rights_data(changes: Sequence[RightsChange]) -> list[dict[str, Value]]:
    """All of them."""
    return [
        {
            "who": change.who,
            "where": change.where or None,
            "before": change.before,
            "after": change.after,
            "gains": change.gains,
            "releases": change.releases or None,
        }
        for change in changes
    ]


def _sentence(change: RightsChange) -> str:
    where = f" on {change.where}" if change.where else ""
    before = change.before or "nothing"
    if change.after and change.after.startswith(_CREATE):
        before = before.removeprefix(_CREATE)  # said once is enough
    releases = f", in vDVS {change.releases}" if change.releases else ""
    if change.after is None:
        return f"{change.who} may no longer {before}{where}{releases}"
    word = "may now" if change.gains else "may only"
    return f"{change.who} {word} {change.after}{where} (before: {before.removeprefix('do ')}){releases}"
