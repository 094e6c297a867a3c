"""Is this document a manifest, and a valid one of its kind?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from reconciler.loader.explain import explain
from reconciler.loader.manifests import KINDS, Document
from reconciler.loader.schemas import API_VERSION, NAMES, accepts
from reconciler.loader.wording import Path, described, did_you_mean, either
from reconciler.model.errors import ManifestError
from reconciler.model.refs import Kind

_SPEC_FIELD: Final = re.compile(r"spec\.([A-Za-z0-9_-]+)")


def problems(document: Document) -> list[ManifestError]:
    """Everything wrong with this document by itself; empty: it fits the schema of its kind."""
    read = document.read
    if read is None or not read.problems:
        return [document.error(path, message) for path, message in _by_schema(document)]
    file = document.source.file
    found = []
    for problem in read.problems:
        error = document.error(problem.path, problem.message)
        found.append(
            ManifestError(type(error.source)(file, *problem.position), error.subject, error.path, error.message)
        )
    if not read.readable:
        return found
    taken = {error.source for error in found} | {(error.path) for error in found}
    later = [document.error(path, message) for path, message in _by_schema(document)]
    return found + [error for error in later if error.source not in taken and error.path not in taken]


def salvage(document: Document, wrong: list[ManifestError]) -> Document | None:
    """A VMGroup without the fields that are wrong, to be compared with the others all the same.

    None if what is left would not be the same vmgroup, or not valid.
    """
    fields = {match[1] for error in wrong if (match := _SPEC_FIELD.match(error.path))}
    if document.kind is not Kind.VMGROUP or not fields.isdisjoint(("name", "configDB")):
        return None
    if len(fields) == 0 or any(not _SPEC_FIELD.match(error.path) for error in wrong):
        return None
    spec = {key: value for key, value in document.data["spec"].items() if key not in fields}
    data = {**document.data, "spec": spec}
    return replace(document, data=data) if accepts("vmgroup")(data) else None


def _by_schema(document: Document) -> Iterator[tuple[Path, str]]:
    data = document.data
    header = _header(data)
    if header:
        yield from header
    elif document.kind is not None and not accepts(name := NAMES[document.kind])(data):
        yield from explain(name, data) or [((), f"is not a valid {document.kind}")]


def _header(data: Any) -> list[tuple[Path, str]]:
    """What is wrong with apiVersion and kind: without them nobody can say what the rest should be."""
    if not isinstance(data, dict):
        return [((), f"expected a manifest (a mapping with apiVersion, kind and metadata), got {described(data)}")]
    found: list[tuple[Path, str]] = []
    version, kind = data.get("apiVersion"), data.get("kind")
    if "apiVersion" not in data:
        found.append((("apiVersion",), f"is missing; write {API_VERSION}"))
    elif version != API_VERSION:
        found.append((("apiVersion",), f"expected {API_VERSION}, got {described(version)}"))
    choices = either(list(KINDS))
    if "kind" not in data:
        found.append((("kind",), f"is missing; write {choices}"))
    elif not isinstance(kind, str):
        found.append((("kind",), f"expected {choices}, got {described(kind)}"))
    elif kind not in KINDS:
        found.append((("kind",), f"expected {choices}, got {described(kind)}{did_you_mean(kind, KINDS)}"))
    return found
