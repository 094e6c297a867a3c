"""A diff as text: what differs, its risk, the rights that change, and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from reconciler.model.base import Risk
from reconciler.model.diff import Change, Diff, FieldChange, Op, RightsChange, Value
from reconciler.model.ownership import RecordObject
from reconciler.model.refs import KINDS
from reconciler.render.kinds import IN_HEADER
from reconciler.render.text import Paint, clean, count, lines, pad, plain, show, width

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
_MEANINGS = {
    Risk.SAFE: "disrupts nothing",
    Risk.RESTRICTS: "restricts access",
    Risk.WIDENS: "widens access",
    Risk.DISRUPTS: "disrupts running work",
    Risk.DESTROYS: "destroys",
}
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
_MEANING_COLUMN = 56
_PATH_COLUMNS = 12
_LONGEST_PATH = 48
_INDENT = " " * 4
_RIGHTS_SHOWN = 4
_CREATE = "create, delete and mount "


def diff_text(diff: Diff, header: str = "", paint: Paint = plain) -> str:
    """Write the whole diff: the header, a block for each object that differs, the summary."""
    changes = [change for change in diff.changes if worth_showing(change)]
    column = max([_MEANING_COLUMN, *(width(_head(change)) + 2 for change in changes)])
    parts = [header, ""] if header else []
    for change in changes:
        parts += _block(change, column, paint)
    if changes:
        parts.append("")
    return lines([*parts, summary(diff)])


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
    return lines(_block(change, max(_MEANING_COLUMN, width(_head(change)) + 2), paint))


def meaning(change: Change) -> str:
    """The consequence of a change for users of vDVS, in two or three words. Source: docs/domain.md#who-may-do-what"""
    if change.op in (Op.CREATE, Op.UPDATE, Op.DELETE):
        return _MEANINGS[change.risk]
    return _SUMMARY[change.op]


def field_text(field: FieldChange) -> str:
    """One field on one line: `5GB -> 10GB`, `+ photon-03`, `- photon-03`."""
    if field.before is None:
        return f"+ {show(field.after)}"
    if field.after is None:
        return f"- {show(field.before)}"
    return f"{show(field.before)} -> {show(field.after)}"


def _head(change: Change) -> str:
    return f"{SIGNS[change.op]} {clean(str(change.ref))}"


def _block(change: Change, column: int, paint: Paint) -> list[str]:
    head = paint(pad(_head(change), column), change.op.value) + meaning(change)
    return [head, *change_body(change)]


def change_body(change: Change) -> Iterator[str]:
    """The differences of one object, a line each, indented."""
    if change.op not in (Op.CREATE, Op.UPDATE, Op.KEEP) or (change.op is not Op.KEEP and not change.fields):
        yield _INDENT + clean(change.reason)
    column = _path_columns(change.fields)
    previous = None
    for field in change.fields:
        path = "" if field.path == previous else clean(field.path)
        previous = field.path
        yield f"{_INDENT}{pad(path, column)}   {field_text(field)}"
    for note in (*change.notes, *(f"held back: {reason}" for reason in change.held)):
        yield f"{_INDENT}{pad('', column) + '   ' if change.fields else ''}{clean(note)}"
    if not change.undeclared:  # its reason spells them
        yield from (_INDENT + line for line in rights_lines(change.rights))
    if change.claim:
        yield _INDENT + clean(change.claim)


def _path_columns(fields: Sequence[FieldChange]) -> int:
    widths = [width(clean(field.path)) for field in fields]
    return max([_PATH_COLUMNS, *(size for size in widths if size <= _LONGEST_PATH)])


def rights_lines(changes: Sequence[RightsChange]) -> Iterator[str]:
    """The first few changes of rights, a sentence each, and the number of the others."""
    for change in changes[:_RIGHTS_SHOWN]:
        yield clean(_sentence(change))
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


def _sentence(change: RightsChange) -> str:
    where = f" on {change.where}" if change.where else ""
    before = change.before or "nothing"
    if change.after and change.after.startswith(_CREATE):
        before = before.removeprefix(_CREATE)  # the sentence has it once already
    releases = f", in vDVS {change.releases}" if change.releases else ""
    if change.after is None:
        return f"{change.who} may no longer {before}{where}{releases}"
    word = "may now" if change.gains else "may only"
    return f"{change.who} {word} {change.after}{where} (before: {before.removeprefix('do ')}){releases}"
