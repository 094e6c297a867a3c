"""From words to arguments: variables, quotes, splitting."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from reconciler.lab.shell.syntax import Part, Substituted, Text, Unknown, Variable, Word

_BLANKS = " \t\n"
_PATTERN = re.compile(r"[*?]|\[.*\]", re.DOTALL)
_MOST = 1024 * 1024


class NotKnownError(Exception):
    """The word has something that this shell does not expand."""


class TooMuchError(Exception):
    """A script has grown more text than the lab allows."""


class Expander:
    """Expands words. All that one script expands together is bounded."""

    def __init__(self, variables: Mapping[str, str], substitute: Callable[[str], str]) -> None:
        """`substitute` gives what the script in `$(...)` prints, or raises NotKnownError."""
        self.status = 0
        self._substitute = substitute
        self._variables = variables
        self._left = _MOST

    def arguments(self, word: Word) -> list[str]:
        """The arguments that an unassigned word makes: none, one, or several."""
        _refuse_tilde(word)
        made = _Arguments()
        for part in word:
            if isinstance(part, Text):
                made.add(part.text, part.quoted)
            elif isinstance(part, Variable | Substituted) and not part.quoted:
                made.add_split(self._spent(self._value(part)))
            else:
                made.add(self._spent(self._value(part)), quoted=True)
        return made.finish()

    def assigned(self, name: str, word: Word) -> str:
        """The value that the word `name=value` gives: not split, and not a pattern."""
        first = word[0]
        rest = word[1:]
        value = first.text[len(name) + 1 :] if isinstance(first, Text) else ""
        _refuse_tilde((Text(value, quoted=False), *rest))
        return self._spent(value + self._joined(rest))

    def _joined(self, word: Word) -> str:
        return "".join(part.text if isinstance(part, Text) else self._spent(self._value(part)) for part in word)

    def _spent(self, value: str) -> str:
        self._left -= len(value) + 1
        if self._left < 0:
            raise TooMuchError
        return value

    def _value(self, part: Part) -> str:
        if isinstance(part, Substituted):
            return self._substitute(part.script)
        if not isinstance(part, Variable):
            raise NotKnownError
        value = str(self.status) if part.name == "?" else self._variables.get(part.name)
        if part.operator in ("-", ":-"):
            missing = value is None or (part.operator == ":-" and not value)
            return self._joined(part.argument) if missing else value or ""
        if part.operator in ("+", ":+"):
            missing = value is None or (part.operator == ":+" and not value)
            return "" if missing else self._joined(part.argument)
        return self._cut(value or "", part) if part.operator else value or ""

    def _cut(self, value: str, part: Variable) -> str:
        """`%`, `%%`, `#`, `##` with a pattern of plain text and at most one `*`."""
        before, star, after = self._pattern(part.argument)
        longest = len(part.operator) == 2
        if part.operator[0] == "#":
            if not star:
                return value.removeprefix(before)
            find = value.rfind if longest else value.find
            place = find(after, len(before)) if value.startswith(before) else -1
            return value if place < 0 else value[place + len(after) :]
        if not star:
            return value.removesuffix(before)
        find = value.find if longest else value.rfind
        place = find(before, 0, len(value) - len(after)) if value.endswith(after) else -1
        return value if place < 0 else value[:place]

    def _pattern(self, word: Word) -> tuple[str, bool, str]:
        """What is before the star, whether there is one, and what is after."""
        plain, star, seen = ["", ""], False, 0
        for part in word:
            text = part.text if isinstance(part, Text) else self._spent(self._value(part))
            quoted = not isinstance(part, Unknown) and part.quoted
            if not quoted and _PATTERN.search(text):
                if not isinstance(part, Text) or star or text.count("*") != 1 or _PATTERN.search(text.replace("*", "")):
                    raise NotKnownError
                head, _, tail = text.partition("*")
                plain[0] += head
                text, star, seen = tail, True, 1
            plain[seen] += text
        return plain[0], star, plain[1]


class _Arguments:
    """Arguments in the making. Of each, a second copy has its quoted characters masked, to find patterns in."""

    def __init__(self) -> None:
        self._made: list[str] = []
        self._text: list[str] = []
        self._mask: list[str] = []
        self._open = False

    def add(self, text: str, quoted: bool) -> None:
        self._open = True
        self._text.append(text)
        self._mask.append("x" * len(text) if quoted else text)

    def add_split(self, value: str) -> None:
        """An unquoted variable: blanks in its value part arguments."""
        for piece in re.findall(rf"[{_BLANKS}]+|[^{_BLANKS}]+", value):
            if piece[0] in _BLANKS:
                self._close()
            else:
                self.add(piece, quoted=False)

    def finish(self) -> list[str]:
        self._close()
        return self._made

    def _close(self) -> None:
        if self._open:
            if _PATTERN.search("".join(self._mask)):
                raise NotKnownError
            self._made.append("".join(self._text))
            self._text, self._mask, self._open = [], [], False


def _refuse_tilde(word: Word) -> None:
    if word and isinstance(word[0], Text) and not word[0].quoted and word[0].text.startswith("~"):
        raise NotKnownError
