"""Memo of the last result, for a function that is called again and again with the same arguments, as in a watch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

_Result = TypeVar("_Result")


class Memo(Generic[_Result]):
    """The last result, with the arguments that it was made from. Identical objects are not compared."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[object, ...], _Result] | None = None

    def __call__(self, arguments: tuple[object, ...], make: Callable[[], _Result]) -> _Result:
        """Return the last result if the arguments are equal to the last ones, else that of `make`."""
        if self._kept is None or self._kept[0] != arguments:
            self._kept = arguments, make()
        return self._kept[1]
