"""What a drift is."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from reconciler.lab.breakage.place import Place


class Drift(Struct, frozen=True):
    """One thing that goes wrong on real sites. `what` is one line; `issue` the number of the issue of vDVS that tells
    of it, None if none does; `make` does it to a lab as an outsider would, and raises UsageError if it cannot."""

    name: str
    what: str
    make: Callable[[Place], None]
    issue: int | None = None
