"""What to do about a site now: a line for each object that keeps it from being in sync, with a command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from reconciler.model.base import Risk
from reconciler.model.diff import Change, Diff, Op, Standing
from reconciler.model.events import Lasting, Since
from reconciler.model.refs import KINDS, ObjectRef
from reconciler.render.diff import by_risk
from reconciler.render.text import Data
from reconciler.render.words import STANDINGS, sides, told

MOST: Final = 20
_URGENCY = {standing: position for position, standing in enumerate(STANDINGS)}
_NOTHING: Final[Mapping[ObjectRef, Lasting]] = {}


class Todo(Struct, frozen=True):
    """An object to look after. `since`: when its state began (None: not known); `text`: what is wrong, on one line;
    `command`: what mends it, or, where that takes a decision, what shows it."""

    ref: ObjectRef
    standing: Standing
    since: Since | None
    text: str
    command: str


def todo(diff: Diff, lasting: Mapping[ObjectRef, Lasting] = _NOTHING, given: Sequence[str] = ()) -> list[Todo]:
    """Return what to do, the most urgent first. `given`: options that every command needs, such as `-f manifests/`."""
    wrong = sorted((c for c in diff.changes if c.counts), key=lambda c: (_URGENCY[c.standing], by_risk(c)))
    return [_todo(change, lasting.get(change.ref), given) for change in wrong]


def _todo(change: Change, known: Lasting | None, given: Sequence[str]) -> Todo:
    since = known.stands if known is not None and known.standing in (None, change.standing) else None
    words = [*_command(change), *given]
    return Todo(change.ref, change.standing, since, _text(change), " ".join(map(quoted, words)))


def _text(change: Change) -> str:
    """What is wrong; of a difference, with the first field that differs."""
    text = next(iter(told(change).splitlines()), "")
    if not change.fields or change.op is Op.CREATE or change.standing is Standing.OPEN:
        return text
    more = len(change.fields) - 1
    first = change.fields[0]
    return f"{text}: {first.path} {sides(first)}" + (f", and {more} more" if more else "")


def _command(change: Change) -> list[str]:
    singular, name = KINDS[change.ref.kind].singular, change.ref.name
    match change.op:
        case Op.CREATE | Op.UPDATE:
            return ["vdvs", "apply", *(["--allow-destroy"] if change.risk is Risk.DESTROYS else [])]
        case Op.DELETE | Op.REMOVED:  # shown before it is done: it also removes whatever else is declared no longer
            return ["vdvs", "diff", "--prune", "--allow-destroy"]
        case Op.UNMANAGED:
            return ["vdvs", "export", singular, name]
        case _:
            return ["vdvs", "describe", singular, name]


def quoted(word: str) -> str:
    """Quote a word for a shell, so that it prints: whatever does not is spelled as bash and zsh read it in `$'...'`."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(c if c.isprintable() else _escaped(c) for c in escaped) + "'"


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def todo_data(found: Sequence[Todo]) -> Data:
    """Return what to do as `vdvs status -o json` and the page have it: the most urgent, and the number of all."""
    items = [
        {
            "object": str(each.ref),
            "standing": each.standing.value,
            **since_data(each.since),
            "text": each.text,
            "command": each.command,
        }
        for each in found[:MOST]
    ]
    return {"todo": items, "todoTotal": len(found)}


def since_data(since: Since | None) -> dict[str, Data]:
    """Return when a state began, and whether that is its beginning."""
    return {"since": since and since.at.isoformat(), "sinceKind": since and since.kind}
