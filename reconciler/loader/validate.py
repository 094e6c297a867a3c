"""Checks of one document: its header, and the schema of its kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from reconciler.loader.explain import explain
from reconciler.loader.kinds import LOADERS
from reconciler.loader.manifests import BY_NAME, Document
from reconciler.loader.schemas import API_VERSION, accepts
from reconciler.loader.wording import Path, described, did_you_mean, either
from reconciler.model.errors import ManifestError
from reconciler.model.refs import KINDS, Source

_SPEC_FIELD: Final = re.compile(r"spec\.([A-Za-z0-9_-]+)")


def fits(document: Document) -> bool:
    """Return whether there is no error in the document by itself, without saying which."""
    if (document.read is not None and document.read.problems) or document.kind is None or _header(document.data):
        return False
    return accepts(KINDS[document.kind].singular)(document.data)


def problems(document: Document) -> list[ManifestError]:
    """Return all errors in the document by itself; empty if it fits the schema of its kind."""
    read = document.read
    if read is None or not read.problems:
        return [document.error(path, message) for path, message in _by_schema(document)]
    file = document.source.file
    found = []
    for problem in read.problems:
        error = document.error(problem.path, problem.message)
        found.append(ManifestError(Source(file, *problem.position), error.subject, error.path, error.message))
    if not read.readable:
        return found
    taken = {error.source for error in found} | {error.path for error in found}
    later = [document.error(path, message) for path, message in _by_schema(document)]
    return found + [error for error in later if error.source not in taken and error.path not in taken]


def salvage(document: Document, wrong: list[ManifestError]) -> Document | None:
    """Return the document without the fields of `spec` that are wrong, so that the rest can be checked.

    None if the kind does not allow that (see `KindLoader.identity`), or if what is left is not valid.
    """
    fields = {match[1] if (match := _SPEC_FIELD.match(error.path)) else None for error in wrong}
    identity = None if document.kind is None else LOADERS[document.kind].identity
    if document.kind is None or identity is None or not fields or None in fields or not fields.isdisjoint(identity):
        return None
    spec = {key: value for key, value in document.data["spec"].items() if key not in fields}
    data = {**document.data, "spec": spec}
    return replace(document, data=data) if accepts(KINDS[document.kind].singular)(data) else None


def _by_schema(document: Document) -> Iterator[tuple[Path, str]]:
    data = document.data
    header = _header(data)
    if header:
        yield from header
    elif document.kind is not None and not accepts(name := KINDS[document.kind].singular)(data):
        yield from explain(name, data) or [((), f"is not a valid {document.kind}")]


def _header(data: Any) -> list[tuple[Path, str]]:
    """Errors in apiVersion and kind, without which the rest cannot be checked."""
    if not isinstance(data, dict):
        # No word of a file that is no manifest: it may be something else, such as a password.
        found = described(data) if data is None or isinstance(data, list) else "a single value"
        return [((), f"expected a manifest (a mapping with apiVersion, kind and metadata), got {found}")]
    wrong: list[tuple[Path, str]] = []
    version, kind = data.get("apiVersion"), data.get("kind")
    if "apiVersion" not in data:
        wrong.append((("apiVersion",), f"is missing; write {API_VERSION}"))
    elif version != API_VERSION:
        wrong.append((("apiVersion",), f"expected {API_VERSION}, got {described(version)}"))
    choices = either(list(BY_NAME))
    if "kind" not in data:
        wrong.append((("kind",), f"is missing; write {choices}"))
    elif not isinstance(kind, str):
        wrong.append((("kind",), f"expected {choices}, got {described(kind)}"))
    elif kind not in BY_NAME:
        wrong.append((("kind",), f"expected {choices}, got {described(kind)}{did_you_mean(kind, BY_NAME)}"))
    return wrong
