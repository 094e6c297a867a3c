"""The last answer to a question, for whoever asks the same again and again, as a watch does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

_Answer = TypeVar("_Answer")


class Remembered(Generic[_Answer]):
    """Keeps one answer, with all that it was made from. What is the very same object need not be compared."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[object, ...], _Answer] | None = None

    def __call__(self, made_from: tuple[object, ...], make: Callable[[], _Answer]) -> _Answer:
        """The answer that `make` gives, or the last one, if that was made from the same."""
        if self._kept is None or self._kept[0] != made_from:
            self._kept = made_from, make()
        return self._kept[1]
