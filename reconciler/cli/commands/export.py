"""`vdvs export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import exits, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.cli.session import Session
    from reconciler.execution.survey import Survey
    from reconciler.model.diff import Change
    from reconciler.model.export import Export, LeftOut


@click.command(short_help="Write manifests of what is there.")
@click.argument("what", metavar="[KIND [NAME...]]", nargs=-1)
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    metavar="PATH",
    help="Manifests that say which hosts there are and how to reach them; may be repeated.",
)
@options.site
@options.output("yaml", "json")
@options.verbose
def export(what: tuple[str, ...], paths: tuple[str, ...], site: str | None, output: str) -> int:
    """Write manifests of what is there: config DBs, hosts, vmgroups, storage policies and read-only volumes, with the
    UUIDs of vmgroups and VMs.

    Hosts are those declared with -f, or else all of the inventory. What no manifest can say goes to standard error,
    a line each. The manifests hold no Site.

    \b
    Examples:
      vdvs export --site site.yaml > there.yaml
      vdvs diff -f there.yaml --site site.yaml
      vdvs export vmgroup MYVMGROUP --site site.yaml
    """
    from reconciler.cli.output import emit
    from reconciler.cli.session import open_session
    from reconciler.model.export import Export
    from reconciler.render.manifests import adopted_data, left_out_line, manifests_text

    session = open_session(paths, site)
    found = _look(session)
    left_out = sorted((*found.adopted.left_out, *_not_said(found)), key=lambda left: left.ref.sort_key)
    adopted = _chosen(Export(found.adopted.manifests, tuple(left_out)), what)
    for left in adopted.left_out:
        _complain(left_out_line(left))
    if output == "yaml":
        click.echo(manifests_text(adopted.manifests), nl=False)
    else:
        emit(adopted_data(adopted), output)
    return exits.FAILED if any(left.unread for left in adopted.left_out) else exits.OK


def _look(session: Session) -> Survey:
    from reconciler.execution.survey import survey

    return session.in_world(lambda world: survey(session.desired, world.inventory, world.hosts, world.observer))


def _not_said(found: Survey) -> Sequence[LeftOut]:
    """What a diff against these manifests would show: read them back, as anybody would."""
    from io import BytesIO

    from reconciler import loader
    from reconciler.execution.survey import still_differs
    from reconciler.model.export import LeftOut
    from reconciler.render.manifests import manifests_text

    if not found.adopted.manifests:
        return ()
    text = manifests_text(found.adopted.manifests).encode()
    exported = loader.load(["-"], stdin=BytesIO(text)).desired
    return [LeftOut(change.ref, _difference(change)) for change in still_differs(exported, found)]


def _difference(change: Change) -> str:
    if not change.fields:
        return change.reason
    return f"vdvs apply would change it: {', '.join(field.path for field in change.fields)}"


def _chosen(adopted: Export, what: tuple[str, ...]) -> Export:
    from reconciler.cli import kinds
    from reconciler.model.export import Export

    if not what:
        return adopted
    wanted, names = kinds.parse(what)
    manifests = tuple(manifest for manifest in adopted.manifests if manifest.ref.kind in wanted)
    left_out = tuple(left for left in adopted.left_out if left.ref.kind in wanted)
    if names:
        there = [manifest.ref.name for manifest in manifests] + [left.ref.name for left in left_out]
        kinds.require(names, there, wanted[0])
        manifests = tuple(manifest for manifest in manifests if manifest.ref.name in names)
        left_out = tuple(left for left in left_out if left.ref.name in names)
    return Export(manifests, left_out)


def _complain(line: str) -> None:
    from reconciler.cli.errors import say

    say(line)
