"""From characters to tokens: words with their quotes and expansions, operators, ends of lines."""

from __future__ import annotations

import re

from msgspec import Struct

from reconciler.lab.shell.syntax import Part, ScriptError, Substituted, Text, Unknown, Variable, Word

_OPERATOR = re.compile(r"&&|\|\||;;|<<-|<<|>>|<&|>&|<>|>\||[;&|<>()\n]")
_BLANKS = re.compile(r"(?:[ \t]|\\\n)+")
_COMMENT = re.compile(r"#[^\n]*")
_PLAIN = re.compile(r"[^\s;&|<>()'\"\\$`}]+")
_PLAIN_IN_QUOTES = re.compile(r"[^\"\\$`}]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[?]")
_MODIFIER = re.compile(r":[-+=?]|%%|##|[-+=?%#]")
_NUMBER_BEFORE_REDIRECTION = re.compile(r"[0-9]+(?=[<>])")
_KNOWN_MODIFIERS = (":-", "-", ":+", "+", "%", "%%", "#", "##")
_DEEPEST = 40


class Token(Struct, frozen=True):
    """`kind` is `word`, `operator`, `number` (of a redirection) or `end`; `text` is as written."""

    kind: str
    text: str
    start: int
    end: int
    word: Word = ()


class Scanner:
    """Gives the tokens of a script, one by one, as the parser asks: what comes after `exit` is never looked at."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self._depth = 0

    def line(self, position: int) -> int:
        """The number of the line at this position."""
        return self.text.count("\n", 0, position) + 1

    def fail(self, message: str, position: int | None = None) -> ScriptError:
        """A syntax error at this place."""
        return ScriptError(self.line(self.position if position is None else position), f"syntax error: {message}")

    def token(self) -> Token:
        """The next token."""
        while self._take(_BLANKS) or self._take(_COMMENT):
            pass
        start = self.position
        if start >= len(self.text):
            return Token("end", "", start, start)
        for kind, pattern in (("operator", _OPERATOR), ("number", _NUMBER_BEFORE_REDIRECTION)):
            if text := self._take(pattern):
                return Token(kind, text, start, self.position)
        word = self._word()
        return Token("word", self.text[start : self.position], start, self.position, word)

    def here_document(self, delimiter: str, strip_tabs: bool) -> None:
        """Pass over the lines up to the one that is the delimiter."""
        while self.position < len(self.text):
            line, _, _ = self.text[self.position :].partition("\n")
            self.position += len(line) + 1
            if (line.lstrip("\t") if strip_tabs else line) == delimiter:
                return

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.position)
        if found is None:
            return ""
        self.position = found.end()
        return found.group()

    def _next(self) -> str:
        return self.text[self.position : self.position + 1]

    def _word(self) -> Word:
        parts: list[Part] = []
        while (char := self._next()) and char not in " \t\n;&|<>()":
            self._part(parts, in_quotes=False)
        return tuple(parts)

    def _part(self, parts: list[Part], *, in_quotes: bool) -> None:
        """One piece of a word: a quoted string, an expansion, or plain characters."""
        start, char = self.position, self._next()
        self.position += 1
        if char == "$":
            parts.append(self._dollar(in_quotes))
        elif char == "`":
            self._skip_backquotes(start)
            parts.append(Unknown())
        elif char == "\\":
            self._backslash(parts, in_quotes)
        elif char == "'" and not in_quotes:
            parts.append(Text(self._single_quoted(start), quoted=True))
        elif char == '"':
            self._double_quoted(parts, start)
        else:
            self.position = start
            plain = self._take(_PLAIN_IN_QUOTES if in_quotes else _PLAIN)
            if not plain:  # a character that means something only elsewhere
                plain = char
                self.position += 1
            parts.append(Text(plain, in_quotes))

    def _backslash(self, parts: list[Part], in_quotes: bool) -> None:
        char = self._next()
        if char == "\n":
            self.position += 1
        elif not char or (in_quotes and char not in '$`"\\}'):
            parts.append(Text("\\", quoted=True))
        else:
            self.position += 1
            parts.append(Text(char, quoted=True))

    def _single_quoted(self, start: int) -> str:
        end = self.text.find("'", self.position)
        if end < 0:
            raise self.fail("unterminated quoted string", start)
        text = self.text[self.position : end]
        self.position = end + 1
        return text

    def _double_quoted(self, parts: list[Part], start: int) -> None:
        parts.append(Text("", quoted=True))
        while self._next() != '"':
            if not self._next():
                raise self.fail("unterminated quoted string", start)
            self._part(parts, in_quotes=True)
        self.position += 1

    def _dollar(self, quoted: bool) -> Part:
        """An expansion. Bounded in depth, for it may contain others."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ScriptError(self.line(self.position), "stopped: nested too deeply for the lab")
        part = self._expansion(quoted)
        self._depth -= 1
        return part

    def _expansion(self, quoted: bool) -> Part:
        char = self._next()
        if char == "{":
            return self._braces(quoted)
        if char == "(":
            start = self.position
            self._skip_parentheses()
            inside = self.text[start + 1 : self.position - 1]
            return Unknown() if inside.startswith("(") else Substituted(inside, quoted)
        if name := self._take(_PARAMETER):
            return Variable(name, quoted)
        if char and char in "0123456789@*#-$!":
            self.position += 1
            return Unknown()
        return Text("$", quoted=True)

    def _braces(self, quoted: bool) -> Variable | Unknown:
        start = self.position
        self.position += 1
        name = self._take(_PARAMETER)
        operator = self._take(_MODIFIER) if name else ""
        argument: list[Part] = []
        while self._next() != "}":
            if not self._next():
                raise self.fail("missing '}'", start)
            self._part(argument, in_quotes=quoted and operator[-1:] not in ("%", "#"))
        self.position += 1
        if not name or (argument and not operator) or (operator and operator not in _KNOWN_MODIFIERS):
            return Unknown()
        return Variable(name, quoted, operator, tuple(argument))

    def _skip_backquotes(self, start: int) -> None:
        while (char := self._next()) != "`":
            if not char:
                raise self.fail("unterminated backquote", start)
            self.position += 2 if char == "\\" else 1
        self.position += 1

    def _skip_parentheses(self) -> None:
        """Pass over `$(...)`, minding quotes and parentheses inside."""
        start, depth = self.position, 0
        while True:
            char = self._next()
            self.position += 1
            if not char:
                raise self.fail("missing ')'", start)
            if char == "'":
                self._single_quoted(self.position)
            elif char == '"':
                self._double_quoted([], self.position)
            elif char == "\\":
                self.position += 1
            depth += {"(": 1, ")": -1}.get(char, 0)
            if depth == 0:
                return


def name_of_assignment(word: Word) -> str | None:
    """The name that a word such as `name=value` gives a value to; None if it is not of that form."""
    if not word or not isinstance(word[0], Text) or word[0].quoted:
        return None
    name, equals, _ = word[0].text.partition("=")
    return name if equals and _NAME.fullmatch(name) else None
