"""The results of apply and of validate, as text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from reconciler.model.diff import FieldChange
from reconciler.model.errors import ManifestError
from reconciler.model.outcome import BackupMade, ObjectResult, Outcome, Status
from reconciler.model.ownership import RecordObject
from reconciler.model.refs import Kind
from reconciler.render.diff import rights_lines
from reconciler.render.kinds import VIEWS
from reconciler.render.text import Paint, clean, columns, count, lines, plain, show

_SUMMARY = (
    Status.CREATED,
    Status.CONFIGURED,
    Status.PRUNED,
    Status.UNCHANGED,
    Status.BLOCKED,
    Status.FAILED,
)
_UUID = re.compile(r" \([0-9a-f-]{36}\)$")
_FIELDS_SHOWN = 3


def outcome_text(outcome: Outcome, seconds: float, paint: Paint = plain, *, brief: bool = False) -> str:
    """Write a line for each object, below it the rights gained, and the summary. `brief`: only objects that failed or
    are blocked."""
    shown = [result for result in outcome.objects if not brief or result.status in (Status.BLOCKED, Status.FAILED)]
    rows = [(str(result.ref), result.status.value, detail(result)) for result in shown]
    parts: list[str] = []
    for line, result in zip(columns(rows, paint=paint), shown, strict=True):
        gained = [right for right in result.rights if right.gains]
        parts += [line, *(f"    {right}" for right in rights_lines(gained))]
    return lines([*parts, *([""] if rows else []), _summary(outcome, seconds)], paint)


def detail(result: ObjectResult) -> str:
    """The result for one object, in one line: its changed fields in brief, and details from planning."""
    written = ", ".join(_in_brief(result))
    if result.status is Status.BLOCKED and written:
        return f"written: {written}; held back: {result.detail}"
    return "; ".join(part for part in (result.detail or written, result.remarks, result.claim) if part)


def errors_text(errors: Sequence[ManifestError], files: int) -> str:
    """Write a line for each error, then their number."""
    where = f" in {len({error.source.file for error in errors})} of {count(files, 'file')}"
    found = f"{count(len(errors), 'error')}{where if files else ', and no file to read'}."
    return lines([*(clean(str(error)) for error in errors), found])


def valid_text(files: int, objects: Mapping[Kind, int]) -> str:
    """Write that the manifests are valid, and the number of objects of each kind."""
    found = ", ".join(count(number, kind.value) for kind, number in objects.items() if number)
    return f"{count(files, 'file')} valid: {found or 'nothing declared'}.\n"


def _summary(outcome: Outcome, seconds: float) -> str:
    counts = Counter(result.status for result in outcome.objects)
    words = {status: f"{counts[status]} {status.value}" for status in _SUMMARY if counts[status]}
    if recorded := _only_recorded(outcome):
        words[Status.UNCHANGED] += f" ({recorded} recorded anew)"
    summary = ", ".join(words.values()) or "nothing to do"
    proof = []
    if outcome.verified_from:
        proof.append(f"verified from {', '.join(clean(host) for host in outcome.verified_from)}")
    if outcome.backups:
        proof.append(f"backup {', '.join(_copies(outcome.backups))}")
    return f"{summary} in {seconds:.1f}s" + (f" ({'; '.join(proof)})" if proof else "")


def _only_recorded(outcome: Outcome) -> int:
    """Number of unchanged objects whose record is new: another set, commit or digest."""
    steps = outcome.plan.config_dbs
    refs = {action.ref for step in steps for action in step.actions if isinstance(action, RecordObject)}
    return sum(result.status is Status.UNCHANGED and result.ref in refs for result in outcome.objects)


def _copies(backups: Sequence[BackupMade]) -> Iterator[str]:
    """Names of the backups, with their config DBs if there are several: names may repeat."""
    several = len({backup.ref for backup in backups}) > 1
    for backup in backups:
        yield f"{backup.ref} {clean(backup.name)}" if several else clean(backup.name)


def _in_brief(result: ObjectResult) -> Iterator[str]:
    """A few words for each field, or for several of the same name."""
    view = VIEWS.get(result.ref.kind)
    for path, group in groupby(result.fields, key=lambda field: field.path):
        fields = list(group)
        if len(fields) > _FIELDS_SHOWN:
            yield _counted(path, fields)
        else:
            yield from ((view and view.brief(field)) or _brief(field) for field in fields)


def _brief(field: FieldChange) -> str:
    if field.path.endswith("]"):  # a whole access entry
        name = field.path
    elif None not in (field.before, field.after):
        name = f"{field.path.rsplit('.', 1)[-1]} {show(field.before)} -> {show(field.after)}"
    else:
        value = show(field.before if field.after is None else field.after)
        name = _UUID.sub("", value) if field.path == "vms" else f"{field.path} {value}"
    return f"+ {name}" if field.before is None else f"- {name}" if field.after is None else name


def _counted(path: str, fields: list[FieldChange]) -> str:
    added = sum(field.before is None for field in fields)
    removed = sum(field.after is None for field in fields)
    noun = path.rsplit(".", 1)[-1].removesuffix("s")
    return ", ".join(f"{sign} {count(n, noun)}" for sign, n in (("+", added), ("-", removed)) if n)
