"""How far a boot script gets: its commands one after another, and which of them keeps the shell from those behind it.

The script is read, never run. What cannot be told from the text (a condition, a sourced file, `eval`) is said to be so;
only what is certain is called certain. Pure.
"""

import re

from . import sh_effects
from .sh_effects import ENDS, GOES_ON, MAY_END, NOTHING, perhaps
from .sh_tokens import Tokens
from .sh_words import BrokenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional, Tuple  # novm

    from .sh_words import Token

_LONGEST = 256 * 1024
_DEEPEST = 40
_CLOSING = ("then", "elif", "else", "fi", "do", "done", "esac", "}")
_NAME = re.compile(r"[A-Za-z_]\w*$")
# What some shells understand and others do not.
_DIALECT = re.compile(r"\[\[|\bfunction\b|[<>$]\(|<<<|&>|\$'|\(\(")


class Step(object):
    """A command at the top of the script with all its lines: `first`, and `end`, the line after the last, counted from
    0. `effect`: GOES_ON, MAY_END or ENDS; `why`: the sentence, empty for GOES_ON."""

    def __init__(self, first, end, effect, why):
        # type: (int, int, int, str) -> None
        self.first, self.end, self.effect, self.why = first, end, effect, why


class Reading(object):
    """A script as read. `steps`: its commands. `texts`: the lines (first, line after the last) that the shell takes for
    text and not for commands. `broken`: the last step is one that cannot be understood."""

    def __init__(self, steps, texts, broken=False):
        # type: (List[Step], List[Tuple[int, int]], bool) -> None
        self.steps, self.texts, self.broken = steps, texts, broken

    def first_stop(self):
        # type: () -> Optional[Step]
        """The first command that ends the script, or may."""
        return next((step for step in self.steps if step.effect != GOES_ON), None)


def read(script):
    # type: (str) -> Reading
    """The commands of a script."""
    if len(script) > _LONGEST:
        return Reading([Step(0, script.count("\n") + 1, MAY_END, "it is too long to be read")], [])
    return _Reader(script).reading()


class _Reader(Tokens):
    def __init__(self, script):
        # type: (str) -> None
        super(_Reader, self).__init__(script)
        self._lines = script.split("\n")
        self._ended_by_ampersand = False
        self._depth = 0
        self._in_function = 0
        self._functions = {}  # type: Dict[str, int]
        self._compounds = {
            "{": self._group,
            "if": self._if,
            "while": self._loop,
            "until": self._loop,
            "for": self._for,
            "case": self._case,
        }  # type: Dict[str, Callable[[], Tuple[int, str]]]

    def reading(self):
        # type: () -> Reading
        steps = []  # type: List[Step]
        first = 0
        try:
            self.begin()
            while self.next.kind != "end":
                first = self.next.line
                if self.next.kind != "newline":
                    effect, why = self._line()
                    steps.append(Step(first, self._end_of_texts(self.next.line + 1), effect, why))
                if self.next.kind == "newline":
                    self.advance()
        except BrokenError as error:
            steps.append(Step(first, len(self._lines), *self._stop(error, first)))
            return Reading(steps, self.scanner.texts, broken=True)
        return Reading(steps, self.scanner.texts)

    def _stop(self, error, first):
        # type: (BrokenError, int) -> Tuple[int, str]
        certain = error.certain and not _DIALECT.search("\n".join(self._lines[first : error.line + 1]))
        then = "and the shell stops there" if certain else "if the shell does not understand it, it stops there"
        return (ENDS if certain else MAY_END), "line %d: %s, %s" % (error.line + 1, error.message, then)

    def _end_of_texts(self, line):
        # type: (int) -> int
        """The line behind the here-documents that begin in this line."""
        for first, end in self.scanner.texts:
            line = end if first == line else line
        return line

    def _line(self):
        # type: () -> Tuple[int, str]
        """Commands up to the end of a line."""
        effect = NOTHING
        while True:
            effect = max(effect, self._and_or())
            if self.at(";"):
                self.advance()
            elif not self._ended_by_ampersand:
                break
            if self.next.kind in ("newline", "end"):
                return effect
        if self.next.kind not in ("newline", "end"):
            raise self.unexpected()
        return effect

    # The grammar. Each method takes its part and says what it does to the commands behind it.

    def _and_or(self):
        # type: () -> Tuple[int, str]
        effect = self._pipeline()
        while self.at("&&", "||"):
            self.advance()
            self.skip_newlines()
            effect = max(effect, perhaps(self._pipeline()))
        if self.at("&"):
            self.advance()
            self._ended_by_ampersand = True
            return NOTHING
        self._ended_by_ampersand = False
        return effect

    def _pipeline(self):
        # type: () -> Tuple[int, str]
        if self.next.text == "!":
            self.advance()
        effect = self._command()
        while self.at("|"):
            self.advance()
            self.skip_newlines()
            self._command()
            effect = NOTHING
        return effect

    def _command(self):
        # type: () -> Tuple[int, str]
        parse = self._subshell if self.at("(") else self._compounds.get(self.next.text)
        if parse is None:
            if self.next.text in _CLOSING:
                raise self.unexpected()
            return self._simple()
        self._deeper()
        effect = parse()
        self._depth -= 1
        while self.next.kind != "end" and self.at_redirection():
            self.redirection()
        return effect

    def _deeper(self):
        # type: () -> None
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BrokenError(self.next.line, "nested too deeply to be read", certain=False)

    def _list(self, *ends):
        # type: (*str) -> Tuple[int, str]
        """Commands up to one of these words or operators, which is not taken."""
        effect, separated, empty = NOTHING, True, True
        self.skip_newlines()
        while not (self.next.kind in ("word", "operator") and self.next.text in ends):
            if not separated or self.next.kind == "end":
                raise self.unexpected()
            effect = max(effect, self._and_or())
            separated, empty = self._ended_by_ampersand, False
            if self.at(";") or self.next.kind == "newline":
                self.advance()
                separated = True
            self.skip_newlines()
        if empty and ";;" not in ends:
            raise self.unexpected()
        return effect

    def _group(self):
        # type: () -> Tuple[int, str]
        self.advance()
        effect = self._list("}")
        self.advance()
        return effect

    def _subshell(self):
        # type: () -> Tuple[int, str]
        self.advance()
        self._list(")")
        self.advance()
        return NOTHING

    def _if(self):
        # type: () -> Tuple[int, str]
        self.advance()
        effect = self._list("then")
        while True:
            self.advance()
            effect = max(effect, perhaps(self._list("elif", "else", "fi")))
            if self.next.text != "elif":
                break
            self.advance()
            effect = max(effect, perhaps(self._list("then")))
        if self.next.text == "else":
            self.advance()
            effect = max(effect, perhaps(self._list("fi")))
        self.expect("fi")
        return effect

    def _loop(self):
        # type: () -> Tuple[int, str]
        word, line = self.advance().text, self.next.line
        endless = self.next.plain in (("true", ":") if word == "while" else ("false",))
        effect = self._list("do")
        effect = max(effect, self._do())
        return max(effect, (MAY_END, "line %d: a loop that may never end" % (line + 1))) if endless else effect

    def _for(self):
        # type: () -> Tuple[int, str]
        self.advance()
        self.expect_word()
        self.skip_newlines()
        if self.next.text == "in":
            while self.next.kind == "word":
                self.advance()
        if self.at(";"):
            self.advance()
        self.skip_newlines()
        return self._do()

    def _do(self):
        # type: () -> Tuple[int, str]
        self.expect("do")
        effect = perhaps(self._list("done"))
        self.advance()
        return effect

    def _case(self):
        # type: () -> Tuple[int, str]
        effect = NOTHING
        self.advance()
        self.expect_word()
        self.skip_newlines()
        self.expect("in")
        self.skip_newlines()
        while self.next.text != "esac":
            if self.at("("):
                self.advance()
            self.expect_word()
            while self.at("|"):
                self.advance()
                self.expect_word()
            self.expect(")")
            effect = max(effect, perhaps(self._list(";;", "esac")))
            if self.at(";;"):
                self.advance()
                self.skip_newlines()
        self.advance()
        return effect

    def _simple(self):
        # type: () -> Tuple[int, str]
        line, words = self.next.line, []  # type: int, List[Token]
        start = self.next
        while True:
            if self.next.kind != "end" and self.at_redirection():
                self.redirection()
            elif self.next.kind == "word":
                words.append(self.advance())
            elif self.at("(") and len(words) == 1 and _NAME.match(words[0].text):
                return self._function(words[0].text)
            else:
                break
        if self.next is start:
            raise self.unexpected()
        effect, why = sh_effects.of_program(words, bool(self._in_function), self._functions)
        return effect, why and "line %d: %s" % (line + 1, why)

    def _function(self, name):
        # type: (str) -> Tuple[int, str]
        self.advance()
        self.expect(")")
        self.skip_newlines()
        self._deeper()
        self._in_function += 1
        self._functions[name] = self._command()[0]
        self._in_function -= 1
        self._depth -= 1
        return NOTHING
