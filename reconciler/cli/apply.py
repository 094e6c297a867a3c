"""`vdvs apply`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import exits, options

if TYPE_CHECKING:
    from reconciler.cli.session import Session
    from reconciler.model.outcome import Outcome


@click.command(short_help="Make the site what the manifests say.")
@options.manifests
@options.site
@options.output("text", "json", "yaml")
@options.selector
@click.option("--allow-destroy", is_flag=True, help="Also make changes that destroy something, such as a vmgroup.")
@click.option("--dry-run", is_flag=True, help="Print what `diff` prints and write nothing.")
@options.verbose
def apply(
    paths: tuple[str, ...],
    site: str | None,
    output: str,
    selector: str | None,
    allow_destroy: bool,
    dry_run: bool,
) -> int:
    """Make the site what the manifests say, then look again to verify it. Asks no questions.

    \b
    Examples:
      vdvs apply -f manifests/
      vdvs apply -f manifests/ --dry-run
      kustomize build . | vdvs apply -f - --site site.yaml
    """
    from reconciler.cli.session import open_session

    session = open_session(paths, site, selector)
    if dry_run:
        from reconciler.cli.diff import show

        return exits.FAILED if show(session, output) == exits.FAILED else exits.OK
    return _apply(session, output, allow_destroy)


def _apply(session: Session, output: str, allow_destroy: bool) -> int:
    import time
    from dataclasses import replace

    from reconciler.model.policy import APPLY, APPLY_AND_DESTROY

    started = time.monotonic()
    outcome = session.run(replace(APPLY_AND_DESTROY if allow_destroy else APPLY, objects=session.only))
    if session.only is not None:
        outcome = replace(outcome, objects=tuple(item for item in outcome.objects if item.ref in session.only))
    _print(outcome, time.monotonic() - started, output)
    return exits.of_outcome(outcome)


def _print(outcome: Outcome, seconds: float, output: str) -> None:
    from reconciler.cli.colour import paint
    from reconciler.cli.printing import emit
    from reconciler.render import data
    from reconciler.render.diff import diff_text
    from reconciler.render.results import outcome_text

    for made_anew in outcome.replanned:
        click.echo(diff_text(made_anew, "The site changed meanwhile; planned again:"), err=True)
    if output == "text":
        click.echo(outcome_text(outcome, seconds, paint()), nl=False)
    else:
        emit(data.outcome_data(outcome, seconds), output)
