"""The fast reader: YAML text to values, for the common case.

It gives up with `Unusual` at anything else (an error, an anchor, a tag, `yes`), and `careful` reads the text again,
with positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from yaml._yaml import CParser
from yaml.error import YAMLError
from yaml.events import (
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from reconciler.loader.yaml.scalars import AMBIGUOUS, MERGE_KEY, Scalar, resolve

DEEPEST: Final = 64  # nesting; manifests need 6


MOST_TAG_DIRECTIVES: Final = 100  # libyaml compares each with each: thousands would take minutes


class Unusual(Exception):
    """Text that needs the careful reader."""


class _Plain(dict[str, Scalar]):
    """Plain scalars and their values. A cache: manifests repeat most of them."""

    def __missing__(self, text: str) -> Scalar:
        if text in AMBIGUOUS or text == MERGE_KEY:
            raise Unusual
        value = self[text] = resolve(text)
        return value


def documents(text: str) -> Iterator[tuple[Any, int, int]]:
    """Yield each document of `text` with the line and column (from 1) where it begins. Raises Unusual."""
    next_event: Callable[[], Any] = CParser(text).get_event
    plain = _Plain()
    if text.count("\n%TAG") > MOST_TAG_DIRECTIVES:
        raise Unusual
    try:
        while (event := next_event()) is not None:
            if event.__class__ is DocumentStartEvent:
                first = next_event()
                value = _node(first, next_event, plain)
                yield value, first.start_mark.line + 1, first.start_mark.column + 1
    except (YAMLError, UnicodeError) as error:
        raise Unusual from error


def _node(event: Any, next_event: Callable[[], Any], plain: _Plain) -> Any:
    """Return the value that begins with `event`, up to the end of its document. Iterative: `outer` is the stack."""
    outer: list[list[Any]] = []
    values: list[Any] = []
    while True:
        kind = event.__class__
        if kind is ScalarEvent:
            if event.tag is not None or event.anchor is not None:
                raise Unusual
            values.append(event.value if event.style else plain[event.value])
        elif kind is MappingEndEvent:
            mapping = _mapping(values)
            values = outer.pop()
            values.append(mapping)
        elif kind is SequenceEndEvent:
            sequence = values
            values = outer.pop()
            values.append(sequence)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            if event.tag is not None or event.anchor is not None or len(outer) >= DEEPEST:
                raise Unusual
            outer.append(values)
            values = []
        elif kind is DocumentEndEvent:
            return values[0]
        else:
            raise Unusual  # an alias
        event = next_event()


def _mapping(values: list[Any]) -> dict[str, Any]:
    """Build a dict from keys and values in turn.

    Raises Unusual for keys that are not strings, not unique, or a quoted `<<`.
    """
    keys = values[::2]
    for key in keys:
        if key.__class__ is not str:
            raise Unusual
    mapping = dict(zip(keys, values[1::2], strict=True))
    if len(mapping) != len(keys) or MERGE_KEY in mapping:
        raise Unusual
    return mapping
