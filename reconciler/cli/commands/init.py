"""`vdvs init`."""

from __future__ import annotations

import click

from reconciler.cli import completing, exits, options


@click.command(short_help="Write the first manifests, by asking the site.")
@click.argument("folder", metavar="[DIR]", default=options.DEFAULT_MANIFESTS, shell_complete=completing.files)
@options.site
@options.verbose
def init(folder: str, site: str | None) -> int:
    """Ask the site what it has, and write it as manifests into DIR (by default ./manifests): a file for each host,
    config DB, vmgroup and so on, with the schemas for editors. From then on, they say how the site is to be.

    Nothing is changed on the site, and DIR must not have any manifests yet. The Site (see `vdvs explain site`) stays
    where it is.

    \b
    Examples:
      vdvs init --site site.yaml
      vdvs init acme/ --site site.yaml
    """
    from pathlib import Path

    from reconciler.cli.errors import report
    from reconciler.cli.session import open_session
    from reconciler.export import export_site, write_files
    from reconciler.render.manifests import first_steps, left_out_line

    if site is None:
        raise click.UsageError("which site? Give its Site with --site FILE, or in $VDVS_SITE (see `vdvs explain site`)")
    into = Path(folder)
    if into.is_symlink() or (into.exists() and not into.is_dir()):
        raise click.UsageError(f"{folder} is not a folder")
    if into.is_dir() and any(not entry.name.startswith(".") for entry in into.iterdir()):
        raise click.UsageError(f"{folder} is not empty; give another folder, or use `vdvs export --split`")
    session = open_session((), site)
    found = session.in_world(lambda world: export_site(session.desired, world))
    write_files(found.manifests, into)
    click.echo(first_steps(found, folder, site), nl=False)
    for left in found.left_out:
        report(left_out_line(left))
    return exits.FAILED if any(left.unread for left in found.left_out) else exits.OK
