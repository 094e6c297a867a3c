"""How much of a vmgroup's quotas is used, as text. A quota counts on each physical datastore by itself."""

from __future__ import annotations

from reconciler.model.units import format_size
from reconciler.planning.vmgroup.quotas import Stock
from reconciler.render.facts import NONE, UNKNOWN, Right, VMGroupFacts
from reconciler.render.text import count

_UNITS = (("PB", 1024**3), ("TB", 1024**2), ("GB", 1024))


def about(megabytes: int) -> str:
    """A used size for people: `0MB`, `180MB`, `1.2GB`."""
    for unit, factor in _UNITS:
        if megabytes >= factor:
            return f"{megabytes / factor:.1f}".removesuffix(".0") + unit
    return f"{megabytes}MB"


def tightest(group: VMGroupFacts) -> str:
    """The quota nearest to being used up: `1.2GB of 5GB (24%)`."""
    if group.tenant is None:
        return NONE if group.readable else UNKNOWN
    limits = [
        (used, right.total_mb) for right in group.rights if right.total_mb for _, used in right.used or (("", 0),)
    ]
    if not limits:
        return f"{about(group.used_mb)}, unlimited"
    used, total = max(limits, key=lambda limit: limit[0] / limit[1])
    return _of(used, total)


def uses(right: Right) -> list[str]:
    """What is used under one access row, a text for each physical datastore it counts on."""
    if not right.total_mb:
        return [f"{about(used)} on {name}" for name, used in right.used]
    if len(right.used) == 1 and right.used[0][0] == right.datastore:
        return [_of(right.used[0][1], right.total_mb)]
    return [f"{_of(used, right.total_mb)} on {name}" for name, used in right.used] or [_of(0, right.total_mb)]


def stock_text(stock: Stock) -> str:
    """What is there and what the books count: `3 volumes (300MB)`, and where they differ, how."""
    booked = f"{len(stock.booked)} booked ({about(sum(volume.mb or 0 for volume in stock.booked))})"
    if stock.found is None:
        return f"not seen ({stock.why}); {booked}"
    sizes = [volume.mb for volume in stock.found if volume.mb is not None]
    size = f" ({about(sum(sizes))})" if sizes or not stock.found else ""
    there = f"{count(len(stock.found), 'volume')}{size}"
    wrong = [f"{len(stock.gone)} of them gone"] if stock.gone else []
    wrong += [f"{len(stock.unbooked)} never booked"] if stock.unbooked else []
    return f"{there}; {booked}: {', '.join(wrong)}" if wrong else there


def limit(megabytes: int | None) -> str:
    """A limit as a manifest spells it."""
    return UNKNOWN if megabytes is None else format_size(megabytes)


def _of(used: int, total: int) -> str:
    return f"{about(used)} of {format_size(total)} ({100 * used // total}%)"
