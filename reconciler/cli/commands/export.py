"""`vdvs export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import exits, options

if TYPE_CHECKING:
    from reconciler.model.export import Export


@click.command(short_help="Write manifests of the site as it is.")
@click.argument("what", metavar="[KIND [NAME...]]", nargs=-1)
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    metavar="PATH",
    help="Manifests with the hosts and how to reach them; may be repeated. "
    "Default without --site: $VDVS_MANIFESTS, or ./manifests.",
)
@options.site
@options.output("yaml", "json")
@options.verbose
def export(what: tuple[str, ...], paths: tuple[str, ...], site: str | None, output: str) -> int:
    """Write manifests of the site as it is: config DBs, hosts, vmgroups, storage policies and read-only volumes, with
    the UUIDs of vmgroups and VMs.

    Exports the hosts declared with -f, or else all of the inventory. What cannot be expressed in a manifest goes to
    standard error, a line each. The manifests hold no Site.

    \b
    Examples:
      vdvs export --site site.yaml > there.yaml
      vdvs diff -f there.yaml --site site.yaml
      vdvs export vmgroup MYVMGROUP --site site.yaml
    """
    from reconciler.cli.errors import report
    from reconciler.cli.output import emit
    from reconciler.cli.session import open_session
    from reconciler.export import export_site
    from reconciler.render.manifests import adopted_data, left_out_line, manifests_text

    session = open_session(paths or (() if site is not None else options.or_default(())), site)
    adopted = _chosen(session.in_world(lambda world: export_site(session.desired, world)), what)
    for left in adopted.left_out:
        report(left_out_line(left))
    if output == "yaml":
        click.echo(manifests_text(adopted.manifests), nl=False)
    else:
        emit(adopted_data(adopted), output)
    return exits.FAILED if any(left.unread for left in adopted.left_out) else exits.OK


def _chosen(adopted: Export, what: tuple[str, ...]) -> Export:
    """Return what is asked for, and what could not be read: it may be in that."""
    from reconciler.cli import kinds
    from reconciler.model.export import Export
    from reconciler.render.manifests import left_out_line

    if not what:
        return adopted
    wanted, names = kinds.parse(what)
    manifests = tuple(manifest for manifest in adopted.manifests if manifest.ref.kind in wanted)
    left_out = tuple(left for left in adopted.left_out if left.ref.kind in wanted or left.unread)
    if names:
        there = [manifest.ref.name for manifest in manifests]
        there += [left.ref.name for left in left_out if left.ref.kind in wanted]
        unread = next((left_out_line(left) for left in left_out if left.unread), None)
        names = kinds.resolve(names, there, wanted[0], unread=unread)
        manifests = tuple(manifest for manifest in manifests if manifest.ref.name in names)
        left_out = tuple(left for left in left_out if left.ref.kind in wanted and left.ref.name in names)
    return Export(manifests, left_out)
