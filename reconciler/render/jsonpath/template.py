"""Templates of kubectl: text, and in braces expressions, quoted text, and `range EXPRESSION` ... `end`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from reconciler.model.errors import UsageError
from reconciler.render.jsonpath.path import Path, fields_of, spelled
from reconciler.render.text import Data, columns, lines

_DEEPEST: Final = 20
_QUOTES: Final = "'\""
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}


class Range(Struct, frozen=True):
    """A part that is written once for each value that `path` selects."""

    path: Path
    parts: tuple[str | Path | Range, ...]


Part = str | Path | Range


class Template:
    """A parsed template. Raises UsageError if it is none."""

    def __init__(self, text: str) -> None:
        if "{" not in text and text.startswith((".", "$", "[", "@")):
            text = f"{{{text}}}"
        tokens = list(_tokens(text))
        self._parts, rest = _parsed(tokens)
        if rest:
            raise UsageError('"{end}" without a "{range ...}" before it')
        if not any(isinstance(part, Path | Range) for part in self._parts):
            raise UsageError(f'"{text}" has no expression in it; write one such as {{.items[*].name}}')

    def text(self, items: Sequence[Data], single: bool) -> str:
        """Fill it in from `{"items": [...]}`; from the only item itself, if `single`. Values of one expression are
        separated by blanks. Raises UsageError for an unknown field."""
        root = {"items": list(items), **(items[0] if single else {})}
        known = fields_of(root)
        for path in _paths(self._parts) if items else ():
            path.check(known)
        return "".join(_written(self._parts, root, root))


class Columns:
    """Columns, `HEADING:EXPRESSION` with commas between. Raises UsageError if they are none."""

    def __init__(self, text: str) -> None:
        self._columns: dict[str, Path] = {}
        for part in _split(text):
            heading, colon, path = part.partition(":")
            if not colon or not heading or not path:
                raise UsageError(f'"{part}" is no column; write HEADING:EXPRESSION, such as NAME:.name')
            self._columns[heading] = Path(path)

    def text(self, items: Sequence[Data]) -> str:
        """Write a table of these items. Raises UsageError for an unknown field."""
        known = fields_of(list(items))
        for path in self._columns.values() if items else ():
            path.check(known)
        rows = [
            [",".join(map(spelled, path.of(item))) or "<none>" for path in self._columns.values()] for item in items
        ]
        return lines(columns([tuple(self._columns), *rows]))


def _paths(parts: Sequence[Part]) -> Iterator[Path]:
    for part in parts:
        if isinstance(part, Path):
            yield part
        elif isinstance(part, Range):
            yield part.path
            yield from _paths(part.parts)


def _written(parts: Sequence[Part], root: Data, here: Data) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, Path):
            yield " ".join(map(spelled, part.of(root if part.from_root else here)))
        else:
            for value in part.path.of(root if part.path.from_root else here):
                yield from _written(part.parts, root, value)


def _parsed(tokens: list[tuple[bool, str]], depth: int = 0) -> tuple[tuple[Part, ...], list[tuple[bool, str]]]:
    """Parse up to the end of the range that they are in, if any (`depth`: how many); return what is left."""
    if depth > _DEEPEST:
        raise UsageError(f'"{{range ...}}" inside of {_DEEPEST} others')
    parts: list[Part] = []
    while tokens:
        (in_braces, text), *rest = tokens
        word, _, argument = text.partition(" ")
        if not in_braces:
            parts.append(text)
        elif text == "end":
            return tuple(parts), (rest if depth else tokens)
        elif word == "range":
            within, rest = _parsed(rest, depth + 1)
            parts.append(Range(Path(argument), within))
        elif text[:1] in _QUOTES and text:
            parts.append(_unquoted(text))
        elif text[:1] in (".", "$", "@", "["):
            parts.append(Path(text))
        else:
            raise UsageError(f'"{{{text}}}" is no expression; one begins with a dot, such as {{.items[*].name}}')
        tokens = rest
    if depth:
        raise UsageError('"{range ...}" without "{end}"')
    return tuple(parts), []


def _tokens(text: str) -> Iterator[tuple[bool, str]]:
    """Yield text and what is in braces (True)."""
    position = 0
    while position < len(text):
        opening = text.find("{", position)
        if opening != position:
            yield False, text[position : opening if opening >= 0 else len(text)]
        if opening < 0:
            return
        closing = _closing(text, opening + 1)
        yield True, text[opening + 1 : closing].strip()
        position = closing + 1


def _closing(text: str, start: int) -> int:
    """Return the position of the brace that closes, which stands in no quotes."""
    quote = ""
    position = start
    while position < len(text):
        char = text[position]
        if quote:
            position += char == "\\"
            quote = "" if char == quote else quote
        elif char in _QUOTES:
            quote = char
        elif char == "}":
            return position
        position += 1
    raise UsageError(f'"{text[start - 1 :]}" has no closing brace')


def _split(text: str) -> Iterator[str]:
    """Split at commas that stand in no brackets and no quotes."""
    start, depth, quote = 0, 0, ""
    for position, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in _QUOTES:
            quote = char
        elif char in "[({":
            depth += 1
        elif char in "])}":
            depth -= 1
        elif char == "," and depth == 0:
            yield text[start:position]
            start = position + 1
    yield text[start:]


def _unquoted(text: str) -> str:
    if len(text) < 2 or text[-1] != text[0]:
        raise UsageError(f"{text} has no closing quote")
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), text[1:-1])
