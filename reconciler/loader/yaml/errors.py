"""Errors of libyaml in words for users who have not read the YAML specification."""

from __future__ import annotations

import re
from typing import Final

from yaml.error import MarkedYAMLError
from yaml.reader import ReaderError

from reconciler.loader.wording import quoted

_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_CONFLICT: Final = re.compile(r"^(<{7}|>{7}|\|{7})( |$)|^={7}$", re.MULTILINE)  # as git leaves it
_UNCLOSED: Final = ("found unexpected end of stream", "found unexpected document indicator")
_CLEARER: Final = {
    "mapping values are not allowed in this context": "a ':' where no key can be; "
    "is a text with ': ' in it not quoted, or the indentation wrong?",
    "did not find expected key": "expected a key; is the indentation wrong?",
    "did not find expected '-' indicator": "expected another '- ' of the list; is the indentation wrong?",
    "could not find expected ':'": "expected ':' and a blank after the key",
    "did not find expected <document start>": "expected the end of the document (a line of '---' begins the next one)",
    "did not find expected node content": "expected a value; is a bracket not closed?",
    "block sequence entries are not allowed in this context": "a '- ' where no list can begin; put it on its own line",
    "found unknown escape character": "unknown escape in double quotes; a backslash is written \\\\",
}


def syntax_error(error: Exception, text: str, lines_before: int) -> tuple[tuple[int, int], str]:
    """Return line, column and message for the error raised while reading `text`.

    `lines_before`: number of lines of the file before `text`.
    """
    if conflict := _CONFLICT.search(text):
        line, column = position_of(text, conflict.start())
        return (line + lines_before, column), "a merge conflict is left here; choose one side, and remove its marks"
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        problem = error.problem or "not valid YAML"
        mark = error.problem_mark
        if problem in _UNCLOSED and error.context_mark is not None:
            mark, message = error.context_mark, "this quote is never closed"
        elif problem.startswith("did not find expected ',' or") and error.context_mark is not None:
            noticed = error.problem_mark.line + 1 + lines_before
            mark = error.context_mark
            message = f"this bracket is not closed, or a ',' is missing (noticed at line {noticed})"
        elif problem == "found character that cannot start any token":
            message = _cannot_start(text, mark.index)
        else:
            message = _CLEARER.get(problem) or f"not valid YAML: {quoted(problem)[1:-1]}"
        return (mark.line + 1 + lines_before, mark.column + 1), message
    forbidden = _FORBIDDEN.search(text)
    if isinstance(error, ReaderError | UnicodeError) and forbidden:
        message = f"the character {quoted(forbidden[0])[1:-1]} is not allowed in YAML; is this a text file?"
        line, column = position_of(text, forbidden.start())
        return (line + lines_before, column), message
    return (1 + lines_before, 1), f"not valid YAML: {quoted(str(error).splitlines()[0])[1:-1]}"


def position_of(text: str, offset: int) -> tuple[int, int]:
    """Return line and column, from 1, of an offset in `text`."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _cannot_start(text: str, offset: int) -> str:
    char = text[offset : offset + 1]
    if char == "\t":
        return "a tab cannot indent or begin a value in YAML; use blanks"
    return f"a value cannot begin with {quoted(char)}; quote it"
