"""Manifests: the documents of the files, each with its position."""

from __future__ import annotations

import hashlib
import json
import os.path
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from reconciler.loader.wording import Path, dotted, escape
from reconciler.loader.yaml import careful, fast
from reconciler.model.errors import ManifestError, Refusal
from reconciler.model.refs import KINDS, DatastoreRef, Kind, Source, datastore_url
from reconciler.model.state import DELETION_POLICY

BY_NAME: Final = {kind.value: kind for kind in KINDS}
_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


class SourceFile:
    """The text of one file. Positions inside it are found on demand.

    `top`: the real path of the folder that files named in it must be in; None: they may be anywhere.
    """

    def __init__(self, shown: str, path: str | None, text: str, top: str | None = None) -> None:
        self.shown = shown
        self.path = path
        self.folder = os.path.dirname(path) if path is not None else ""
        self.top = top
        self._text = text
        self._careful: list[careful.Document] = []

    def documents(self) -> Iterator[Document]:
        """Yield every document, empty ones included."""
        done = 0
        try:
            for data, line, column in fast.documents(self._text):
                yield Document(self, done, data, Source(self.shown, line, column))
                done += 1
        except fast.Unusual:
            self._careful = careful.documents(self._text)
            for index, read in enumerate(self._careful[done:], start=done):
                yield Document(self, index, read.data, Source(self.shown, *read.position), read)

    def locate(self, index: int, path: Path) -> Source:
        """Return the position of `path` in the document with this index."""
        if index >= len(self._careful):
            self._careful = careful.documents(self._text, 2 * index + 1)
        return Source(self.shown, *self._careful[index].locate(path))


def _digest(data: Any) -> str:
    return hashlib.sha256(_CANONICAL.encode(data).encode()).hexdigest()


def digests(text: str) -> Iterator[str]:
    """Yield the digest of each manifest in a file, whether or not it is valid."""
    for document in SourceFile("", None, text).documents():
        if document.kind is not None:
            yield document.digest


class NoFile(Struct, frozen=True):
    """In place of the file of a document that is an object on an API server. `path`: names a Site that may be used;
    `shown`: `vmgroup team-a/db`, in place of a position."""

    shown: str
    path: str | None = None
    folder: str = ""
    top: str | None = None

    def locate(self, _index: int, _path: Path) -> Source:
        """Return the name of the object."""
        return Source(self.shown, 0, 0)


class Document(Struct, frozen=True):
    """One document of a file. `read`: the result of the careful reader, with all YAML errors; None if not needed;
    `namespace`: that of an object on an API server, within which its `metadata.name` is unique; `known_digest`: its
    digest, where that was made already; `parts`: digests of the documents that add to its object."""

    file: SourceFile | NoFile
    index: int
    data: Any
    source: Source
    read: careful.Document | None = None
    namespace: str = ""
    known_digest: str = ""
    parts: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind | None:
        """The kind; None if missing or unknown."""
        kind = self.data.get("kind") if isinstance(self.data, dict) else None
        return BY_NAME.get(kind) if isinstance(kind, str) else None

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the content: independent of layout and of the order of fields. How an object is to be
        deleted is no part of it."""
        return (not self.parts and self.known_digest) or self.digest_without()

    def digest_without(self, *annotations: str) -> str:
        """The digest that it would have without these annotations."""
        if self.parts:
            return _digest([replace(self, parts=()).digest_without(*annotations), *self.parts])
        metadata = self.data["metadata"]
        left_out = {DELETION_POLICY, *annotations}
        if left_out.isdisjoint(given := metadata.get("annotations", {})):
            return _digest(self.data)
        rest = {key: value for key, value in metadata.items() if key != "annotations"}
        kept = {key: value for key, value in given.items() if key not in left_out}
        return _digest({**self.data, "metadata": rest | ({"annotations": kept} if kept else {})})

    @property
    def metadata_name(self) -> str | None:
        """`metadata.name`, if present."""
        return _text(self.data, "metadata", "name")

    @property
    def name(self) -> str | None:
        """Name in vDVS: `spec.name`, else `metadata.name`."""
        return _text(self.data, "spec", "name") or self.metadata_name

    @property
    def name_path(self) -> Path:
        """Path of `name`."""
        return ("spec", "name") if "name" in self.spec else ("metadata", "name")

    @property
    def spec(self) -> dict[str, Any]:
        """`spec`; empty if left out, or not a mapping."""
        spec = self.data.get("spec")
        return spec if isinstance(spec, dict) else {}

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        """Labels of a valid document, sorted."""
        metadata = self.data["metadata"]
        return tuple(sorted(metadata["labels"].items())) if "labels" in metadata else ()

    @property
    def subject(self) -> str:
        """Subject of error messages: `vmgroup/MYVMGROUP`; empty without a name."""
        return f"{self.kind.lower()}/{escape(self.name[:80])}" if self.kind and self.name else ""

    def locate(self, path: Path) -> Source:
        """Return the position of `path`."""
        return self.file.locate(self.index, path)

    def error(self, path: Path, message: str, reason: Refusal = Refusal.INVALID) -> ManifestError:
        """Return the error `message` about the value at `path`."""
        return ManifestError(self.locate(path), self.subject, dotted(path), message, reason)

    def conflict(self, path: Path, message: str) -> ManifestError:
        """Return the error that the value at `path` is another document's already."""
        return self.error(path, message, Refusal.CONFLICT)


def _text(data: Any, *keys: str) -> str | None:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, str) and data else None


def datastore_ref(value: str | dict[str, str]) -> DatastoreRef:
    """Build a reference to a datastore from its name alone, or from a mapping with one of three fields."""
    if isinstance(value, str):
        return DatastoreRef(name=value)
    if "url" in value:
        return DatastoreRef(url=datastore_url(value["url"]))
    return DatastoreRef(name=value.get("name"), inventory_path=value.get("inventoryPath"))
