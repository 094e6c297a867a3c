"""Notices that manifests changed. It only ever says "look again"; what changed is for the next pass to see."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
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
        self._watches: dict[Path, tuple[_Identity, ObservedWatch]] = {}

    def start(self) -> None:
        """Begin to watch."""
        # What it complains of, such as folders that go while they are watched, is our daily bread: `rearm` sees to it.
        logging.getLogger("watchdog").setLevel(logging.CRITICAL)
        self._observer.start()
        self.rearm()

    def stop(self) -> None:
        """End, and wait for the thread."""
        self._observer.stop()
        self._observer.join()

    def rearm(self) -> None:
        """Watch what has come since, and what has been replaced by another directory of the same name."""
        # Each folder by itself: a recursive watch would take in hidden ones too, such as all hosts of a lab.
        wanted = {folder for path in self._paths for folder in _folders(path)}
        wanted |= {_nearest(path.parent) for path in self._paths}
        for folder in wanted | self._watches.keys():
            identity = _identity(folder) if folder in wanted else None
            known = self._watches.get(folder)
            if known is not None and known[0] != identity:
                self._forget(folder)
            if identity is not None and folder not in self._watches:
                self._watch(folder, identity)

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

    def _watch(self, folder: Path, identity: _Identity) -> None:
        try:
            watch = self._observer.schedule(self, str(folder))
        except OSError:
            return  # it has just gone again; the next call tries anew
        self._watches[folder] = (identity, watch)

    def _forget(self, folder: Path) -> None:
        _, watch = self._watches.pop(folder)
        try:
            self._observer.unschedule(watch)
        except (KeyError, OSError):
            return  # watchdog dropped it by itself when the directory went


def _folders(path: Path) -> Iterator[Path]:
    """The folders below `path`, itself included, that are not hidden; none for a file. Each once, also with links."""
    seen: set[_Identity] = set()
    for folder, below, _ in os.walk(path, followlinks=True):
        identity = _identity(Path(folder))
        if identity is None or identity in seen:
            below.clear()
            continue
        seen.add(identity)
        below[:] = [name for name in below if not _hidden_name(name)]
        yield Path(folder)


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
    return any(_hidden_name(part) for part in relative.parts)


def _hidden_name(name: str) -> bool:
    """Like `.git` or a lab's folder. `..data`, through which Kubernetes swaps a mounted directory, is not hidden."""
    return name.startswith(".") and not name.startswith("..")
