"""How the objects of a kind are shown: the form of a row in the table of kinds, and what its cells have in common."""

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
        """How it differs from its manifest."""

    @property
    def record(self) -> Record | None:
        """Who applied it last; None: nobody, or unknown."""


I = TypeVar("I", bound=Item)  # noqa: E741 - the item of a view


class Row(Struct, Generic[I], frozen=True):
    """An object to show, and display names for the ids in it."""

    item: I
    names: DisplayNames

    @property
    def change(self) -> Change:
        """How the object differs from its manifest."""
        return self.item.change

    @property
    def name(self) -> str:
        """Name of the object."""
        return self.item.change.ref.name


Cell = Callable[[Row[I]], str]


class View(Struct, Generic[I], frozen=True):
    """How one kind is shown.

    `key`: its name in the data of the page. `items`: the objects of an assessment, in the order of its diff. `columns`
    and `wide`: what stands in the cells below each heading; name, sync, set and reason are added for every kind.
    `describe` and `data`: what is special to the kind in `vdvs describe` and in JSON. `brief`: a changed field in a few
    words, None for the usual ones. `alarm`: what the sentence about the site adds, empty for nothing. `nothing`: what
    an empty table says is missing.
    """

    key: str
    nothing: str
    items: Callable[[Joined], Iterable[I]]
    columns: Mapping[str, Cell[I]]
    describe: Callable[[Row[I]], Pairs]
    data: Callable[[Row[I]], dict[str, Data]]
    wide: Mapping[str, Cell[I]] = field(default_factory=dict)
    brief: Callable[[FieldChange], str | None] = lambda _field: None
    alarm: Callable[[Joined], str] = lambda _joined: ""


def yes_no(value: bool | None) -> str:
    """A fact that may be unknown."""
    return UNKNOWN if value is None else "yes" if value else "no"


def listed(title: str, values: Sequence[str]) -> Pairs:
    """A line of a description for each value."""
    return [("" if position else title, clean(value)) for position, value in enumerate(values)] or [(title, NONE)]
