"""What a script is made of."""

from __future__ import annotations

from msgspec import Struct

NOT_RUN = 127


class ScriptError(Exception):
    """The script cannot go on: a syntax error, or a bound of the lab. `line` says where."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")


class Text(Struct, frozen=True):
    """Characters as they stand. Unquoted ones may be a pattern or begin with a tilde."""

    text: str
    quoted: bool


class Variable(Struct, frozen=True):
    """`$name` or `${name}`; with an operator such as `:-` or `%`, `${name:-argument}`."""

    name: str
    quoted: bool
    operator: str = ""
    argument: Word = ()


class Substituted(Struct, frozen=True):
    """`$(script)`: what the script prints."""

    script: str
    quoted: bool


class Unknown(Struct, frozen=True):
    """An expansion that this shell does not do."""


Part = Text | Variable | Substituted | Unknown
Word = tuple[Part, ...]


class Simple(Struct, frozen=True):
    """Assignments and a program with its arguments. `runnable` False: it has a redirection that is not to /dev/null.
    `quiet`: the streams (1 output, 2 errors) that are thrown away."""

    line: int
    source: str
    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    runnable: bool
    quiet: frozenset[int]


class Chain(Struct, frozen=True):
    """`first && second || third ...`: each later command with the operator before it."""

    first: Command
    rest: tuple[tuple[str, Command], ...]


class Negated(Struct, frozen=True):
    """`! command`."""

    command: Command


class Sequence(Struct, frozen=True):
    """Commands one after another."""

    commands: tuple[Command, ...]


class If(Struct, frozen=True):
    """`if condition; then body; elif ...; else ...; fi`: pairs of condition and body, and what else is done."""

    branches: tuple[tuple[Sequence, Sequence], ...]
    otherwise: Sequence | None


class Foreign(Struct, frozen=True):
    """Something correct that this shell does not do: a loop, a pipe, a function."""

    line: int
    source: str


Command = Simple | Chain | Negated | Sequence | If | Foreign
