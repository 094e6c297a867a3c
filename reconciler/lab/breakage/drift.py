"""The definition of a drift."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from reconciler.lab.breakage.target import Target


class Drift(Struct, frozen=True):
    """A fault of real sites.

    `what`: a line of description; `issue`: the number of an issue of vDVS that reports it, or None; `make`: makes the
    fault in a lab as an outsider would, and raises UsageError if it cannot.
    """

    name: str
    what: str
    make: Callable[[Target], None]
    issue: int | None = None
