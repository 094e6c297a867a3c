"""Manifests as readable YAML: block style, fields in a fixed order, quotes only where needed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from reconciler.loader.yaml.scalars import AMBIGUOUS, resolve
from reconciler.model.diff import Value
from reconciler.model.export import Export, FieldPath, LeftOut, Manifest
from reconciler.model.refs import KINDS, Kind
from reconciler.render.text import Data, clean, count, lines

_MODELINE = "# yaml-language-server: $schema={schemas}{kind}.v1.json"
_SCHEMAS = "https://vdvs.io/schemas/"  # for a stream, which is in no folder; as the $id of our output has it
SCHEMAS_FOLDER = ".schemas"
"""Folder of the schemas beside manifests in files, hidden from whoever loads the manifests."""

_PLAIN = re.compile(
    r"[A-Za-z_/][A-Za-z0-9_./+-]*"  # a word or a path
    r"|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"  # a UUID
    r"|[0-9]+(MB|GB|TB|PB)"
    r"|[0-9]+(\.[0-9]+){2,}-[0-9A-Za-z.-]+"  # a version; no reader takes it for a number or a date
)
_WORDS = frozenset(word.lower() for word in AMBIGUOUS) | {"true", "false", "null"}
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def manifests_text(manifests: Sequence[Manifest]) -> str:
    """Write all manifests as one YAML stream."""
    return "---\n".join(_document(manifest, _SCHEMAS) for manifest in manifests)


def manifest_files(manifests: Sequence[Manifest]) -> dict[str, str]:
    """Write a file for each manifest, by its path in a folder that has the schemas in SCHEMAS_FOLDER."""
    found = {}
    for manifest in manifests:
        metadata = manifest.data["metadata"]
        name = metadata["name"] if isinstance(metadata, Mapping) else ""
        path = f"{KINDS[manifest.ref.kind].plural}/{name}.yaml"
        found[path] = _document(manifest, f"../{SCHEMAS_FOLDER}/")
    return found


def adopted_data(adopted: Export) -> Data:
    """An export as described by schemas/output/export.json."""
    return {
        "items": [manifest.data for manifest in adopted.manifests],
        "leftOut": [{"object": str(left.ref), "reason": left.why} for left in adopted.left_out],
    }


def first_steps(found: Export, folder: str, site: str) -> str:
    """Tell what was written, and what to do next."""
    numbers = Counter(manifest.ref.kind for manifest in found.manifests)
    counts = ", ".join(count(numbers[kind], spec.noun) for kind, spec in KINDS.items() if numbers[kind])
    told = [f"{folder}: {counts or 'nothing was found to write'}"]
    if found.manifests:
        told.append(f"next: vdvs diff -f {folder} --site {site}")
    if numbers[Kind.HOST] and not numbers[Kind.CONFIG_DB]:
        told.append(
            "no config DB was found, so every VM may do everything: `vdvs get datastores` shows where one can be, "
            "`vdvs explain configdb` how to declare it"
        )
    return lines(list(map(clean, told)))


def left_out_line(left: LeftOut) -> str:
    """One line about an object that was left out."""
    return f"{left.ref}: {'not read' if left.unread else 'left out'}: {left.why}"


def _document(manifest: Manifest, schemas: str) -> str:
    modeline = _MODELINE.format(schemas=schemas, kind=KINDS[manifest.ref.kind].singular)
    return "\n".join([modeline, *_mapping(manifest.data, "", (), manifest.comments)]) + "\n"


def _mapping(
    value: Mapping[str, Value], indent: str, place: FieldPath, comments: Mapping[FieldPath, str]
) -> Iterator[str]:
    for key, item in value.items():
        here = (*place, key)
        note = f"  # {clean(comments[here])}" if here in comments else ""
        head = f"{indent}{scalar(key)}:"
        if isinstance(item, Mapping) and item:
            yield head + note
            yield from _mapping(item, indent + "  ", here, comments)
        elif isinstance(item, Sequence) and not isinstance(item, str) and item:
            yield head + note
            yield from _list(item, indent + "  ", here, comments)
        else:
            yield f"{head} {scalar(item)}{note}"


def _list(value: Sequence[Value], indent: str, place: FieldPath, comments: Mapping[FieldPath, str]) -> Iterator[str]:
    for position, item in enumerate(value):
        here = (*place, position)
        note = f"  # {clean(comments[here])}" if here in comments else ""
        if isinstance(item, Mapping) and item:
            first, *rest = _mapping(item, indent + "  ", here, comments)
            yield f"{indent}- {first.lstrip(' ')}{note}"
            yield from rest
        else:
            yield f"{indent}- {scalar(item)}{note}"


def scalar(value: Value) -> str:
    """A value on one line. Text that a reader of YAML 1.1 or 1.2 could misread is quoted."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS and resolve(value) == value
        return value if plain else f'"{"".join(map(_quoted, value))}"'
    if isinstance(value, Mapping):
        return "{}"
    return "[]" if isinstance(value, Sequence) else "null" if value is None else str(value)


def _quoted(char: str) -> str:
    if char.isprintable():
        return _SHORT.get(char, char)
    code = ord(char)
    return _SHORT.get(char) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )
