"""The careful reader: YAML text to values with positions, and all errors with theirs.

Slower than `fast`, and complete: it knows anchors and tags, and resumes at the next document after an error. It does
not recurse, and aliases are bounded in number, size and depth, so that no text can exhaust memory, stack or time. Merge
keys (`<<`) are refused: YAML 1.2 does not have them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace
from yaml._yaml import CParser
from yaml.error import YAMLError
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from reconciler.loader.wording import Path, described, quoted
from reconciler.loader.yaml.errors import syntax_error
from reconciler.loader.yaml.fast import DEEPEST, MOST_TAG_DIRECTIVES
from reconciler.loader.yaml.scalars import AMBIGUOUS, CORE, MERGE_KEY, resolve, tagged, unknown_tag

MOST_ALIASED: Final = 100_000  # values that aliases may add to one text
MOST_ERRORS: Final = 20  # places at which one text may be unreadable
_NEXT_DOCUMENT: Final = re.compile(r"^---(?=\s|\Z)", re.MULTILINE)

Position = tuple[int, int]
"""Line and column, from 1."""


class Problem(Struct, frozen=True):
    """An error in the text of a document."""

    position: Position
    path: Path
    message: str


@dataclass(slots=True)
class Document:
    """One document. `readable` False: reading stopped at the last of its `problems`, and there is no data."""

    position: Position
    data: Any = None
    readable: bool = True
    problems: list[Problem] = field(default_factory=list)
    _marks: dict[int, dict[str | int, Position]] = field(default_factory=dict)

    def locate(self, path: Path) -> Position:
        """Return the position of `path` (the key of a field, the start of a list item), or of its nearest existing
        parent.
        """
        found, node = self.position, self.data
        for part in path:
            marks = self._marks.get(id(node), {})
            if part not in marks:
                break
            found, node = marks[part], node[part]
        return found

    def mark(self, container: Any, marks: dict[str | int, Position]) -> None:
        """Store the positions of the entries of `container`."""
        self._marks[id(container)] = marks


def documents(text: str, most: int | None = None) -> list[Document]:
    """Read the documents of `text`, in order, unreadable ones included; no more than about `most`."""
    if text.count("\n%TAG") > MOST_TAG_DIRECTIVES:
        problem = Problem((1, 1), (), "too many %TAG directives; manifests need none")
        return [Document((1, 1), readable=False, problems=[problem])]
    found: list[Document] = []
    budget = [MOST_ALIASED]
    start, lines_before, errors = 0, 0, 0
    while True:
        reader = _Reader(text[start:] if start else text, lines_before, found, budget)
        try:
            reader.read(most)
            return found
        except _GiveUpError as error:
            broken, resume = error.problem, error.problem.position[0] + 1
        except (YAMLError, UnicodeError) as error:
            position, message = syntax_error(error, reader.text, lines_before)
            broken = Problem(position, (), message)
            resume = broken.position[0]
        errors += 1
        if errors == MOST_ERRORS:
            broken = replace(broken, message=f"{broken.message} (what follows in this file was not read)")
        reader.give_up(broken)
        next_start = _next_document(text, max(resume, lines_before + 2))
        if next_start is None or errors == MOST_ERRORS:
            return found
        lines_before = text.count("\n", 0, next_start)
        start = next_start


def _next_document(text: str, line: int) -> int | None:
    """Return the offset of the first `---` at or after `line` (from 1)."""
    offset = 0
    for _ in range(line - 1):
        offset = text.find("\n", offset) + 1
        if offset == 0:
            return None
    match = _NEXT_DOCUMENT.search(text, offset)
    return match.start() if match else None


class _GiveUpError(Exception):
    """Reading of this document must stop."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read. `size` and `height`: of the tree below it, aliases expanded."""

    container: Any
    position: Position
    anchor: str | None
    marks: dict[str | int, Position]
    key: str | None = None
    key_position: Position = (1, 1)
    repeated: bool = False
    size: int = 1
    height: int = 0


class _Anchored(Struct, frozen=True):
    value: Any
    size: int
    height: int


class _Reader:
    """Reads documents into `found` until the text ends or an error is raised."""

    def __init__(self, text: str, lines_before: int, found: list[Document], budget: list[int]) -> None:
        self.text = text
        self._lines_before = lines_before
        self._found = found
        self._budget = budget
        self._document: Document | None = None
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored | None] = {}

    def read(self, most: int | None) -> None:
        """Read documents until there are `most`."""
        next_event = CParser(self.text).get_event
        while (event := next_event()) is not None:
            if isinstance(event, ScalarEvent):
                self._attach(self._scalar(event), self._position(event), 1, 0, event.anchor)
            elif isinstance(event, MappingStartEvent | SequenceStartEvent):
                self._begin(event)
            elif isinstance(event, MappingEndEvent | SequenceEndEvent):
                closed = self._open.pop()
                self._current.mark(closed.container, closed.marks)
                self._attach(closed.container, closed.position, closed.size, closed.height, closed.anchor)
            elif isinstance(event, AliasEvent):
                self._alias(event)
            elif isinstance(event, DocumentStartEvent):
                self._document = Document(self._position(event))
                self._anchors = {}
            elif isinstance(event, DocumentEndEvent):
                self._found.append(self._current)
                self._document = None
                if len(self._found) == most:
                    return

    def give_up(self, problem: Problem) -> None:
        """Close the document being read as unreadable."""
        if self._found and self._found[-1].problems[-1:] == [problem]:
            return  # the `---` line where reading was taken up again is itself broken
        document = self._document or Document(problem.position)
        document.problems.append(problem)
        document.data, document.readable = None, False
        self._found.append(document)

    @property
    def _current(self) -> Document:
        assert self._document is not None  # noqa: S101 - the parser yields nothing outside documents
        return self._document

    def _position(self, event: Any) -> Position:
        mark = event.start_mark
        return (mark.line + 1 + self._lines_before, mark.column + 1)

    @property
    def _path(self) -> Path:
        """Path of the next value."""
        path: list[str | int] = []
        for frame in self._open:
            if isinstance(frame.container, list):
                path.append(len(frame.container))
            elif frame.key is not None:
                path.append(frame.key)
        return tuple(path)

    def _problem(self, position: Position, message: str) -> Problem:
        """Return an error about the value at `position`, placed at its key if it has one."""
        if self._open and self._open[-1].key is not None:
            position = self._open[-1].key_position
        return Problem(position, self._path, message)

    def _complain(self, position: Position, message: str) -> None:
        self._current.problems.append(self._problem(position, message))

    def _begin(self, event: Any) -> None:
        is_list = isinstance(event, SequenceStartEvent)
        position = self._position(event)
        if len(self._open) >= DEEPEST:
            raise _GiveUpError(self._problem(position, f"nested deeper than {DEEPEST} levels"))
        if event.tag not in (None, "!", CORE + ("seq" if is_list else "map")):
            self._complain(position, unknown_tag(event.tag))
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(_Open([] if is_list else {}, position, event.anchor, {}))

    def _alias(self, event: Any) -> None:
        position, name = self._position(event), event.anchor
        anchored = self._anchors.get(name)
        if anchored is None:
            reason = "refers to itself" if name in self._anchors else "refers to an anchor that this document lacks"
            self._complain(position, f"the alias *{quoted(name)[1:-1]} {reason}")
            self._attach(None, position, 1, 0, None)
            return
        self._budget[0] -= anchored.size
        if self._budget[0] < 0:
            message = f"aliases expand to more than {MOST_ALIASED:,} values; write them out, or use fewer"
            raise _GiveUpError(self._problem(position, message))
        if len(self._open) + anchored.height > DEEPEST:
            raise _GiveUpError(self._problem(position, f"nested deeper than {DEEPEST} levels by aliases"))
        self._attach(anchored.value, position, anchored.size, anchored.height, None)

    def _attach(self, value: Any, position: Position, size: int, height: int, anchor: str | None) -> None:
        """Add a finished value to the open container: as the document, a list item, a key or the value of a key."""
        if anchor is not None:
            self._anchors[anchor] = _Anchored(value, size, height)
        if not self._open:
            self._current.data = value
            self._current.position = position
            return
        frame = self._open[-1]
        frame.size += size
        frame.height = max(frame.height, height + 1)
        if isinstance(frame.container, list):
            frame.marks[len(frame.container)] = position
            frame.container.append(value)
        elif frame.key is None:
            self._key(frame, value, position)
        else:
            if not frame.repeated:
                frame.container[frame.key] = value
                frame.marks[frame.key] = frame.key_position
            frame.key = None

    def _key(self, frame: _Open, value: Any, position: Position) -> None:
        key = value if isinstance(value, str) else described(value)
        frame.repeated = key in frame.marks
        frame.key, frame.key_position = key, position
        if not isinstance(value, str):
            hint = "" if isinstance(value, list | dict) or value is None else "; quote it"
            self._complain(position, f"expected a string as key, got {described(value)}{hint}")
        elif key == MERGE_KEY:
            self._complain(position, "merge keys are not supported; write the fields out")
        elif frame.repeated:
            line, column = frame.marks[key]
            self._complain(position, f"this key is already given at line {line}, column {column}")

    def _scalar(self, event: Any) -> Any:
        """Return the value of a scalar. In case of a problem, which is reported, that is its text."""
        text, tag = event.value, event.tag
        if tag is None and event.style:
            return text
        position = self._position(event)
        if tag is None:
            if text in AMBIGUOUS:
                truth = "true" if text.lower() in ("yes", "on", "y") else "false"
                self._complain(position, f'unquoted {text} is a boolean to some programs; write "{text}" or {truth}')
                return text
            return resolve(text)
        value, complaint = tagged(text, tag)
        if complaint:
            self._complain(position, complaint)
        return value
