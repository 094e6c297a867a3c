"""`vdvs explain`: what the schemas say, as text of a given width."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from reconciler.render import fields
from reconciler.render.fields import Field, Schema
from reconciler.render.text import GAP, lines, pad, width

NARROWEST = 40
_LEAST_FOR_MEANING = 28
_ROOM_FOR_EXAMPLES = 40


def kinds_text(kinds: Mapping[str, Schema], room: int) -> str:
    """Every kind there is, in a sentence each."""
    rows = [(name, fields.first_sentence(schema["description"])) for name, schema in kinds.items()]
    return lines(["KINDS", *_table(rows, room)])


def kind_text(schema: Schema, room: int, *, recursive: bool = False) -> str:
    """A kind and its fields."""
    heading = ["KIND", str(schema["title"])]
    version = schema["properties"].get("apiVersion", {}).get("const")
    heading += [f"   {version}"] if version else []
    return lines(
        ["  ".join(heading), *_wrapped(schema["description"], room), *_fields(_of_kind(schema, recursive), room)]
    )


def field_text(field: Field, room: int, *, recursive: bool = False) -> str:
    """A field: what to write, what it means, and the fields inside it."""
    inside = list(fields.every_field(field.item or field.node, field.path)) if recursive else list(field.fields)
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
    """All fields; or those at the top, with the mappings among them (metadata, spec) opened."""
    if recursive:
        return list(fields.every_field(schema))
    return [inner for field in fields.fields(schema) for inner in (_opened(field) or (field,))]


def _opened(field: Field) -> tuple[Field, ...]:
    return () if field.item else field.fields


def _heading(field: Field, room: int) -> list[str]:
    parts = [f"FIELD  {field.name}  <{field.kind_of_value}>", *_examples(field.node)]
    parts += [f"always {field.always}"] if field.always else []
    parts += [f"default: {field.default}"] if field.default else []
    parts += ["required"] if field.required else []
    return _filled(parts, room)


def _item(field: Field, room: int) -> list[str]:
    """What each item of a list is."""
    if field.item is None:
        return []
    parts = [f"ITEM   <{fields.full_type(field.item)}>", *_examples(field.item)]
    return ["", *_filled(parts, room), *_wrapped(field.item.get("description", ""), room)]


def _examples(node: Schema) -> list[str]:
    """`e.g. SHARED-Datastore or _VM_DS`; long ones not in such a row."""
    said = fields.scalar_examples(node)
    together = " or ".join(said)
    return [f"e.g. {together if len(together) <= _ROOM_FOR_EXAMPLES else said[0]}"] if said else []


def _example(field: Field) -> list[str]:
    for value in fields.block_examples(field.node):
        return ["", "EXAMPLE", *textwrap.indent(fields.block({field.name: value}), "  ").splitlines()]
    return []


def _fields(found: Sequence[Field], room: int, above: str = "") -> list[str]:
    if not found:
        return []
    rows = [(field.path.removeprefix(above), _type_cell(field), field.sentence) for field in found]
    return ["", "FIELDS", *_table(rows, room)]


def _type_cell(field: Field) -> str:
    return f"<{field.short_kind_of_value}>{' required' if field.required else ''}"


def _table(rows: Sequence[Sequence[str]], room: int) -> list[str]:
    """Rows whose last cell is wrapped within its column, or below the others where no room is left for it."""
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
    """Parts on one line as far as they go, the rest below the first part's second column."""
    made = [parts[0]]
    for part in parts[1:]:
        longer = f"{made[-1]}     {part}"
        made = [*made[:-1], longer] if width(longer) <= room else [*made, " " * 7 + part]
    return made


def _wrapped(text: str, room: int) -> list[str]:
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
