"""`vdvs status`."""

from __future__ import annotations

import click

from reconciler.cli import exits, options


@click.command(short_help="Sum up the state of the site, and what to do about it.")
@options.manifests_or_default
@options.site
@options.against
@options.output("text", "json", "yaml")
@options.detail
@options.named_set
@options.verbose
def status(paths: tuple[str, ...], site: str | None, output: str, named_set: str | None) -> int:
    """Sum up the state of the site: one sentence, the number of objects in each state, what to do with the command that
    does it, how full quotas are and what is promised of datastores, and what else is not as it should be.

    Since when something differs is known where a watch on this machine keeps a history of the site.

    \b
    Examples:
      vdvs status
      vdvs status --full
      vdvs status -f manifests/ -o json
    """
    from reconciler.cli.output import detail, emit, paint
    from reconciler.cli.session import open_session
    from reconciler.model.plan import REPORT_ONLY
    from reconciler.planning.conditions import conditions
    from reconciler.provenance import reading
    from reconciler.render.page.commands import Commands
    from reconciler.render.page.look import Look
    from reconciler.render.status import Overview, overview_data, status_text
    from reconciler.wiring.watch_history import lasting

    session = open_session(paths, site).with_applying(reading(paths, named=named_set))
    found = session.run(REPORT_ONLY).before
    # What was seen here is no part of a snapshot, whose name of the site anybody may have written.
    known = {} if session.taken else lasting(session.site)
    commands = Commands(tuple(options.given(paths, site)), named_set)
    of = Overview(session.site.name, Look(found, session.desired, commands), conditions(found), known)
    if output == "text":
        click.echo(status_text(of, paint(), detail()), nl=False)
    else:
        emit(overview_data(of), output)
    return exits.worse_only(found.diff)
