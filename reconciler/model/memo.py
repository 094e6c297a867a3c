"""Results that are kept, for functions that are called again and again with the same arguments, as in a watch."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Generic, TypeVar

_Result = TypeVar("_Result")
_Of = TypeVar("_Of")


def kept_with(make: Callable[[_Of], _Result]) -> Callable[[_Of], _Result]:
    """Decorate a function of one object that never changes and has a `__dict__`: the result is kept there, so for as
    long as the object lives. Nobody may change the result, and it must not refer to the object."""
    name = f"{make.__module__}.{make.__qualname__}"

    @wraps(make)
    def kept(of: _Of) -> _Result:
        if name not in of.__dict__:
            of.__dict__[name] = make(of)
        result: _Result = of.__dict__[name]
        return result

    return kept


class Memo(Generic[_Result]):
    """The last result, with the arguments that it was made from. Identical objects are not compared."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[object, ...], _Result] | None = None

    def __call__(self, arguments: tuple[object, ...], make: Callable[[], _Result]) -> _Result:
        """Return the last result if the arguments are equal to the last ones, else that of `make`."""
        if self._kept is None or self._kept[0] != arguments:
            self._kept = arguments, make()
        return self._kept[1]
