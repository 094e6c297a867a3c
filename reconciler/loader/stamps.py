"""Detecting changes of manifests without reading them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Final, TypeAlias

from reconciler.loader import files

_MOMENT: Final = 2.0  # seconds: a file changed so recently may change again and keep its time stamp

Stamps: TypeAlias = tuple[tuple[object, ...], ...]


def stamps(paths: Sequence[str], site: str | None) -> Stamps | None:
    """Return values that are equal at two times only if no file was changed, added or removed in between.

    None: unknown, because something is missing or was changed only just now.
    """
    found = []
    for one in (*files.find(paths), *([files.Found(site, site)] if site is not None else [])):
        if one.path is None or one.error is not None:
            return None
        try:
            seen = os.stat(one.path)
        except (OSError, ValueError):
            return None
        now = time.time()  # noqa: TID251 - time stamps are of this clock
        if now - max(seen.st_mtime, seen.st_ctime) < _MOMENT:
            return None
        found.append((one.shown, seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns))
    return tuple(found)
