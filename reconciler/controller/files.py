"""Notices that manifests changed. It only ever says "look again"; what changed is for the next pass to see."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

_CHANGES = frozenset({"created", "modified", "deleted", "moved", "closed"})  # reading is not a change
_SUFFIXES = (".yaml", ".yml")
_Identity = tuple[int, int]


class ManifestFiles(FileSystemEventHandler):
    """Watches files and directories, and their parents, so that one which is replaced or comes back is seen.

    `changed` is called from a thread of watchdog's.
    """

    def __init__(self, paths: Sequence[str], changed: Callable[[], None]) -> None:
        self._paths = tuple(Path(path).absolute() for path in paths)
        self._changed = changed
        self._observer: BaseObserver = Observer()
        self._watches: dict[tuple[Path, bool], tuple[_Identity, ObservedWatch]] = {}

    def start(self) -> None:
        """Begin to watch."""
        self._observer.start()
        self.rearm()

    def stop(self) -> None:
        """End, and wait for the thread."""
        self._observer.stop()
        self._observer.join()

    def rearm(self) -> None:
        """Watch what has come since, and what has been replaced by another directory of the same name."""
        wanted = {(path, True) for path in self._paths if path.is_dir()}
        wanted |= {(_nearest(path.parent), False) for path in self._paths}
        for key in wanted | self._watches.keys():
            identity = _identity(key[0]) if key in wanted else None
            known = self._watches.get(key)
            if known is not None and known[0] != identity:
                self._forget(key)
            if identity is not None and key not in self._watches:
                self._watch(key, identity)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called by watchdog."""
        if event.event_type not in _CHANGES:
            return
        places = [os.fsdecode(place) for place in (event.src_path, event.dest_path) if place]
        if any(self._matters(Path(place), event) for place in places):
            self._changed()

    def _matters(self, place: Path, event: FileSystemEvent) -> bool:
        for path in self._paths:
            if place == path or place in path.parents:
                return place == path or event.event_type != "modified"  # something else in a folder above
            if path in place.parents:
                return (event.is_directory or place.suffix in _SUFFIXES) and not _hidden(place.relative_to(path))
        return False

    def _watch(self, key: tuple[Path, bool], identity: _Identity) -> None:
        try:
            watch = self._observer.schedule(self, str(key[0]), recursive=key[1])
        except OSError:
            return  # it has just gone again; the next call tries anew
        self._watches[key] = (identity, watch)

    def _forget(self, key: tuple[Path, bool]) -> None:
        _, watch = self._watches.pop(key)
        try:
            self._observer.unschedule(watch)
        except (KeyError, OSError):
            return  # watchdog dropped it by itself when the directory went


def _nearest(path: Path) -> Path:
    """The path, or the nearest directory above it that exists."""
    return next((place for place in (path, *path.parents) if place.is_dir()), path)


def _identity(path: Path) -> _Identity | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def _hidden(relative: Path) -> bool:
    """Below a folder like `.git` or a lab's. `..data`, through which Kubernetes swaps a mounted directory, is not."""
    return any(part.startswith(".") and not part.startswith("..") for part in relative.parts)
