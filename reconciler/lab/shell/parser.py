"""From tokens to commands. Each is parsed only when the one before has been carried out, as sh does it."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.lab.shell.compound import Compounds
from reconciler.lab.shell.scanner import name_of_assignment
from reconciler.lab.shell.syntax import Command, Foreign, ScriptError, Sequence, Simple, Word


@dataclass(slots=True)
class _Collected:
    """What has been read of a simple command so far."""

    assignments: list[tuple[str, Word]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    runnable: bool = True
    quiet: frozenset[int] = frozenset()

    @property
    def only_a_name(self) -> bool:
        return len(self.words) == 1 and not self.assignments and self.runnable and not self.quiet


class Parser(Compounds):
    """Gives the commands of a script one by one."""

    def next_command(self) -> Command | None:
        """The commands up to the end of a line; None at the end. Raises ScriptError for a syntax error."""
        self.skip_newlines()
        if self.current.kind == "end":
            return None
        commands = []
        while True:
            commands.append(self.and_or())
            separated = self.previous == "&"
            if self.at(";"):
                self.advance()
                separated = True
            if self.current.kind == "end" or self.at("\n"):
                return Sequence(tuple(commands))
            if not separated:
                raise self.unexpected()

    def simple(self) -> Command:
        """Assignments, a program, arguments and redirections, in any mixture that sh allows."""
        start, found = self.current.start, _Collected()
        while True:
            if self.at_redirection():
                self._redirect(found)
            elif self.current.kind == "word":
                self._collect(found)
            elif self.at("(") and found.only_a_name:
                return self._function(start)
            else:
                break
        if self.current.start == start:
            raise self.unexpected()
        return Simple(
            self.line(start),
            self.source(start),
            tuple(found.assignments),
            tuple(found.words),
            found.runnable,
            found.quiet,
        )

    def _collect(self, found: _Collected) -> None:
        word = self.advance().word
        name = None if found.words else name_of_assignment(word)
        if name is None:
            found.words.append(word)
        else:
            found.assignments.append((name, word))

    def _redirect(self, found: _Collected) -> None:
        redirection = self.redirection()
        found.runnable = found.runnable and redirection.runnable
        found.quiet = found.quiet | redirection.quiet
        if redirection.joins_output and 1 in found.quiet:
            found.quiet = found.quiet | {2}

    def _function(self, start: int) -> Foreign:
        self.advance()
        self.expect_operator(")")
        self.skip_newlines()
        self.command()
        return Foreign(self.line(start), self.source(start))


__all__ = ["Parser", "ScriptError"]
