"""Paths of a simulated host, resolved component by component so that nothing leads out of its folder.

An absolute link starts again at the root, and `..` stops there. The only exits are the mounts: a datastore of the lab,
which the host has as the relative link `vmfs/volumes/ID`, counts as a folder there.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

Parts = tuple[str, ...]
MOUNT_TARGET = "../../../../datastores/"
_MOST_LINKS = 40
_LONGEST = 4096
_DEEPEST = 100


class Rooted:
    """The file system of one host."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve(strict=True)
        self._datastores = self._root.parent.parent / "datastores"

    def find(self, path: str, *, follow: bool = True) -> Parts:
        """Return the components of the location that `path` leads to; the last one need not exist.

        A link there is followed only if `follow`. Raises OSError as the operating system would.
        """
        return self._walk((), path, follow or path.endswith("/"))

    def _walk(self, here: Parts, path: str, follow: bool) -> Parts:
        todo = _split(path)
        links = 0
        while todo:
            step = todo.pop(0)
            if step == "..":
                here = here[:-1]
                continue
            target = self._link((*here, step)) if todo or follow else None
            if target is None:
                here += (step,)
                if len(here) > _DEEPEST:
                    raise _error(errno.ENAMETOOLONG, path)
                if todo:
                    self._need_folder(here, path)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise _error(errno.ELOOP, path)
            here = () if target.startswith("/") else here
            todo = _split(target) + todo
        return here

    def at(self, parts: Parts) -> Path:
        """Return the real path of these components, as `find` returns them."""
        if self.is_mount(parts[:3]):
            return self._datastores.joinpath(*parts[2:])
        return self._root.joinpath(*parts)

    def is_mount(self, parts: Parts) -> bool:
        """Return whether a datastore is mounted there."""
        if len(parts) != 3 or parts[:2] != ("vmfs", "volumes"):
            return False
        link, folder = self._root.joinpath(*parts), self._datastores / parts[2]
        folders = (self._root / "vmfs", self._root / "vmfs/volumes", self._datastores, folder)
        if any(part.is_symlink() or not part.is_dir() for part in folders) or not link.is_symlink():
            return False
        return str(link.readlink()) == MOUNT_TARGET + parts[2]

    def real(self, path: str, *, follow: bool = True) -> Path:
        """Return the real path of the host path `path`. Raises OSError."""
        return self.at(self.find(path, follow=follow))

    def remove(self, parts: Parts) -> None:
        """Remove a file, a link, or a folder with its content. A mount, and so every folder above one, stays."""
        if not parts or self.is_mount(parts):
            raise _error(errno.EBUSY, "/" + "/".join(parts))
        place = self.at(parts)
        if place.is_symlink() or not place.is_dir():
            place.unlink()
            return
        busy: OSError | None = None
        for child in sorted(entry.name for entry in place.iterdir()):
            try:
                self.remove((*parts, child))
            except OSError as error:
                busy = busy or error
        if busy is not None:
            raise busy
        place.rmdir()

    def make_folders(self, path: str) -> Path:
        """Create a folder and its parents, as `mkdir -p` does; return the real path."""
        here: Parts = ()
        for step in _split(path):
            named = self._walk(here, step, follow=False)
            here = self._walk(here, step, follow=True)
            if not self.at(here).is_dir():
                self.at(named).mkdir()  # fails in the place of a dangling link
        return self.at(here)

    def _link(self, parts: Parts) -> str | None:
        """Return the target of the link there; None if there is none. A mount is none."""
        if self.is_mount(parts):
            return None
        try:
            return str(self.at(parts).readlink())
        except OSError:
            return None

    def _need_folder(self, parts: Parts, path: str) -> None:
        place = self.at(parts)
        if not place.exists():
            raise _error(errno.ENOENT, path)
        if not place.is_dir():
            raise _error(errno.ENOTDIR, path)


def _split(path: str) -> list[str]:
    """Return the components of a path. Raises OSError for what cannot be a path."""
    if not path or len(path) > _LONGEST or "\0" in path:
        raise _error(errno.ENAMETOOLONG if path else errno.ENOENT, path)
    return [part for part in path.split("/") if part not in ("", ".")]


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
