"""Events that wait for the API, by whom they are about: whoever causes many delays and loses only their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Set
from typing import Final, Generic, TypeVar

MOST_WAITING: Final = 1000  # events, of all together

_Item = TypeVar("_Item")


class EventQueue(Generic[_Item]):
    """A queue that serves owners in turn, each in order. Where it is full, the owner of most loses its oldest one:
    `lost` counts them."""

    def __init__(self) -> None:
        self._of: dict[str, deque[_Item]] = {}  # in the order of their turns; none is empty
        self._number = 0
        self.lost = 0

    def __bool__(self) -> bool:
        return bool(self._of)

    @property
    def owners(self) -> Set[str]:
        """Those who have items."""
        return self._of.keys()

    def add(self, owner: str, item: _Item) -> None:
        """Append an item."""
        if self._number == MOST_WAITING:
            self._drop_first(max(self._of, key=lambda each: len(self._of[each])))
            self.lost += 1
        self._of.setdefault(owner, deque()).append(item)
        self._number += 1

    def first(self) -> tuple[str, _Item]:
        """Return the item whose turn it is, and its owner. Raises StopIteration if there is none."""
        owner = next(iter(self._of))
        return owner, self._of[owner][0]

    def served(self, owner: str, item: _Item) -> None:
        """Remove an item that was the first; it is the turn of the next owner."""
        if owner in self._of and self._of[owner][0] is item:
            self._drop_first(owner)
        else:
            self.lost -= 1  # it was dropped while it was served
        self.pass_turn(owner)

    def pass_turn(self, owner: str) -> None:
        """Put an owner behind all others."""
        if (left := self._of.pop(owner, None)) is not None:
            self._of[owner] = left

    def _drop_first(self, owner: str) -> None:
        self._of[owner].popleft()
        self._number -= 1
        if not self._of[owner]:
            del self._of[owner]
