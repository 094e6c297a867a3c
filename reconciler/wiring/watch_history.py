"""The history that watches of a site keep on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reconciler.history.store import HistoryReader
from reconciler.model.errors import UsageError
from reconciler.model.events import Lasting
from reconciler.model.kinds.site import Site
from reconciler.model.refs import ObjectRef
from reconciler.wiring.state import history_file


@contextmanager
def open_history(file: Path) -> Iterator[HistoryReader]:
    """Open the history in `file`. Raises UsageError if there is none."""
    if not file.exists():
        raise UsageError(f"no watch has kept a history in {file}; --history FILE names another")
    reader = HistoryReader(file)
    try:
        yield reader
    finally:
        reader.close()


def lasting(site: Site) -> Mapping[ObjectRef, Lasting]:
    """Return since when each object differs that differed when a watch looked last; none where no watch has kept a
    history, or where it cannot be read."""
    file = history_file(site)
    try:
        with open_history(file) as reader:
            return reader.lasting()
    except UsageError:
        return {}


def last_events(site: Site, name: str, most: int) -> list[dict[str, Any]]:
    """Return the last events of one object, newest first; none where no watch has kept a history."""
    file = history_file(site)
    if not file.exists():
        return []
    with open_history(file) as reader:
        return reader.events([name], most)
