"""`vdvs plan`."""

from __future__ import annotations

import click

from reconciler.cli import completing, options


@click.command(short_help="Show what would be applied, and save it for `apply --plan`.")
@options.manifests_or_default
@options.site
@options.against
@options.output("text", "json", "yaml")
@options.detail
@options.selector
@click.option("--out", metavar="FILE", shell_complete=completing.files, help="Write the plan to this file.")
@click.option("--expires", default="24h", show_default=True, metavar="TIME", help="How long the plan may be applied.")
@options.allow_destroy
@options.named_set
@options.prune
@options.require_signature
@options.trust_records
@options.expect
@options.reason
@options.verbose
def plan(
    paths: tuple[str, ...],
    site: str | None,
    output: str,
    selector: str | None,
    out: str | None,
    expires: str,
    allow_destroy: bool,
    named_set: str | None,
    prune: bool,
    signers: str | None,
    trust_records: bool,
    expect: str | None,
    reason: str | None,
) -> int:
    """Show what `apply` would do, as `diff` shows it, and with --out save it. Writes nothing to the site.

    `apply --plan FILE` does exactly what was shown, or nothing at all if the site has changed since. FILE holds
    no more than the manifests and the diff; how hosts are reached is for whoever applies it to say (--site). Only its
    owner may read it. Its digest is printed: `apply --plan FILE --digest DIGEST` takes no other plan.

    \b
    Examples:
      vdvs plan -f manifests/ --out change.plan
      vdvs apply --plan change.plan --dry-run
      vdvs apply --plan change.plan --site site.yaml
    """
    from reconciler.cli.errors import report
    from reconciler.cli.saved_plans import make
    from reconciler.cli.session import open_session
    from reconciler.provenance import applying

    session = open_session(paths, site, selector, early=signers is None, keep_documents=True)
    policy = options.policy(allow_destroy, session.only)
    by = applying(
        paths, session.seen, selector=selector, named=named_set, prune=prune, reason=reason, signers=signers,
        tell=report,
    )  # fmt: skip
    applied = options.asking(by, paths, trust_records, expect)
    return make(session.with_applying(applied), policy, out, expires, output)
