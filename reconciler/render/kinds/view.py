"""The presentation of a kind (`View`), its rows, and what the cells of all kinds share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

from msgspec import Struct, field

from reconciler.model.diff import Change, FieldChange
from reconciler.model.ownership import Record
from reconciler.planning.joined import Joined
from reconciler.planning.spelling import DisplayNames
from reconciler.render.text import Data, clean

UNKNOWN: Final = "?"
NONE: Final = "-"

Pairs = list[tuple[str, str]]
"""Titles and values of a description; an empty title continues the one above."""


class Item(Protocol):
    """An object of any kind, joined with what was found of it."""

    @property
    def change(self) -> Change:
        """Difference from its manifest."""

    @property
    def record(self) -> Record | None:
        """Last apply of the object; None: never, or unknown."""


I = TypeVar("I", bound=Item)  # noqa: E741 - the item of a view


class Row(Struct, Generic[I], frozen=True):
    """An object to show, with display names for the ids in it."""

    item: I
    names: DisplayNames

    @property
    def change(self) -> Change:
        """Difference of the object from its manifest."""
        return self.item.change

    @property
    def name(self) -> str:
        """Name of the object."""
        return self.item.change.ref.name

    @property
    def known_as(self) -> tuple[str, ...]:
        """Return the names by which it can be asked for."""
        return (self.name,)


Cell = Callable[[Row[I]], str]


class View(Struct, Generic[I], frozen=True):
    """The presentation of one kind.

    `key`: its name in the data of the page. `items`: the objects of an assessment, in the order of its diff. `columns`
    and `wide`: headings of the table and their cells; name, sync, set and reason are common to all kinds. `describe`
    and `data`: the facts of this kind in `vdvs describe` and in JSON. `brief`: a changed field in a few words (None: in
    the words common to all kinds). `only_declared`: objects without a manifest are not listed.
    `gauges`: by heading, how full what a cell is about is (None: no limit is known). `slim`: the facts of a
    row of the page (None: `data`), of which null ones are left out.
    """

    key: str
    items: Callable[[Joined], Iterable[I]]
    columns: Mapping[str, Cell[I]]
    describe: Callable[[Row[I]], Pairs]
    data: Callable[[Row[I]], dict[str, Data]]
    wide: Mapping[str, Cell[I]] = field(default_factory=dict)
    only_declared: bool = False
    brief: Callable[[FieldChange], str | None] = lambda _field: None
    gauges: Mapping[str, Callable[[Row[I]], float | None]] = field(default_factory=dict)
    slim: Callable[[Row[I]], dict[str, Data]] | None = None


def yes_no(value: bool | None) -> str:
    """Spell a fact that may be unknown."""
    return UNKNOWN if value is None else "yes" if value else "no"


def listed(title: str, values: Sequence[str]) -> Pairs:
    """A line of a description for each value."""
    return [("" if position else title, clean(value)) for position, value in enumerate(values)] or [(title, NONE)]
