"""The words and operators of a shell script, read and never run. Pure.

Only as much of the language as it takes to see where its commands begin and end; what quotes and expansions come to is
not worked out.
"""

import bisect
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Tuple  # novm

_BREAK = " \t\n|&;()<>"
_DEEPEST = 40
_OPERATORS = ("<<-", "&&", "||", ";;", "<<", ">>", "<&", ">&", "<>", ">|")
_CASE = re.compile(r"\bcase\b")
_NEWLINE = re.compile("\n")
_STREAM = re.compile(r"\d+(?=[<>])")
_MAY_FAIL = re.compile(r"\w+:?\?")


class BrokenError(Exception):
    """A syntax error in this line (counted from 0). Not `certain`: the script may only be too clever to be read."""

    def __init__(self, line, message, certain=True):
        # type: (int, str, bool) -> None
        Exception.__init__(self, message)
        self.line, self.message, self.certain = line, message, certain


class Token(object):
    """`kind`: `word`, `operator`, `newline` or `end`. `text`: the operator, or the word as it stands. `plain`: the word
    without its quotes, None if it has an expansion. `line`: where it begins, counted from 0. `may_fail`: it has an
    expansion such as `${x:?}`, which may end the script."""

    def __init__(self, kind, text, line, plain=None, may_fail=False):
        # type: (str, str, int, Optional[str], bool) -> None
        self.kind, self.text, self.line, self.plain, self.may_fail = kind, text, line, plain, may_fail


class Scanner(object):
    """Gives the tokens of a script one after another. Raises BrokenError.

    `texts`: the lines (first, line after the last) that are only text to the shell: here-documents, and the lines of a
    quoted text after its first."""

    def __init__(self, script):
        # type: (str) -> None
        self.texts = []  # type: List[Tuple[int, int]]
        self._may_fail = False
        self._nested = 0
        self._script = script
        self._ends = [match.start() for match in _NEWLINE.finditer(script)]
        self._at = 0
        self._documents = []  # type: List[Tuple[str, bool]]

    def token(self):
        # type: () -> Token
        """The next token."""
        self._skip_blanks()
        line = self._line(self._at)
        if self._at >= len(self._script):
            return Token("end", "", line)
        char = self._script[self._at]
        if char == "\n":
            self._at += 1
            self._skip_documents()
            return Token("newline", "\n", line)
        self._skip_stream()
        for operator in _OPERATORS:
            if self._script.startswith(operator, self._at):
                self._at += len(operator)
                return Token("operator", operator, line)
        char = self._script[self._at]
        if char in _BREAK:
            self._at += 1
            return Token("operator", char, line)
        start, self._may_fail = self._at, False
        plain = self._word()
        last = self._line(self._at)
        if last > line:
            self.texts.append((line + 1, last + 1))
        return Token("word", self._script[start : self._at], line, plain, self._may_fail)

    def expect_document(self, delimiter, strip_tabs):
        # type: (str, bool) -> None
        """A here-document begins behind the end of this line."""
        self._documents.append((delimiter, strip_tabs))

    def _line(self, place):
        # type: (int) -> int
        return bisect.bisect_left(self._ends, place)

    def _skip_stream(self):
        # type: () -> None
        """Pass over the number before a redirection, as in `2>`."""
        match = _STREAM.match(self._script, self._at)
        self._at = match.end() if match else self._at

    def _skip_blanks(self):
        # type: () -> None
        script = self._script
        while self._at < len(script):
            if script[self._at] in " \t":
                self._at += 1
            elif script.startswith("\\\n", self._at):
                self._at += 2
            elif script[self._at] == "#":
                end = script.find("\n", self._at)
                self._at = len(script) if end < 0 else end
            else:
                return

    def _skip_documents(self):
        # type: () -> None
        for delimiter, strip_tabs in self._documents:
            first = self._line(self._at)
            while self._at < len(self._script):
                end = self._script.find("\n", self._at)
                end = len(self._script) if end < 0 else end
                line = self._script[self._at : end]
                self._at = min(end + 1, len(self._script))
                if (line.lstrip("\t") if strip_tabs else line) == delimiter:
                    break
            cut = self._at == len(self._script) and not self._script.endswith("\n")
            self.texts.append((first, self._line(self._at) + cut))
        self._documents = []

    def _word(self):
        # type: () -> Optional[str]
        """Pass over one word. What it says; None if it has an expansion."""
        said, known = [], True
        while self._at < len(self._script) and self._script[self._at] not in _BREAK:
            start, char = self._at, self._script[self._at]
            if char == "'":
                self._single_quoted()
                said.append(self._script[start + 1 : self._at - 1])
            elif char == '"':
                known = self._double_quoted() and known
                said.append(self._script[start + 1 : self._at - 1])
            elif char in "$`":
                self._expansion()
                known = False
            elif char == "\\":
                self._at += 2
                said.append(self._script[start + 1 : start + 2].strip("\n"))
            else:
                self._at += 1
                said.append(char)
        self._at = min(self._at, len(self._script))
        return "".join(said) if known else None

    def _single_quoted(self):
        # type: () -> None
        end = self._script.find("'", self._at + 1)
        if end < 0:
            raise BrokenError(self._line(self._at), "a quote that is never closed")
        self._at = end + 1

    def _double_quoted(self):
        # type: () -> bool
        """Pass over a text in double quotes. Whether it has no expansion."""
        start, known = self._at, True
        self._at += 1
        while True:
            char = self._script[self._at : self._at + 1]
            if not char:
                raise BrokenError(self._line(start), "a quote that is never closed")
            if char == '"':
                self._at += 1
                return known
            if char in "$`":
                self._expansion()
                known = False
            else:
                known = known and char != "\\"
                self._at += 2 if char == "\\" else 1

    def _expansion(self):
        # type: () -> None
        """Pass over `$name`, `${...}`, `$(...)`, `$((...))` or a command in backquotes."""
        self._nested += 1
        if self._nested > _DEEPEST:
            raise BrokenError(self._line(self._at), "nested too deeply to be read", certain=False)
        start = self._at
        if self._script[start] == "`":
            self._until("`", "")
        elif self._script.startswith("$(", start):
            self._at += 1
            self._until(")", "(")
            if _CASE.search(self._script[start : self._at]):
                raise BrokenError(self._line(start), "`case` inside `$(...)` is not read", certain=False)
        elif self._script.startswith("${", start):
            self._may_fail = self._may_fail or bool(_MAY_FAIL.match(self._script, start + 2))
            self._at += 1
            self._until("}", "")
        else:
            self._at += 1
        self._nested -= 1

    def _until(self, closing, opening):
        # type: (str, str) -> None
        """Pass over everything up to the closing character, minding quotes, comments and what is nested."""
        start, depth = self._at, 1
        self._at += 1
        while depth:
            char = self._script[self._at : self._at + 1]
            if not char:
                raise BrokenError(self._line(start), '"%s" is missing' % closing)
            if char == "\\":
                self._at += 2
            elif char == "'" and closing != "`":
                self._single_quoted()
            elif char == '"' and closing != "`":
                self._double_quoted()
            elif char in "$`" and closing != "`":
                self._expansion()
            elif char == "#" and closing == ")" and self._script[self._at - 1] in _BREAK:
                end = self._script.find("\n", self._at)
                self._at = len(self._script) if end < 0 else end
            else:
                depth += {closing: -1, opening: 1}.get(char, 0)
                self._at += 1
