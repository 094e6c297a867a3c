"""Spelling of values, paths and near misses in error messages. User input is escaped and shortened."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from reconciler.model.errors import nearest

Path = tuple[str | int, ...]
"""Path to a value in a document: keys and list indexes from its top."""

_LONGEST = 60
_LONGEST_PATH = 160
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]+")
_KINDS = {"string": "a string", "object": "a mapping", "array": "a list", "boolean": "true or false"}
_KINDS |= {"integer": "a whole number", "number": "a number", "null": "nothing"}


def escape(text: str) -> str:
    """Escape everything in `text` that is not printable (control characters, bidirectional marks ...)."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text).replace("\x7f", "\\u007f")


def quoted(text: str) -> str:
    """Quote and escape `text`; a long one is shortened in the middle."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 20]}...{text[-10:]}"
    return '"' + escape(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def described(value: Any) -> str:
    """Describe `value`, as in "expected a string, got ..."."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        text = repr(value)
        return f"the number {text if len(text) <= _LONGEST else text[:20] + '...'}"
    if isinstance(value, str):
        return quoted(value)
    return "a list" if isinstance(value, list) else "a mapping"


def expected(types: str | Sequence[str]) -> str:
    """Spell JSON Schema types: `a string or a mapping`."""
    return either([_KINDS[name] for name in ([types] if isinstance(types, str) else types)])


def either(choices: Sequence[str]) -> str:
    """Join choices: `a`, `a or b`, `a, b or c`."""
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"


def dotted(path: Path) -> str:
    """Spell `path`: `spec.access[0].volumeMaxSize`."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        elif _IDENTIFIER.fullmatch(part) and len(part) <= _LONGEST:
            out += f".{part}" if out else part
        else:
            out += f"[{quoted(part)}]"
        if len(out) > _LONGEST_PATH:
            return f"{out[:_LONGEST_PATH]}..."
    return out


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ` (did you mean "x"?)`, or an empty string."""
    found = nearest(word, choices)
    return f" (did you mean {quoted(found)}?)" if found else ""
