"""`test` and `[`: what an expression says of the files of one host."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from reconciler.lab.rooted import Rooted

_MOST = 200


class ConditionError(Exception):
    """The expression means nothing."""


_FILE: dict[str, Callable[[Path], bool]] = {
    "-e": Path.exists,
    "-f": Path.is_file,
    "-d": Path.is_dir,
    "-h": Path.is_symlink,
    "-L": Path.is_symlink,
    "-s": lambda place: place.exists() and place.stat().st_size > 0,
}
_OF_LINKS = ("-h", "-L")
_UNARY = (*_FILE, "-z", "-n")
_NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "-eq": int.__eq__,
    "-ne": int.__ne__,
    "-lt": int.__lt__,
    "-le": int.__le__,
    "-gt": int.__gt__,
    "-ge": int.__ge__,
}
_BINARY = ("=", "==", "!=", *_NUMBERS)


def holds(system: Rooted, words: Sequence[str]) -> bool:
    """Whether the expression is true. Up to four words mean what POSIX says; more are read by precedence."""
    match list(words):
        case []:
            return False
        case [word]:
            return bool(word)
        case ["!", word]:
            return not word
        case [left, operator, right] if operator in _BINARY:
            return _compare(left, operator, right)
        case ["!", *rest] if len(rest) in (2, 3):
            return not holds(system, rest)
    if len(words) > _MOST:
        raise ConditionError("too many arguments for the lab")
    expression = _Expression(system, words)
    value = expression.either()
    if expression.left:
        raise ConditionError(f"{expression.left[0]}: unexpected operator")
    return value


class _Expression:
    """-o binds least, then -a, then !."""

    def __init__(self, system: Rooted, words: Sequence[str]) -> None:
        self._system = system
        self.left = list(words)

    def either(self) -> bool:
        value = self._both()
        while self.left[:1] == ["-o"]:
            self._take()
            value = self._both() or value
        return value

    def _both(self) -> bool:
        value = self._not()
        while self.left[:1] == ["-a"]:
            self._take()
            value = self._not() and value
        return value

    def _not(self) -> bool:
        if self.left[:1] == ["!"] and len(self.left) > 1:
            self._take()
            return not self._not()
        return self._one()

    def _one(self) -> bool:
        if len(self.left) > 2 and self.left[1] in _BINARY:
            return _compare(self._take(), self._take(), self._take())
        word = self._take()
        if word == "(" and self.left:
            value = self.either()
            if self._take() != ")":
                raise ConditionError("closing parenthesis expected")
            return value
        if word in _UNARY and self.left:
            return self._unary(word, self._take())
        return bool(word)

    def _unary(self, operator: str, word: str) -> bool:
        if operator in ("-z", "-n"):
            return (word == "") == (operator == "-z")
        try:
            place = self._system.real(word, follow=operator not in _OF_LINKS)
            return _FILE[operator](place)
        except OSError:
            return False

    def _take(self) -> str:
        if not self.left:
            raise ConditionError("argument expected")
        return self.left.pop(0)


def _compare(left: str, operator: str, right: str) -> bool:
    if operator in _NUMBERS:
        for word in (left, right):
            if not re.fullmatch(r"\s*[-+]?[0-9]{1,19}\s*", word):
                raise ConditionError(f"illegal number: {word}")
        return _NUMBERS[operator](int(left), int(right))
    return (left == right) == (operator != "!=")
