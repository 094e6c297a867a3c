"""Detection of changed manifests. Reports only that something changed; the next pass finds out what."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

_CHANGES = frozenset({"created", "modified", "deleted", "moved", "closed"})  # not "opened": reading changes nothing
_SUFFIXES = (".yaml", ".yml")
_Identity = tuple[int, int]


class ManifestFiles(FileSystemEventHandler):
    """Watches files and directories, and their parents, so that one that is replaced or recreated is noticed.

    `changed` is called from a thread of watchdog.
    """

    def __init__(self, paths: Sequence[str], changed: Callable[[], None]) -> None:
        self._paths = tuple(Path(path).absolute() for path in paths)
        self._changed = changed
        self._observer: BaseObserver = Observer()
        self._watches: dict[Path, tuple[_Identity, ObservedWatch]] = {}

    def start(self) -> None:
        """Start watching."""
        # Its warnings, such as folders removed while watched, are normal here: `rearm` handles them.
        logging.getLogger("watchdog").setLevel(logging.CRITICAL)
        self._observer.start()
        self.rearm()

    def stop(self) -> None:
        """Stop watching, and wait for the thread."""
        self._observer.stop()
        self._observer.join()

    def rearm(self) -> None:
        """Watch directories created since, or replaced by another of the same name."""
        # One watch per folder: a recursive one would include hidden folders, such as all hosts of a lab.
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
        """Handle an event of watchdog."""
        if event.event_type not in _CHANGES:
            return
        places = [os.fsdecode(place) for place in (event.src_path, event.dest_path) if place]
        if any(self._matters(Path(place), event) for place in places):
            self._changed()

    def _matters(self, place: Path, event: FileSystemEvent) -> bool:
        for path in self._paths:
            if place == path or place in path.parents:
                return place == path or event.event_type != "modified"  # something else in a parent folder
            if path in place.parents:
                return (event.is_directory or place.suffix in _SUFFIXES) and not _hidden(place.relative_to(path))
        return False

    def _watch(self, folder: Path, identity: _Identity) -> None:
        try:
            watch = self._observer.schedule(self, str(folder))
        except OSError:
            return  # it is gone again; the next call retries
        self._watches[folder] = (identity, watch)

    def _forget(self, folder: Path) -> None:
        _, watch = self._watches.pop(folder)
        try:
            self._observer.unschedule(watch)
        except (KeyError, OSError):
            return  # watchdog dropped it when the directory was removed


def _folders(path: Path) -> Iterator[Path]:
    """Yield the directories at and below `path` that are not hidden, each once even with links; none for a file."""
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
    """Return the path, or its nearest parent directory that exists."""
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
    """Return whether a name is hidden, like `.git` or a lab's folder.

    `..data`, by which Kubernetes swaps mounts, is not.
    """
    return name.startswith(".") and not name.startswith("..")
