"""The fields that were written, in a few words each, for the one line that an object gets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from reconciler.model.diff import FieldChange
from reconciler.model.outcome import ObjectResult
from reconciler.model.refs import Kind
from reconciler.render.text import count, show

_UUID = re.compile(r" \([0-9a-f-]{36}\)$")
_IN_DATASTORE = re.compile(r"^[A-Za-z]+ \((.*)\)$", re.DOTALL)
_SHOWN = 3


def in_brief(result: ObjectResult) -> Iterator[str]:
    """A few words for each field, or for several of the same name."""
    for path, group in groupby(result.fields, key=lambda field: field.path):
        fields = list(group)
        if len(fields) > _SHOWN:
            yield _counted(path, fields)
        else:
            yield from (_host_words(field) if result.ref.kind is Kind.HOST else _words(field) for field in fields)


def _words(field: FieldChange) -> str:
    if field.path.endswith("]"):  # a whole access entry
        name = field.path
    elif None not in (field.before, field.after):
        name = f"{field.path.rsplit('.', 1)[-1]} {show(field.before)} -> {show(field.after)}"
    else:
        value = show(field.before if field.after is None else field.after)
        name = _UUID.sub("", value) if field.path == "vms" else f"{field.path} {value}"
    return f"+ {name}" if field.before is None else f"- {name}" if field.after is None else name


def _host_words(field: FieldChange) -> str:
    after = show(field.after)
    match field.path:
        case "configDB" if where := _IN_DATASTORE.match(after):
            return f"linked to {where[1]}"
        case "persistence" if after == "local.sh section":
            return "survives reboot"
        case "driver" | "service" if field.after is not None:
            return f"{field.path} {after}"
        case _:
            return _words(field)


def _counted(path: str, fields: list[FieldChange]) -> str:
    added = sum(field.before is None for field in fields)
    removed = sum(field.after is None for field in fields)
    noun = path.rsplit(".", 1)[-1].removesuffix("s")
    return ", ".join(f"{sign} {count(n, noun)}" for sign, n in (("+", added), ("-", removed)) if n)
