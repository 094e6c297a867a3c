"""`vdvs schema`."""

from __future__ import annotations

import click

from reconciler.cli import completing, exits, options


@click.command(short_help="Print the JSON Schema of a kind.")
@click.argument("kind", default="manifest", shell_complete=completing.schemas)
@options.verbose
def schema(kind: str) -> int:
    """Print the JSON Schema (draft 7) that manifests of a kind fit, for editors and other checkers; without a KIND that
    of all kinds. `vdvs explain` shows the same for reading.

    \b
    Examples:
      vdvs schema > manifest.v1.json
      vdvs schema vmgroup | jq .properties.spec
    """
    from reconciler.cli.commands.explain import schema_name
    from reconciler.export import schema_text

    name = kind if kind == completing.MANIFEST else schema_name(kind)
    click.echo(schema_text(name), nl=False)
    return exits.OK
