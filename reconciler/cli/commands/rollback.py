"""`vdvs rollback`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import completing, exits, options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.cli.session import Session
    from reconciler.model.diff import Diff
    from reconciler.model.export import LeftOut
    from reconciler.model.ownership import Applying
    from reconciler.model.plan import Policy
    from reconciler.planning.configdb.rollback import Rollback


@click.command(short_help="Restore a config DB from one of its backups.")
@options.manifests_or_default
@options.site
@options.output("text", "json", "yaml")
@click.option("--list", "only_list", is_flag=True, help="List the backups, and do nothing else.")
@click.option(
    "--config-db",
    metavar="NAME",
    shell_complete=completing.names_of("configdb"),
    help="Which config DB; needed where several are declared.",
)
@click.option(
    "--to",
    "backup",
    metavar="BACKUP",
    shell_complete=completing.names_of("backup"),
    help="The name of the backup, as --list shows it.",
)
@click.option("--unverified", is_flag=True, help="Restore one that vdvs did not make, or not like that.")
@click.option("--allow-destroy", is_flag=True, help="Also delete the vmgroups that were created since.")
@click.option("--dry-run", is_flag=True, help="Print what would be done and write nothing.")
@click.option("--out", metavar="FILE", shell_complete=completing.files, help="Save the plan for `vdvs apply --plan`.")
@click.option("--expires", default="24h", show_default=True, metavar="TIME", help="How long --out may be applied.")
@options.named_set
@options.reason
@options.detail
@options.audit_log
@options.verbose
def rollback(
    paths: tuple[str, ...],
    site: str | None,
    output: str,
    only_list: bool,
    config_db: str | None,
    backup: str | None,
    unverified: bool,
    allow_destroy: bool,
    dry_run: bool,
    out: str | None,
    expires: str,
    named_set: str | None,
    reason: str | None,
) -> int:
    """Restore a config DB from one of its backups: vmgroups, their access and their VMs.

    It is a plan like any other. What the backup holds is compared with what is there, guarded as in `apply` (volumes
    and their vmgroups stay, a VM with attached volumes is not moved), written in one transaction after a new backup,
    and verified. Vmgroups keep the UUIDs that they had, and so their volumes; those that another set made since stay.
    Hosts are not touched. A backup is compared with the list of those that vdvs made, which is beside the config DB:
    one that is not in it, that was changed since, or that is dated in the future is restored only with --unverified.
    Afterwards the manifests differ from what is there: `vdvs export` writes them as it is.

    \b
    Examples:
      vdvs rollback -f manifests/ --list
      vdvs rollback -f manifests/ --to vmdkops_config.db.bak-20261123T201500Z --dry-run
      vdvs rollback -f manifests/ --to vmdkops_config.db.bak-20261123T201500Z --allow-destroy
      vdvs rollback -f manifests/ --to vmdkops_config.db.bak-20261123T201500Z --out back.plan
    """
    from reconciler.cli.session import open_session
    from reconciler.provenance import applying

    if only_list == (backup is not None):
        raise click.UsageError("give either --list or --to BACKUP")
    session = open_session(paths, site, keep_documents=True)
    if backup is None:
        return _list(session, config_db, output)
    by = applying(paths, session.seen, named=named_set, reason=reason or f"rollback to {backup}")
    rolling, policy, found = _read(session, config_db, backup, by, allow_destroy, unverified)
    if dry_run or out is not None:
        code = _plan(rolling, policy, out, expires, output, config_db)
        return exits.FAILED if found.left_out else code
    return _apply(rolling, policy, found, output)


def _list(session: Session, config_db: str | None, output: str) -> int:
    from reconciler.cli import kinds
    from reconciler.cli.errors import report
    from reconciler.cli.output import emit
    from reconciler.execution.rollback import list_backups
    from reconciler.model.refs import Kind
    from reconciler.render.backups import backups_data, backups_text
    from reconciler.wiring.clock_and_chance import SystemClock

    found = session.in_world(lambda world: list_backups(session.desired, world.inventory, world.hosts))
    if config_db is not None:
        meant = kinds.resolve((config_db,), [each.ref.name for each in found], Kind.CONFIG_DB)
        found = tuple(each for each in found if each.ref.name in meant)
    now = SystemClock().now()
    if output == "text":
        click.echo(backups_text(found, now), nl=False)
    else:
        emit(backups_data(found, now), output)
    for each in found:
        if each.host is None:
            report(f"{each.ref}: {each.problem}")
    return exits.FAILED if any(each.host is None for each in found) else exits.OK


def _read(
    session: Session, config_db: str | None, backup: str, by: Applying, allow_destroy: bool, unverified: bool
) -> tuple[Session, Policy, Rollback]:
    """Return the session with the content of the backup in place of the manifests, and what of it may be written."""
    from msgspec.structs import replace

    from reconciler.cli.errors import report
    from reconciler.execution.rollback import read_rollback
    from reconciler.model.plan import APPLY, APPLY_AND_DESTROY

    found = session.in_world(
        lambda world: read_rollback(
            session.desired,
            config_db,
            backup,
            by.set,
            world.inventory,
            world.hosts,
            world.observer,
            world.clock.now(),
            unverified,
        )
    )
    for left in found.left_out:
        report(f"not restored: {_line(left)}")
    by = replace(by, whole=True, prune=True, backup=backup, unverified=unverified)
    rolling = replace(session, desired=found.desired, only=found.objects).with_applying(by)
    return rolling, replace(APPLY_AND_DESTROY if allow_destroy else APPLY, objects=found.objects), found


def _line(left: LeftOut) -> str:
    return f"{left.ref}: {left.why}"


def _plan(session: Session, policy: Policy, out: str | None, expires: str, output: str, config_db: str | None) -> int:
    from reconciler.cli.saved_plans import make

    code = make(session, policy, out, expires, output, config_db)
    return exits.FAILED if code == exits.FAILED else exits.OK


def _apply(session: Session, policy: Policy, found: Rollback, output: str) -> int:
    import time

    from msgspec.structs import replace

    from reconciler.cli.errors import report
    from reconciler.cli.output import print_outcome

    started = time.monotonic()
    outcome = session.run(policy)
    shown = replace(outcome, objects=tuple(item for item in outcome.objects if item.ref in found.objects))
    print_outcome(shown, session.applying, time.monotonic() - started, output)
    stays = list(_not_restored((outcome.after or outcome.before).diff, session))
    for line in stays:
        report(line)
    if not outcome.plan.empty:
        report("the site differs from the manifests now: `vdvs diff` shows where, `vdvs export` writes it as it is")
    return exits.FAILED if stays or found.left_out else exits.of_outcome(shown)


def _not_restored(now: Diff, session: Session) -> Iterable[str]:
    for change in session.selected(now).changes:
        if change.undeclared:
            yield f"{change.ref} is not in the backup, but it stays: {change.reason}"
