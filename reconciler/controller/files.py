"""Detection of changed manifests. Reports only that something changed; the next pass finds out what."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Final

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from reconciler.loader.files import SUFFIXES, Seen, find

MOST_FOLDERS: Final = 1000
_LONGEST_WALK: Final = 2.0  # seconds; the loop waits for it
_QUICK: Final = 0.1  # seconds; after a longer walk, the next one waits _REST times as long
_REST: Final = 20
_LIMITS: Final = {
    errno.EMFILE: "fs.inotify.max_user_instances",
    errno.ENOSPC: "fs.inotify.max_user_watches",
    errno.ENOMEM: "the memory of the kernel",
}
_CHANGES = frozenset({"created", "modified", "deleted", "moved", "closed"})  # not "opened": reading changes nothing
_Identity = tuple[int, int]


class ManifestFiles(FileSystemEventHandler):
    """Watches files and directories, and their parents, so that one that is replaced or recreated is noticed.

    Links are followed as they are when manifests are read: never out of a folder. What cannot be watched is noticed by
    the next pass; `tell` is called once with the reason. `changed` is called from a thread of watchdog.
    """

    def __init__(
        self, paths: Sequence[str], changed: Callable[[], None], tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._paths = tuple(Path(path).absolute() for path in paths)
        self._changed = changed
        self._tell = tell
        self._told = False
        self._observer: BaseObserver | None = None
        self._watches: dict[Path, tuple[_Identity, ObservedWatch]] = {}
        self._rest_until = 0.0

    def start(self) -> None:
        """Start watching."""
        # Its warnings, such as folders removed while watched, are normal here: `rearm` handles them.
        logging.getLogger("watchdog").setLevel(logging.CRITICAL)
        try:
            observer = Observer()
            observer.start()
        except OSError as error:
            self._cannot_watch(error)
        else:
            self._observer = observer
            self.rearm()

    def stop(self) -> None:
        """Stop watching, and wait for the thread."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()

    def rearm(self) -> None:
        """Watch directories created since, or replaced by another of the same name."""
        began = monotonic()
        if self._observer is None or began < self._rest_until:
            return
        # One watch per folder: a recursive one would include hidden folders, such as all hosts of a lab.
        wanted = {folder for path in self._paths for folder in _folders(path)}
        wanted |= {_nearest(path.parent) for path in self._paths}
        for folder in wanted | self._watches.keys():
            identity = _identity(folder) if folder in wanted else None
            known = self._watches.get(folder)
            if known is not None and known[0] != identity:
                self._forget(self._observer, folder)
            if identity is not None and folder not in self._watches:
                self._watch(self._observer, folder, identity)
        if (took := monotonic() - began) > _QUICK:
            self._rest_until = monotonic() + _REST * took

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
                return (event.is_directory or place.suffix in SUFFIXES) and not _hidden(place.relative_to(path))
        return False

    def _watch(self, observer: BaseObserver, folder: Path, identity: _Identity) -> None:
        if len(self._watches) >= MOST_FOLDERS:
            self._tell_once(f"there are more than {MOST_FOLDERS:,} folders of manifests")
            return
        try:
            watch = observer.schedule(self, str(folder))
        except OSError as error:
            if error.errno in _LIMITS:
                self._cannot_watch(error)
            return  # else it is gone again; the next call retries
        self._watches[folder] = (identity, watch)

    def _cannot_watch(self, error: OSError) -> None:
        limit = _LIMITS.get(error.errno or 0)
        self._tell_once(f"inotify: {error.strerror or error}" + (f" (see {limit})" if limit else ""))

    def _tell_once(self, why: str) -> None:
        if not self._told:
            self._tell(f"{why}; so changes of manifests are noticed at the next pass, not at once")
        self._told = True

    def _forget(self, observer: BaseObserver, folder: Path) -> None:
        _, watch = self._watches.pop(folder)
        try:
            observer.unschedule(watch)
        except (KeyError, OSError):
            return  # watchdog dropped it when the directory was removed


def _folders(path: Path) -> Iterator[Path]:
    """Yield the directories with manifests at and below `path`; none for a file. Links in them lead nowhere else."""
    if not path.is_dir():
        return
    seen, until = Seen(), monotonic() + _LONGEST_WALK
    real = os.path.realpath(path)
    places = set()
    for found in find([str(path)], seen):
        places.add(str(Path(found.identity).parent))
        if len(seen.folders) > MOST_FOLDERS or monotonic() > until:
            break
    for folder in places.union(seen.folders):
        yield path / os.path.relpath(folder, real)


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
