"""The grammar around simple commands: lists, chains, `if`, and what is parsed only to be passed over."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from reconciler.lab.shell.scanner import Scanner, Token
from reconciler.lab.shell.syntax import Chain, Command, Foreign, If, Negated, ScriptError, Sequence, Text

_REDIRECTIONS = ("<", ">", ">>", "<<", "<<-", "<&", ">&", "<>", ">|")
_RESERVED = ("then", "elif", "else", "fi", "do", "done", "esac", "}", "!")
_DEEPEST = 40
_SHOWN = 120


class Redirection(Struct, frozen=True):
    """One redirection: whether the lab can do it, which streams it throws away, whether it is `2>&1`."""

    runnable: bool
    quiet: frozenset[int] = frozenset()
    joins_output: bool = False


class Compounds:
    """A recursive-descent parser; `simple` is left to the class that completes it."""

    def __init__(self, text: str) -> None:
        self._scanner = Scanner(text)
        self._here_documents: list[tuple[str, bool]] = []
        self._depth = 0
        self._last_end = 0
        self.previous = ""
        self.current = self._scanner.token()
        self._compounds: dict[str, Callable[[], Command | None]] = {
            "(": self._subshell,
            "{": self._group,
            "case": self._case,
            "for": self._for,
            "if": self._if,
            "until": self._loop,
            "while": self._loop,
        }

    def simple(self) -> Command:
        """A simple command."""
        raise NotImplementedError

    def line(self, position: int) -> int:
        """The number of the line at this position."""
        return self._scanner.line(position)

    def source(self, start: int) -> str:
        """The script from this position to the last token taken, on one line."""
        text = " ".join(self._scanner.text[start : self._last_end].split())
        return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."

    def at(self, *operators: str) -> bool:
        """Whether the next token is one of these operators."""
        return self.current.kind == "operator" and self.current.text in operators

    def at_word(self, *words: str) -> bool:
        """Whether the next token is one of these words, unquoted."""
        return self.current.kind == "word" and self.current.text in words

    def at_redirection(self) -> bool:
        """Whether a redirection is next."""
        return self.current.kind == "number" or self.at(*_REDIRECTIONS)

    def advance(self) -> Token:
        """Take the next token."""
        taken = self.current
        self._last_end, self.previous = taken.end, taken.text
        if taken.kind == "operator" and taken.text == "\n":
            for delimiter, strip_tabs in self._here_documents:
                self._scanner.here_document(delimiter, strip_tabs)
            self._here_documents.clear()
        self.current = self._scanner.token()
        return taken

    def skip_newlines(self) -> None:
        """Pass over ends of lines."""
        while self.at("\n"):
            self.advance()

    def unexpected(self) -> ScriptError:
        """The syntax error that the next token is."""
        names = {"end": "end of file", "\n": "end of line"}
        name = names.get(self.current.kind) or names.get(self.current.text) or f'"{self.current.text[:_SHOWN]}"'
        return self._scanner.fail(f"{name} unexpected", self.current.start)

    def expect_operator(self, operator: str) -> None:
        """Take this operator, or fail."""
        if not self.at(operator):
            raise self.unexpected()
        self.advance()

    def _expect_word(self, *words: str) -> Token:
        if self.current.kind != "word" or (words and self.current.text not in words):
            raise self.unexpected()
        return self.advance()

    def and_or(self) -> Command:
        """Pipelines with `&&` and `||` between them."""
        start = self.current.start
        first = self._pipeline()
        rest = []
        while self.at("&&", "||"):
            operator = self.advance().text
            self.skip_newlines()
            rest.append((operator, self._pipeline()))
        if self.at("&"):
            foreign = Foreign(self.line(start), self.source(start) + " &")
            self.advance()
            return foreign
        return Chain(first, tuple(rest)) if rest else first

    def _pipeline(self) -> Command:
        negated = self.at_word("!")
        if negated:
            self.advance()
        start = self.current.start
        command = self.command()
        while self.at("|"):
            self.advance()
            self.skip_newlines()
            self.command()
            command = Foreign(self.line(start), self.source(start))
        return Negated(command) if negated else command

    def command(self) -> Command:
        """One command, simple or compound. Bounded in depth."""
        start, word = self.current.start, self.current.text if self.current.kind == "word" else ""
        parse = self._compounds.get("(" if self.at("(") else word)
        if parse is None:
            if word in _RESERVED:
                raise self.unexpected()
            return self.simple()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ScriptError(self.line(start), "stopped: nested too deeply for the lab")
        command = parse()
        self._depth -= 1
        plain = True
        while self.at_redirection():
            plain = self.redirection().runnable and plain
        if command is None or not plain:
            return Foreign(self.line(start), self.source(start))
        return command

    def _list(self, *ends: str, may_be_empty: bool = False) -> Sequence:
        """Commands up to one of these words or operators, which is not taken."""
        self.skip_newlines()
        commands: list[Command] = []
        while not (self.at_word(*ends) or self.at(*ends)):
            if commands and self.previous not in (";", "\n", "&"):
                raise self.unexpected()
            commands.append(self.and_or())
            if self.at(";", "\n"):
                self.advance()
                self.skip_newlines()
        if not commands and not may_be_empty:
            raise self.unexpected()
        return Sequence(tuple(commands))

    def _if(self) -> If:
        branches = []
        while self.at_word("if", "elif"):
            self.advance()
            condition = self._list("then")
            self.advance()
            branches.append((condition, self._list("elif", "else", "fi")))
        otherwise = None
        if self.at_word("else"):
            self.advance()
            otherwise = self._list("fi")
        self._expect_word("fi")
        return If(tuple(branches), otherwise)

    def _group(self) -> Sequence:
        self.advance()
        commands = self._list("}")
        self.advance()
        return commands

    def _subshell(self) -> None:
        self.advance()
        self._list(")")
        self.advance()

    def _loop(self) -> None:
        self.advance()
        self._list("do")
        self._do()

    def _do(self) -> None:
        self._expect_word("do")
        self._list("done")
        self.advance()

    def _for(self) -> None:
        self.advance()
        if not self._expect_word().text.isidentifier():
            raise self._scanner.fail("bad loop variable")
        self.skip_newlines()
        if self.at_word("in"):
            self.advance()
            while self.current.kind == "word":
                self.advance()
            if not self.at(";", "\n"):
                raise self.unexpected()
        if self.at(";"):
            self.advance()
        self.skip_newlines()
        self._do()

    def _case(self) -> None:
        self.advance()
        self._expect_word()
        self.skip_newlines()
        self._expect_word("in")
        self.skip_newlines()
        while not self.at_word("esac"):
            if self.at("("):
                self.advance()
            self._expect_word()
            while self.at("|"):
                self.advance()
                self._expect_word()
            self.expect_operator(")")
            self._list(";;", "esac", may_be_empty=True)
            if self.at(";;"):
                self.advance()
                self.skip_newlines()
        self.advance()

    def redirection(self) -> Redirection:
        """Take one redirection."""
        stream = self.advance().text if self.current.kind == "number" else ""
        operator = self.advance().text
        target = self._expect_word()
        if operator in ("<<", "<<-"):
            delimiter = "".join(part.text for part in target.word if isinstance(part, Text))
            self._here_documents.append((delimiter, operator == "<<-"))
            return Redirection(runnable=False)
        if target.text == "/dev/null" and operator in (">", ">>", ">|") and stream in ("", "1", "2"):
            return Redirection(True, quiet=frozenset({int(stream or 1)}))
        if operator == ">&" and target.text in ("1", "2") and stream in ("", "1", "2"):
            return Redirection(True, joins_output=stream == "2" and target.text == "1")
        return Redirection(runnable=operator == "<" and target.text == "/dev/null")
