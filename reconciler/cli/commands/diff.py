"""`vdvs diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import exits, options

if TYPE_CHECKING:
    from reconciler.cli.session import Session
    from reconciler.model.diff import Diff
    from reconciler.model.plan import Withheld


@click.command(short_help="Show how the site differs from the manifests.")
@options.manifests_or_default
@options.site
@options.against
@options.output("text", "json", "yaml", "markdown")
@options.detail
@options.selector
@options.allow_destroy
@options.named_set
@options.prune
@options.require_signature
@options.trust_records
@options.expect
@options.verbose
def diff(
    paths: tuple[str, ...],
    site: str | None,
    output: str,
    selector: str | None,
    allow_destroy: bool,
    named_set: str | None,
    prune: bool,
    signers: str | None,
    trust_records: bool,
    expect: str | None,
) -> int:
    """Show how the site differs from the manifests, and what applying them would mean. Writes nothing.

    What `apply` with the same options would leave out is named on standard error: then both exit with 3. -o markdown
    writes a comment for a pull request.

    \b
    Examples:
      vdvs diff -f manifests/
      vdvs diff -f manifests/ -o json | jq .summary
      vdvs diff -f manifests/ -o markdown > comment.md
    """
    from reconciler.cli.errors import report
    from reconciler.cli.session import open_session
    from reconciler.provenance import applying

    session = open_session(paths, site, selector, early=signers is None)
    by = applying(paths, session.seen, selector=selector, named=named_set, prune=prune, signers=signers, tell=report)
    return exits.of_diff(
        *show(session.with_applying(options.asking(by, paths, trust_records, expect)), allow_destroy, output)
    )


def show(session: Session, allow_destroy: bool, output: str) -> tuple[Diff, tuple[Withheld, ...]]:
    """Look, and print what an apply would do; return the differences, and what it would leave out."""
    from reconciler.cli.output import print_preview
    from reconciler.cli.renames import suggest_renames
    from reconciler.planning.conditions import remarks
    from reconciler.planning.records.history import not_pruned
    from reconciler.reconcile import preview
    from reconciler.render.text import clean

    policy = options.policy(allow_destroy, session.only)
    seen = session.in_world(lambda world: preview(session.desired, world, policy, session.applying))
    found, chosen = seen.found, session.selected(seen.found.diff)
    session.keep_names(found)
    left_out = print_preview(chosen, seen.steps, session.site.name, session.applying, session.only, output)
    suggest_renames(chosen, session.desired)
    for remark in (*remarks(found), *not_pruned(found.resolved, found.observed, session.applying)):
        click.echo(f"note: {clean(remark)}", err=True)
    return chosen, left_out
