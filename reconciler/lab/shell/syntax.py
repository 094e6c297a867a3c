"""What a script is made of."""

from __future__ import annotations

from dataclasses import dataclass

NOT_RUN = 127


class ScriptError(Exception):
    """The script cannot go on: a syntax error, or a bound of the lab. `line` says where."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")


@dataclass(frozen=True, slots=True)
class Text:
    """Characters as they stand. Unquoted ones may be a pattern or begin with a tilde."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name` or `${name}`; with an operator such as `:-` or `%`, `${name:-argument}`."""

    name: str
    quoted: bool
    operator: str = ""
    argument: Word = ()


@dataclass(frozen=True, slots=True)
class Substituted:
    """`$(script)`: what the script prints."""

    script: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Unknown:
    """An expansion that this shell does not do."""


Part = Text | Variable | Substituted | Unknown
Word = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Simple:
    """Assignments and a program with its arguments. `runnable` False: it has a redirection that is not to /dev/null.
    `quiet`: the streams (1 output, 2 errors) that are thrown away."""

    line: int
    source: str
    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    runnable: bool
    quiet: frozenset[int]


@dataclass(frozen=True, slots=True)
class Chain:
    """`first && second || third ...`: each later command with the operator before it."""

    first: Command
    rest: tuple[tuple[str, Command], ...]


@dataclass(frozen=True, slots=True)
class Negated:
    """`! command`."""

    command: Command


@dataclass(frozen=True, slots=True)
class Sequence:
    """Commands one after another."""

    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class If:
    """`if condition; then body; elif ...; else ...; fi`: pairs of condition and body, and what else is done."""

    branches: tuple[tuple[Sequence, Sequence], ...]
    otherwise: Sequence | None


@dataclass(frozen=True, slots=True)
class Foreign:
    """Something correct that this shell does not do: a loop, a pipe, a function."""

    line: int
    source: str


Command = Simple | Chain | Negated | Sequence | If | Foreign
