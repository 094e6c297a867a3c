"""History of a site: counts over time, the last events, and how long it took until what differed was in sync again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil
from typing import Final

from reconciler.model.events import QUARTER, Past, Quarter
from reconciler.render.history import Rows, events_data
from reconciler.render.text import Data
from reconciler.render.words import told_as

MOST_EVENTS: Final = 500
MOST_HOURS: Final = 720
_MOST_BUCKETS: Final = 128
_WIDTHS: Final = (QUARTER, 4 * QUARTER, 24 * QUARTER)
_COUNTS: Final = ("drifts", "healed", "applied", "failed")


def bucket_seconds(hours: int) -> int:
    """Return how long each bucket is, so that there are not too many."""
    return next(width for width in _WIDTHS if hours * 3600 <= _MOST_BUCKETS * width)


def beginning(now: datetime, hours: int) -> datetime:
    """Return when the first bucket begins: all are aligned to the clock, in UTC."""
    width = bucket_seconds(hours)
    return datetime.fromtimestamp((int(now.timestamp()) - hours * 3600) // width * width, UTC)


def history_data(past: Past, now: datetime, hours: int) -> Data:
    """The time line of the page."""
    begin, width = beginning(now, hours), bucket_seconds(hours)
    first = int(begin.timestamp())
    buckets = [Quarter(at) for at in range(first, int(now.timestamp()) + 1, width)]
    grouped: list[list[Quarter]] = [[] for _ in buckets]
    for quarter in past.quarters:
        if 0 <= (number := (quarter.at - first) // width) < len(buckets):
            grouped[number].append(quarter)
    ends = sorted(past.ends)
    return {
        "begin": begin.isoformat(),
        "end": now.isoformat(),
        "bucketSeconds": width,
        "buckets": [_bucket(bucket.at, among) for bucket, among in zip(buckets, grouped, strict=True)],
        "toHeal": {"median": _quantile(ends, 0.5), "p95": _quantile(ends, 0.95), "n": len(ends)},
        "events": event_rows(past.events),
        "truncated": past.more,
        "kept": past.kept,
    }


def _bucket(at: int, among: Sequence[Quarter]) -> Data:
    passes = sum(each.passes for each in among)
    counts = {name: sum(getattr(each, name) for each in among) for name in _COUNTS}
    mean = round(sum(each.seconds for each in among) / passes, 3) if passes else None
    return {"at": datetime.fromtimestamp(at, UTC).isoformat(), **counts, "passes": passes, "seconds": mean}


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share is not above; null: there is none."""
    return round(ordered[ceil(share * len(ordered)) - 1], 1) if ordered else None


def event_rows(found: Rows, *, changes: bool = False) -> Data:
    """Rows of the history, each with the word for it; with the change that it is about, if `changes`."""
    shown = events_data(found)["items"]
    return [
        {**event, "word": told_as(event["event"], event["change"]), "change": event["change"] if changes else None}
        for event in shown
    ]
