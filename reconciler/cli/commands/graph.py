"""`vdvs graph`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import completing, exits, options

if TYPE_CHECKING:
    from reconciler.render.graph import Graph


@click.command(short_help="Show which VMs may use which datastores, through which vmgroup.")
@click.argument("what", metavar="[KIND NAME...]", nargs=-1, shell_complete=completing.graphed)
@options.manifests_or_default
@options.site
@options.against
@click.option("--live/--declared", default=True, help="The rights as they are (the default), or as declared.")
@options.output("text", "dot", "mermaid", "svg")
@options.selector
@options.named_set
@options.verbose
def graph(
    what: tuple[str, ...],
    paths: tuple[str, ...],
    site: str | None,
    live: bool,
    output: str,
    selector: str | None,
    named_set: str | None,
) -> int:
    """Show the VMs, the vmgroups that they are in, and the datastores that these may use, with the rights that vDVS
    would grant: the row that decides counts, as in `can-i`. All of them, or what is connected with the vmgroups, VMs or
    datastores that are named.

    -o dot is for Graphviz, -o mermaid for Markdown on GitHub or GitLab, -o svg a picture that needs neither.

    \b
    Examples:
      vdvs graph
      vdvs graph vmgroup MYVMGROUP
      vdvs graph datastore/SHARED-Datastore --declared
      vdvs graph -o svg > rights.svg
      vdvs graph -o mermaid
    """
    from reconciler.cli.errors import report
    from reconciler.cli.output import paint
    from reconciler.cli.session import open_session
    from reconciler.model.plan import REPORT_ONLY
    from reconciler.planning.scope import incomplete
    from reconciler.provenance import reading
    from reconciler.render import graph as rendered
    from reconciler.render.graph.declared import DeclaredAccess
    from reconciler.render.page.access import AccessMap
    from reconciler.render.page.commands import NO_COMMANDS
    from reconciler.render.page.look import Look

    session = open_session(paths, site, selector).with_applying(reading(paths, selector, named_set))
    found = session.run(REPORT_ONLY).before
    access = (AccessMap if live else DeclaredAccess)(Look(found, session.desired, NO_COMMANDS))
    gap = incomplete(found.resolved, found.observed)
    drawn = _chosen(rendered.graph(access).among(session.only), what, gap)
    match output:
        case "dot":
            from reconciler.render.graph.dot import dot_text as text
        case "mermaid":
            from reconciler.render.graph.mermaid import mermaid_text as text
        case "svg":
            from reconciler.render.graph.svg import svg_text

            click.echo(svg_text(drawn, f"Rights in site {session.site.name}"), nl=False)
        case _:
            from reconciler.render.graph.tree import tree_text

            click.echo(tree_text(drawn, paint()), nl=False)
    if output in ("dot", "mermaid"):
        click.echo(text(drawn), nl=False)
    if gap is not None:
        report(f"more may be there: {gap}")
    return exits.OK if gap is None else exits.FAILED


def _chosen(of: Graph, what: tuple[str, ...], gap: str | None) -> Graph:
    """Return the part that is named. Raises UsageError or VdvsError for what is not there."""
    from reconciler.cli import kinds

    if not what:
        return of
    (singular, *others), names = kinds.parse_listed(what)
    if others or singular not in completing.GRAPHED:
        raise click.UsageError(f"name a {', a '.join(completing.GRAPHED[:-1])} or a {completing.GRAPHED[-1]}")
    known: dict[str, list[str]] = {}
    match singular:
        case "vmgroup":
            known = {group.name: [group.name] for group in of.groups if group.ref is not None}
        case "vm":
            known = {vm: [vm] for group in of.groups for vm in group.vms}
        case _:
            for each in of.datastores:
                known.setdefault(each.datastore.name, []).append(each.datastore.url)
    where = {"vmgroup": "on the site", "vm": "in a vmgroup"}.get(singular, "in the inventory")
    unread = gap if singular != "datastore" else None
    meant = kinds.resolve(names, list(known), singular, where, unread) if names else tuple(known)
    return of.of(**{f"{singular}s": [each for name in meant for each in known[name]]})
