"""Manifests: the documents of the files, each with its place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

from msgspec import Struct

from reconciler.loader import yaml_careful, yaml_fast
from reconciler.loader.wording import Path, dotted, escape
from reconciler.model.errors import ManifestError
from reconciler.model.refs import Kind, Source

_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
KINDS = {kind.value: kind for kind in Kind}


class SourceFile:
    """The text of one file. Positions inside it are worked out when somebody asks for them."""

    def __init__(self, shown: str, folder: str, text: str) -> None:
        self.shown = shown
        self.folder = folder
        self._text = text

    @cached_property
    def _careful(self) -> list[yaml_careful.Document]:
        return yaml_careful.documents(self._text)

    def documents(self) -> Iterator[Document]:
        """Every document, the empty ones too."""
        done = 0
        try:
            for data, line, column in yaml_fast.documents(self._text):
                yield Document(self, done, data, Source(self.shown, line, column))
                done += 1
        except yaml_fast.Unusual:
            for index, read in enumerate(self._careful[done:], start=done):
                yield Document(self, index, read.data, Source(self.shown, *read.position), read)

    def locate(self, index: int, path: Path) -> Source:
        """Where `path` stands in the document with this index."""
        return Source(self.shown, *self._careful[index].locate(path))


class Document(Struct, frozen=True):
    """One document of a file. `read` is there when its text was unusual, with all that is wrong with it."""

    file: SourceFile
    index: int
    data: Any
    source: Source
    read: yaml_careful.Document | None = None

    @property
    def kind(self) -> Kind | None:
        """Its kind, if it is a known one."""
        kind = self.data.get("kind") if isinstance(self.data, dict) else None
        return KINDS.get(kind) if isinstance(kind, str) else None

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of what it says: the same however it is laid out, and in whatever order its fields stand."""
        return hashlib.sha256(_CANONICAL.encode(self.data).encode()).hexdigest()

    @property
    def metadata_name(self) -> str | None:
        """`metadata.name`, if it is there."""
        return _text(self.data, "metadata", "name")

    @property
    def name(self) -> str | None:
        """The name in vDVS: `spec.name`, else `metadata.name`, if one of them is there."""
        return _text(self.data, "spec", "name") or self.metadata_name

    @property
    def subject(self) -> str:
        """How errors call it: `vmgroup/MYVMGROUP`; empty if it has no name."""
        return f"{self.kind.lower()}/{escape(self.name[:80])}" if self.kind and self.name else ""

    def locate(self, path: Path) -> Source:
        """Where `path` is written."""
        return self.file.locate(self.index, path)

    def error(self, path: Path, message: str) -> ManifestError:
        """Something wrong at `path`."""
        return ManifestError(self.locate(path), self.subject, dotted(path), message)


def _text(data: Any, *keys: str) -> str | None:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, str) and data else None
