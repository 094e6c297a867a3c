"""Plain (unquoted) scalars by the core schema of YAML 1.2, where only true and false are booleans."""

from __future__ import annotations

import math
import re
from typing import Final

from reconciler.loader.wording import quoted

Scalar = str | int | float | bool | None

MERGE_KEY: Final = "<<"
AMBIGUOUS: Final = frozenset(
    spelling for word in ("yes", "no", "on", "off", "y", "n") for spelling in (word, word.capitalize(), word.upper())
)
"""Booleans in YAML 1.1, strings in YAML 1.2: the intention is unclear."""

_WORDS: Final[dict[str, Scalar]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MAY_BE_NUMBER: Final = frozenset("0123456789+-.")
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_BASED: Final = re.compile(r"0o([0-7]+)|0x([0-9a-fA-F]+)")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT: Final = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST_INTEGER: Final = 400  # digits; no field needs one, and Python cannot print very long ones

CORE: Final = "tag:yaml.org,2002:"
_TAGS: Final[dict[str, tuple[type, ...]]] = {
    CORE + "int": (int,),
    CORE + "float": (float, int),
    CORE + "bool": (bool,),
    CORE + "null": (type(None),),
}


def resolve(text: str) -> Scalar:
    """Return the value of the plain scalar `text`. Words of AMBIGUOUS are strings here; the readers refuse them."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _MAY_BE_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) <= _LONGEST_INTEGER else math.copysign(math.inf, -1 if text[0] == "-" else 1)
    if match := _BASED.fullmatch(text):
        if len(text) > _LONGEST_INTEGER:
            return math.inf
        return int(match[1], 8) if match[1] else int(match[2], 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if match := _SPECIAL_FLOAT.fullmatch(text):
        return float(f"{match[1] or ''}inf") if match[2] else float("nan")
    return text


def tagged(text: str, tag: str) -> tuple[Scalar, str]:
    """Return the value of `text` with an explicit tag, and the error message (empty: none)."""
    if tag in ("!", CORE + "str"):
        return text, ""
    if tag not in _TAGS:
        return text, unknown_tag(tag)
    value = resolve(text)
    if not isinstance(value, _TAGS[tag]) or (isinstance(value, bool) and tag != CORE + "bool"):
        return value, f"{quoted(text)} is not what its tag !!{tag.removeprefix(CORE)} says"
    return value, ""


def unknown_tag(tag: str) -> str:
    """Return the error message for an unknown tag."""
    shown = f"!!{tag.removeprefix(CORE)}" if tag.startswith(CORE) else tag
    return f"unknown tag {quoted(shown)[1:-1]}; remove it"
