"""`vdvs apply`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import completing, exits, options

if TYPE_CHECKING:
    from reconciler.cli.session import Session
    from reconciler.model.outcome import Outcome


@click.command(short_help="Make the site what the manifests say.")
@options.manifests_or_plan
@click.option("--plan", "plan", metavar="FILE", shell_complete=completing.files, help="What `vdvs plan --out` wrote.")
@options.site
@options.output("text", "json", "yaml")
@options.selector
@click.option("--allow-destroy", is_flag=True, help="Also make changes that destroy something, such as a vmgroup.")
@click.option("--dry-run", is_flag=True, help="Print what `diff` prints and write nothing.")
@options.verbose
def apply(
    paths: tuple[str, ...],
    plan: str | None,
    site: str | None,
    output: str,
    selector: str | None,
    allow_destroy: bool,
    dry_run: bool,
) -> int:
    """Make the site what the manifests say, then look again to verify it. Asks no questions.

    Where something changed between the look and the write, it plans again, three times at most, and shows each plan.
    With --plan it does what that file says, and nothing at all if what it speaks of has changed since.

    \b
    Examples:
      vdvs apply -f manifests/
      vdvs apply -f manifests/ --dry-run
      vdvs apply --plan change.plan
      kustomize build . | vdvs apply -f - --site site.yaml
    """
    if plan is not None:
        from reconciler.cli import saved_plans

        if paths or selector:
            raise click.UsageError("a plan says itself what it is about: --plan goes without -f and -l")
        return (
            saved_plans.show_saved(plan, output)
            if dry_run
            else saved_plans.apply_saved(plan, site, allow_destroy, output)
        )
    if not paths:
        raise click.UsageError("no manifests: give -f PATH, or --plan FILE")
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
    from reconciler.cli.printing import print_outcome
    from reconciler.render.diff import diff_text

    for made_anew in outcome.replanned:
        click.echo(diff_text(made_anew, "The site changed meanwhile; planned again:"), err=True)
    print_outcome(outcome, seconds, output)
