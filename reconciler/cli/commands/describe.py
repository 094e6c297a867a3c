"""`vdvs describe`."""

from __future__ import annotations

import click

from reconciler.cli import completing, exits, options

_EVENTS = 5


@click.command(short_help="Show everything about one object.")
@click.argument("what", metavar="KIND NAME", nargs=-1, required=True, shell_complete=completing.described)
@options.manifests_or_default
@options.site
@options.against
@options.output("text", "json", "yaml")
@options.named_set
@options.verbose
def describe(
    what: tuple[str, ...], paths: tuple[str, ...], site: str | None, output: str, named_set: str | None
) -> int:
    """Show everything about one object: its state, its conditions, how it differs from its manifest,
    and the last events that watches on this machine reported of it.

    \b
    Examples:
      vdvs describe host esxiz10
      vdvs describe vmgroup/MYVMGROUP
    """
    from reconciler.cli import kinds
    from reconciler.cli.output import emit, paint
    from reconciler.cli.session import open_session
    from reconciler.model.diff import Op
    from reconciler.model.plan import REPORT_ONLY
    from reconciler.planning.conditions import conditions
    from reconciler.planning.joined import Joined
    from reconciler.planning.scope import unread
    from reconciler.provenance import reading
    from reconciler.render import tables
    from reconciler.render.describe import describe_data, describe_text
    from reconciler.wiring.watch_history import last_events

    wanted, names = kinds.parse(what)
    if len(wanted) != 1 or len(names) != 1:
        raise click.UsageError("name one object: vdvs describe KIND NAME")
    session = open_session(paths, site).with_applying(reading(paths, named=named_set))
    found = session.run(REPORT_ONLY).before
    rows = tables.rows(Joined(found), wanted[0])
    why = unread(wanted[0], found.resolved, found.observed)
    (name,) = kinds.resolve(names, [row.name for row in rows], wanted[0], unread=why)
    row = next(row for row in rows if row.name == name)
    judged = tuple(condition for condition in conditions(found) if condition.ref == row.change.ref)
    # What was seen here is no part of a snapshot, whose name of the site anybody may have written.
    events = () if session.taken else last_events(session.site, str(row.change.ref), _EVENTS)
    if output == "text":
        click.echo(describe_text(row, judged, events, paint()), nl=False)
    else:
        emit(describe_data(row, judged, events), output)
    return exits.FAILED if row.change.op is Op.UNKNOWN else exits.OK
