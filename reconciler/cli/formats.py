"""The formats of `get -o`, and the printing in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from reconciler.render.jsonpath.path import Path
    from reconciler.render.jsonpath.template import Columns, Template
    from reconciler.render.tables import Table

    Found = Sequence[tuple[Table[Any], Sequence[Any]]]

NAMES = ("text", "wide", "json", "yaml", "name")
_JSONPATH = "jsonpath="
_COLUMNS = "custom-columns="


class Format(click.ParamType[Any]):
    """An output format: one of `NAMES`, `jsonpath=TEMPLATE` or `custom-columns=COLUMNS`."""

    name = "format"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name, or what was parsed: a Template or Columns."""
        if not isinstance(value, str):
            return value
        value = value.removeprefix("=")  # -o=json, as kubectl takes it
        if value in NAMES:
            return value
        for prefix, form in ((_JSONPATH, "TEMPLATE"), (_COLUMNS, "HEADING:EXPRESSION,...")):
            if value == prefix[:-1]:
                self.fail(f"{prefix}{form}: the second part is missing", param, ctx)
        if not value.startswith((_JSONPATH, _COLUMNS)):
            choices = ", ".join([*NAMES, f"{_JSONPATH}TEMPLATE", f"{_COLUMNS}HEADING:EXPRESSION,..."])
            self.fail(f"{value!r} is not one of {choices}", param, ctx)
        from reconciler.render.jsonpath.template import Columns, Template

        of, text = value.split("=", 1)
        return Template(text) if f"{of}=" == _JSONPATH else Columns(text)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - as click has it
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem[str]]:
        """Complete the names and the prefixes."""
        return [CompletionItem(name) for name in (*NAMES, _JSONPATH, _COLUMNS) if name.startswith(incomplete)]


class Order(click.ParamType[Any]):
    """An expression to sort by."""

    name = "expression"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 - as click has it
        ctx: click.Context | None,  # noqa: ARG002
    ) -> Path:
        """Return the parsed expression."""
        from reconciler.render.jsonpath.path import Path

        return value if isinstance(value, Path) else Path(str(value))


def printed(found: Found, output: Any, by: Path | None, single: bool) -> str:
    """Write everything that was found, sorted. `single`: one object was named."""
    from reconciler.cli.output import paint
    from reconciler.render import data, tables

    found = [(table, ordered(table, rows, by)) for table, rows in found]
    if output == "name":
        return "".join(tables.names_text(table, rows) for table, rows in found)
    if output in ("text", "wide"):
        wide = output == "wide"
        return "\n".join(tables.table_text(table, rows, wide=wide, paint=paint()) for table, rows in found)
    items = [table.data(row) for table, rows in found for row in rows]
    if output == "json":
        return data.to_json(tables.items_data(items))
    if output == "yaml":
        return data.to_yaml(tables.items_data(items))
    return picked(output, items, single)


def picked(output: Template | Columns, items: Sequence[Mapping[str, Any]], single: bool) -> str:
    """Write what a template or columns pick out of the items."""
    from reconciler.render.jsonpath.template import Columns

    items = [_kubectl(item) for item in items]
    return output.text(items) if isinstance(output, Columns) else output.text(items, single and len(items) == 1)


def picked_each(output: Template | Columns, items: Sequence[Mapping[str, Any]], heading: bool) -> str:
    """Write the same of each item by itself. `heading`: columns have one."""
    from reconciler.render.jsonpath.template import Columns

    if not isinstance(output, Columns):
        return "".join(output.text([_kubectl(item)], True) for item in items)
    written = output.text([_kubectl(item) for item in items])
    return written if heading else written.partition("\n")[2]


def ordered(table: Table[Any], rows: Sequence[Any], by: Path | None) -> Sequence[Any]:
    """Sort rows; without an expression they stay as they are."""
    if by is None or not rows:
        return rows
    from reconciler.render.jsonpath.path import fields_of, order

    items = [_kubectl(table.data(row)) for row in rows]
    by.check(fields_of(items))
    keys: Callable[[int], tuple[Any, ...]] = lambda position: order(by.of(items[position]))  # noqa: E731
    return [rows[position] for position in sorted(range(len(rows)), key=keys)]


def _kubectl(item: Mapping[str, Any]) -> dict[str, Any]:
    """Add the place where kubectl has the name, so that its expressions work."""
    return {**item, "metadata": {"name": item["name"]}}
