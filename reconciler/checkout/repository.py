"""Finding a repository, and what its HEAD and its remote are."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Final

from reconciler.checkout.plumbing import UnreadableRepositoryError, run_git
from reconciler.loader.files import UnreadableError, read_bytes

_OBJECT: Final = re.compile(r"[0-9a-f]{40}")
_REF: Final = re.compile(r"refs/(?!.*\.\.)[^\0\s\\~^:?*\[]+")
_MOST_REFS_IN_A_ROW: Final = 5
_URL: Final = "remote.origin.url"
_SMALL: Final = 65536
_CONFIG: Final = 1024 * 1024
_PACKED: Final = 64 * 1024 * 1024

__all__ = ["Repository", "UnreadableRepositoryError", "find"]


class Repository:
    """A work tree and its repository. `top`: the real path of the work tree's folder."""

    def __init__(self, top: Path, folder: Path) -> None:
        self.top = top
        self._folder = folder
        named = _text(folder / "commondir")
        self._common = folder if named is None else folder / named.strip()

    @property
    def objects(self) -> Path:
        """The folder of the objects."""
        return self._common / "objects"

    @property
    def attributes(self) -> Path:
        """The file of the attributes that are not in the work tree."""
        return self._common / "info/attributes"

    @cached_property
    def head(self) -> str | None:
        """The id of the commit that is checked out; None: there is none yet. Raises UnreadableRepositoryError."""
        if (kind := self._settings.get("extensions.refstorage", "files")) != "files":
            raise UnreadableRepositoryError(f"its refs are stored as {kind}, which vdvs does not read")
        if (kind := self._settings.get("extensions.objectformat", "sha1")) != "sha1":
            raise UnreadableRepositoryError(f"its objects are named by {kind}, which vdvs does not read")
        head = _text(self._folder / "HEAD")
        if head is None:
            raise UnreadableRepositoryError(f"{self._folder}, which its .git names, is not there")
        value = head.strip()
        for _ in range(_MOST_REFS_IN_A_ROW):
            if _OBJECT.fullmatch(value):
                return value
            ref = value.removeprefix("ref:").strip()
            if not value.startswith("ref:") or not _REF.fullmatch(ref):
                break
            found = _text(self._common / ref)
            value = self._packed(ref) if found is None else found.strip()
            if not value:
                return None
        raise UnreadableRepositoryError("its HEAD is neither a commit nor a branch")

    @cached_property
    def remote(self) -> str:
        """The URL of the remote `origin`, of several the first, which git fetches from; empty if there is none. Raises
        UnreadableRepositoryError."""
        return self._settings.get(_URL, "")

    @cached_property
    def _settings(self) -> dict[str, str]:
        """The configuration, as data: git lists what is in the file, and includes nothing."""
        content = _text(self._common / "config", _CONFIG)
        if not content:
            return {}
        listed = run_git(["config", "--file", "-", "--no-includes", "--null", "--list"], content.encode())
        pairs = [entry.partition("\n") for entry in listed.decode(errors="replace").split("\0")]
        settings = {name: value for name, _, value in pairs}
        if urls := [value for name, _, value in pairs if name == _URL]:
            settings[_URL] = urls[0]
        return settings

    def _packed(self, ref: str) -> str:
        for line in (_text(self._common / "packed-refs", _PACKED) or "").split("\n"):
            if line[41:] == ref:
                return line[:40]
        return ""


def find(folder: Path) -> Repository | None:
    """Return the repository of the work tree that this folder is in; None: it is in none.

    Only what is called `.git` counts, which no checkout can bring: folders that merely look like a repository do not.
    Raises UnreadableRepositoryError.
    """
    real = Path(os.path.realpath(folder))
    for top in (real, *real.parents):
        place = top / ".git"
        try:
            mode = place.stat().st_mode
            if stat.S_ISDIR(mode):
                (place / "HEAD").lstat()
                return Repository(top, place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise _unreadable(place, error) from error
        text = _text(place) or ""
        if not text.startswith("gitdir:"):
            raise UnreadableRepositoryError(f"{place} does not say where the repository is")
        return Repository(top, top / text.removeprefix("gitdir:").strip())
    return None


def _text(path: Path, largest: int = _SMALL) -> str | None:
    """Return the text of a file; None if it is not there. Raises UnreadableRepositoryError."""
    try:
        return read_bytes(str(path), largest).decode(errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path, error) from error
    except UnreadableError as error:
        raise UnreadableRepositoryError(f"{path} {error}") from error


def _unreadable(path: Path, error: OSError) -> UnreadableRepositoryError:
    owner = ""
    with suppress(OSError):
        owner = f"; it belongs to the user with the id {path.lstat().st_uid}"
    return UnreadableRepositoryError(f"{path}: {(error.strerror or str(error)).lower()}{owner}")
