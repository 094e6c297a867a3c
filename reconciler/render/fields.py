"""The fields of a manifest, as its JSON Schema describes them: types, defaults and examples in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from msgspec import Struct

Schema = Mapping[str, Any]

_DEFAULT = re.compile(r"(?:^| )Default: (.+?)\.(?= |$)")
_TYPES = {"object": "mapping", "array": "list", "string": "text", "integer": "number", "boolean": "true or false"}


class Field(Struct, frozen=True):
    """One field. `path` is what is written after the kind: `spec.access.datastore`; list items add nothing to it."""

    path: str
    node: Schema
    required: bool

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def kind_of_value(self) -> str:
        """What is to be written there, in full: `size`, `Absent | Present`, `number from 1 to 1000`."""
        return full_type(self.node)

    @property
    def short_kind_of_value(self) -> str:
        """The same for lists of fields, where there is little room."""
        return short_type(self.node)

    @property
    def description(self) -> str:
        """What it means, without its default."""
        return _DEFAULT.sub("", self.node.get("description", "")).strip()

    @property
    def sentence(self) -> str:
        """The first sentence of the description."""
        return first_sentence(self.description)

    @property
    def default(self) -> str | None:
        """What holds when it is left out, if it says so."""
        if "default" in self.node:
            return spelled(self.node["default"])
        said = _DEFAULT.search(self.node.get("description", ""))
        return said[1] if said else None

    @property
    def always(self) -> str | None:
        """The only value that it can have."""
        return spelled(self.node["const"]) if "const" in self.node else None

    @property
    def item(self) -> Schema | None:
        """The schema of each item, when it is a list."""
        items: Schema | None = self.node.get("items")
        return items

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields of the mapping, or of the mappings in the list, that it is."""
        return fields(self.item or self.node, self.path)


def fields(node: Schema, path: str = "") -> tuple[Field, ...]:
    """The fields of a mapping, in the order of the schema."""
    required = node.get("required", ())
    dotted = f"{path}." if path else ""
    return tuple(Field(dotted + key, child, key in required) for key, child in node.get("properties", {}).items())


def every_field(node: Schema, path: str = "") -> Iterator[Field]:
    """The fields of a mapping, each followed by all that is inside it."""
    for field in fields(node, path):
        yield field
        yield from every_field(field.item or field.node, field.path)


def field_called(node: Schema, name: str, path: str = "") -> Field | None:
    """The field of that name; any name will do in a map of strings."""
    for field in fields(node, path):
        if field.name == name:
            return field
    values = node.get("additionalProperties")
    return Field(f"{path}.{name}" if path else name, values, False) if isinstance(values, Mapping) else None


def full_type(node: Schema) -> str:
    """What is to be written, as in `<size>`."""
    if "enum" in node:
        return " | ".join(map(str, node["enum"]))
    title = str(node.get("title") or _TYPES[_types(node)[0]])
    least, most = node.get("minimum"), node.get("maximum")
    if least is not None and most is not None:
        return f"{title} from {least} to {most}"
    return title if least is None else f"{title} from {least}"


def short_type(node: Schema) -> str:
    """The same, where a mapping's fields are listed anyway."""
    if "properties" not in node:
        return full_type(node)
    return f"{full_type(node).partition(',')[0]} or mapping" if "string" in _types(node) else "mapping"


def scalar_examples(node: Schema) -> tuple[str, ...]:
    """Those that fit on a line. None where the type says already all that can be written."""
    if "enum" in node or "const" in node:
        return ()
    return tuple(spelled(value) for value in node.get("examples", ()) if not isinstance(value, dict | list))


def block_examples(node: Schema) -> tuple[Any, ...]:
    """Those that are mappings or lists."""
    return tuple(value for value in node.get("examples", ()) if isinstance(value, dict | list))


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence."""
    head, stop, _ = text.partition(". ")
    return head + stop.strip()


def spelled(value: Any) -> str:
    """A value as a manifest would spell it on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf"))
    return text.removesuffix("...\n").strip()


def block(value: Any) -> str:
    """A value as a manifest would spell it on lines of its own."""
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=float("inf"))
    return text.removesuffix("...\n").rstrip()


def _types(node: Schema) -> list[str]:
    kinds = node.get("type", "string")
    return [kinds] if isinstance(kinds, str) else list(kinds)
