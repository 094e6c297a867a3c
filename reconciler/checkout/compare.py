"""Comparison of the files that were read with a commit. No filter is run, so filtered files cannot be compared."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final

from msgspec import Struct

from reconciler.checkout.plumbing import Objects, UnreadableRepositoryError
from reconciler.checkout.repository import Repository, find
from reconciler.loader.files import SUFFIXES, Seen, UnreadableError, blob, read_bytes

_FOLDER: Final = "40000"
_LINK: Final = "120000"
_SUBMODULE: Final = "160000"
_PARENT_LINE: Final = re.compile(rb"^parent ([0-9a-f]{40})$", re.MULTILINE)
_TREE_LINE: Final = re.compile(rb"tree ([0-9a-f]{40})\n")
_WRITTEN_BY_PROGRAMS: Final = re.compile(rb"\b(filter|ident|working-tree-encoding)\b")
_LARGEST_ATTRIBUTES: Final = 1024 * 1024


class _Entry(Struct, frozen=True):
    """An entry of a folder in a commit."""

    mode: str
    name: str


_Folder = dict[str, _Entry]


class Commit:
    """A commit of a repository, a context manager. `name`: its id, or the beginning of it; `raw`: the commit object.
    Raises UnreadableRepositoryError."""

    def __init__(self, repository: Repository, name: str) -> None:
        self._repository = repository
        self._name = name
        self._stack = ExitStack()
        self._folders: dict[str, _Folder] = {}
        self._submodules: dict[str, Commit] = {}
        try:
            self._objects = self._stack.enter_context(Objects(repository.objects))
            self.raw = self._objects.read("commit", name)
            tree = _TREE_LINE.match(self.raw)
            if tree is None:
                raise UnreadableRepositoryError(f"its commit {name[:12]} is damaged")
            self._top = tree[1].decode()
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Commit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def follows(self, earlier: str) -> bool:
        """Return whether this is that commit, or one made after it. Raises UnreadableRepositoryError: it may be."""
        pending, known = deque([self._name]), {self._name}
        unread: UnreadableRepositoryError | None = None
        while pending and earlier not in known:
            try:
                raw = self._objects.read("commit", pending.popleft())
            except UnreadableRepositoryError as error:
                unread = error
                continue
            parents = dict.fromkeys(each.decode() for each in _PARENT_LINE.findall(raw.partition(b"\n\n")[0]))
            pending.extend(parent for parent in parents if parent not in known)
            known.update(parents)
        if unread is not None and earlier not in known:
            raise unread
        return earlier in known

    def manifests(self, path: str) -> list[bytes]:
        """Return the content of the file at this path, or of all manifests in this folder and below, as this commit has
        them. Links are not followed, nor submodules entered. Raises UnreadableRepositoryError."""
        commit, entry = self._at(path, inside=True)
        return [] if entry is None else list(commit._contents(entry))

    def _contents(self, entry: _Entry) -> Iterator[bytes]:
        pending, done = [entry], set()
        while pending:
            entry = pending.pop()
            if entry.name in done or entry.mode in (_LINK, _SUBMODULE):
                continue
            done.add(entry.name)
            if entry.mode == _FOLDER:
                listed = self._folder(entry.name).items()
                named = ((name, each) for name, each in listed if not name.startswith("."))
                pending += [each for name, each in named if each.mode == _FOLDER or name.endswith(SUFFIXES)]
            else:
                yield self._objects.read("blob", entry.name)

    def differences(self, seen: Seen) -> Iterator[str]:
        """Yield how what was read differs from this commit, or may differ. Raises UnreadableRepositoryError."""
        if seen.more:
            yield "standard input is not of this commit"
        for path, contents in seen.blobs.items():
            entry = self._at(path)[1]
            if entry is None or entry.mode in (_FOLDER, _SUBMODULE, _LINK):
                yield f"{path} is not in this commit"
            elif entry.name not in contents:
                told = "cannot be compared: .gitattributes names a filter" if self._is_written(path) else "differs"
                yield f"{path} {told}"
        for path, target in seen.links.items():
            if not Path(path).is_relative_to(self._repository.top):
                continue  # named on the command line; what it leads to is compared
            entry = self._at(path)[1]
            if entry is None or entry.mode != _LINK or entry.name != blob(os.fsencode(target)):
                yield f"the link {path} is not as in this commit"
        folders = set(seen.folders)
        for path in seen.folders:
            commit, entry = self._at(path, inside=True)
            listed = commit._folder(entry.name) if entry is not None and entry.mode == _FOLDER else {}
            for name, entry in listed.items():
                place = os.path.join(path, name)
                if not name.startswith(".") and commit._is_missing(place, entry, seen, folders):
                    yield f"{place} is missing"

    def _is_missing(self, place: str, entry: _Entry, seen: Seen, folders: set[str]) -> bool:
        """Return whether this entry of a folder should have been read and was not."""
        if entry.mode == _LINK:
            return place not in seen.links and not (
                os.path.islink(place) and blob(os.fsencode(os.readlink(place))) == entry.name
            )
        if entry.mode == _FOLDER:
            return place not in folders and self._has_manifests(entry.name)
        if entry.mode == _SUBMODULE:
            return place not in folders
        is_site = seen.site is not None and place == os.path.realpath(seen.site)
        return place.endswith(SUFFIXES) and place not in seen.blobs and not is_site

    def _has_manifests(self, tree: str) -> bool:
        """Return whether there are manifests, or links, in a folder or below it. Each tree is looked at once."""
        pending, done = [tree], set()
        while pending:
            if (tree := pending.pop()) in done:
                continue
            done.add(tree)
            for name, entry in self._folder(tree).items():
                if name.startswith("."):
                    continue
                if entry.mode == _FOLDER:
                    pending.append(entry.name)
                elif name.endswith(SUFFIXES) or entry.mode == _LINK:
                    return True
        return False

    def _at(self, path: str, *, inside: bool = False) -> tuple[Commit, _Entry | None]:
        """Return the entry of a path, whose folders are none of them links, and the commit that it is in: this one, or
        that of a submodule. No entry: it is in neither. `inside`: of a submodule, the folder in it.
        """
        relative = os.path.relpath(path, self._repository.top)
        if relative.split("/", 1)[0] == "..":
            return self, None
        entry: _Entry | None = _Entry(_FOLDER, self._top)
        parts = [] if relative == "." else relative.split("/")
        for number, part in enumerate(parts, 1):
            entry = self._folder(entry.name).get(part) if entry is not None and entry.mode == _FOLDER else None
            if entry is not None and entry.mode == _SUBMODULE and (inside or number < len(parts)):
                return self._submodule("/".join(parts[:number]), entry.name)._at(path, inside=inside)
        return self, entry

    def _submodule(self, relative: str, name: str) -> Commit:
        """Return the commit of a submodule that this commit names."""
        if relative not in self._submodules:
            top = self._repository.top / relative
            inner = find(top)
            if inner is None or inner.top != top:
                raise UnreadableRepositoryError(f"its submodule {relative} is not checked out")
            self._submodules[relative] = self._stack.enter_context(Commit(inner, name))
        return self._submodules[relative]

    def _folder(self, tree: str) -> _Folder:
        if tree not in self._folders:
            self._folders[tree] = _parsed(self._objects.read("tree", tree))
        return self._folders[tree]

    def _is_written(self, path: str) -> bool:
        """Return whether git may have written this file by a filter, whose output cannot be compared."""
        top = self._repository.top
        above = [folder for folder in Path(path).parents if folder.is_relative_to(top)]
        for place in (self._repository.attributes, *(folder / ".gitattributes" for folder in above)):
            try:
                if _WRITTEN_BY_PROGRAMS.search(read_bytes(str(place), _LARGEST_ATTRIBUTES)):
                    return True
            except (OSError, UnreadableError):
                continue
        return False


def _parsed(tree: bytes) -> _Folder:
    """Return the entries of a tree object: `MODE NAME`, a NUL, and 20 bytes. Raises UnreadableRepositoryError."""
    found: _Folder = {}
    position = 0
    while position < len(tree):
        end = tree.find(b"\0", position)
        mode, _, name = tree[position:end].partition(b" ")
        if end < 0 or len(tree) < end + 21 or not name or b"/" in name:
            raise UnreadableRepositoryError("a folder in its commit is damaged")
        found[os.fsdecode(name)] = _Entry(mode.decode("latin-1"), tree[end + 1 : end + 21].hex())
        position = end + 21
    return found
