"""`vdvs explain`: the fields of a manifest as its JSON Schema describes them, as text of a given width."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from msgspec import Struct

from reconciler.render.text import GAP, lines, pad, width

Schema = Mapping[str, Any]

_DEFAULT = re.compile(r"(?:^| )Default: (.+?)\.(?= |$)")
_TYPES = {"object": "mapping", "array": "list", "string": "text", "integer": "number", "boolean": "true or false"}
NARROWEST = 40
_LEAST_FOR_MEANING = 28
_ROOM_FOR_EXAMPLES = 40


class Field(Struct, frozen=True):
    """A field. `path` is the part after the kind: `spec.access.datastore`; list items add nothing to it."""

    path: str
    node: Schema
    required: bool

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def kind_of_value(self) -> str:
        """Type of the value in full: `size`, `Absent | Present`, `number from 1 to 1000`."""
        return full_type(self.node)

    @property
    def short_kind_of_value(self) -> str:
        """Type of the value in short, for lists of fields."""
        return short_type(self.node)

    @property
    def description(self) -> str:
        """Description without the default."""
        return _DEFAULT.sub("", self.node.get("description", "")).strip()

    @property
    def sentence(self) -> str:
        """The first sentence of the description."""
        return first_sentence(self.description)

    @property
    def default(self) -> str | None:
        """Value that applies when the field is left out (None: not stated)."""
        if "default" in self.node:
            return spelled(self.node["default"])
        stated = _DEFAULT.search(self.node.get("description", ""))
        return stated[1] if stated else None

    @property
    def always(self) -> str | None:
        """The only value allowed (None: there are several)."""
        return spelled(self.node["const"]) if "const" in self.node else None

    @property
    def item(self) -> Schema | None:
        """The schema of each item, when it is a list."""
        items: Schema | None = self.node.get("items")
        return items

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields inside: of the mapping, or of the mappings in the list."""
        return fields(self.item or self.node, self.path)


def fields(node: Schema, path: str = "") -> tuple[Field, ...]:
    """The fields of a mapping, in the order of the schema."""
    required = node.get("required", ())
    dotted = f"{path}." if path else ""
    return tuple(Field(dotted + key, child, key in required) for key, child in node.get("properties", {}).items())


def every_field(node: Schema, path: str = "") -> Iterator[Field]:
    """The fields of a mapping, each followed by the fields inside it."""
    for field in fields(node, path):
        yield field
        yield from every_field(field.item or field.node, field.path)


def field_called(node: Schema, name: str, path: str = "") -> Field | None:
    """The field with this name (None: there is none). A map of strings has a field of any name."""
    for field in fields(node, path):
        if field.name == name:
            return field
    values = node.get("additionalProperties")
    return Field(f"{path}.{name}" if path else name, values, False) if isinstance(values, Mapping) else None


def full_type(node: Schema) -> str:
    """Type of a value in full."""
    if "enum" in node:
        return " | ".join(map(str, node["enum"]))
    title = str(node.get("title") or _TYPES[_types(node)[0]])
    least, most = node.get("minimum"), node.get("maximum")
    if least is not None and most is not None:
        return f"{title} from {least} to {most}"
    return title if least is None else f"{title} from {least}"


def short_type(node: Schema) -> str:
    """Type of a value in short: the fields of a mapping are listed elsewhere."""
    if "properties" not in node:
        return full_type(node)
    return f"{full_type(node).partition(',')[0]} or mapping" if "string" in _types(node) else "mapping"


def scalar_examples(node: Schema) -> tuple[str, ...]:
    """Examples that fit on a line. Empty where the type lists every value."""
    if "enum" in node or "const" in node:
        return ()
    return tuple(spelled(value) for value in node.get("examples", ()) if not isinstance(value, dict | list))


def block_examples(node: Schema) -> tuple[Any, ...]:
    """Examples that are mappings or lists."""
    return tuple(value for value in node.get("examples", ()) if isinstance(value, dict | list))


def first_sentence(text: str) -> str:
    """The first sentence of a text."""
    head, stop, _ = text.partition(". ")
    return head + stop.strip()


def spelled(value: Any) -> str:
    """A value on one line, as in a manifest."""
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf"))
    return text.removesuffix("...\n").strip()


def block(value: Any) -> str:
    """A value on lines of its own, as in a manifest."""
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=float("inf"))
    return text.removesuffix("...\n").rstrip()


def _types(node: Schema) -> list[str]:
    kinds = node.get("type", "string")
    return [kinds] if isinstance(kinds, str) else list(kinds)


def kinds_text(kinds: Mapping[str, Schema], room: int) -> str:
    """Write a sentence about each kind."""
    rows = [(name, first_sentence(schema["description"])) for name, schema in kinds.items()]
    return lines(["KINDS", *_table(rows, room)])


def kind_text(schema: Schema, room: int, *, recursive: bool = False) -> str:
    """Write a kind and its fields."""
    heading = ["KIND", str(schema["title"])]
    version = schema["properties"].get("apiVersion", {}).get("const")
    heading += [f"   {version}"] if version else []
    return lines(
        ["  ".join(heading), *_wrapped(schema["description"], room), *_fields(_of_kind(schema, recursive), room)]
    )


def field_text(field: Field, room: int, *, recursive: bool = False) -> str:
    """Write a field: its type, its meaning, and the fields inside it."""
    inside = list(every_field(field.item or field.node, field.path)) if recursive else list(field.fields)
    return lines(
        [
            *_heading(field, room),
            *_wrapped(field.description, room),
            *_item(field, room),
            *_example(field),
            *_fields(inside, room, field.path + "."),
        ]
    )


def _of_kind(schema: Schema, recursive: bool) -> list[Field]:
    """All fields if `recursive`; else the top-level ones, with mappings (metadata, spec) replaced by their fields."""
    if recursive:
        return list(every_field(schema))
    return [inner for field in fields(schema) for inner in (_opened(field) or (field,))]


def _opened(field: Field) -> tuple[Field, ...]:
    return () if field.item else field.fields


def _heading(field: Field, room: int) -> list[str]:
    parts = [f"FIELD  {field.name}  <{field.kind_of_value}>", *_examples(field.node)]
    parts += [f"always {field.always}"] if field.always else []
    parts += [f"default: {field.default}"] if field.default else []
    parts += ["required"] if field.required else []
    return _filled(parts, room)


def _item(field: Field, room: int) -> list[str]:
    """Type and description of the items of a list."""
    if field.item is None:
        return []
    parts = [f"ITEM   <{full_type(field.item)}>", *_examples(field.item)]
    return ["", *_filled(parts, room), *_wrapped(field.item.get("description", ""), room)]


def _examples(node: Schema) -> list[str]:
    """`e.g. SHARED-Datastore or _VM_DS`; only the first if they are long."""
    found = scalar_examples(node)
    joined = " or ".join(found)
    return [f"e.g. {joined if len(joined) <= _ROOM_FOR_EXAMPLES else found[0]}"] if found else []


def _example(field: Field) -> list[str]:
    for value in block_examples(field.node):
        return ["", "EXAMPLE", *textwrap.indent(block({field.name: value}), "  ").splitlines()]
    return []


def _fields(found: Sequence[Field], room: int, above: str = "") -> list[str]:
    if not found:
        return []
    rows = [(field.path.removeprefix(above), _type_cell(field), field.sentence) for field in found]
    return ["", "FIELDS", *_table(rows, room)]


def _type_cell(field: Field) -> str:
    return f"<{field.short_kind_of_value}>{' required' if field.required else ''}"


def _table(rows: Sequence[Sequence[str]], room: int) -> list[str]:
    """Rows with the last cell wrapped within its column, or below the others where the column would be too narrow."""
    sizes = [max(map(width, column)) for column in list(zip(*rows, strict=True))[:-1]]
    left = room - 2 - sum(size + len(GAP) for size in sizes)
    made: list[str] = []
    for row in rows:
        head = "  " + "".join(pad(cell, size) + GAP for cell, size in zip(row, sizes, strict=False))
        if left < _LEAST_FOR_MEANING:
            made += [head.rstrip(), *textwrap.indent("\n".join(_wrapped(row[-1], room - 6)), " " * 6).splitlines()]
        else:
            first, *rest = _wrapped(row[-1], left) or [""]
            made += [(head + first).rstrip(), *(" " * width(head) + line for line in rest)]
    return made


def _filled(parts: Sequence[str], room: int) -> list[str]:
    """Parts on one line as far as they fit, the others on indented lines."""
    made = [parts[0]]
    for part in parts[1:]:
        longer = f"{made[-1]}     {part}"
        made = [*made[:-1], longer] if width(longer) <= room else [*made, " " * 7 + part]
    return made


def _wrapped(text: str, room: int) -> list[str]:
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
