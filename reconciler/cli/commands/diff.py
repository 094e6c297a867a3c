"""`vdvs diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import exits, options

if TYPE_CHECKING:
    from reconciler.cli.session import Session


@click.command(short_help="Show how the site differs from the manifests.")
@options.manifests_or_default
@options.site
@options.output("text", "json", "yaml")
@options.detail
@options.selector
@options.named_set
@options.prune
@options.require_signature
@options.trust_records
@options.verbose
def diff(
    paths: tuple[str, ...],
    site: str | None,
    output: str,
    selector: str | None,
    named_set: str | None,
    prune: bool,
    signers: str | None,
    trust_records: bool,
) -> int:
    """Show how the site differs from the manifests, and what applying them would mean. Writes nothing.

    \b
    Examples:
      vdvs diff -f manifests/
      vdvs diff -f manifests/ -o json | jq .summary
    """
    from reconciler.cli.errors import report
    from reconciler.cli.session import open_session
    from reconciler.provenance import applying

    session = open_session(paths, site, selector, early=signers is None)
    by = applying(paths, session.seen, selector=selector, named=named_set, prune=prune, signers=signers, tell=report)
    return show(session.with_applying(options.pruning(by, trust_records)), output)


def show(session: Session, output: str) -> int:
    """Look, and print the diff."""
    from reconciler.cli.output import emit, print_diff
    from reconciler.cli.renames import suggest_renames
    from reconciler.model.plan import REPORT_ONLY
    from reconciler.planning.conditions import remarks
    from reconciler.planning.records.history import not_pruned
    from reconciler.render import data
    from reconciler.render.diff import header
    from reconciler.render.text import clean

    found = session.run(REPORT_ONLY).before
    chosen = session.selected(found.diff)
    if output == "text":
        revision = None if session.applying is None else session.applying.stamp.revision
        head = header(found.diff, session.site.name, revision)
        print_diff(chosen, head)
    else:
        emit(data.diff_data(chosen, session.applying), output)
    suggest_renames(chosen, session.desired)
    for remark in (*remarks(found), *not_pruned(found.resolved, found.observed, session.applying)):
        click.echo(f"note: {clean(remark)}", err=True)
    return exits.of_diff(chosen)
