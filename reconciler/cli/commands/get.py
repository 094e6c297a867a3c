"""`vdvs get`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import completing, exits, options

if TYPE_CHECKING:
    from reconciler.model.refs import Kind
    from reconciler.render.tables import AnyRow


@click.command(short_help="List the objects of a kind.")
@click.argument("what", metavar="KIND [NAME...]", nargs=-1, required=True, shell_complete=completing.listed)
@options.manifests_or_default
@options.site
@options.output("text", "wide", "json", "yaml", "name")
@options.selector
@options.verbose
def get(what: tuple[str, ...], paths: tuple[str, ...], site: str | None, output: str, selector: str | None) -> int:
    """List the objects of a kind (`vdvs explain` shows the kinds), or of all kinds, as they are now, and whether they
    are in sync.

    \b
    Examples:
      vdvs get hosts
      vdvs get vmgroup MYVMGROUP -o yaml
      vdvs get all -o wide
    """
    from reconciler.cli import kinds
    from reconciler.cli.errors import report
    from reconciler.cli.session import open_session
    from reconciler.model.diff import Op
    from reconciler.model.plan import REPORT_ONLY
    from reconciler.model.refs import KINDS, Kind
    from reconciler.planning.joined import Joined
    from reconciler.planning.scope import unread
    from reconciler.provenance import reading
    from reconciler.render import tables

    wanted, names = kinds.parse(what)
    session = open_session(paths, site, selector).with_applying(reading(paths, selector))
    found = session.run(REPORT_ONLY).before
    joined = Joined(found)
    listed = {kind: tables.rows(joined, kind, session.only) for kind in wanted}
    if len(wanted) > 1:  # no empty tables of what many sites do not have
        listed = {kind: rows for kind, rows in listed.items() if rows or not KINDS[kind].on_datastore}
    if names:
        kind = wanted[0]
        why = unread(kind, found.resolved, found.observed)
        names = kinds.resolve(names, [row.name for row in listed[kind]], kind, unread=why)
        listed[kind] = tuple(row for row in listed[kind] if row.name in names)
    _print(listed, output)
    # (Hosts that a vCenter which is down would add are no objects of ours yet.)
    asked = [kind for kind in listed if not names and kind is not Kind.HOST]
    gaps = [why for kind in asked if (why := unread(kind, found.resolved, found.observed))]
    for why in dict.fromkeys(gaps):
        report(f"not all objects are listed: {why}")
    unknown = any(row.change.op is Op.UNKNOWN for rows in listed.values() for row in rows)
    return exits.FAILED if gaps or unknown else exits.OK


def _print(listed: dict[Kind, tuple[AnyRow, ...]], output: str) -> None:
    from reconciler.cli.output import emit, paint
    from reconciler.render import tables

    everything = tuple(row for rows in listed.values() for row in rows)
    if output == "name":
        click.echo(tables.names_text(everything), nl=False)
    elif output in ("json", "yaml"):
        emit(tables.rows_data(everything), output)
    else:
        wide = output == "wide"
        parts = [tables.table_text(kind, rows, wide=wide, paint=paint()) for kind, rows in listed.items()]
        click.echo("\n".join(parts), nl=False)
