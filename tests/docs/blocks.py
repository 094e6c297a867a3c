"""The blocks of code in Markdown pages, and the commands in them.

A block ```console is a transcript: `$ command` lines, each followed by what comes. `...` on a line of its own stands
for any lines. A block ```sh holds commands without their output. Nothing else in a page is a command to type.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "docs" / "cli.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)((?: {4}.*\n|\n(?= {4}))+)")
_PROMPT = "$ "


@dataclass(frozen=True)
class Block:
    """A block of code: its language ("" where it has none), its text, and where that begins in the page."""

    language: str
    text: str
    offset: int
    section: str


@dataclass(frozen=True)
class Step:
    """A command, and the lines that a page shows of what comes (None: it shows nothing). `gap`: blank lines after."""

    command: str
    shown: tuple[str, ...] | None = None
    gap: int = 0


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced and the indented blocks of a page, in order."""
    found = [(match.start(2), match[1], match[2]) for match in _FENCED.finditer(text)]
    outside = _FENCED.sub(lambda match: re.sub(r"[^\n]", "x", match[0]), text)
    found += [(match.start(1), "", match[1]) for match in _INDENTED.finditer(outside)]
    for offset, language, content in sorted(found):
        heads = re.findall(r"^## (.*)$", text[:offset], re.MULTILINE)
        yield Block(language, content, offset, heads[-1] if heads else "")


def steps(block: Block) -> list[Step]:
    """Return the commands of a block, none for one that is neither ```console nor ```sh."""
    if block.language == "console":
        return _transcript(block.text.splitlines())
    return [Step(command) for command in _commands(block.text)] if block.language == "sh" else []


def _transcript(lines: list[str]) -> list[Step]:
    assert lines[0].startswith(_PROMPT), f"a console block begins with a command, not with {lines[0]!r}"
    starts = [number for number, line in enumerate(lines) if line.startswith(_PROMPT)]
    found = []
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        first = start + 1
        while lines[first - 1].endswith("\\"):
            first += 1
        command = "\n".join(lines[start:first]).removeprefix(_PROMPT)
        shown = lines[first:end]
        gap = len(shown)
        while shown and not shown[-1]:
            shown.pop()
        found.append(Step(command, tuple(shown), gap - len(shown)))
    return found


def written(found: list[Step]) -> str:
    """Write a console block of these commands."""
    lines = []
    for step in found:
        lines += [_PROMPT + step.command, *(step.shown or ()), *[""] * step.gap]
    return "".join(f"{line}\n" for line in lines)


def _commands(text: str) -> Iterator[str]:
    """Yield each command of a script. A loop of several lines is one."""
    pending = ""
    for line in text.splitlines():
        pending += line + "\n"
        if not pending.strip() or pending.lstrip().startswith("#"):
            pending = ""
        elif not line.endswith("\\") and _is_whole(pending):
            yield pending.rstrip("\n")
            pending = ""
    assert not pending, f"no command: {pending}"


def _is_whole(command: str) -> bool:
    if "\n" not in command.rstrip("\n") and not re.match(r"(for|while|until|if|case)\b", command):
        return True
    return subprocess.run(["bash", "-n"], input=command, text=True, capture_output=True).returncode == 0


def spans(text: str) -> Iterator[str]:
    """Yield what is set as code within the prose of a page, blanks and line breaks as one blank."""
    prose = _FENCED.sub("", text)
    for match in re.finditer(r"(?<!`)`([^`]+)`(?!`)", prose):
        yield " ".join(match[1].replace("\\|", "|").split())
