"""Carrying out a script, command by command, on the folder of one simulated host."""

from __future__ import annotations

from msgspec import Struct

from reconciler.lab.rooted import Rooted
from reconciler.lab.shell.expansion import Expander, NotKnownError, TooMuchError
from reconciler.lab.shell.parser import Parser
from reconciler.lab.shell.programs import PRINTING, PROGRAMS, Said
from reconciler.lab.shell.syntax import (
    NOT_RUN,
    Chain,
    Command,
    Foreign,
    If,
    Negated,
    ScriptError,
    Sequence,
    Simple,
)

_LONGEST = 256 * 1024
_SHELLS = ("/bin/sh", "/bin/ash", "/usr/bin/sh", "/bin/busybox sh")
_SYNTAX_ERROR = 2
_DEEPEST = 10
_VARIABLES = {"HOME": "/", "PWD": "/", "PATH": "/bin:/sbin"}


class Outcome(Struct, frozen=True):
    """How a script ended. `output`: the lines it printed, errors of its programs among them. `not_run`: what this shell
    does not do, a line each. `error`: why the script stopped before its end; empty if it did not."""

    status: int
    output: tuple[str, ...] = ()
    not_run: tuple[str, ...] = ()
    error: str = ""


class _Exit(Exception):
    """The script asked to end."""


def run(script: str, system: Rooted) -> Outcome:
    """Run a script. Nothing but files of `system` is touched, and no program is started."""
    first = script.partition("\n")[0]
    if first.startswith("#!") and first[2:].strip() not in _SHELLS:
        return Outcome(NOT_RUN, not_run=(f"line 1: not run in the lab: {first[:80]}",))
    if len(script) > _LONGEST or "\0" in script:
        return Outcome(NOT_RUN, not_run=("line 1: not run in the lab: too long, or not text",))
    interpreter = _Interpreter(system)
    error = interpreter.run(script)
    said = "".join(interpreter.said)
    return Outcome(interpreter.status, tuple(said.splitlines()), tuple(interpreter.not_run), error)


class _Interpreter:
    def __init__(self, system: Rooted) -> None:
        self.said: list[str] = []
        self.not_run: list[str] = []
        self._system = system
        self._variables = dict(_VARIABLES)
        self._expander = Expander(self._variables, self._substitute)
        self._substituting = 0

    @property
    def status(self) -> int:
        return self._expander.status

    def run(self, script: str) -> str:
        """Run to the end. The reason if it stopped before."""
        try:
            parser = Parser(script)
            while (command := parser.next_command()) is not None:
                self._expander.status = self._do(command)
        except _Exit:
            return ""
        except ScriptError as error:
            self._expander.status = _SYNTAX_ERROR
            return str(error)
        except TooMuchError:
            self._expander.status = _SYNTAX_ERROR
            return "stopped: it makes more text than the lab allows"
        return ""

    def _do(self, command: Command) -> int:
        match command:
            case Simple():
                status = self._simple(command)
            case Chain():
                status = self._chain(command)
            case Negated():
                status = int(self._do(command.command) == 0)
            case Sequence():
                status = self._sequence(command)
            case If():
                status = self._if(command)
            case Foreign():
                status = self._pass_over(command)
        self._expander.status = status
        return status

    def _sequence(self, sequence: Sequence) -> int:
        status = self.status
        for command in sequence.commands:
            status = self._do(command)
        return status

    def _chain(self, chain: Chain) -> int:
        status = self._do(chain.first)
        for operator, command in chain.rest:
            if (status == 0) == (operator == "&&"):
                status = self._do(command)
        return status

    def _if(self, command: If) -> int:
        for condition, body in command.branches:
            if self._do(condition) == 0:
                return self._do(body)
        return self._do(command.otherwise) if command.otherwise else 0

    def _simple(self, command: Simple) -> int:
        try:
            words = [argument for word in command.words for argument in self._expander.arguments(word)]
            assigned = []
            for name, word in command.assignments:
                assigned.append((name, self._expander.assigned(name, word)))
                if not words:
                    self._variables[name] = assigned[-1][1]
        except NotKnownError:
            return self._pass_over(command)
        if any(name == "IFS" for name, _ in assigned):
            return self._pass_over(command)
        if not words:
            return 0 if command.runnable else self._pass_over(command)
        return self._program(command, words[0], words[1:], assigned)

    def _program(self, command: Simple, name: str, arguments: list[str], assigned: list[tuple[str, str]]) -> int:
        if not command.runnable:
            return self._pass_over(command)
        if name in (":", "exit"):  # assignments before these stay
            self._variables.update(assigned)
        if name == "exit":
            return self._exit(arguments)
        program = PROGRAMS.get(name.removeprefix("/usr").removeprefix("/bin/"))
        said = program(self._system, arguments) if program else None
        if said is None:
            return self._pass_over(command)
        self._hear(said, command.quiet)
        return said.status

    def _substitute(self, script: str) -> str:
        """What one program without effects prints. More than that is not known here."""
        parser = Parser(script)
        command = parser.next_command()
        command = command.commands[0] if isinstance(command, Sequence) and len(command.commands) == 1 else None
        if not isinstance(command, Simple) or command.assignments or parser.next_command() is not None:
            raise NotKnownError
        if not command.runnable or command.quiet or self._substituting >= _DEEPEST:
            raise NotKnownError
        self._substituting += 1
        try:
            words = [argument for word in command.words for argument in self._expander.arguments(word)]
        finally:
            self._substituting -= 1
        program = PROGRAMS.get(words[0]) if words and words[0] in PRINTING else None
        said = program(self._system, words[1:]) if program else None
        if said is None:
            raise NotKnownError
        return said.output.rstrip("\n")

    def _exit(self, arguments: list[str]) -> int:
        if arguments and not (arguments[0].isascii() and arguments[0].isdigit()):
            self.said.append(f"exit: illegal number: {arguments[0]}\n")
            self._expander.status = _SYNTAX_ERROR
        elif arguments:
            self._expander.status = int(arguments[0][:20]) & 0xFF
        raise _Exit

    def _hear(self, said: Said, quiet: frozenset[int]) -> None:
        if said.output and 1 not in quiet:
            self.said.append(said.output)
        if said.error and 2 not in quiet:
            self.said.append(said.error + "\n")

    def _pass_over(self, command: Simple | Foreign) -> int:
        self.not_run.append(f"line {command.line}: not run in the lab: {command.source}")
        return NOT_RUN
