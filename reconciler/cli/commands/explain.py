"""`vdvs explain`, and `vdvs schema`, which prints what it explains."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from reconciler.cli import completing, exits, options

if TYPE_CHECKING:
    from reconciler.render.explain import Field, Schema

_WIDTH = 80
_POSITION = re.compile(r"\[[^\]]*\]")


@click.command(short_help="Explain a kind or a field of manifests.")
@click.argument("what", metavar="[KIND[.FIELD...]]", default="", shell_complete=completing.explained)
@click.option("--recursive", is_flag=True, help="Also list the fields inside fields.")
@options.verbose
def explain(what: str, recursive: bool) -> int:
    """Explain a kind or a field of a manifest: its meaning, the values it takes, and its default.

    \b
    Examples:
      vdvs explain
      vdvs explain vmgroup
      vdvs explain vmgroup.spec.access.volumeTotalSize
      vdvs explain host --recursive
    """
    from reconciler.loader.schemas import schema
    from reconciler.render import explain as text

    room = _room(text.NARROWEST)
    if not what:
        click.echo(text.kinds_text({name: schema(name) for name in completing.explained_kinds()}, room), nl=False)
        return exits.OK
    kind, *names = _POSITION.sub("", what).rstrip(".").split(".")
    found = schema(_schema_name(kind))
    if names:
        click.echo(text.field_text(_field(found, names), room, recursive=recursive), nl=False)
    else:
        click.echo(text.kind_text(found, room, recursive=recursive), nl=False)
    return exits.OK


@click.command("schema", short_help="Print the JSON Schema of a kind.")
@click.argument("kind", default="manifest", shell_complete=completing.schemas)
@options.verbose
def print_schema(kind: str) -> int:
    """Print the JSON Schema (draft 7) that manifests of a kind fit, for editors and other checkers; without a KIND that
    of all kinds. `vdvs explain` shows the same for reading.

    \b
    Examples:
      vdvs schema > manifest.v1.json
      vdvs schema vmgroup | jq .properties.spec
    """
    from reconciler.export import schema_text

    name = kind if kind == completing.MANIFEST else _schema_name(kind)
    click.echo(schema_text(name), nl=False)
    return exits.OK


def _room(least: int) -> int:
    import shutil
    import sys

    return max(least, shutil.get_terminal_size().columns) if sys.stdout.isatty() else _WIDTH


def _schema_name(word: str) -> str:
    from reconciler.loader.wording import did_you_mean, quoted

    names = completing.explained_kinds()
    if found := completing.explained_kind(word):
        return found
    raise click.UsageError(f"no kind {quoted(word)}{did_you_mean(word, names)}; kinds: {', '.join(names)}")


def _field(schema: Schema, names: list[str]) -> Field:
    from reconciler.loader.wording import quoted
    from reconciler.render.explain import field_called

    node, path, found = schema, "", None
    for name in names:
        found = field_called(node, name, path)
        if found is None:
            place = schema["title"].lower() + (f".{path}" if path else "")
            raise click.UsageError(f"no field {quoted(name)} in {place}{_hint(schema, node, path, name)}")
        node, path = found.item or found.node, found.path
    assert found is not None  # noqa: S101 (there is at least one name)
    return found


def _hint(schema: Schema, node: Schema, path: str, name: str) -> str:
    """The field that was meant: one of this mapping; at the top, also one of spec. Else all that there are."""
    from reconciler.loader.wording import did_you_mean, quoted
    from reconciler.model.errors import nearest
    from reconciler.render.explain import fields

    known = [field.name for field in fields(node)]
    spec = schema["properties"].get("spec", {})
    below = [] if path else [field.name for field in fields(spec)]
    if name not in below and (hint := did_you_mean(name, known)):
        return hint
    if meant := nearest(name, below):
        return f" (did you mean {quoted(f'spec.{meant}')}?)"
    return f"; fields: {', '.join(known)}" if known else "; it has no fields"
