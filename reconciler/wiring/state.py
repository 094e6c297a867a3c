"""Folder for state between runs, by the XDG Base Directory Specification."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from reconciler.model.kinds.site import Site


def state_folder() -> Path:
    """Return `$XDG_STATE_HOME/vdvs`, by default `~/.local/state/vdvs`."""
    given = os.environ.get("XDG_STATE_HOME", "")
    return (Path(given) if given.startswith("/") else Path("~/.local/state").expanduser()) / "vdvs"


def history_file(site: Site) -> Path:
    """Return the default path of a site's history. Its name and what it reaches choose it."""
    hosts, vcenters, inventory = site.reach
    place = hashlib.sha256(repr((hosts, list(vcenters), inventory)).encode()).hexdigest()[:12]
    name = "".join(char if char.isalnum() or char in "-." else "_" for char in site.name)[:60]
    return state_folder() / "history" / f"{name}-{place}.sqlite"
