"""The history that watches of a site keep on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from reconciler import loader, wiring
from reconciler.cli.session import NO_SITE
from reconciler.history.store import HistoryReader
from reconciler.model.errors import UsageError
from reconciler.model.kinds.site import Site
from reconciler.render import history
from reconciler.render.text import Paint


def tell(of: str, reader: HistoryReader, names: Sequence[str], most: int) -> tuple[Callable[[Paint], str], Any]:
    """What `--drifts`, `--events` or `--passes` shows: how to write it for people, and the same as data."""
    match of:
        case "drifts":
            found = reader.drifts(names, most)
            return partial(history.drifts_text, found), history.drifts_data(found)
        case "events":
            found = reader.events(names, most)
            return partial(history.events_text, found), history.events_data(found)
    found = reader.passes(most)
    return partial(history.passes_text, found), history.passes_data(found)


def reader_of(paths: Sequence[str], site: str | None, file: Path | None) -> HistoryReader:
    """Of `file`, or else of where watches of this site keep it. Raises UsageError if there is none."""
    if file is None:
        found = loader.load(paths, site=site).desired.site
        if found is None:
            raise UsageError(NO_SITE)
        file = wiring.history_file(found)
    if not file.exists():
        raise UsageError(f"no watch has kept a history in {file}; --history FILE names another")
    return HistoryReader(file)


def last_events(site: Site, name: str, most: int) -> list[dict[str, Any]]:
    """The last events of one object; none if nobody kept any."""
    file = wiring.history_file(site)
    if not file.exists():
        return []
    reader = HistoryReader(file)
    try:
        return reader.events([name], most)
    finally:
        reader.close()
