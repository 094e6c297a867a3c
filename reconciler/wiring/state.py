"""Folder for state between runs, by the XDG Base Directory Specification."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from reconciler.model.events import Event, ReportedEvent
from reconciler.model.kinds.site import Site
from reconciler.private import write_private

MOST_KEPT: Final = 20


def state_folder() -> Path:
    """Return `$XDG_STATE_HOME/vdvs`, by default `~/.local/state/vdvs`."""
    given = os.environ.get("XDG_STATE_HOME", "")
    return (Path(given) if given.startswith("/") else Path("~/.local/state").expanduser()) / "vdvs"


class LargeEvents:
    """Events that are too large to be sent around, as files in `folder`: the last MOST_KEPT."""

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._now = now

    def keep(self, event: Event) -> str:
        """Store an event; return its file, or why there is none."""
        from reconciler.render.data import to_json  # slow to import, and seldom needed
        from reconciler.render.events import event_data

        data = event_data(ReportedEvent(self._now(), event))
        file = self._folder / f"{self._now():%Y%m%dT%H%M%S%fZ}.json"
        try:
            write_private(file, to_json(data).encode("ascii"))
            for old in sorted(self._folder.glob("*Z.json"))[:-MOST_KEPT]:
                old.unlink()
        except OSError as error:
            return f"the output of `vdvs diff` ({file} cannot be written: {error.strerror})"
        return str(file)


def history_file(site: Site) -> Path:
    """Return the default path of a site's history. Its name and what it reaches choose it."""
    hosts, vcenters, inventory = site.reach
    place = hashlib.sha256(repr((hosts, list(vcenters), inventory)).encode()).hexdigest()[:12]
    name = "".join(char if char.isalnum() or char in "-." else "_" for char in site.name)[:60]
    return state_folder() / "history" / f"{name}-{place}.sqlite"
