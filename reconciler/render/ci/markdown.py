"""A diff as a comment on a pull request, in GitHub Flavored Markdown.

Names come from whoever may push or rename a VM, so text that is not ours stands in code spans and fenced blocks only,
where nothing is a link, a mention or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from reconciler.model.diff import Change, Diff
from reconciler.model.plan import Withheld
from reconciler.render.diff import SIGNS, by_risk, change_text, meaning, rights_lines, summary, worth_showing
from reconciler.render.text import clean, count

LONGEST: Final = 60_000  # characters; a comment on GitHub may have 65,536, on GitLab 1,000,000
_ROWS: Final = 50
_LONGEST_RIGHTS: Final = 15_000
_LONGEST_REASON: Final = 300
_BACKTICKS: Final = re.compile("`+")


def diff_markdown(diff: Diff, site: str, revision: str | None, left_out: Sequence[Withheld]) -> str:
    """Write a diff as a comment: counts, what the worst changes mean, the rights that change, what an apply would leave
    out, and every difference, folded. The first line is a comment by which a bot finds the one that it wrote before."""
    changes = sorted((change for change in diff.changes if worth_showing(change)), key=by_risk)
    marker = re.sub("[^A-Za-z0-9._]", "-", site)
    parts = [
        f"<!-- vdvs diff: {marker} -->",
        f"### vdvs diff: site {_code(site)}",
        f"**{summary(diff)}**" + (f" Manifests of git {_code(revision)}." if revision else ""),
    ]
    if changes:
        parts.append("\n".join(_table(changes)))
    rights = [line for change in changes for line in _rights(change)]
    if rights:
        parts += ["**Rights that change**", _fenced(rights, _LONGEST_RIGHTS)]
    if left_out:
        parts += ["**Held back by the options given**", "\n".join(_held(left_out))]
    if changes:
        used = sum(map(len, parts)) + 2 * len(parts) + 200
        blocks = (change_text(change).rstrip("\n") for change in changes)
        parts.append(f"<details><summary>{count(len(changes), 'difference')} in full</summary>")
        parts += [_fenced(blocks, LONGEST - used), "</details>"]
    return "\n\n".join(parts) + "\n"


def _table(changes: Sequence[Change]) -> Iterator[str]:
    yield "| | object | what it means |"
    yield "|---|---|---|"
    for change in changes[:_ROWS]:
        yield f"| {_code(SIGNS[change.op])} | {_code(str(change.ref))} | {meaning(change)} |"
    if len(changes) > _ROWS:
        yield f"| | | and {len(changes) - _ROWS} more |"


def _rights(change: Change) -> Iterator[str]:
    if change.rights:
        yield f"{SIGNS[change.op]} {clean(str(change.ref))}"
        yield from (f"    {line}" for line in rights_lines(change.rights, change.is_drift))


def _held(left_out: Sequence[Withheld]) -> Iterator[str]:
    for held in left_out[:_ROWS]:
        yield f"- {_code(str(held.ref))}: {_code(held.reason[:_LONGEST_REASON])}"
    if len(left_out) > _ROWS:
        yield f"- and {len(left_out) - _ROWS} more"


def _code(text: str) -> str:
    """A code span, of a cell of a table, too."""
    text = clean(text).replace("|", "\\|") or " "
    fence = "`" * (_longest_run(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _fenced(blocks: Iterable[str], room: int) -> str:
    """A fenced block of as many of these as fit, and how many do not."""
    taken: list[str] = []
    more = 0
    for block in blocks:
        room -= len(block) + 1
        if room >= 0:
            taken.append(block)
        else:
            more += 1
    if more:
        taken.append(f"... and {more} more, which `vdvs diff --full` shows")
    text = "\n".join(taken)
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, _BACKTICKS.findall(text)), default=0)
