"""`vdvs status`."""

from __future__ import annotations

import click

from reconciler.cli import exits, options


@click.command(short_help="Sum up the state of the site in one sentence.")
@options.manifests_or_default
@options.site
@options.against
@options.output("text", "json", "yaml")
@options.detail
@options.named_set
@options.verbose
def status(paths: tuple[str, ...], site: str | None, output: str, named_set: str | None) -> int:
    """Sum up the state of the site in one sentence, then list the problems.

    \b
    Examples:
      vdvs status
      vdvs status -f manifests/ -o json
    """
    from reconciler.cli.output import detail, emit, paint
    from reconciler.cli.session import open_session
    from reconciler.model.plan import REPORT_ONLY
    from reconciler.planning.conditions import conditions
    from reconciler.provenance import reading
    from reconciler.render.status import status_data, status_text

    session = open_session(paths, site).with_applying(reading(paths, named=named_set))
    found = session.run(REPORT_ONLY).before
    if output == "text":
        click.echo(status_text(session.site.name, found, conditions(found), paint(), detail()), nl=False)
    else:
        emit(status_data(session.site.name, found, conditions(found)), output)
    return exits.worse_only(found.diff)
