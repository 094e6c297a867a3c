"""A diff as text: what differs, its risk, the rights that change, and a summary."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import TypeVar

from reconciler.model.base import Risk
from reconciler.model.diff import Change, Diff, Effect, FieldChange, Op, RightsChange, Value
from reconciler.model.ownership import RecordObject
from reconciler.model.refs import KINDS, Kind
from reconciler.render.kinds import IN_HEADER
from reconciler.render.text import Paint, clean, columns, count, lines, pad, plain, show, width
from reconciler.render.words import EFFECTS, RISKS, remarks, sides

SIGNS = {
    Op.CREATE: "+",
    Op.UPDATE: "~",
    Op.DELETE: "-",
    Op.KEEP: " ",
    Op.BLOCKED: "!",
    Op.UNMANAGED: "?",
    Op.REMOVED: "?",
    Op.UNKNOWN: "!",
}
WRITABLE = (Op.DELETE, Op.UPDATE, Op.CREATE)
_SUMMARY = {
    Op.CREATE: "to create",
    Op.UPDATE: "to update",
    Op.DELETE: "to delete",
    Op.BLOCKED: "blocked",
    Op.UNKNOWN: "unknown",
    Op.UNMANAGED: "unmanaged",
    Op.REMOVED: "removed from the manifests",
    Op.KEEP: "in sync",
}
_BY_SEVERITY = (
    Risk.DESTROYS, Risk.DISRUPTS, Risk.WIDENS, Op.BLOCKED, Op.UNKNOWN, Op.REMOVED, Risk.RESTRICTS, Risk.SAFE,
    Op.UNMANAGED, Op.KEEP
)  # fmt: skip
_RANK = {each: position for position, each in enumerate(_BY_SEVERITY)}
_MANY = 50  # objects that differ; of more, a summary comes first
_WORST = 10  # objects that a summary shows in full
_MOST_LINES = 1000  # about one object; its rights are among the last
_LAST_LINES = 10
_MEANING_COLUMN = 56
_PATH_COLUMNS = 12
_LONGEST_PATH = 48
_INDENT = " " * 4
_RIGHTS_SHOWN = 4
_CREATE = re.compile(r"^(create, delete and mount|mount, delete, and create) ")


Item = TypeVar("Item")


class Detail(Enum):
    """How much of a diff or a status is shown: a summary with the worst, everything, or whichever suits its size."""

    SUMMARY = "summary"
    FULL = "full"
    BY_SIZE = None

    def shown(self, found: Sequence[Item]) -> tuple[Sequence[Item], bool]:
        """Return those that are shown one by one, of all in the order of their risk, and whether a summary comes
        first."""
        summed_up = self is Detail.SUMMARY or (self is Detail.BY_SIZE and len(found) > _MANY)
        return found[:_WORST] if summed_up else found, summed_up


def diff_text(diff: Diff, header: str = "", paint: Paint = plain, detail: Detail = Detail.BY_SIZE) -> str:
    """Write a diff: the header, a block for each object that differs, ordered by risk and name, and one line of counts.
    Of many objects: the header, a line for each op and risk, and the blocks of the worst.
    """
    changes = sorted((change for change in diff.changes if worth_showing(change)), key=by_risk)
    shown, summed_up = detail.shown(changes)
    column = max([_meaning_column(paint), *(width(_head(change)) + 2 for change in shown)])
    parts = [header, ""] if header else []
    if summed_up:
        parts += [*_overview(changes, paint), *worst_of(len(shown), len(changes))]
    for change in shown:
        parts += _block(change, column, paint, None if detail is Detail.FULL else _MOST_LINES)
    parts += left_out(len(shown), len(changes))
    if changes:
        parts.append("")
    return lines([*parts, summary(diff)], paint)


def _meaning_column(paint: Paint) -> int:
    """Return where the meaning of a change begins: so that it fits on the terminal, if it is not all too narrow."""
    return _MEANING_COLUMN if paint.width is None else max(_MEANING_COLUMN // 2, min(_MEANING_COLUMN, paint.width - 36))


def by_risk(change: Change) -> tuple[int, tuple[int, str]]:
    """Key for sorting changes: the risk of what would be done, the worst first, then the object. What cannot be done,
    is not known, or holds rights that nobody declared comes before what only takes back."""
    if change.op is Op.UNMANAGED and change.rights:
        rank = _RANK[Op.UNKNOWN]
    else:
        rank = _RANK[change.risk if change.op in WRITABLE else change.op]
    if change.is_drift and change.effect in (Effect.GAVE, Effect.BOTH):  # to repair it takes back, but it is there now
        rank = min(rank, _RANK[Risk.WIDENS])
    return rank, change.ref.sort_key


def worst_of(shown: int, found: int) -> list[str]:
    """Introduce what a summary shows in full."""
    return ["", f"The worst {shown} of {found}:" if shown < found else "All of them:", ""] if found else []


def left_out(shown: int, found: int) -> list[str]:
    """Say what is not shown, and how it is."""
    return ["", f"... and {found - shown} more, which --full shows"] if shown < found else []


def _overview(changes: Sequence[Change], paint: Paint) -> list[str]:
    """A line for each op and risk, the worst first: `120 to update   widens access   118 vmgroups, 2 hosts`."""
    groups: dict[tuple[str, str], Counter[Kind]] = {}
    for change in changes:
        key = (_SUMMARY[change.op], _risk(change) if change.op in WRITABLE else "")
        groups.setdefault(key, Counter())[change.ref.kind] += 1
    digits = max((len(str(kinds.total())) for kinds in groups.values()), default=0)
    rows = [
        (
            f"{kinds.total():>{digits}} {op}",
            risk,
            ", ".join(count(kinds[kind], spec.noun) for kind, spec in KINDS.items() if kinds[kind]),
        )
        for (op, risk), kinds in groups.items()
    ]
    return columns(rows, indent="  ", paint=paint)


def header(diff: Diff, site: str, revision: str | None) -> str:
    """One line about both sides of the comparison: `site lab   2 hosts   1 config DB   git 4f2c1ab`."""
    kinds = Counter(change.ref.kind for change in diff.changes if not change.undeclared)
    parts = [f"site {clean(site)}", *(count(kinds[kind], KINDS[kind].noun) for kind in IN_HEADER)]
    return "   ".join([*parts, f"git {clean(revision)}"] if revision else parts)


def summary(diff: Diff) -> str:
    """One line of counts; `In sync.` when nothing differs."""
    silent = sum(change.op is Op.KEEP and records(change) for change in diff.changes)
    noted = f" Apply records {count(silent, 'object')} as applied." if silent else ""
    warned = sum(change.op is Op.KEEP and bool(change.notes) for change in diff.changes)
    if all(change.op is Op.KEEP for change in diff.changes):
        return (f"In sync, but {count(warned, 'object')} not as it should be." if warned else "In sync.") + noted
    counts = [f"{diff.count(op)} {words}" for op, words in _SUMMARY.items() if diff.count(op)]
    held = sum(bool(change.held) for change in diff.changes)
    return ", ".join([*counts, f"{held} held back in part"] if held else counts) + "." + noted


def worth_showing(change: Change) -> bool:
    """Whether an object is shown: it differs, has notes, or is taken over from another set."""
    return change.op is not Op.KEEP or bool(change.notes or change.claim)


def records(change: Change) -> bool:
    """Whether applying would record a new owner, digest or name of this object."""
    return any(isinstance(action, RecordObject) for action in change.actions)


def change_text(change: Change, paint: Paint = plain) -> str:
    """One object's block of a diff."""
    return lines(_block(change, max(_meaning_column(paint), width(_head(change)) + 2), paint, None), paint)


def meaning(change: Change, paint: Paint = plain) -> str:
    """The consequence of a change for users of vDVS, in a few words; of a drift, its effect and that of its repair.

    Source: docs/domain.md#who-may-do-what
    """
    repair = change.standing.value if change.op is Op.UNKNOWN else _risk(change)
    effect = EFFECTS[change.effect]
    return f"{paint(effect, effect)}; repair {paint(repair, repair)}" if change.is_drift else paint(repair, repair)


def _risk(change: Change) -> str:
    """The risk of what would be done, in two or three words, or why nothing would be."""
    return RISKS[change.risk] if change.op in WRITABLE else _SUMMARY[change.op]


def field_text(field: FieldChange) -> str:
    """One field on one line: `5GB -> 10GB`, `+ photon-03`, `- photon-03`."""
    if field.before is None:
        return f"+ {show(field.after)}"
    if field.after is None:
        return f"- {show(field.before)}"
    return f"{show(field.before)} -> {show(field.after)}"


def _head(change: Change) -> str:
    return f"{SIGNS[change.op]} {clean(str(change.ref))}"


def _block(change: Change, column: int, paint: Paint, most: int | None) -> list[str]:
    """Return the lines about one object, about so many at most: whoever writes a config DB can make any number."""
    head = paint(pad(_head(change), column), change.op.value) + meaning(change, paint)
    body = list(change_body(change))
    more = 0 if most is None else len(body) - most
    if more <= 0:
        return [head, *body]
    left_out = f"{_INDENT}... and {more} more lines, which --full shows"
    return [head, *body[: -more - _LAST_LINES], left_out, *body[-_LAST_LINES:]]


def change_body(change: Change, *, happened: bool = False) -> Iterator[str]:
    """The differences of one object, a line each, indented. `happened`: told as an event. Then, and of a drift, each
    value is labelled."""
    if change.op not in (Op.CREATE, Op.UPDATE, Op.KEEP) or (change.op is not Op.KEEP and not change.fields):
        yield _INDENT + clean(change.reason)
    spelled = sides if happened or change.is_drift else field_text
    column = _path_columns(change.fields)
    previous = None
    for field in change.fields:
        path = "" if field.path == previous else clean(field.path)
        previous = field.path
        yield f"{_INDENT}{pad(path, column)}   {spelled(field)}"
    for note in (*remarks(change), *(f"held back: {reason}" for reason in change.held)):
        yield f"{_INDENT}{pad('', column) + '   ' if change.fields else ''}{clean(note)}"
    if not change.undeclared:  # its reason spells them
        yield from (_INDENT + line for line in rights_lines(change.rights, happened or change.is_drift))
    if change.claim:
        yield _INDENT + clean(change.claim)


def _path_columns(fields: Sequence[FieldChange]) -> int:
    widths = [width(clean(field.path)) for field in fields]
    return max([_PATH_COLUMNS, *(size for size in widths if size <= _LONGEST_PATH)])


def rights_lines(changes: Sequence[RightsChange], happened: bool = False) -> Iterator[str]:
    """The first few changes of rights, a sentence each, and the number of the others. `happened`: both sides, rather
    than what would change."""
    for change in changes[:_RIGHTS_SHOWN]:
        yield clean(_both_sides(change) if happened else _sentence(change))
    if len(changes) > _RIGHTS_SHOWN:
        yield f"... and {len(changes) - _RIGHTS_SHOWN} more, which -o json shows"


def rights_data(changes: Sequence[RightsChange]) -> list[dict[str, Value]]:
    """All changes of rights."""
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


def _both_sides(change: RightsChange) -> str:
    where = f" on {change.where}" if change.where else ""
    releases = f", in vDVS {change.releases}" if change.releases else ""
    declared = (change.after or "nothing").removeprefix("do ")
    if change.before and _CREATE.match(change.before):
        declared = _CREATE.sub("", declared)  # the sentence has it once already
    return f"live: {change.who} may {change.before or 'do nothing'}{where}; declared: {declared}{releases}"


def _sentence(change: RightsChange) -> str:
    where = f" on {change.where}" if change.where else ""
    before = change.before or "nothing"
    if change.after and _CREATE.match(change.after):
        before = _CREATE.sub("", before)  # the sentence has it once already
    releases = f", in vDVS {change.releases}" if change.releases else ""
    if change.after is None:
        return f"{change.who} may no longer {before}{where}{releases}"
    word = "may now" if change.gains else "may only"
    return f"{change.who} {word} {change.after}{where} (before: {before.removeprefix('do ')}){releases}"
