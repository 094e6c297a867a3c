"""A JSONPath expression, with or without the `$` and the braces, which kubectl allows to be left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, Final

from reconciler.model.errors import UsageError
from reconciler.render.text import Data

_QUOTED: Final = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")
_FIELD: Final = re.compile(r"\.\s*([A-Za-z_][A-Za-z0-9_]*)(?!\s*\()")
_SHOWN: Final = 200  # characters of an expression in a message
_NATURAL: Final = re.compile(r"([0-9]+)")


class Path:
    """A compiled expression. `text`: as it was given. Raises UsageError if it is none."""

    def __init__(self, text: str) -> None:
        import jsonpath  # only needed where an expression is given

        self.text = text
        inner = text.strip()
        if inner.startswith("{") and inner.endswith("}"):
            inner = inner[1:-1].strip()
        if not inner:
            raise UsageError("an expression is empty; write one such as .name")
        self.from_root = inner.startswith("$")
        if inner[0] == "@":
            inner = inner[1:]
        if inner and inner[0] not in "$.[":
            inner = f".{inner}"
        try:
            self._compiled = jsonpath.compile(inner if self.from_root else f"${inner}" if inner != "." else "$")
        except (jsonpath.JSONPathError, RecursionError) as error:
            raise UsageError(f'"{text[:_SHOWN]}" is no JSONPath expression: {str(error).splitlines()[0]}') from error
        self._fields = frozenset(_FIELD.findall(_QUOTED.sub("", inner)))

    def of(self, data: Data) -> list[Data]:
        """Return everything in `data` that it selects. Raises UsageError where it cannot be applied."""
        import jsonpath

        try:
            return list(self._compiled.findall(data))
        except (jsonpath.JSONPathError, RecursionError) as error:
            raise UsageError(f'"{self.text[:_SHOWN]}" cannot be applied: {str(error).splitlines()[0]}') from error

    def check(self, known: Iterable[str]) -> None:
        """Raise UsageError for a field that the data never has: what is misspelt would select nothing, silently."""
        there = set(known)
        for field in sorted(self._fields - there):
            near = get_close_matches(field, there, 1)
            hint = f' (did you mean "{near[0]}"?)' if near else f"; fields: {', '.join(sorted(there))}"
            raise UsageError(f'"{self.text}": there is no field "{field}"{hint}')


def fields_of(data: Data) -> set[str]:
    """Return the names of all fields in `data`."""
    return set(_fields_of(data))


def _fields_of(data: Data) -> Iterator[str]:
    if isinstance(data, dict):
        yield from data
        for value in data.values():
            yield from _fields_of(value)
    elif isinstance(data, list):
        for value in data:
            yield from _fields_of(value)


def spelled(value: Data) -> str:
    """Spell a value: text as it is, everything else in JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def order(values: list[Data]) -> tuple[Any, ...]:
    """Return the sort key of what a path selects of one row: numbers by size, digits in text too; what is missing or
    not known comes last."""
    value = values[0] if values else None
    if value is None:
        return (2,)
    if isinstance(value, bool | int | float):
        return (0, value)
    parts = _NATURAL.split(spelled(value).casefold())
    return (1, [(*_size(part), part) for part in parts], spelled(value))


def _size(part: str) -> tuple[int, str]:
    """Return what sorts digits by size, however many: others may have written them."""
    digits = part.lstrip("0") if _NATURAL.fullmatch(part) else ""
    return len(digits), digits
