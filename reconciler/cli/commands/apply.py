"""`vdvs apply`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import completing, exits, options

if TYPE_CHECKING:
    from reconciler.cli.session import Session


@click.command(short_help="Change the site to match the manifests.")
@options.manifests_or_plan
@click.option(
    "--plan", "plan", metavar="FILE", shell_complete=completing.files, help="Plan written by `vdvs plan --out`."
)
@click.option(
    "--digest", metavar="DIGEST", help="Refuse the plan unless this is its digest, as `vdvs plan` printed it."
)
@options.site
@options.output("text", "json", "yaml")
@options.detail
@options.selector
@options.allow_destroy
@options.named_set
@options.prune
@options.require_signature
@options.trust_records
@options.expect
@options.reason
@options.wait_lock
@options.audit_log
@click.option("--dry-run", is_flag=True, help="Print what `diff` prints and write nothing.")
@options.verbose
def apply(
    paths: tuple[str, ...],
    plan: str | None,
    digest: str | None,
    site: str | None,
    output: str,
    selector: str | None,
    allow_destroy: bool,
    named_set: str | None,
    prune: bool,
    signers: str | None,
    trust_records: bool,
    expect: str | None,
    reason: str | None,
    wait: float,
    dry_run: bool,
) -> int:
    """Change the site to match the manifests, then look again to verify it. Does not prompt.

    If something changed between the look and the write, it plans again, three times at most, shows each plan, and says
    whose change it overwrites. Whoever else is applying to the same config DBs is reported; --wait-lock waits for them.
    --expect COMMIT refuses instead, and writes nothing over what was not applied as that commit has it. What is applied
    is recorded in the config DB (see `vdvs history`). --prune removes the vmgroups and storage policies that this set
    applied before and no longer declares (with --allow-destroy), and members that a selector matched before and the
    inventory no longer shows; vmgroups with volumes stay.
    With --plan it carries out that file, or writes nothing at all if the site has changed since. The Site is that of
    --site, or a lab in the default folder of manifests: a plan has none.

    \b
    Examples:
      vdvs apply -f manifests/
      vdvs apply -f manifests/ --dry-run
      vdvs apply -f manifests/ --prune --allow-destroy --reason "ticket 7"
      vdvs apply --plan change.plan --site site.yaml
      kustomize build . | vdvs apply -f - --site site.yaml
    """
    if plan is not None:
        from reconciler.cli import saved_plans

        chosen = paths or selector or named_set is not None or prune or trust_records or reason is not None
        if chosen or signers is not None or expect is not None:
            raise click.UsageError(
                "a plan contains its manifests: --plan cannot be combined with -f, -l, --set, --prune, --trust-records,"
                " --expect, --reason and --require-signature"
            )
        return (
            saved_plans.show_saved(plan, digest, site, allow_destroy, output)
            if dry_run
            else saved_plans.apply_saved(plan, digest, site, allow_destroy, output, wait)
        )
    if digest is not None:
        raise click.UsageError("--digest is that of a plan: give --plan FILE")
    paths = options.or_default(paths)
    from reconciler.cli.errors import report
    from reconciler.cli.session import open_session
    from reconciler.provenance import applying

    session = open_session(paths, site, selector, early=signers is None)
    by = applying(
        paths, session.seen, selector=selector, named=named_set, prune=prune, reason=reason, signers=signers,
        tell=report,
    )  # fmt: skip
    session = session.with_applying(options.asking(by, paths, trust_records, expect))
    if dry_run:
        from reconciler.cli.commands.diff import show

        return exits.of_preview(*show(session, allow_destroy, output))
    return _apply(session, output, allow_destroy, wait)


def _apply(session: Session, output: str, allow_destroy: bool, wait: float) -> int:
    import time

    from msgspec.structs import replace

    from reconciler.cli.errors import report
    from reconciler.cli.output import print_outcome
    from reconciler.cli.renames import suggest_renames
    from reconciler.planning.conditions import undeclared
    from reconciler.planning.records.history import not_pruned
    from reconciler.render.text import clean

    started = time.monotonic()
    outcome = session.run(options.policy(allow_destroy, session.only), wait)
    if session.only is not None:
        outcome = replace(outcome, objects=tuple(item for item in outcome.objects if item.ref in session.only))
    print_outcome(outcome, session.applying, time.monotonic() - started, output)
    suggest_renames(session.selected(outcome.before.diff), session.desired)
    for note in undeclared(outcome.after or outcome.before) if session.only is None else ():
        report(f"note: {clean(note)}")
    for left in not_pruned(outcome.before.resolved, outcome.before.observed, session.applying):
        report(f"note: {left}")
    return exits.of_outcome(outcome)
